"""Queries with graded documents, and how well scores order them: shared by embedders and cross-encoders."""

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from math import log2
from typing import Any

from mct import MctError
from mct.models.tasks.examples import Part, Row

DEPTH = 10
_DISCOUNTS = tuple(1 / log2(place + 2) for place in range(DEPTH))
_HITS = (1.0,) * DEPTH

# A document counts 2 to the power of its grade, so grades are steps (0 to 4 is usual). LightGBM's ranker ends here too.
MOST_GRADE = 30


def is_grade(value: Any) -> bool:
    """True for a number from 0 (irrelevant) to `MOST_GRADE`, also as a text, as CSV has it."""
    try:
        return not isinstance(value, bool) and 0 <= float(value) <= MOST_GRADE
    except (TypeError, ValueError, OverflowError):
        return False


def groups(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows of one query and document each, gathered by query in file order: {"query", "docs", "grades"}.

    A document counts once for a query. MctError where it has two grades, and for what is no grade.
    """
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        query, doc, grade = row["query"], row["doc"], row["grade"]
        if not is_grade(grade):
            raise MctError(
                f"{query!r} has a document of grade {str(grade)[:20]}",
                f"grades go from 0, irrelevant, to {MOST_GRADE} at most",
            )
        if found.setdefault(query, {}).setdefault(doc, float(grade)) != float(grade):
            raise MctError(
                f"{query!r} has two grades for one document: {doc[:60]!r}", "give it one, such as their mean"
            )
    return [{"query": query, "docs": list(docs), "grades": list(docs.values())} for query, docs in found.items()]


def significant(score: float) -> float:
    """A score with the digits that 32 bits tell, however small all scores are: rounding must not make two equal."""
    return float(f"{score:.7g}")


def score_order(grades: Sequence[float], scores: Sequence[float]) -> Mapping[str, Part]:
    """nDCG@10 and capped recall@10 of one query; a query without a relevant document counts in neither.

    Gains are exponential (Burges et al. 2005). The capped recall is the share found of those that ten places have room
    for, not of all that are relevant ("R_cap@k" of BEIR, Thakur et al. 2021). Equal scores are in no order: both are
    what all orders of them give on average (McSherry & Najork 2008).
    """
    relevant = [float(grade > 0) for grade in grades]
    if not any(relevant):
        return {"ndcg_at_10": Part(0.0, 0.0), "recall_cap_at_10": Part(0.0, 0.0)}
    top = max(grades)
    gains = [2.0 ** (grade - top) - 2.0**-top for grade in grades]  # in units of 2^top, which no grade overflows
    known = [-math.inf if math.isnan(score) else score for score in scores]
    return {
        "ndcg_at_10": Part(_collect(gains, known, _DISCOUNTS) / _collect(gains, grades, _DISCOUNTS), 1.0),
        "recall_cap_at_10": Part(_collect(relevant, known, _HITS) / min(sum(relevant), DEPTH), 1.0),
    }


def order_kept(before: Sequence[float], after: Sequence[float], kept: str) -> Mapping[str, Part]:
    """What of the order that the original gives a query's documents stands: two shares, 1 where all of it does.

    `kept`: of its ten best (the better half of fewer than twenty) those that still are. "top_10_order": of every two of
    its ten best, those that stand the same way round, a tie counting half: (1 + tau) / 2 by Kendall (1938).
    """
    best, now = _best(before), _best(after)
    room = min(DEPTH, len(before) // 2)
    pairs = [(a, b) for at, a in enumerate(best[:DEPTH]) for b in best[at + 1 : DEPTH] if before[a] > before[b]]
    order = sum(1.0 if after[a] > after[b] else 0.5 if after[a] == after[b] else 0.0 for a, b in pairs)
    return {
        kept: Part(len({*best[:room]} & {*now[:room]}) / room, 1.0) if room else Part(0.0, 0.0),
        "top_10_order": Part(order / len(pairs), 1.0) if pairs else Part(0.0, 0.0),
    }


def _best(scores: Sequence[float]) -> list[int]:
    """Places from the highest score down; equal ones as they come."""
    return sorted(range(len(scores)), key=lambda place: -scores[place])


def _collect(values: Sequence[float], scores: Sequence[float], weights: Sequence[float]) -> float:
    """The sum of `values` times the weight of the place that each has by its score; equal scores share their places."""
    order = sorted(range(len(scores)), key=lambda place: -scores[place])
    total, first = 0.0, 0
    for _, tied in groupby(order, key=scores.__getitem__):
        shared = [values[place] for place in tied]
        total += sum(shared) / len(shared) * sum(weights[first : first + len(shared)])
        first += len(shared)
    return total
