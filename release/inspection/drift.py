"""Attribution drift: how far two models rest one answer on other words, as one figure with its interval.

An example's drift is 1 - rho, where rho is the rank correlation (Spearman 1904) of what each word is worth to the
original's answer in the one model and in the other, by occlusion. It is 0 where both put the words in the same order,
1 where the two orders have nothing to do with one another, 2 where one is the other turned round. The figure is the
mean over examples; its interval draws examples anew, and, as everywhere, one that nobody saw is among them.

Rounding alone moves words that are worth next to nothing past one another. How much that comes to is measured on the
original itself, its weights and activations rounded to as many bits as the artifact has: the floor. The excess is the
drift beyond it, on the same examples, paired.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from mct.bench.judge.quality import amount_bounds
from mct.bench.statistics.bootstrap import resample_change
from mct.bench.statistics.levels import CONFIDENCE
from mct.bench.statistics.ratio_metric import RatioMetric

LEAST_WORDS, DIGITS = 3, 12
"""Fewer have no order to speak of."""
OUTSIDE = (1 - CONFIDENCE) / 2


@dataclass(frozen=True)
class Mean:
    """A mean over `n` examples with its 95 % interval."""

    n: int
    value: float
    low: float
    high: float


def drift_of(before: Sequence[float], after: Sequence[float]) -> float | None:
    """1 - rho of one example's words; None where there are too few, or others.

    Words that are all worth the same have no order: 0 where that is so in both, else 1.
    """
    if len(before) != len(after) or len(before) < LEAST_WORDS:
        return None
    flat = np.ptp(before) == 0, np.ptp(after) == 0
    if any(flat):
        return 0.0 if all(flat) else 1.0
    return round(float(1 - stats.spearmanr(before, after).statistic), DIGITS)


def mean_of(drifts: Sequence[float]) -> Mean:
    """The mean drift with its interval."""
    value = _metric(drifts)
    low, high = amount_bounds(value, OUTSIDE)
    return Mean(len(drifts), float(np.mean(drifts)), max(0.0, low), high)


def bound_of(drifts: Sequence[float], error: float) -> tuple[float, float]:
    """Lower and upper bound of the mean, each exceeded with probability `error`."""
    return amount_bounds(_metric(drifts), error)


def excess_of(drifts: Sequence[float], floor: Sequence[float]) -> Mean:
    """Drift beyond the floor, on the same examples."""
    change = resample_change(_metric(floor), _metric(drifts))
    return Mean(len(drifts), change.value, change.bound(OUTSIDE), change.bound(1 - OUTSIDE))


def excess_bound(drifts: Sequence[float], floor: Sequence[float], error: float) -> tuple[float, float]:
    """Lower and upper bound of the excess, each exceeded with probability `error`."""
    change = resample_change(_metric(floor), _metric(drifts))
    return change.bound(error), change.bound(1 - error)


def _metric(values: Sequence[float]) -> RatioMetric:
    return RatioMetric(np.asarray(values, dtype=np.float64), np.ones(len(values)))
