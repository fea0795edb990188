"""The quality limits of a budget, line by line: headline, further metrics, perplexity, slices.

Each is judged on the same examples as the baseline, paired. What each line may err is said in
`mct.bench.judge.verdict`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, expm1, log1p

from mct.bench.judge.line import Line, Outcome
from mct.bench.judge.quality import (
    alarm_metric,
    alarms,
    amounts,
    baseline_amount,
    beside,
    metrics,
    more_examples,
    nll_per_token,
    part_of,
    slice_metric,
    slices_of,
    value_bounds,
)
from mct.bench.samples.measurement import Measurement
from mct.bench.statistics.alarms import resample_recalls
from mct.bench.statistics.levels import ERROR
from mct.bench.statistics.paired import NonInferiority, compare_slices, non_inferior
from mct.bench.statistics.ratio_metric import RatioMetric
from mct.models.tasks.examples import IMPLICIT_MARGIN, KL, MARGIN
from mct.models.tasks.table import find_task
from mct.targets.budget import Budget

ROUTING = ("same_experts", "expert_load_kept")


@dataclass(frozen=True)
class Pair:
    """The subject (`after`) and its baseline (`before`), both with answers.

    `known` is the outcome of every relative limit where there is nothing to compare; `before` is then `after`. `error`
    is what a line may err.
    """

    before: Measurement
    after: Measurement
    known: tuple[Outcome, str] | None
    error: float

    def judge(self, before: RatioMetric, after: RatioMetric, margin: float, error: float) -> tuple[Outcome, str]:
        """Whether a metric dropped by less than `margin`."""
        return self.known or _explain(non_inferior(before, after, margin, error))

    def change(self, before: RatioMetric, after: RatioMetric) -> str:
        """The subject's metric, with the change against the baseline where there is one."""
        value, earlier = after.value or 0.0, before.value or 0.0
        return f"{value:.2%}" if self.known else f"{value:.2%} ({100 * (value - earlier):+.2f} points)"


def quality_lines(
    measurement: Measurement, budget: Budget, baseline: Measurement | None, level: float = ERROR
) -> list[Line]:
    """A line for each limit of quality, which may err by `level`. `baseline` answered the same examples."""
    limit = _headline_limit(measurement, budget)
    slices = slices_of(budget, measurement) if budget.slice_max_drop is not None else ()
    margin = budget.false_alarm_max_drop or 0.0
    if measurement.answers is None:
        limits = [*([limit] if limit else []), *(_metric_limit(*each) for each in budget.metric_max_drop.items())]
        limits += [limit for limit, _ in _amount_limits(budget)]
        limits += [_metric_limit(alarm_metric(*each), margin) for each in budget.false_alarms.items()]
        limits += [slice_limit(name, budget.slice_max_drop or 0.0) for name in slices]
        return [Line(limit, "-", "inconclusive", "There are no answers to score.") for limit in limits]
    pair = _pair(measurement, baseline, level)
    lines = [_overall_line(limit, pair, budget)] if limit else []
    lines += [_metric_line(name, margin, pair) for name, margin in budget.metric_max_drop.items()]
    lines += [_alarm_line(label, rate, margin, pair) for label, rate in budget.false_alarms.items()]
    lines += [judge(limit, pair, budget) for limit, judge in _amount_limits(budget)]
    return lines + (_slice_lines(slices, pair, budget) if slices else [])


def _pair(measurement: Measurement, baseline: Measurement | None, error: float) -> Pair:
    if baseline is None:
        reason = "There is no baseline to compare with: give one with --baseline."
        known: tuple[Outcome, str] = ("inconclusive", reason)
    elif measurement.subject.digest == baseline.subject.digest:
        known = ("pass", "This is the baseline itself, so it has lost nothing against it.")
    elif baseline.answers is None:
        known = ("inconclusive", f"The baseline {baseline.subject.name} gave no answers to compare with.")
    else:
        return Pair(baseline, measurement, None, error)
    return Pair(measurement, measurement, known, error)


def _headline_limit(measurement: Measurement, budget: Budget) -> str:
    """What the budget asks of the headline score; "" where nothing."""
    asked = []
    if budget.quality_at_least is not None:
        asked.append(f">= {budget.quality_at_least:.2%}")
    if budget.quality_max_drop is not None:
        asked.append(f"at most {points(budget.quality_max_drop)} below the baseline")
    return f"{find_task(measurement.subject.task).metric} {' or '.join(asked)}" if asked else ""


