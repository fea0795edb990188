"""When two models agree, by task kind: small cases worked by hand."""

import numpy as np
import pytest

from mct.compress.run.agreement import Outputs, agreement, divergence, likeness, min_cosine, spread
from mct.compress.run.parity_inputs import ParityInputs
from mct.models.tasks.table import Head
from mct.models.tasks.tokens import Tokens

LABEL = Head("logits", "label", ("a", "b"))


def logits(*rows: list[float]) -> list[Outputs]:
    return [{"logits": np.array([row], dtype=np.float32)} for row in rows]


def asked(task: str, *heads: Head, words: tuple[int, ...] = (), groups: tuple[int, ...] = (0, 1, 2)) -> ParityInputs:
    return ParityInputs(task, heads, tuple(Tokens([5] * 4, [0] * 4, words) for _ in groups), groups)


def test_labels_agree_where_the_highest_is_the_same_and_a_near_tie_is_told_apart() -> None:
    before = logits([1.0, 0.0], [0.0, 1.0], [0.5, 0.501])
    after = logits([0.9, 0.1], [1.0, 0.0], [0.501, 0.5])
    found = agreement(asked("sequence-classification", LABEL), before, after, tolerance=0.002)
    assert (found.share, found.decisions, found.near_ties) == (pytest.approx(1 / 3), 3, 1)


def test_the_first_token_of_every_word_decides_in_a_tagger() -> None:
    """As in the answer that a user gets: special tokens and the rest of a word's pieces are nobody's tag."""
    head = Head("logits", "tags", ("O", "B-title", "I-title"))
    one = asked("token-classification", head, words=(1, 2, -1), groups=(0,))  # the third word was cut off
    right, wrong = np.eye(3)[[0, 1, 2, 0]], np.eye(3)[[1, 1, 0, 1]]  # [CLS], two words, [SEP]
    found = agreement(one, [{"logits": right[None]}], [{"logits": wrong[None]}], 0.0)
    assert found[:2] == (pytest.approx(1 / 2), 2)


def test_every_label_decides_where_there_may_be_several() -> None:
    one = asked("multi-label-classification", Head("logits", "labels", ("a", "b", "c")), groups=(0,))
    found = agreement(one, logits([1.0, -1.0, 2.0]), logits([1.0, 1.0, 2.0]), 0.0)
    assert found[:2] == (pytest.approx(2 / 3), 3)


