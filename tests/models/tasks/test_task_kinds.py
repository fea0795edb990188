"""What each task kind makes of rows, outputs and answers: values worked by hand."""

import sys
from itertools import permutations
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mct import MctError
from mct.models.tables import added_by_others
from mct.models.tasks.examples import Kind, Part, find_kind
from mct.models.tasks.table import TASKS, Head, tasks
from mct.models.tasks.tagging import entities
from mct.models.tasks.tokens import Tokens, open_tokenizer

LABELS = ("anger", "joy", "neutral")
TAGS = ("O", "B-title", "I-title", "B-volume")


@pytest.mark.parametrize("task", [task.name for task in TASKS])
def test_every_row_of_the_table_has_its_functions(task: str) -> None:
    assert isinstance(find_kind(task), Kind)


def test_a_label_is_the_highest_logit() -> None:
    kind = find_kind("sequence-classification")
    (example,) = kind.read([{"text": "so good", "label": "joy"}])
    answer = kind.decode({"logits": np.array([[0.1, 2.0, 1.9]])}, [], [Head("logits", "label", LABELS)])
    assert (example.request, answer) == ("so good", "joy")
    assert kind.score(example.truth, answer) == {"accuracy": Part(1.0, 1.0)}
    assert kind.score(example.truth, "anger") == {"accuracy": Part(0.0, 1.0)}


def test_labels_are_those_with_a_positive_logit_and_are_scored_by_f1_over_all_decisions() -> None:
    kind = find_kind("multi-label-classification")
    (example,) = kind.read([{"text": "hm", "labels": ["neutral", "anger"]}])
    answer = kind.decode({"logits": np.array([[0.1, 2.0, -1.0]])}, [], [Head("logits", "labels", LABELS)])
    assert answer == ["anger", "joy"]
    # one of two found is right, one of two true ones is found: 2 * 1 / (2 + 2)
    assert kind.score(example.truth, answer) == {"f1_micro": Part(2.0, 4.0), "exact_match": Part(0.0, 1.0)}


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ("O B-title I-title O B-title", [("title", 1, 2), ("title", 4, 4)]),
        ("B-title B-title I-title", [("title", 0, 0), ("title", 1, 2)]),
        ("B-title I-volume", [("title", 0, 0), ("volume", 1, 1)]),
        ("I-title I-title O", [("title", 0, 1)]),
        ("O O", []),
        ("S-title O B-title I-title E-title S-title", [("title", 0, 0), ("title", 2, 4), ("title", 5, 5)]),
        ("U-title U-title B-volume L-volume", [("title", 0, 0), ("title", 1, 1), ("volume", 2, 3)]),
    ],
)
def test_entities_as_conll_counts_them(tags: str, found: list[tuple[str, int, int]]) -> None:
    assert list(entities(tags.split())) == found


def test_tags_are_read_from_each_words_first_token_and_scored_by_whole_entities() -> None:
    kind = find_kind("token-classification")
    (example,) = kind.read([{"text": "buy one piece 3", "slots": "O B-title I-title B-volume"}])
    logits = np.full((1, 7, 4), -1.0)
    for place, tag in {1: 0, 2: 1, 4: 0, 5: 3}.items():  # "one" takes tokens 2 and 3
        logits[0, place, tag] = 1.0
    inputs = [Tokens([0] * 7, [0] * 7, (1, 2, 4, 5))]
    answer = kind.decode({"logits": logits}, inputs, [Head("logits", "tags", TAGS)])
    assert answer == ["O", "B-title", "O", "B-volume"]
    # the title ends too early: of two true and two found entities one is right
    assert kind.score(example.truth, answer) == {"f1_entities": Part(2.0, 4.0)}