def _overall_line(limit: str, pair: Pair, budget: Budget) -> Line:
    """Two ways to pass, where the budget has both: one is enough, and both must fail to fail."""
    metric = find_task(pair.after.subject.task).metric
    before, after = metrics(pair.before)[metric], metrics(pair.after)[metric]
    if after.value is None:
        return Line(limit, "-", "inconclusive", "No example of the evaluation set says what is right.")
    at_least, margin = budget.quality_at_least, budget.quality_max_drop
    error = pair.error / (2 if at_least is not None and margin is not None else 1)
    found = []
    if at_least is not None:
        found.append(_judge_value(after, at_least, error))
    if margin is not None:
        found.append(pair.judge(before, after, margin, error))
    outcome, reason = next((each for each in found if each[0] == "pass"), (None, ""))
    if outcome is None:
        outcome = "fail" if all(each[0] == "fail" for each in found) else "inconclusive"
        reason = " ".join(each[1] for each in found)
    return Line(limit, pair.change(before, after), outcome, reason)


def _metric_limit(name: str, margin: float) -> str:
    return f"{name} at most {points(margin)} below the baseline"


def _metric_line(name: str, margin: float, pair: Pair) -> Line:
    """One of the kind's further metrics, like one head's own."""
    limit, kept = _metric_limit(name, margin), beside(pair.before, pair.after)
    before = metrics(pair.before) | {each: sides[0] for each, sides in kept.items()}
    after = metrics(pair.after) | {each: sides[1] for each, sides in kept.items()}
    if name not in before or name not in after or after[name].value is None:
        has = ", ".join(key for key, metric in after.items() if metric.value is not None)
        reason = f"There is no such score here; there are: {has}."
        if name in ROUTING:
            reason = f"Which experts a token goes to is not visible in {pair.after.subject.format}, or there are none."
        return Line(limit, "-", "inconclusive", reason)
    outcome, reason = pair.judge(before[name], after[name], margin, pair.error)
    return Line(limit, pair.change(before[name], after[name]), outcome, reason)


def _alarm_line(label: str, rate: float, margin: float, pair: Pair) -> Line:
    """A label's recall, where both sides ring by mistake as often."""
    limit = _metric_limit(alarm_metric(label, rate), margin)
    before, after = alarms(pair.before, label, rate), alarms(pair.after, label, rate)
    if before is None or after is None:
        said = label in getattr(pair.after.answers, "scores", {})
        reason = f"No example of the evaluation set is {label}, or all are." if said else "The answers tell no scores."
        return Line(limit, "-", "inconclusive", reason)
    hits = before.hits, after.hits
    test = pair.known or non_inferior(*hits, margin, pair.error, resample_recalls(before, after))
    outcome, reason = _explain(test) if isinstance(test, NonInferiority) else test
    return Line(limit, pair.change(*hits), outcome, reason)


def _amount_limits(budget: Budget) -> list[tuple[str, Callable[[str, Pair, Budget], Line]]]:
    """What the budget asks of figures that are no shares, and what judges it."""
    asked: list[tuple[str, Callable[[str, Pair, Budget], Line]]] = []
    if budget.perplexity_max_increase is not None:
        asked.append(
            (f"perplexity at most {100 * budget.perplexity_max_increase:g} % above the baseline's", _perplexity)
        )
    if budget.kl_at_most is not None:
        asked.append((f"at most {budget.kl_at_most:g} nats a token foreseen otherwise than by the baseline", _kl))
    if budget.margin_max_drop is not None:
        asked.append((f"at most {100 * budget.margin_max_drop:g} % of the baseline's reward margin lost", _margin))
    return asked


def _perplexity(limit: str, pair: Pair, budget: Budget) -> Line:
    increase, before, after = budget.perplexity_max_increase, nll_per_token(pair.before), nll_per_token(pair.after)
    if increase is None or before is None or after is None or before.value is None or after.value is None:
        return Line(limit, "-", "inconclusive", "These answers tell no likelihoods.")
    change = "" if pair.known else f" ({100 * expm1(after.value - before.value):+.2f} %)"
    # A drop of quality here is a rise, in nats a token: the sides change places.
    outcome, reason = pair.known or _explain_rise(non_inferior(after, before, log1p(increase), pair.error), increase)
    return Line(limit, f"{exp(after.value):.2f}{change}", outcome, reason)


def _kl(limit: str, pair: Pair, budget: Budget) -> Line:
    """The baseline diverges from itself by nothing: a rise from there."""
    most, after = budget.kl_at_most or 0.0, amounts(pair.after).get(KL)
    if pair.known and pair.known[0] == "pass":
        return Line(limit, "0", *pair.known)
    if pair.known or after is None or after.value is None:
        reason = "The baseline's likelihoods of the same tokens were not at hand beside these."
        return Line(limit, "-", *(pair.known or ("inconclusive", reason)))
    nothing = baseline_amount(KL, pair.before, after)
    assert nothing is not None
    test = non_inferior(after, nothing, most, pair.error)
    return Line(limit, f"{after.value:.4f}", *_explain_amount(test, "nats a token"))


