from math import log2

import pytest

from mct.models.training.ranking import ranking_metrics

ROWS = [
    {"query": "ramen", "doc": "a", "grade": 3},
    {"query": "ramen", "doc": "b", "grade": 0},
    {"query": "returns", "doc": "c", "grade": 1},
    {"query": "returns", "doc": "b", "grade": 0},
    {"query": "nothing fits", "doc": "a", "grade": 0},
]


def test_a_perfect_order_and_a_reversed_one() -> None:
    """By hand: one useful page of two, in the second place, is discounted by log2(3); no page fits the third query."""
    asked: list[tuple[str, str]] = []
    scores = {"a": 2.0, "b": 1.0, "c": 3.0}

    def right(pairs: list[tuple[str, str]]) -> list[float]:
        asked.extend(pairs)
        return [scores[doc] for _, doc in pairs]

    assert ranking_metrics(ROWS, right)["ndcg_at_10"] == 1.0
    assert asked == [(row["query"], row["doc"]) for row in ROWS]
    wrong = ranking_metrics(ROWS, lambda pairs: [-scores[doc] for _, doc in pairs])
    assert wrong["ndcg_at_10"] == pytest.approx(1 / log2(3), abs=1e-4)
    assert wrong["recall_cap_at_10"] == 1.0