def test_several_heads_answer_by_name_and_have_a_metric_each() -> None:
    kind = find_kind("multi-head")
    (example,) = kind.read([{"text": "order naruto", "label": "buy", "slots": ["O", "B-title"]}])
    heads = [Head("label", "label", ("buy", "return")), Head("slots", "tags", TAGS)]
    slots = np.zeros((1, 3, 4))
    slots[0, 1, 0] = slots[0, 2, 3] = 1.0
    outputs = {"label_logits": np.array([[2.0, 1.0]]), "slots_logits": slots}
    answer = kind.decode(outputs, [Tokens([0] * 3, [0] * 3, (1, 2))], heads)
    assert answer == {"label": "buy", "slots": ["O", "B-volume"]}
    assert kind.score(example.truth, answer) == {
        "all_heads_right": Part(0.0, 1.0),
        "label accuracy": Part(1.0, 1.0),
        "slots f1_entities": Part(0.0, 2.0),
    }
    assert tuple(kind.labels(example.truth)) == ("buy",)


def test_heads_whose_labels_are_numbers_in_the_data_are_scored_and_sliced_by_their_names() -> None:
    kind = find_kind("multi-head")
    (example,) = kind.read([{"text": "hm", "stars": 5, "topics": [12, 3]}])
    heads = [Head("stars", "label", ("1", "5")), Head("topics", "labels", ("3", "7", "12"))]
    outputs = {"stars_logits": np.array([[0.0, 1.0]]), "topics_logits": np.array([[1.0, -1.0, 1.0]])}
    answer = kind.decode(outputs, [Tokens([], [])], heads)
    assert kind.score(example.truth, answer) == {
        "all_heads_right": Part(1.0, 1.0),
        "stars accuracy": Part(1.0, 1.0),
        "topics f1_micro": Part(4.0, 4.0),
    }
    assert tuple(kind.labels(example.truth)) == ("5",)


@pytest.mark.parametrize(
    ("task", "truth", "answer", "label", "part"),
    [
        ("sequence-classification", "joy", "joy", "joy", Part(1.0, 1.0)),
        ("sequence-classification", "anger", "joy", "joy", Part(0.0, 0.0)),
        ("multi-label-classification", ["anger", "joy"], ["anger"], "joy", Part(0.0, 1.0)),
        ("multi-label-classification", ["anger"], ["anger", "joy"], "joy", Part(0.0, 0.0)),
        ("token-classification", ["B-t", "O", "B-t"], ["O", "B-t", "B-t"], "B-t", Part(1.0, 2.0)),
        ("multi-head", {"intent": "other", "mood": "joy"}, {"intent": "buy", "mood": "other"}, "other", Part(0.0, 1.0)),
        ("multi-head", {"intent": "other", "mood": "other"}, {"intent": "other", "mood": "joy"}, "other", Part(1, 2)),
        ("reward", "chosen", [1.0, 0.0], "chosen", Part(0.0, 0.0)),
    ],
)
def test_recall_counts_a_label_where_it_stands(task: str, truth: Any, answer: Any, label: str, part: Part) -> None:
    """A tag of another word, and the same name from another head, are not the label that was asked for."""
    assert find_kind(task).recall(truth, answer, label) == part


ROWS = [
    {"query": "cooking", "doc": "a", "grade": 3},
    {"query": "ninja", "doc": "b", "grade": 0},
    {"query": "cooking", "doc": "c", "grade": 0},
    {"query": "cooking", "doc": "d", "grade": 1},
]


def test_pairs_are_gathered_by_query_and_scored_by_ndcg() -> None:
    kind = find_kind("pair-scoring")
    cooking, ninja = kind.read(ROWS)
    assert cooking.request == {"query": "cooking", "docs": ["a", "c", "d"]}
    assert cooking.truth == [3.0, 0.0, 1.0]
    # put in the order c, a, d: gains 0, 7, 1 at ranks 1, 2, 3; the ideal order a, d, c
    parts = kind.score(cooking.truth, [0.5, 0.9, 0.1])
    assert parts["ndcg_at_10"].got == pytest.approx((7 / log2(3) + 1 / 2) / (7 + 1 / log2(3)))
    assert parts["recall_cap_at_10"] == Part(1.0, 1.0)
    assert kind.score(ninja.truth, [0.3])["ndcg_at_10"] == Part(0.0, 0.0), "nothing relevant: it counts in no mean"


def order(grades: list[float], scores: list[float]) -> tuple[float, float]:
    parts = find_kind("pair-scoring").score(grades, scores)
    return parts["ndcg_at_10"].got / parts["ndcg_at_10"].of, parts["recall_cap_at_10"].got


