"""Quality of one subject, computed from its raw answers: its own scores, and what it lost against the baseline, paired.

Its task kind scores an answer (mct.models.tasks.examples.Kind.score): the headline first, then further
metrics. A slice is the recall of one label: of the examples (of tags the words) whose truth has it, those whose answer
has it too. Scores come with intervals because the evaluation set is a sample too.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil, exp
from typing import Any

import numpy as np
from scipy import stats

from mct.bench.judge.rounding import rounded
from mct.bench.samples.measurement import Measurement
from mct.bench.statistics.bootstrap import resample_value
from mct.bench.statistics.levels import CONFIDENCE
from mct.bench.statistics.paired import NonInferiority, difference, difference_p, examples_needed, find_flips
from mct.bench.statistics.ratio_metric import RatioMetric, counted
from mct.models.tasks.examples import find_kind

Interval = tuple[float, float]


@dataclass(frozen=True)
class Score:
    """One metric on `n` examples. The fields from `baseline` on are None where there is no baseline.

    `delta` is value minus baseline on the same examples; `worse` and `better` count the examples on which this subject
    does worse and better than the baseline. All of it None, and `n` 0, where no example adds to it.
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
    """The headline score, the kind's further metrics, and the slices asked for. `perplexity` is a language model's."""

    overall: Score
    others: tuple[Score, ...]
    slices: tuple[Score, ...]
    perplexity: float | None = None

    def as_json(self) -> dict[str, Any]:
        """As result.schema.json has it."""
        overall, slices = rounded(asdict(self.overall), 6), rounded([asdict(each) for each in self.slices], 6)
        for each in slices:
            del each["value_ci"], each["p_value"]
        return {
            "metric": overall.pop("name"),
            **overall,
            "others": rounded([asdict(each) for each in self.others], 6),
            "slices": slices,
            "perplexity": None if self.perplexity is None else round(self.perplexity, 4),
        }


def score(measurement: Measurement, baseline: Measurement | None, slices: Sequence[str]) -> Quality | None:
    """Scores of a measurement, against the baseline's answers to the same examples; None where it has no answers."""
    if measurement.answers is None:
        return None
    before = baseline if baseline is not None and baseline.answers is not None else None
    itself = before is not None and before.subject.digest == measurement.subject.digest
    own, theirs = metrics(measurement), {} if before is None else metrics(before)
    overall, *others = (_score(name, metric, theirs.get(name), itself) for name, metric in own.items())
    found = {name: (recall(measurement, name), None if before is None else recall(before, name)) for name in slices}
    return Quality(
        overall,
        tuple(others),
        tuple(_score(name, after, then, itself) for name, (after, then) in found.items()),
        perplexity(measurement),
    )


def metrics(measurement: Measurement) -> dict[str, RatioMetric]:
    """Every metric of the subject's task kind, the headline first. The measurement must have answers."""
    kind = find_kind(measurement.subject.task)
    parts = [kind.score(truth, answer) for truth, answer in _answered(measurement)]
    groups = measurement.groups
    return {name: _metric([(part[name].got, part[name].of) for part in parts], groups) for name in parts[0]}


def headline(measurement: Measurement) -> RatioMetric:
    """The first of the metrics."""
    return next(iter(metrics(measurement).values()))


def recall(measurement: Measurement, label: str) -> RatioMetric:
    """The recall of one label, on the examples whose truth has it."""
    find = find_kind(measurement.subject.task).recall
    parts = [find(truth, answer, label) for truth, answer in _answered(measurement)]
    having = [row for row, part in enumerate(parts) if part.of]
    return _metric([(part.got, part.of) for part in parts], measurement.groups).rows(having)


@dataclass(frozen=True)
class Flip:
    """One example on which one of two does better: its number in file order, the truth, and both answers."""

    row: int
    truth: Any
    a: Any
    b: Any


