"""When two models agree, by task kind: small cases worked by hand."""

import numpy as np
import pytest

from mct.compress.agreement import agreement, divergence, mean_divergence, min_cosine


def logits(*rows: list[float]) -> list[dict[str, np.ndarray]]:
    return [{"logits": np.array([row], dtype=np.float32)} for row in rows]


def test_labels_agree_where_the_highest_is_the_same_and_a_near_tie_is_told_apart() -> None:
    before = logits([1.0, 0.0], [0.0, 1.0], [0.5, 0.501])
    after = logits([0.9, 0.1], [1.0, 0.0], [0.501, 0.5])
    found = agreement("sequence-classification", before, after, tolerance=0.001)
    assert (found.share, found.decisions, found.near_ties) == (pytest.approx(1 / 3), 3, 1)


def test_every_token_decides_in_a_tagger() -> None:
    before = [{"logits": np.eye(3, dtype=np.float32)[None]}]
    after = [{"logits": np.eye(3, dtype=np.float32)[None, [0, 1, 1]]}]
    assert agreement("token-classification", before, after, 0.0)[:2] == (pytest.approx(2 / 3), 3)


def test_every_label_decides_where_there_may_be_several() -> None:
    found = agreement("multi-label-classification", logits([1.0, -1.0, 2.0]), logits([1.0, 1.0, 2.0]), 0.0)
    assert found[:2] == (pytest.approx(2 / 3), 3)


def test_every_head_decides() -> None:
    before = [{"a_logits": np.array([[1.0, 0.0]]), "b_logits": np.array([[[0.0, 1.0], [1.0, 0.0]]])}]
    after = [{"a_logits": np.array([[0.0, 1.0]]), "b_logits": np.array([[[0.0, 1.0], [1.0, 0.0]]])}]
    assert agreement("multi-head", before, after, 0.0)[:2] == (pytest.approx(2 / 3), 3)


def test_scores_agree_in_the_order_of_neighbours() -> None:
    before, after = logits([1.0], [2.0], [0.0]), logits([10.0], [30.0], [40.0])
    assert agreement("pair-scoring", before, after, 0.0)[:2] == (pytest.approx(1 / 2), 2)


def test_vectors_agree_in_the_nearest_other_and_by_the_least_cosine() -> None:
    before = [{"sentence_embedding": np.array([row], dtype=np.float32)} for row in ([1, 0], [0.9, 0.1], [0, 1])]
    after = [{"sentence_embedding": np.array([row], dtype=np.float32)} for row in ([2, 0], [0.1, 0.9], [0, 1])]
    found = agreement("sentence-embedding", before, after, 0.0)
    assert found[:2] == (pytest.approx(2 / 3), 3)  # the second went over to the third
    assert min_cosine(before, after) == pytest.approx((0.9 * 0.1 * 2) / (0.9**2 + 0.1**2))


def test_divergence_is_that_of_the_two_distributions() -> None:
    before, after = np.log([[0.5, 0.5]]), np.log([[0.25, 0.75]])
    expected = 0.5 * np.log(0.5 / 0.25) + 0.5 * np.log(0.5 / 0.75)
    assert divergence(before + 7.0, after) == pytest.approx([expected])
    assert mean_divergence([{"logits": before[None]}], [{"logits": before[None] - 3.0}]) == pytest.approx(
        0.0, abs=1e-12
    )
