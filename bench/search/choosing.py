"""Which candidates go on, which two make a cascade, and which are judged: from answers to rows nobody learned from.

Pure functions over what was answered and how long it takes. Nothing is dropped for a difference that chance may have
made: only what a paired test shows to be worse than something as fast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from scipy import stats

from mct.bench.search.timing import Timed
from mct.bench.search.work import Answered
from mct.bench.statistics.levels import ERROR
from mct.bench.statistics.paired import difference_p
from mct.bench.statistics.ratio_metric import RatioMetric

MOST_DEFERRED = 0.035
"""Of requests, by the upper end of the share: with a twentieth of them, P95 would be the second stage's."""
FINALISTS = 3


@dataclass(frozen=True)
class Standing:
    """A candidate as it stands: its answers to the rows to choose by, and its times."""

    name: str
    answered: Answered
    timed: Timed


@dataclass(frozen=True)
class Split:
    """Where a cascade parts the rows: `deferred` is the share that goes on, `upper` its one-sided 95 % upper bound."""

    threshold: float
    deferred: float
    upper: float
    answered: Answered


def metric_of(answered: Answered) -> RatioMetric:
    """As the paired tests take it."""
    return RatioMetric(np.asarray(answered.got), np.asarray(answered.of))


def beaten(standings: Sequence[Standing]) -> dict[str, str]:
    """Who is shown to be worse than another that is as fast, and than whom."""
    found = {}
    for each in standings:
        for other in standings:
            if other.timed.p95_ms <= each.timed.p95_ms and is_worse(each.answered, other.answered):
                found[each.name] = other.name
                break
    return found


def is_worse(one: Answered, other: Answered, error: float = ERROR) -> bool:
    """Whether one is shown to be worse than the other on the same rows: paired, one-sided."""
    if one.value >= other.value:
        return False
    return difference_p(metric_of(other), metric_of(one)) / 2 <= error


def front(standings: Sequence[Standing]) -> list[str]:
    """Those that no other beats in both P95 and quality, the fastest first."""
    best, found = -1.0, []
    for each in sorted(standings, key=lambda one: (one.timed.p95_ms, -one.answered.value)):
        if each.answered.value > best:
            best = each.answered.value
            found.append(each.name)
    return found


def split(first: Answered, second: Answered, always: Sequence[int] = (), most: float = MOST_DEFERRED) -> Split | None:
    """The highest threshold at which the share deferred is below `most` by its upper bound; None where none is."""
    if not len(first.best):
        return None
    reserved = np.isin(first.label, list(always))
    ordered = np.sort(np.where(reserved, 0.0, first.best))
    counts = np.arange(len(ordered))
    most_rows = int(counts[upper_share(counts, len(ordered)) <= most].max(initial=0))
    least = int(reserved.sum())
    if most_rows <= least:
        return None
    threshold = round(float(ordered[most_rows - 1] + ordered[most_rows]) / 2, 6)
    deferred = reserved | (first.best < threshold)
    count = int(deferred.sum())
    got = np.where(deferred, second.got, first.got)
    return Split(
        threshold,
        count / len(got),
        float(upper_share(count, len(got))),
        Answered(got, first.of, first.best, first.label),
    )


def upper_share(count: Any, of: int, error: float = ERROR) -> Any:
    """The one-sided upper bound of a share, of one count or of several below `of` (Clopper and Pearson 1934)."""
    return stats.beta.ppf(1 - error, count + 1, of - count)


def finalists(
    standings: Sequence[Standing], reference: Answered, margin: float, rows: int, most: int = FINALISTS
) -> list[str]:
    """Who is judged on `rows` rows: the fastest that is likely to be within the margin, and what stands around it.

    One that is faster and only just within it, and the next two that lose less, in case the fastest was lucky; where
    none is likely to, those that lose least.
    """
    ordered = sorted(standings, key=lambda one: one.timed.p95_ms)
    sure = likely(standings, reference, margin, rows)
    if not sure:
        least = sorted(ordered, key=lambda one: _expected(one.answered, reference, rows))[:most]
        return [each.name for each in sorted(least, key=lambda one: one.timed.p95_ms)]
    chosen = [sure[0]]
    faster = [each for each in ordered if each.timed.p95_ms < sure[0].timed.p95_ms]
    if near := [each for each in faster if reference.value - each.answered.value <= margin]:
        chosen.insert(0, near[-1])
    for each in sure[1:]:
        if len(chosen) < most and each.answered.value > chosen[-1].answered.value:
            chosen.append(each)
    return [each.name for each in chosen[:most]]


def safest_first(
    names: Sequence[str], standings: Sequence[Standing], reference: Answered, rows: int, limit_ms: float = float("inf")
) -> list[str]:
    """The finalists in the order in which they are to be shown to meet the budget, fixed before they are judged.

    In a fixed order each may be tested at the whole error as long as all before it passed (Maurer, Hothorn and
    Lehmacher 1995): one that misses the budget is then named no more often than if it had been the only one.
    """
    by_name = {each.name: each for each in standings}

    def danger(name: str) -> tuple[bool, float, str]:
        found = by_name[name]  # one whose time may miss its limit comes last, however good its answers are
        return found.timed.high_ms > limit_ms, _expected(found.answered, reference, rows), name

    return sorted(names, key=danger)


def likely(standings: Sequence[Standing], reference: Answered, margin: float, rows: int) -> list[Standing]:
    """Those that a test on so many rows finds within the margin if these are as the rows at hand; fastest first."""
    ordered = sorted(standings, key=lambda one: one.timed.p95_ms)
    return [each for each in ordered if _expected(each.answered, reference, rows) <= margin]


def _expected(answered: Answered, reference: Answered, rows: int) -> float:
    """The drop that a paired test on so many rows will not exclude, if they are as the rows at hand."""
    change = metric_of(reference).each - metric_of(answered).each
    return float(change.mean()) + float(stats.norm.ppf(1 - ERROR)) * sqrt(float(change.var()) / max(1, rows))


def summary(standing: Standing) -> Mapping[str, Any]:
    """For the front's file."""
    return {
        "quality": round(standing.answered.value, 6),
        "rows": len(standing.answered.got),
        **standing.timed.as_json(),
    }
