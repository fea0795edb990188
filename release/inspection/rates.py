"""Shares with their intervals, and how one group's differs from the rest: exact tests on counts.

Intervals of one share are exact (Clopper & Pearson 1934), of the difference of two independent ones Newcombe's (1998,
method 10: from Wilson's intervals of the two), p-values Fisher's; of many they are corrected by Holm (1979).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from scipy import stats

from mct.bench.judge.quality import proportion_bounds
from mct.bench.statistics.levels import CONFIDENCE

OUTSIDE = (1 - CONFIDENCE) / 2


@dataclass(frozen=True)
class Rate:
    """`count` of `n`, as a share with its 95 % interval."""

    count: int
    n: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """One share less another, 95 % interval, and the p-value of "they are the same", not corrected."""

    value: float
    low: float
    high: float
    p_value: float


def rate_of(count: int, n: int) -> Rate:
    """The share with its interval; of nothing it is 0, and may be anything."""
    if not n:
        return Rate(0, 0, 0.0, 0.0, 1.0)
    low, high = proportion_bounds(count, n, OUTSIDE)
    return Rate(count, n, count / n, low, high)


def difference_of(one: tuple[int, int], other: tuple[int, int]) -> Difference:
    """`one` and `other` are (count, n) of different examples, n at least 1."""
    (a, n), (b, m) = one, other
    first, second = a / n, b / m
    (low, high), (least, most) = _wilson(a, n), _wilson(b, m)
    below = sqrt((first - low) ** 2 + (most - second) ** 2)
    above = sqrt((high - first) ** 2 + (second - least) ** 2)
    p_value = float(stats.fisher_exact([[a, n - a], [b, m - b]])[1])
    return Difference(first - second, first - second - below, first - second + above, min(1.0, p_value))


def _wilson(count: int, n: int) -> tuple[float, float]:
    found = stats.binomtest(count, n).proportion_ci(CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)
