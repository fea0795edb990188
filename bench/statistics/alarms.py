"""Recall at a fixed false-alarm rate: the share of the positives that score above a threshold which lets so many of the
negatives through.

The threshold is set on each model's own scores, so that two models are compared where both ring as often by mistake: a
compression that shifts all scores alike loses nothing, one that blurs them loses recall, whatever its accuracy says.
The threshold is an estimate too. So in the bootstrap it is set anew on every draw (Efron & Tibshirani 1993, chapter 8:
what the statistic does is done to every draw). As in `mct.bench.statistics.bootstrap` examples, or groups of them, are
drawn for both models together, and two positives that nobody saw are added: one lost, one gained.

The trade-off: 2,000 draws instead of 10,000, since each sorts anew what lies above the threshold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt

import numpy as np

from mct.bench.statistics.bootstrap import CELLS, SEED, Resampled
from mct.bench.statistics.percentiles import Floats
from mct.bench.statistics.ratio_metric import SAME, Bools, RatioMetric

DRAWS = 2_000


@dataclass(frozen=True)
class Alarms:
    """A score for each example, higher is more alarming; which of them should ring; the share of others that may.

    `groups` numbers examples that belong together, None where each stands for itself.
    """

    scores: Floats
    positive: Bools
    rate: float
    groups: np.ndarray[tuple[int], np.dtype[np.intp]] | None = None

    @property
    def judgeable(self) -> bool:
        """There is something to find, and something to mistake for it."""
        return bool(self.positive.any() and not self.positive.all())

    @property
    def hits(self) -> RatioMetric:
        """The positives that ring. Examples are in file order; a negative adds nothing."""
        rings = self.positive & (self.scores > _thresholds(self, np.ones((1, len(self.scores))))[0])
        return RatioMetric(rings.astype(np.float64), self.positive.astype(np.float64), self.groups)


def resample_recall(alarms: Alarms) -> Resampled:
    """The recall itself, with one positive that nobody saw which rings and one that does not."""
    drawn = [_recalls(alarms, weights) for weights in _draws(alarms)]
    return _resampled(alarms.hits.value or 0.0, drawn, 0.5, alarms)


def resample_recalls(before: Alarms, after: Alarms) -> Resampled:
    """Candidate minus baseline, on the same examples."""
    old, new = before.hits, after.hits
    change = (new.got - old.got)[before.positive]
    moved, recall = np.abs(change) > SAME, old.value or 0.0
    spread = sqrt((old.of.sum() * recall * (1 - recall) + recall**2 + (1 - recall) ** 2) / (old.of.sum() + 2))
    step = (sqrt(float((change**2).sum()) * float(moved.sum())) + spread) / (float(moved.sum()) + 1)
    drawn = [_recalls(after, weights) - _recalls(before, weights) for weights in _draws(before)]
    return _resampled((new.value or 0.0) - recall, drawn, step, before)


def _draws(alarms: Alarms) -> Iterator[Floats]:
    """How often each example is drawn, draw by draw (rows), in pieces that bound the memory."""
    groups = (
        np.arange(len(alarms.scores)) if alarms.groups is None else np.unique(alarms.groups, return_inverse=True)[1]
    )
    size, rng = int(groups.max()) + 1, np.random.default_rng(SEED)
    at_once = max(1, CELLS // len(groups))
    for first in range(0, DRAWS, at_once):
        rows = min(at_once, DRAWS - first)
        drawn = rng.integers(size, size=(rows, size)) + size * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size)[:, groups].astype(np.float64)


def _thresholds(alarms: Alarms, weights: Floats) -> Floats:
    """For each row of weights the score above which at most `rate` of the negatives lie."""
    order = np.argsort(-alarms.scores, kind="stable")
    order = order[~alarms.positive[order]]
    above = np.cumsum(weights[:, order], axis=1)
    passed = above > alarms.rate * above[:, -1:] + SAME
    return np.where(passed.any(axis=1), alarms.scores[order][passed.argmax(axis=1)], -np.inf)


def _recalls(alarms: Alarms, weights: Floats) -> Floats:
    """The recall of each draw; a draw without positives is drawn from the others' mean."""
    rings = alarms.scores[alarms.positive][None, :] > _thresholds(alarms, weights)[:, None]
    drawn = weights[:, alarms.positive]
    total = drawn.sum(axis=1)
    recalls = np.divide((drawn * rings).sum(axis=1), total, out=np.full(len(total), np.nan), where=total > 0)
    return np.where(np.isnan(recalls), np.nanmean(recalls) if (total > 0).any() else 0.0, recalls)


def _resampled(value: float, pieces: list[Floats], step: float, alarms: Alarms) -> Resampled:
    """`step` is what one positive that nobody saw would change."""
    positives = float(alarms.positive.sum())
    found = np.concatenate(pieces)
    unseen = np.random.default_rng(SEED + 1).poisson(1.0, size=(len(found), 2))
    distances = found - value + step * (unseen[:, 1] - unseen[:, 0]) / (positives + 2)
    error = max(float(distances.std()), sqrt(2) * step / (positives + 2))
    return Resampled(value, error, distances, distances / error)
