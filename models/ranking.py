"""Queries with graded documents, and how well scores order them: shared by embedders and cross-encoders."""

from collections.abc import Mapping, Sequence
from math import log2
from typing import Any

from mct.models.examples import Part, Row

DEPTH = 10


def groups(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows of one query and document each, gathered by query in file order: {"query", "docs", "grades"}."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        group = found.setdefault(row["query"], {"query": row["query"], "docs": [], "grades": []})
        group["docs"].append(row["doc"])
        group["grades"].append(float(row["grade"]))
    return list(found.values())


def score_order(grades: Sequence[float], scores: Sequence[float]) -> Mapping[str, Part]:
    """nDCG@10 and recall@10 of one query; a query without a relevant document counts in neither."""
    order = sorted(range(len(scores)), key=lambda place: (-scores[place], place))[:DEPTH]
    ideal = sorted(grades, reverse=True)[:DEPTH]
    best = _gain(ideal)
    relevant = sum(grade > 0 for grade in grades)
    if best == 0:
        return {"ndcg_at_10": Part(0.0, 0.0), "recall_at_10": Part(0.0, 0.0)}
    hits = sum(grades[place] > 0 for place in order)
    return {
        "ndcg_at_10": Part(_gain([grades[place] for place in order]) / best, 1.0),
        "recall_at_10": Part(hits / min(relevant, DEPTH), 1.0),
    }


def _gain(grades: Sequence[float]) -> float:
    """Discounted cumulative gain with exponential grades (Burges et al. 2005)."""
    return sum((2**grade - 1) / log2(place + 2) for place, grade in enumerate(grades))
