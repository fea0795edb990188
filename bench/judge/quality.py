"""Quality of one subject, computed from its raw answers: its own scores, and what it lost against the baseline, paired.

Its task kind scores an answer (mct.models.tasks.examples.Kind.score): the headline first, then further
metrics. A slice is the recall of one label (of the examples, of tags the words, whose truth has it, those whose answer
has it too), or the headline on the examples whose row has one value in a field ("month=2026-03"). Scores come with
intervals because the evaluation set is a sample too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil, exp
from typing import Any

import numpy as np
from scipy import stats

from mct.bench.samples.measurement import Measurement
from mct.bench.statistics.alarms import Alarms, resample_recall, resample_recalls
from mct.bench.statistics.bootstrap import Resampled, resample_change, resample_value
from mct.bench.statistics.levels import CONFIDENCE
from mct.bench.statistics.paired import NonInferiority, difference, difference_p, examples_needed, find_flips
from mct.bench.statistics.ratio_metric import RatioMetric, counted
from mct.bench.statistics.rounding import rounded
from mct.models.tasks.examples import KL, NLL, Part, find_kind
from mct.targets.budget import Budget

Interval = tuple[float, float]

NOTHING = Part(0.0, 0.0)


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
    """The headline score, the kind's further metrics, and the slices asked for. `perplexity` is a language model's.

    `amounts` are figures that are no shares, each a mean in its own unit (`mct.models.tasks.examples.Kind.amounts`).
    """

    overall: Score
    others: tuple[Score, ...]
    slices: tuple[Score, ...]
    perplexity: float | None = None
    amounts: tuple[Score, ...] = ()

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
            "amounts": rounded([asdict(each) for each in self.amounts], 6),
        }


def score(
    measurement: Measurement,
    baseline: Measurement | None,
    slices: Sequence[str],
    false_alarms: Mapping[str, float] | None = None,
) -> Quality | None:
    """Scores of a measurement, against the baseline's answers to the same examples; None where it has no answers.

    `false_alarms`: the labels whose recall at a false-alarm rate is one of the further metrics, and that rate.
    """
    if measurement.answers is None:
        return None
    before = baseline if baseline is not None and baseline.answers is not None else None
    itself = before is not None and before.subject.digest == measurement.subject.digest
    own, theirs = metrics(measurement), {} if before is None else metrics(before)
    overall, *others = (_score(name, metric, theirs.get(name), itself) for name, metric in own.items())
    for name, (perfect, metric) in beside(before, measurement).items():
        others.append(_score(name, metric, perfect, itself))
    for label, rate in (false_alarms or {}).items():
        ringing = alarms(measurement, label, rate), None if before is None else alarms(before, label, rate)
        others.append(_alarm_score(alarm_metric(label, rate), *ringing, itself))
    found = {name: (part_of(measurement, name), None if before is None else part_of(before, name)) for name in slices}
    return Quality(
        overall,
        tuple(others),
        tuple(_score(name, after, then, itself) for name, (after, then) in found.items()),
        perplexity(measurement),
        tuple(_amount_score(name, amount, before, itself) for name, amount in amounts(measurement).items()),
    )


def metrics(measurement: Measurement) -> dict[str, RatioMetric]:
    """Every metric of the subject's task kind, the headline first. The measurement must have answers."""
    kind = find_kind(measurement.subject.task)
    return _gathered([kind.score(truth, answer) for truth, answer in _answered(measurement)], measurement.groups)


def beside(before: Measurement | None, after: Measurement) -> dict[str, tuple[RatioMetric, RatioMetric]]:
    """What of the original's answers another model's kept: by name what the original itself would get, and that.

    Empty where there is no original.
    """
    if before is None or before.answers is None or after.answers is None:
        return {}
    compare = find_kind(after.subject.task).beside
    pairs = zip(before.answers.values, after.answers.values, strict=True)
    found = _gathered([compare(*pair) for pair in pairs], after.groups)
    return {name: (replace(metric, got=metric.of), metric) for name, metric in found.items()}


def amounts(measurement: Measurement) -> dict[str, RatioMetric]:
    """Every figure of the subject's task kind that is no share, a mean each."""
    kind = find_kind(measurement.subject.task)
    return _gathered([kind.amounts(truth, answer) for truth, answer in _answered(measurement)], measurement.groups)