def flipped(a: Measurement, b: Measurement) -> tuple[tuple[Flip, ...], tuple[Flip, ...]]:
    """Examples on which A does better, and those on which B does; none of either where one gave no answers."""
    if a.answers is None or b.answers is None:
        return (), ()
    flips, answers = find_flips(headline(a), headline(b)), zip(a.truth, a.answers.values, b.answers.values, strict=True)
    each = [Flip(row, *values) for row, values in enumerate(answers)]
    return tuple(each[row] for row in flips.lost), tuple(each[row] for row in flips.gained)


def nll_per_token(measurement: Measurement) -> RatioMetric | None:
    """Nats a token of a language model's texts, whose exponential is the perplexity; None for other tasks."""
    if measurement.subject.task != "causal-lm" or measurement.answers is None:
        return None
    return _metric([(answer["nll"], answer["tokens"]) for answer in measurement.answers.values], measurement.groups)


def perplexity(measurement: Measurement) -> float | None:
    """A language model's perplexity over all tokens of the evaluation set; None for other tasks."""
    nats = nll_per_token(measurement)
    return None if nats is None or nats.value is None else exp(nats.value)


def value_bounds(metric: RatioMetric, error: float) -> Interval:
    """Lower and upper bound of a metric, each exceeded with probability `error`: exact for right answers."""
    if metric.exact:
        return proportion_bounds(int(metric.got.sum()), len(metric), error)
    found, value = resample_value(metric), metric.value or 0.0
    return max(0.0, min(value, found.bound(error))), min(1.0, max(value, found.bound(1 - error)))


def proportion_bounds(hits: int, n: int, error: float) -> Interval:
    """Both bounds of a proportion, each exceeded with probability at most `error` (Clopper & Pearson 1934)."""
    low = float(stats.beta.ppf(error, hits, n - hits + 1)) if hits else 0.0
    high = float(stats.beta.isf(error, hits + 1, n - hits)) if hits < n else 1.0
    return low, high


def more_examples(test: NonInferiority) -> int:
    """How many more examples like these pass an artifact that lost nothing with 80 % power; 0 where these were enough.

    What flips is expected to go on flipping as often, one way as the other: the drop seen is what is in question.
    """
    if test.method == "exact":
        needed = examples_needed((test.lost + test.gained) / test.n, test.margin, test.alpha)
    else:
        # Intervals shrink with the root of n; what is left open where nothing changed does so with n.
        needed = ceil(test.n * (test.resolvable / test.margin) ** (2 if test.lost + test.gained else 1))
    return max(0, needed - test.n)


def _answered(measurement: Measurement) -> list[tuple[Any, Any]]:
    """Truth and answer of every example, in file order."""
    if measurement.answers is None:
        raise ValueError(f"{measurement.subject.name} has no answers")
    return list(zip(measurement.truth, measurement.answers.values, strict=True))


def _metric(parts: Sequence[tuple[float, float]], groups: Sequence[int]) -> RatioMetric:
    table = np.asarray(parts, dtype=np.float64).reshape(-1, 2)
    return RatioMetric(table[:, 0], table[:, 1], np.asarray(groups, dtype=np.intp) if groups else None)


def _score(name: str, metric: RatioMetric, before: RatioMetric | None, itself: bool) -> Score:
    """One score. `itself` says that subject and baseline are one and the same: they differ by 0 exactly."""
    if metric.value is None:
        return Score(name, 0, None, None)
    own = Score(name, counted(metric), metric.value, value_bounds(metric, (1 - CONFIDENCE) / 2))
    if before is None or before.value is None:
        return own
    flips, change = find_flips(before, metric), difference(before, metric, CONFIDENCE)
    bounds = None if change.low is None or change.high is None else (change.low, change.high)
    return Score(
        name, flips.n, own.value, own.value_ci,
        baseline=before.value,
        delta=change.value,
        delta_ci=(0.0, 0.0) if itself else bounds,
        worse=len(flips.lost),
        better=len(flips.gained),
        p_value=difference_p(before, metric),
    )  # fmt: skip
