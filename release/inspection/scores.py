"""Score drift: how far the numbers behind the answers moved, label by label, in multiples of what rounding alone moves.

An answer flips only where two labels were near each other, and what it rests on is an order of words; a damaged model
shows long before in its scores. A label's drift is the root mean square, over the examples, of how its score (the
logit; of one label of several, from the mean of all) differs between the two models; its floor is the same between the
original and the original rounded to as many bits as the artifact has (`mct.release.inspection.rounding`). The figure is
the greatest ratio of the two among the labels: 1 is what rounding does, whoever rounds; a fault in one label's weights
shows as much as one in all.

Each label's multiple has an interval of its own (the delta method, on logarithms). The greatest is shown to be above a
limit where one label is, at the error divided by their number (Bonferroni), and below it where each of them is, at the
whole error. Scores have long tails: of few examples the second would be said too lightly, and is not said at all. Where
tails are as heavy as those of Student's t with four degrees, one in ten at the limit is called beyond it, not one in
twenty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import inf

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mct import MctError
from mct.bench.statistics.levels import CONFIDENCE
from mct.models.tasks.table import Head
from mct.release.inspection.asking.opened import Told

FEWEST, FEWEST_TO_PASS = 2, 300
"""Where one label moves three times as far as by rounding, on three rows of a hundred alone, 1.75 times would be passed
in 33 % of sets of 40 rows, in 3 % of 200 and in 1.3 % of 300."""
LEAST_FLOOR = 0.1
"""Of the floor of all labels together: one that rounding hardly moves is not divided by next to nothing."""
OUTSIDE = (1 - CONFIDENCE) / 2
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LabelDrift:
    """One label: how far its score moved, and by rounding alone, both in the unit of scores."""

    label: str
    drift: float
    floor: float
    times: float


@dataclass(frozen=True)
class ScoreDrift:
    """The greatest multiple of the floor among the labels, with its 95 % interval over `n` examples.

    `labels` are all of them, the one that drifted most first. `told` are the multiples, and the standard errors of
    their logarithms. `high` is None on few examples, which exclude nothing.
    """

    n: int
    bits: int
    times: float
    low: float
    high: float | None
    labels: tuple[LabelDrift, ...]
    told: tuple[tuple[float, ...], tuple[float, ...]] = field(default=((), ()), repr=False, compare=False)

    def bounds(self, error: float) -> tuple[float, float]:
        """Lower and upper bound, each exceeded with probability `error`; the upper one is infinite on few examples."""
        times, errors = map(np.asarray, self.told)
        one, each = (float(stats.t.ppf(1 - share, self.n - 1)) for share in (error / len(times), error))
        low, high = (float((times * np.exp(distance * errors)).max()) for distance in (-one, each))
        return min(low, self.times), high if self.n >= FEWEST_TO_PASS else inf


def find_score_drift(told: Sequence[Sequence[Told]], heads: Sequence[Head], kind: str, bits: int) -> ScoreDrift:
    """Of what the original, the artifact and the rounded original gave for the same examples, outputs kept.

    MctError where there are too few examples, or rounding moves nothing.
    """
    before, after, rounded = (_scores(each, centred=kind == "label") for each in told)
    changed, floors = np.square(after - before), np.square(rounded - before)
    if len(changed) < FEWEST:
        raise MctError("of one example no score has a drift", "give more rows")
    if not floors.any():
        raise MctError("rounding alone moves no score of these examples", "there is nothing to measure drift by")
    times = _times(changed.mean(axis=0), floors.mean(axis=0))
    found = [
        LabelDrift(label, float(np.sqrt(drift)), float(np.sqrt(floor)), float(each))
        for label, drift, floor, each in zip(
            heads[0].labels, changed.mean(axis=0), floors.mean(axis=0), times, strict=True
        )
    ]
    errors = _errors(changed, floors)
    ordered = tuple(sorted(found, key=lambda each: (-each.times, each.label)))
    told_of_all = (tuple(times.tolist()), tuple(errors.tolist()))
    result = ScoreDrift(len(changed), bits, float(times.max()), 0.0, 0.0, ordered, told_of_all)
    low, high = result.bounds(OUTSIDE)
    return replace(result, low=low, high=None if high == inf else high)


def _scores(told: Sequence[Told], centred: bool) -> Floats:
    """(examples, labels)."""
    rows = np.array([each.outputs[0]["logits"][0] for each in told], dtype=np.float64)
    return rows - rows.mean(axis=1, keepdims=True) if centred else rows


def _times(changed: Floats, floors: Floats) -> Floats:
    """Multiples of the floor, of mean squares with a label in each column."""
    least = LEAST_FLOOR**2 * floors.mean(axis=-1, keepdims=True)
    times: Floats = np.sqrt(changed / np.maximum(floors, least))
    return times


def _errors(changed: Floats, floors: Floats) -> Floats:
    """The standard error of the logarithm of each label's multiple, from what each example adds to it."""
    tiny = np.finfo(np.float64).tiny
    means = [np.maximum(each.mean(axis=0), tiny) for each in (changed, floors)]
    influence = changed / means[0] - floors / means[1]
    found: Floats = influence.std(axis=0, ddof=1) / np.sqrt(len(changed)) / 2
    return found