def _gathered(parts: Sequence[Mapping[str, Part]], groups: Sequence[int]) -> dict[str, RatioMetric]:
    """Metric by metric; an example that has no part of one adds nothing to it."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: _metric([part.get(name, NOTHING) for part in parts], groups) for name in names}


def headline(measurement: Measurement) -> RatioMetric:
    """The first of the metrics."""
    return next(iter(metrics(measurement).values()))


def recall(measurement: Measurement, label: str) -> RatioMetric:
    """The recall of one label, on the examples whose truth has it."""
    find = find_kind(measurement.subject.task).recall
    parts = [find(truth, answer, label) for truth, answer in _answered(measurement)]
    having = [row for row, part in enumerate(parts) if part.of]
    return _metric([(part.got, part.of) for part in parts], measurement.groups).rows(having)


def part_of(measurement: Measurement, name: str) -> RatioMetric:
    """The metric of one slice, on its examples: the headline where a row's field has that value, a label's recall."""
    field, _, value = name.partition("=")
    if field not in measurement.fields:
        return recall(measurement, name)
    return headline(measurement).rows([row for row, found in enumerate(measurement.fields[field]) if found == value])


def alarm_metric(label: str, rate: float) -> str:
    """What the recall of a label at a false-alarm rate is called."""
    return f"recall of {label} at {100 * rate:g} % false alarms"


def alarms(measurement: Measurement, label: str, rate: float) -> Alarms | None:
    """How much each example was held for one of a label; None where the answers do not say, or the truth has none."""
    if measurement.answers is None or label not in measurement.answers.scores:
        return None
    labels = find_kind(measurement.subject.task).labels
    positive = np.array([label in labels(truth) for truth in measurement.truth])
    groups = np.asarray(measurement.groups, dtype=np.intp) if measurement.groups else None
    found = Alarms(np.asarray(measurement.answers.scores[label]), positive, rate, groups)
    return found if found.judgeable else None


def slice_metric(name: str) -> str:
    """What a slice of that name is judged by, in words."""
    return f"the score of {name}" if "=" in name else f"recall of {name}"


def slices_of(budget: Budget, measurement: Measurement) -> tuple[str, ...]:
    """The slices that a budget holds to its limit: those it names, and every value of the fields that it names.

    A field that no row has is one slice, which no example is in.
    """
    valued = {name: sorted({*measurement.fields.get(name, ())} - {""}) or [""] for name in budget.slice_fields}
    found = (f"{name}={value}" for name, values in valued.items() for value in values)
    return tuple(dict.fromkeys((*budget.slices, *found)))


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
    return None if measurement.answers is None else amounts(measurement).get(NLL)


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


def _amount_score(name: str, amount: RatioMetric, before: Measurement | None, itself: bool) -> Score:
    """Of the divergence from the original the original itself has 0, whether or not its answers say so."""
    if amount.value is None:
        return Score(name, 0, None, None)
    own = Score(name, counted(amount), amount.value, amount_bounds(amount, (1 - CONFIDENCE) / 2))
    earlier = None if before is None else baseline_amount(name, before, amount)
    if earlier is None or earlier.value is None:
        return own
    found = _compared(own, amount, earlier, itself)
    return replace(found, worse=found.better, better=found.worse) if name in (NLL, KL) else found


def baseline_amount(name: str, before: Measurement, after: RatioMetric) -> RatioMetric | None:
    """The baseline's figure of that name; nothing diverges from itself."""
    return replace(after, got=0.0 * after.got) if name == KL else amounts(before).get(name)


def amount_bounds(amount: RatioMetric, error: float) -> Interval:
    """Lower and upper bound of a mean that is no share, each exceeded with probability `error`."""
    nothing = replace(amount, got=0.0 * amount.got)
    change = resample_change(nothing, amount)
    value = amount.value or 0.0
    return min(value, change.bound(error)), max(value, change.bound(1 - error))


def _alarm_score(name: str, ringing: Alarms | None, before: Alarms | None, itself: bool) -> Score:
    if ringing is None:
        return Score(name, 0, None, None)
    hits, found, outside = ringing.hits, resample_recall(ringing), (1 - CONFIDENCE) / 2
    value = hits.value or 0.0
    bounds = max(0.0, min(value, found.bound(outside))), min(1.0, max(value, found.bound(1 - outside)))
    own = Score(name, counted(hits), value, bounds)
    return own if before is None else _compared(own, hits, before.hits, itself, resample_recalls(before, ringing))


def _score(name: str, metric: RatioMetric, before: RatioMetric | None, itself: bool) -> Score:
    if metric.value is None:
        return Score(name, 0, None, None)
    own = Score(name, counted(metric), metric.value, value_bounds(metric, (1 - CONFIDENCE) / 2))
    return own if before is None or before.value is None else _compared(own, metric, before, itself)


def _compared(
    own: Score, metric: RatioMetric, before: RatioMetric, itself: bool, resampled: Resampled | None = None
) -> Score:
    """One score beside the baseline's. `itself`: the two are one and the same, and differ by 0 exactly."""
    flips, change = find_flips(before, metric), difference(before, metric, CONFIDENCE, resampled)
    bounds = None if change.low is None or change.high is None else (change.low, change.high)
    return replace(
        own,
        n=flips.n,
        baseline=before.value,
        delta=change.value,
        delta_ci=(0.0, 0.0) if itself else bounds,
        worse=len(flips.lost),
        better=len(flips.gained),
        p_value=difference_p(before, metric, resampled),
    )