def test_recall_is_capped_at_what_ten_places_hold() -> None:
    """Of twelve relevant documents nine are among the first ten: 9/10, where recall@10 itself could reach 10/12."""
    grades = [1.0] * 9 + [0.0] + [1.0] * 3
    assert order(grades, [-float(place) for place in range(13)])[1] == pytest.approx(9 / 10)


def test_equal_scores_are_worth_the_mean_of_their_orders_whatever_the_file_has_first() -> None:
    """One relevant document of two: 1 where it comes first, 1/log2(3) where it comes second, half of each on a tie."""
    assert order([1.0, 0.0], [0.5, 0.5])[0] == order([0.0, 1.0], [0.5, 0.5])[0] == pytest.approx((1 + 1 / log2(3)) / 2)
    grades, discounts = [2.0, 0.0, 1.0], [1 / log2(place + 2) for place in range(3)]
    orders = list(permutations([3.0, 0.0, 1.0]))  # the gains, 2^grade - 1, in every order
    mean = sum(sum(gain * each for gain, each in zip(gains, discounts, strict=True)) for gains in orders) / len(orders)
    assert order(grades, [0.1] * 3)[0] == pytest.approx(mean / (3 + 1 / log2(3)))
    # eleven documents tied for the last nine places after one: each of them is among the ten with 9/11
    assert order([1.0, 1.0] + [0.0] * 10, [1.0] + [0.0] * 11)[1] == pytest.approx((1 + 9 / 11) / 2)


def test_scores_that_are_no_numbers_come_last_and_in_no_order() -> None:
    assert order([1.0, 0.0], [float("nan"), 0.1])[0] == pytest.approx(1 / log2(3))
    assert order([1.0, 0.0], [float("nan")] * 2) == order([1.0, 0.0], [0.0] * 2)


def test_grades_that_were_stored_before_there_was_a_highest_overflow_nothing() -> None:
    assert order([1e6, 0.0, 1e6], [3.0, 2.0, 1.0])[0] == pytest.approx((1 + 1 / 2) / (1 + 1 / log2(3)))


@pytest.mark.parametrize("grade", [-1, -0.5, 31, "nan", "inf", 1e308, "good", None, True])
def test_what_is_no_grade_is_refused_in_one_line(grade: object) -> None:
    with pytest.raises(MctError, match="document of grade") as refused:
        find_kind("pair-scoring").read([{"query": "ninja", "doc": "a", "grade": grade}])
    assert "0" in refused.value.hint and "\n" not in str(refused.value)


def test_a_document_counts_once_for_its_query_and_has_one_grade() -> None:
    (ninja,) = find_kind("pair-scoring").read([{"query": "ninja", "doc": "b", "grade": 2}] * 2)
    assert (ninja.truth, ninja.scored["docs"]) == ([2.0], ["b"])
    with pytest.raises(MctError, match="two grades for one document"):
        find_kind("pair-scoring").read([{"query": "ninja", "doc": "b", "grade": grade} for grade in (2, 0)])


def test_an_embedder_is_timed_on_the_query_and_scored_by_cosine() -> None:
    kind = find_kind("sentence-embedding")
    cooking, _ = kind.read(ROWS)
    assert cooking.request == "cooking"
    assert cooking.scored == {"query": "cooking", "docs": ["a", "c", "d"]}
    vectors = np.array([[3.0, 0.0], [1.0, 1.0], [0.0, 5.0], [-2.0, 0.0]])
    cosines = kind.decode({"sentence_embedding": vectors}, [Tokens([], [])] * 4, [])
    assert cosines == pytest.approx([2**-0.5, 0.0, -1.0], abs=1e-6)


def test_a_vector_that_points_nowhere_has_a_cosine_all_the_same() -> None:
    vectors = np.array([[1.0, 0.0], [0.0, 0.0], [2.0, 0.0]], dtype=np.float32)
    assert find_kind("sentence-embedding").decode({"sentence_embedding": vectors}, [Tokens([], [])] * 3, []) == [0, 1]