def _margin(limit: str, pair: Pair, budget: Budget) -> Line:
    """Beyond the reference where that is known: what the tuning itself gave."""
    name = IMPLICIT_MARGIN if IMPLICIT_MARGIN in amounts(pair.after) else MARGIN
    before, after = amounts(pair.before).get(name), amounts(pair.after).get(name)
    if before is None or after is None or before.value is None or after.value is None:
        return Line(limit, "-", "inconclusive", "These answers tell no margin of preference.")
    if pair.known:
        return Line(limit, f"{after.value:.3f}", *pair.known)
    change = f"{after.value:.3f} ({after.value - before.value:+.3f})"
    if before.value <= 0:
        return Line(limit, change, "inconclusive", "The baseline itself prefers what was rejected.")
    test = non_inferior(before, after, (budget.margin_max_drop or 0.0) * before.value, pair.error)
    return Line(limit, change, *_explain_amount(test, "of the margin"))


def _explain_amount(test: NonInferiority, unit: str) -> tuple[Outcome, str]:
    """A test of a mean that is no share, in its own unit."""
    seen = f"Of {test.n:,} examples {test.lost} got worse and {test.gained} better"
    if test.outcome == "non-inferior":
        return "pass", f"{seen}: {test.margin:.4g} {unit} or more is excluded (p = {test.p_value:.2g})."
    if test.outcome == "inferior":
        return "fail", f"{seen}: it exceeds {test.margin:.4g} {unit} (p = {test.p_inferior:.2g})."
    return "inconclusive", f"{seen}: up to {test.drop_at_most:.4g} {unit} cannot be excluded; give more examples."


def _explain_rise(test: NonInferiority, increase: float) -> tuple[Outcome, str]:
    worse = f"Of {test.n:,} texts {test.lost} got less likely and {test.gained} more"
    if test.outcome == "non-inferior":
        return "pass", f"{worse}: a rise of {100 * increase:g} % or more is excluded (p = {test.p_value:.2g})."
    if test.outcome == "inferior":
        return "fail", f"{worse}: the rise exceeds {100 * increase:g} % (p = {test.p_inferior:.2g})."
    return (
        "inconclusive",
        f"{worse}: a rise of up to {expm1(test.drop_at_most):.2%} cannot be excluded; give more texts.",
    )


def _judge_value(metric: RatioMetric, at_least: float, error: float) -> tuple[Outcome, str]:
    low, high = value_bounds(metric, error)
    level = f"at {100 * (1 - error):g} % confidence, on {len(metric):,} examples"
    if low >= at_least:
        return "pass", f"Less than {low:.2%} is excluded {level}."
    if high < at_least:
        return "fail", f"More than {high:.2%} is excluded {level}."
    return "inconclusive", f"Anything from {low:.2%} to {high:.2%} is possible {level}."


def _explain(test: NonInferiority) -> tuple[Outcome, str]:
    """A test in words."""
    lost, won = ("got lost", "won") if test.method == "exact" else ("got worse", "better")
    flips = f"Of {test.n:,} examples {test.lost} {lost} and {test.gained} {won}"
    if test.outcome == "non-inferior":
        return "pass", f"{flips}: a drop of {points(test.margin)} or more is excluded (p = {test.p_value:.2g})."
    if test.outcome == "inferior":
        return "fail", f"{flips}: the drop exceeds {points(test.margin)} (p = {test.p_inferior:.2g})."
    missing = more_examples(test)
    if missing:
        advice = f"with about {missing:,} more examples like these, 4 of 5 artifacts that lost nothing pass"
    else:
        advice = "on as many, 4 of 5 artifacts that lost nothing pass: it lost something, or had bad luck"
    return "inconclusive", f"{flips}: a drop of up to {points(test.drop_at_most)} cannot be excluded; {advice}."


def slice_limit(name: str, margin: float) -> str:
    """What the line of one slice asks; `margin` is a fraction."""
    return f"{slice_metric(name)} at most {points(margin)} below the baseline"


def _slice_lines(slices: Sequence[str], pair: Pair, budget: Budget) -> list[Line]:
    """One line per slice, tested together; one that has no example cannot be judged."""
    found = {name: (part_of(pair.before, name), part_of(pair.after, name)) for name in slices}
    found = {name: sides for name, sides in found.items() if sides[1].value is not None}
    margin = budget.slice_max_drop or 0.0
    tests = {} if pair.known else compare_slices(found, margin, pair.error)
    lines = []
    for name in slices:
        limit = slice_limit(name, margin)
        if name not in found:
            what = name if "=" in name else f"the label {name}"
            reason = f"No example of the evaluation set has {what}: add some."
            lines.append(Line(limit, "-", "inconclusive", reason))
        else:
            outcome, reason = pair.known or _explain(tests[name])
            lines.append(Line(limit, pair.change(*found[name]), outcome, reason))
    return lines


def points(share: float) -> str:
    """A difference of shares in percentage points: 0.005 is "0.5 points"."""
    number = f"{100 * share:.2f}".rstrip("0").rstrip(".")
    return f"{number} point" if number == "1" else f"{number} points"
