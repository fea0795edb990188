"""The paired bootstrap, for metrics that are more than right or wrong: how far could the difference of two be off?

Examples are drawn with replacement, both models together. A metric is a ratio of sums, so what one example adds to the
difference is its linear influence (the delta method). Its mean is drawn, and the same in its own standard errors (Efron
& Tibshirani 1993, chapters 13 and 12: percentiles and bootstrap-t); the wider of the two counts. The second follows the
skew that a few great losses among many small ones make, the first does not suffer from draws in which hardly anything
varies. Drawing depends on nothing but how often each influence occurs, so the draws are multinomial counts: fast, and
independent of the order of the file.

The bootstrap knows only changes that it has seen. Where few examples changed it would be certain of too much, and where
none did of everything. So two examples that nobody saw are added, one that lost and one that gained. How much, the
changes say that were seen (their root mean square), and beside them one that nobody saw, as large as examples differ:
where nothing changed at all, what is left open is then about two such examples; where many changed a little, next to
nothing. They move no estimate and cost nothing on a large set. Examples that belong together are drawn together, as
one (`RatioMetric.groups`).

The trade-off: where two in a hundred examples lose nearly all, which 135 examples show twice or not at all, a loss of
just the margin is passed in up to 10 % of sets instead of 5 %. tests/bench/statistics/test_bootstrap.py holds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np

from mct.bench.statistics.percentiles import Floats
from mct.bench.statistics.ratio_metric import SAME, Bools, RatioMetric

DRAWS = 10_000
SEED = 20_26
CELLS = 4_000_000
"""Counts drawn at a time, to bound the memory."""
DIGITS = 12
"""Influences that differ by less than this are one and the same."""


@dataclass(frozen=True)
class Resampled:
    """An estimate with its standard error, and how far off `DRAWS` other sets of this size would have been.

    `distances` are those, `deviations` the same in the draws' own standard errors.
    """

    value: float
    error: float
    distances: Floats
    deviations: Floats

    def bound(self, share: float) -> float:
        """The value below which the truth lies with this confidence."""
        plain = self.value + float(np.quantile(self.distances, share))
        skewed = self.value - self.error * float(np.quantile(self.deviations, 1 - share))
        return min(plain, skewed) if share < 1 / 2 else max(plain, skewed)

    def p_below(self, limit: float) -> float:
        """Chance of evidence as strong if the truth is `limit` or below; never 0, as no number of draws shows that."""
        gap = self.value - limit
        return max(_share(self.distances <= -gap), _share(self.deviations >= gap / self.error))

    def p_above(self, limit: float) -> float:
        """The same if the truth is `limit` or above."""
        gap = self.value - limit
        return max(_share(self.distances >= -gap), _share(self.deviations <= gap / self.error))


def resample_change(before: RatioMetric, after: RatioMetric) -> Resampled:
    """Candidate minus baseline. Both need something to get in at least one example."""
    before, after = before.by_group(), after.by_group()
    seen = (before.of > 0) | (after.of > 0)
    before, after = before.rows(seen), after.rows(seen)
    influence, changed = _influence(after) - _influence(before), np.abs(after.each - before.each) > SAME
    step = (float(np.sqrt(np.sum(influence**2) * changed.sum())) + _spread(before)) / (changed.sum() + 1)
    value = (after.value or 0.0) - (before.value or 0.0)
    return _resample(value, np.concatenate([influence, [-step, step]]), step)


def resample_value(metric: RatioMetric) -> Resampled:
    """A metric between 0 and 1 itself, with one unseen example that got everything and one that got nothing."""
    metric = metric.by_group()
    metric = metric.rows(metric.of > 0)
    value = metric.value or 0.0
    influence = np.concatenate([_influence(metric), [-value, 1 - value]])
    return _resample(value + float(influence.mean()), influence - influence.mean(), 0.5)


def _share(as_strong: Bools) -> float:
    return (1 + int(as_strong.sum())) / (1 + len(as_strong))


def _influence(metric: RatioMetric) -> Floats:
    """What each example adds to the metric's error: its distance from the whole, by its size; 0 on average."""
    mean = metric.of.mean()
    found: Floats = (metric.got - (metric.value or 0.0) * metric.of) / (mean or 1.0)
    return found


def _spread(metric: RatioMetric) -> float:
    """Standard deviation of the examples' parts, by size; never 0: the extremes 0 and 1 count as one example each."""
    value = metric.value or 0.0
    weight = metric.of / (metric.of.mean() or 1.0)
    squares = float((weight * (metric.each - value) ** 2).sum()) + value**2 + (1 - value) ** 2
    return sqrt(squares / (len(metric) + 2))


def _resample(value: float, influence: Floats, step: float) -> Resampled:
    """`step` is the size of an unseen example: no draw is more certain than two of them alone would be."""
    rows, counts = np.unique(influence.round(DIGITS), return_counts=True)
    n, rng = len(influence), np.random.default_rng(SEED)
    at_once = max(1, CELLS // len(rows))
    least, means, deviations = sqrt(2) * step / n, [], []
    for first in range(0, DRAWS, at_once):
        drawn = rng.multinomial(n, counts / n, size=min(at_once, DRAWS - first))
        mean = drawn @ rows / n
        variance = np.maximum(drawn @ rows**2 / n - mean**2, 0.0) / n
        means.append(mean)
        deviations.append(mean / np.maximum(np.sqrt(variance), least))
    error = max(float(influence.std()) / sqrt(n), least)
    return Resampled(value, error, np.concatenate(means), np.concatenate(deviations))