@pytest.mark.parametrize("task", ["pair-scoring", "reward"])
def test_small_scores_keep_their_order(task: str) -> None:
    """A sigmoid deep in its tail tells documents apart by millionths."""
    scores = np.array([[3e-7], [2e-7], [1e-12]], dtype=np.float32)
    assert find_kind(task).decode({"logits": scores}, [], []) == pytest.approx([3e-7, 2e-7, 1e-12], rel=1e-6)


def test_a_reward_model_prefers_the_chosen_answer() -> None:
    kind = find_kind("reward")
    (example,) = kind.read([{"prompt": "p", "chosen": "yes", "rejected": "no"}])
    assert example.scored["answers"] == ["yes", "no"]
    rewards = kind.decode({"logits": np.array([[0.25], [-1.0]])}, [], [])
    assert kind.score(example.truth, rewards) == {"preference_accuracy": Part(1.0, 1.0)}
    assert kind.score(example.truth, [0.5, 0.5]) == {"preference_accuracy": Part(0.5, 1.0)}


def test_a_language_model_is_scored_by_the_tokens_it_foresees() -> None:
    kind = find_kind("causal-lm")
    # after token 0 it gives token 1 the odds 3 : 1 against token 0, after token 1 it prefers token 1 though 0 comes
    logits = np.log(np.array([[[1.0, 3.0], [1.0, 4.0], [1.0, 1.0]]]))
    tokens = Tokens([0, 1, 0], [0] * 3)
    answer = kind.decode(kind.condense({"logits": logits}, tokens, None), [tokens], [])
    assert answer["tokens"] == 2 and answer["right"] == 1
    assert answer["nll"] == pytest.approx(-np.log(3 / 4) - np.log(1 / 5), abs=1e-4)
    assert kind.score(None, answer) == {"next_token_accuracy": Part(1.0, 2.0)}


def test_a_prompt_is_the_first_half_of_the_text_unless_the_row_has_one() -> None:
    kind = find_kind("causal-lm")
    whole, given = kind.read([{"text": "once upon a time"}, {"text": "x y", "prompt": "say"}])
    assert (whole.request, whole.scored) == ("once upon", "once upon a time")
    assert given.request == "say"


def test_words_know_their_first_token(tiny_bert: Path) -> None:
    tokenize = open_tokenizer(tiny_bert, 512)
    text = "Where's  my order?"
    tokens = tokenize.with_words(text)
    pieces = [tokenize.tokenizer.id_to_token(tokens.ids[place]) for place in tokens.words]
    assert len(tokens.words) == len(text.split())
    assert all(
        word.lower().startswith(piece.removeprefix("##")) for word, piece in zip(text.split(), pieces, strict=True)
    )


def test_a_word_that_the_tokenizer_leaves_out_has_not_the_next_words_token(tiny_bert: Path) -> None:
    tokens = open_tokenizer(tiny_bert, 512).with_words("my \u200b order")
    assert tokens.words[1] == -1 and tokens.words[0] < tokens.words[2]


def test_a_word_cut_off_by_truncation_has_no_token(tiny_bert: Path) -> None:
    tokens = open_tokenizer(tiny_bert, 4).with_words("one two three four five six seven eight nine")
    assert tokens.words[-1] == -1
    assert max(tokens.words) < 4


@pytest.mark.parametrize(
    ("name", "network", "said"),
    [
        ("mine", "", "with a network of its own, 'mine'"),
        ("mine", "span-extraction", "with a network of its own, 'span-extraction'"),
        ("reward", "reward", "which mct has already"),
    ],
)
def test_a_task_of_another_package_asks_a_network_of_ours(
    name: str, network: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other_tasks.py").write_text(
        "from mct.models.tasks.table import Task\n"
        f"TASK = Task({name!r}, ('text',), ('text', 'label'), 'accuracy', 'other_tasks:KIND', network={network!r})\n"
    )
    about = tmp_path / "other_tasks-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: other-tasks\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[mct.tasks]\nmine = other_tasks:TASK\n")
    monkeypatch.syspath_prepend(tmp_path)
    added_by_others.cache_clear()
    try:
        with pytest.raises(MctError, match=said):
            tasks()
    finally:
        added_by_others.cache_clear()
        sys.modules.pop("other_tasks", None)
