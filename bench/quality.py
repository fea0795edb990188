"""Quality of one subject, computed from its raw answers: its own scores, and what it lost against the baseline, paired.

The headline is accuracy; a slice is the recall of one label. Scores come with intervals because the evaluation set is a
sample too.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mct.bench.measurement import Measurement
from mct.bench.paired import find_flips, mcnemar_mid_p
from mct.bench.score_test import drop_p_value, score_interval
from mct.models.tasks import find_task

CONFIDENCE = 0.95
MOST_EXAMPLES = 1_000_000

Bools = NDArray[np.bool_]
Interval = tuple[float, float]


@dataclass(frozen=True)
class Score:
    """Share of right answers among `n`. The fields from `baseline` on are None where there is no baseline.

    `delta` is value minus baseline on the same examples; `worse` and `better` count the examples that only the
    baseline, and only this subject, has right. All of it None, and `n` 0, for a label that no example has.
    """

    name: str
    n: int
    value: float | None
    value_ci: Interval | None
    baseline: float | None = None
    delta: float | None = None
    delta_ci: Interval | None = None
    worse: int | None = None
    better: int | None = None
    p_value: float | None = None


@dataclass(frozen=True)
class Quality:
    """The headline score and the slices asked for, in that order."""

    overall: Score
    slices: tuple[Score, ...]

    def as_json(self) -> dict[str, Any]:
        """As result.schema.json has it."""
        left_out = {"value_ci", "p_value"}
        slices = [{key: value for key, value in _plain(each).items() if key not in left_out} for each in self.slices]
        overall = _plain(self.overall)
        return {"metric": overall.pop("name"), **overall, "slices": slices}


def score(measurement: Measurement, baseline: Measurement | None, slices: Sequence[str]) -> Quality | None:
    """Scores of a measurement, against the baseline's answers to the same rows; None where it has no answers."""
    if measurement.answers is None:
        return None
    right = right_answers(measurement)
    before = right_answers(baseline) if baseline is not None and baseline.answers is not None else None
    itself = baseline is not None and baseline.subject.digest == measurement.subject.digest
    metric = find_task(measurement.subject.task).metric
    truth = np.asarray(measurement.truth)
    slice_rows = {name: truth == name for name in slices}
    return Quality(
        _score(metric, right, before, itself),
        tuple(
            _score(name, right[rows], None if before is None else before[rows], itself)
            for name, rows in slice_rows.items()
        ),
    )


def right_answers(measurement: Measurement) -> Bools:
    """Which rows were answered rightly, in file order. The measurement must have answers."""
    if measurement.answers is None:
        raise ValueError(f"{measurement.subject.name} has no answers")
    return np.asarray(np.asarray(measurement.answers.labels) == np.asarray(measurement.truth), dtype=np.bool_)


def share_bounds(hits: int, n: int, error: float) -> Interval:
    """Lower and upper bound of a share, each exceeded with probability at most `error` (Clopper & Pearson 1934)."""
    low = float(stats.beta.ppf(error, hits, n - hits + 1)) if hits else 0.0
    high = float(stats.beta.isf(error, hits + 1, n - hits)) if hits < n else 1.0
    return low, high


def examples_missing(lost: int, gained: int, n: int, margin: float, error: float) -> int | None:
    """How many more examples, flipping at the rates seen so far, would show that the drop is below `margin`.

    None where that would take beyond a million, or where the drop seen is already the margin or more.
    """
    if (lost - gained) / n >= margin:
        return None

    def shown(total: int) -> bool:
        lost_then, gained_then = round(lost * total / n), round(gained * total / n)
        return drop_p_value(lost_then, gained_then, total, margin, "less") <= error

    high = n
    while not shown(high):
        high *= 2
        if high > MOST_EXAMPLES:
            return None
    low = high // 2
    while high - low > max(1, high // 50):
        middle = (low + high) // 2
        low, high = (low, middle) if shown(middle) else (middle, high)
    return max(0, high - n)


def _score(name: str, right: Bools, before: Bools | None, itself: bool) -> Score:
    """One score. `itself` says that subject and baseline are one and the same: they differ by 0 exactly."""
    n, hits = len(right), int(right.sum())
    if n == 0:
        return Score(name, 0, None, None)
    own = Score(name, n, hits / n, share_bounds(hits, n, (1 - CONFIDENCE) / 2))
    if before is None:
        return own
    flips = find_flips(before, right)
    lost, gained = len(flips.lost), len(flips.gained)
    drop_low, drop_high = score_interval(lost, gained, n, CONFIDENCE)
    return Score(
        name, n, own.value, own.value_ci,
        baseline=float(before.mean()),
        delta=(gained - lost) / n,
        delta_ci=(0.0, 0.0) if itself else (-drop_high, -drop_low),
        worse=lost,
        better=gained,
        p_value=mcnemar_mid_p(lost, gained),
    )  # fmt: skip


def _plain(each: Score) -> dict[str, Any]:
    return {
        key: [round(part, 6) for part in value] if isinstance(value, tuple)
        else round(value, 6) if isinstance(value, float) else value
        for key, value in asdict(each).items()
    }  # fmt: skip