def test_every_head_decides_in_its_own_way() -> None:
    heads = (
        Head("intent", "label", ("a", "b")),
        Head("moods", "labels", ("c", "d", "e")),
        Head("slots", "tags", ("O", "B-f")),
    )
    before = {
        "intent_logits": np.array([[1.0, 0.0]]),
        "moods_logits": np.array([[3.0, 2.0, -1.0]]),
        "slots_logits": np.array([[[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]]),
    }
    after = before | {"moods_logits": np.array([[3.0, -2.0, -1.0]])}  # the highest is the same, one mood is gone
    found = agreement(asked("multi-head", *heads, words=(1, 2), groups=(0,)), [before], [after], 0.0)
    assert found[:2] == (pytest.approx(5 / 6), 1 + 3 + 2)


@pytest.mark.parametrize("task", ["pair-scoring", "reward"])
def test_scores_agree_in_the_order_of_every_two_of_one_request_and_of_no_others(task: str) -> None:
    before = logits([1.0], [2.0], [0.0], [9.0], [5.0])
    after = logits([10.0], [30.0], [20.0], [3.0], [1.0])
    found = agreement(asked(task, groups=(0, 0, 0, 1, 1)), before, after, 0.0)
    assert found[:2] == (pytest.approx(3 / 4), 4)  # the third went before the first; nobody compares it with the fourth


@pytest.mark.parametrize("task", ["pair-scoring", "reward", "sentence-embedding"])
def test_what_is_alone_decides_nothing(task: str) -> None:
    output = {"sentence_embedding": np.array([[1.0, 0.0]]), "logits": np.array([[1.0]])}
    assert agreement(asked(task, groups=(0,)), [output], [output], 0.0) == (None, 0, 0)
    assert agreement(asked(task, groups=(0, 1)), [output] * 2, [output] * 2, 0.0) == (None, 0, 0)


def test_vectors_agree_in_the_nearest_other_and_by_the_least_cosine() -> None:
    before = [{"sentence_embedding": np.array([row], dtype=np.float32)} for row in ([1, 0], [0.9, 0.1], [0, 1])]
    after = [{"sentence_embedding": np.array([row], dtype=np.float32)} for row in ([2, 0], [0.1, 0.9], [0, 1])]
    found = agreement(asked("sentence-embedding"), before, after, 0.0)
    assert found[:2] == (pytest.approx(2 / 3), 3)  # the second went over to the third
    assert min_cosine(before, after) == pytest.approx((0.9 * 0.1 * 2) / (0.9**2 + 0.1**2))


def test_a_vector_of_zeros_is_like_no_other() -> None:
    """Not like itself either: an embedder that gives it is broken, and NaN would pass every limit."""
    zero, one = ({"sentence_embedding": np.array([row], dtype=np.float32)} for row in ([0, 0], [0, 1]))
    assert min_cosine([one, one], [one, zero]) == 0
    assert min_cosine([zero], [zero]) == 0


def test_near_ties_are_told_by_how_far_the_scores_are_apart_whatever_their_unit() -> None:
    before, after = np.array([0.50, 0.51, 0.9, 0.1]), np.array([0.51, 0.50, 0.9, 0.1])
    for unit in (1.0, 1000.0):
        values = [[{"logits": np.array([[unit * value]])} for value in side] for side in (before, after)]
        found = [agreement(asked("pair-scoring", groups=(0,) * 4), *values, tolerance=share) for share in (0.01, 0.03)]
        assert [each.near_ties for each in found] == [0, 1]


def test_a_spread_is_how_far_outputs_are_from_their_columns_means() -> None:
    rows = [np.array([[1.0, 10.0]]), np.array([[3.0, 10.0]])]
    assert spread(rows) == pytest.approx(np.sqrt((1 + 1 + 0 + 0) / 4))
    assert spread([100 * row for row in rows]) == pytest.approx(100 * spread(rows))
    assert spread([np.array([[5.0]]), np.array([[5.0]])]) == pytest.approx(0.05), "a hundredth of what is said always"
    assert spread([np.array([[3.0, 4.0]])]) == pytest.approx(np.sqrt(12.5)), "one alone: its size"
    assert spread([np.zeros((2, 3))]) == 1.0


def test_divergence_is_that_of_the_two_distributions() -> None:
    before, after = np.log([[0.5, 0.5]]), np.log([[0.25, 0.75]])
    expected = 0.5 * np.log(0.5 / 0.25) + 0.5 * np.log(0.5 / 0.75)
    assert divergence(before + 7.0, after) == pytest.approx([expected])
    found = likeness([{"logits": before[None]}], [{"logits": before[None] - 3.0}])
    assert found == {"mean_kl": pytest.approx(0.0, abs=1e-12), "same_top": 1.0}, "of one text there is no interval"


def test_likeness_has_its_interval_over_texts() -> None:
    """Texts of 2 and of 1 tokens; the second's favourite is another: 2 of 3 alike, influences +1/3 * 2/1.5 and less."""
    a, b = np.log([[0.9, 0.1]]), np.log([[0.2, 0.8]])
    same, other = np.repeat(a, 2, axis=0)[None], a[None]
    found = likeness([{"logits": same}, {"logits": other}], [{"logits": same}, {"logits": b[None]}])
    assert found["same_top"] == pytest.approx(2 / 3)
    assert found["mean_kl"] == pytest.approx(divergence(a, b)[0] / 3)
    assert (found["same_top_low"], found["same_top_high"]) == (0.0, 1.0), "two texts say next to nothing"
    many = likeness([{"logits": same}, {"logits": other}] * 50, [{"logits": same}, {"logits": b[None]}] * 50)
    assert 0.5 < many["same_top_low"] < 2 / 3 < many["same_top_high"] < 0.8
