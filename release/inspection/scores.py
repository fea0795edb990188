"""Score drift: how far the numbers behind the answers moved, label by label, in multiples of what rounding alone moves.

An answer flips only where two labels were near each other, and what it rests on is an order of words; a damaged model
shows long before in its scores. A label's drift is the root mean square, over the examples, of how its score (the
logit; of one label of several, from the mean of all) differs between the two models; its floor is the same between the
original and the original rounded to as many bits as the artifact has (`mct.release.inspection.rounding`). The figure is
the greatest ratio of the two among the labels: 1 is what rounding does, whoever rounds; a fault in one label's weights
shows as much as one in all. Its interval draws examples anew, and takes the greatest of each drawing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mct import MctError
from mct.bench.statistics.levels import CONFIDENCE
from mct.models.tasks.table import Head
from mct.release.inspection.asking.opened import Told

DRAWS, AT_ONCE = 2000, 100
FEWEST = 2
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

    `labels` are all of them, the one that drifted most first. `drawn` are the greatest multiples of other sets of
    examples, in order.
    """

    n: int
    bits: int
    times: float
    low: float
    high: float
    labels: tuple[LabelDrift, ...]
    drawn: tuple[float, ...] = field(default=(), repr=False, compare=False)

    def bounds(self, error: float) -> tuple[float, float]:
        """Lower and upper bound, each exceeded with probability `error`.

        The greatest of several is greater in a drawing than in truth, so the lower one is the lesser of two.
        """
        return _bounds(self.times, np.asarray(self.drawn), error)


def find_score_drift(
    told: Sequence[Sequence[Told]], heads: Sequence[Head], kind: str, bits: int, seed: int
) -> ScoreDrift:
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
    drawn = _drawn(changed, floors, seed)
    found = [
        LabelDrift(label, float(np.sqrt(drift)), float(np.sqrt(floor)), float(each))
        for label, drift, floor, each in zip(
            heads[0].labels, changed.mean(axis=0), floors.mean(axis=0), times, strict=True
        )
    ]
    most = float(times.max())
    low, high = _bounds(most, drawn, OUTSIDE)
    ordered = tuple(sorted(found, key=lambda each: (-each.times, each.label)))
    return ScoreDrift(len(changed), bits, most, low, high, ordered, tuple(drawn.tolist()))


def _scores(told: Sequence[Told], centred: bool) -> Floats:
    """(examples, labels)."""
    rows = np.array([each.outputs[0]["logits"][0] for each in told], dtype=np.float64)
    return rows - rows.mean(axis=1, keepdims=True) if centred else rows


def _times(changed: Floats, floors: Floats) -> Floats:
    """Multiples of the floor, of mean squares with a label in each column."""
    least = LEAST_FLOOR**2 * floors.mean(axis=-1, keepdims=True)
    times: Floats = np.sqrt(changed / np.maximum(floors, least))
    return times


def _drawn(changed: Floats, floors: Floats, seed: int) -> Floats:
    """The greatest multiple of each of `DRAWS` sets of examples drawn with replacement, in order."""
    draw, count, found = np.random.default_rng(seed), len(changed), []
    for _ in range(0, DRAWS, AT_ONCE):
        weights = draw.multinomial(count, np.full(count, 1 / count), size=AT_ONCE) / count
        found.append(_times(weights @ changed, weights @ floors).max(axis=1))
    return np.sort(np.concatenate(found))


def _bounds(value: float, drawn: Floats, error: float) -> tuple[float, float]:
    low, high = (float(np.quantile(drawn, share)) for share in (error, 1 - error))
    return max(0.0, min(low, 2 * value - high)), high
