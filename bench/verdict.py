"""Pass, fail or inconclusive, line by line: a pure function of what was measured and the budget.

A limit passes when the data exclude that it is missed, fails when they exclude that it is met, and is inconclusive
otherwise: nothing passes on a point estimate. The errors this can make:

- latency: 5 % over all looks and the final interval (mct.bench.sampling). An unstable run cannot pass, and fails only
  where even its fastest requests (P5) are above the limit: noise only adds time, and spares some requests.
- quality "at least X or at most d below the baseline": two ways to pass, so each gets half of the 5 %.
- recall of slices: 5 % for all of them together (Holm), each paired against the baseline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mct.bench.latency import Latency, summarise
from mct.bench.measurement import Measurement
from mct.bench.noise import assess, fastest_ms
from mct.bench.paired import NonInferiority, compare_slices, non_inferior
from mct.bench.quality import Bools, examples_missing, right_answers, share_bounds
from mct.bench.statistics import Estimate, minimum_sample
from mct.models.tasks import find_task
from mct.targets.budget import Budget

Outcome = Literal["pass", "fail", "inconclusive"]

ERROR = 0.05
SAFETY = 2
"""An unsteady run passes only where this many times its noise would leave the whole interval below the limit."""


@dataclass(frozen=True)
class Line:
    """One limit: what it asks, what was measured, and why the outcome is what it is, each to be read by a person."""

    limit: str
    measured: str
    outcome: Outcome
    reason: str


@dataclass(frozen=True)
class Verdict:
    """The outcome over all lines: fail if any fails, else inconclusive if any is, else pass."""

    outcome: Outcome
    lines: tuple[Line, ...]

    def as_json(self) -> dict[str, Any]:
        """As result.schema.json has it."""
        return {"outcome": self.outcome, "lines": [asdict(line) for line in self.lines]}


def judge(measurement: Measurement, budget: Budget, baseline: Measurement | None = None) -> Verdict:
    """Judge one subject. `baseline` is the measurement, on the same rows, that relative limits refer to."""
    lines = _failure_lines(measurement)
    lines += _latency_lines(measurement, budget)
    lines += _quality_lines(measurement, budget, baseline)
    lines += _cost_lines(measurement, budget)
    return Verdict(_overall(lines), tuple(lines))


def _overall(lines: Sequence[Line]) -> Outcome:
    outcomes = {line.outcome for line in lines}
    if "fail" in outcomes:
        return "fail"
    return "inconclusive" if "inconclusive" in outcomes or not outcomes else "pass"


def _failure_lines(measurement: Measurement) -> list[Line]:
    failure = measurement.failure
    if failure is None:
        return []
    return [Line("runs to the end", "no", "fail", f"It could not be measured: {failure.message}.")]


# Latency


def _latency_lines(measurement: Measurement, budget: Budget) -> list[Line]:
    if budget.p95_ms is None:
        return []
    limit = f"P95 < {budget.p95_ms:g} ms"
    latency = summarise(measurement.blocks)
    if latency is None:
        return [Line(limit, "-", "inconclusive", "No request was timed.")]
    if latency.p95 is None:
        return [Line(limit, f"{latency.n:,} requests", "inconclusive", _why_unbounded(latency))]
    outcome, reason = _judge_p95(latency.p95, budget.p95_ms, measurement)
    return [Line(limit, milliseconds(latency.p95), outcome, reason)]


def _why_unbounded(latency: Latency) -> str:
    needed = minimum_sample(0.95)
    if latency.n < needed:
        return f"P95 needs at least {needed} requests: let it measure for longer."
    return (
        f"The {latency.rounds} fresh processes differ so much that {latency.n:,} requests are worth fewer than the"
        f" {needed} independent ones that P95 needs: let it measure for longer, or on a quieter machine."
    )


def milliseconds(estimate: Estimate) -> str:
    """A percentile with its interval, as tables have it: "3.21 ms [3.10, 3.35]"."""
    return f"{estimate.value:.2f} ms [{estimate.low:.2f}, {estimate.high:.2f}]"


def _judge_p95(p95: Estimate, limit: float, measurement: Measurement) -> tuple[Outcome, str]:
    outcome, reason = _place(p95, limit)
    stability = assess(measurement.blocks)
    if stability is None or stability.ok:
        return outcome, reason
    if outcome == "fail" and (fastest := fastest_ms(measurement.blocks)) > limit:
        return "fail", f"{reason} The run was unsteady, but 95 % of all requests took more than {fastest:.2f} ms."
    noise = stability.disturbance
    if outcome == "pass" and p95.high * (1 + SAFETY * noise) < limit:
        return "pass", f"{reason} The run was unsteady, but {SAFETY} times its noise of {noise:.0%} changes nothing."
    return "inconclusive", f"{reason} But the run was unsteady."


def _place(p95: Estimate, limit: float) -> tuple[Outcome, str]:
    level = f"{p95.confidence:.0%}"
    if p95.high < limit:
        return "pass", f"The whole {level} interval lies below {limit:g} ms ({p95.n:,} requests)."
    if p95.low > limit:
        return "fail", f"The whole {level} interval lies above {limit:g} ms ({p95.n:,} requests)."
    reason = f"The {level} interval reaches across {limit:g} ms after {p95.n:,} requests: let it measure for longer."
    return "inconclusive", reason


# Quality


@dataclass(frozen=True)
class Pair:
    """Which rows the subject (`after`) and its baseline (`before`) answered rightly.

    `known` is the outcome of every relative limit where there is nothing to compare; `before` is then `after`.
    """

    truth: NDArray[Any]
    before: Bools
    after: Bools
    known: tuple[Outcome, str] | None

    def change(self, rows: Bools) -> str:
        """The subject's share of right answers on `rows`, with the change against the baseline where there is one."""
        share = f"{self.after[rows].mean():.2%}"
        if self.known is not None:
            return share
        return f"{share} ({100 * (self.after[rows].mean() - self.before[rows].mean()):+.2f} points)"


def _quality_lines(measurement: Measurement, budget: Budget, baseline: Measurement | None) -> list[Line]:
    asked = _asked(measurement, budget)
    slices = budget.slices if budget.slice_max_drop is not None else ()
    if measurement.answers is None:
        limits = [*([asked] if asked else []), *(_slice_limit(name, budget) for name in slices)]
        return [Line(limit, "-", "inconclusive", "There are no answers to score.") for limit in limits]
    pair = _pair(measurement, baseline)
    lines = [_overall_line(asked, pair, budget)] if asked else []
    return lines + (_slice_lines(slices, pair, budget) if slices else [])


def _pair(measurement: Measurement, baseline: Measurement | None) -> Pair:
    after = before = right_answers(measurement)
    known: tuple[Outcome, str] | None = None
    if baseline is None:
        known = ("inconclusive", "There is no baseline to compare with: give one with --baseline.")
    elif measurement.subject.digest == baseline.subject.digest:
        known = ("pass", "This is the baseline itself, so it has lost nothing against it.")
    elif baseline.answers is None:
        known = ("inconclusive", f"The baseline {baseline.subject.name} gave no answers to compare with.")
    else:
        before = right_answers(baseline)
    return Pair(np.asarray(measurement.truth), before, after, known)


def _asked(measurement: Measurement, budget: Budget) -> str:
    """What the budget asks of the headline score; "" where nothing."""
    asked = []
    if budget.quality_at_least is not None:
        asked.append(f">= {budget.quality_at_least:.2%}")
    if budget.quality_max_drop is not None:
        asked.append(f"at most {points(budget.quality_max_drop)} below the baseline")
    return f"{find_task(measurement.subject.task).metric} {' or '.join(asked)}" if asked else ""


def _overall_line(limit: str, pair: Pair, budget: Budget) -> Line:
    """Two ways to pass, where the budget has both: one is enough, and both must fail to fail."""
    at_least, margin = budget.quality_at_least, budget.quality_max_drop
    error = ERROR / (2 if at_least is not None and margin is not None else 1)
    found = []
    if at_least is not None:
        found.append(_judge_share(int(pair.after.sum()), len(pair.after), at_least, error))
    if margin is not None:
        found.append(pair.known or _explain(non_inferior(pair.before, pair.after, margin, error), error))
    outcome, reason = next((each for each in found if each[0] == "pass"), (None, ""))
    if outcome is None:
        outcome = "fail" if all(each[0] == "fail" for each in found) else "inconclusive"
        reason = " ".join(each[1] for each in found)
    return Line(limit, pair.change(np.ones(len(pair.after), dtype=np.bool_)), outcome, reason)


def _judge_share(hits: int, n: int, at_least: float, error: float) -> tuple[Outcome, str]:
    low, high = share_bounds(hits, n, error)
    level = f"at {100 * (1 - error):g} % confidence, on {n:,} examples"
    if low >= at_least:
        return "pass", f"Less than {low:.2%} is excluded {level}."
    if high < at_least:
        return "fail", f"More than {high:.2%} is excluded {level}."
    return "inconclusive", f"Anything from {low:.2%} to {high:.2%} is possible {level}."


def _explain(test: NonInferiority, error: float) -> tuple[Outcome, str]:
    """A test in words. `error` is what it may spend alone; it decides how many examples are missing."""
    flips = f"Of {test.n:,} examples {test.lost} got lost and {test.gained} won"
    if test.outcome == "non-inferior":
        return "pass", f"{flips}: a drop of {points(test.margin)} or more is excluded (p = {test.p_value:.2g})."
    if test.outcome == "inferior":
        return "fail", f"{flips}: the drop exceeds {points(test.margin)} (p = {test.p_inferior:.2g})."
    missing = examples_missing(test.lost, test.gained, test.n, test.margin, error)
    if missing is None:
        advice = f"the {points(test.drop)} seen are too near the limit, or beyond it, for more examples to clear it"
    else:
        advice = f"about {missing:,} more examples like these would decide it"
    return "inconclusive", f"{flips}: a drop of up to {points(test.drop_at_most)} cannot be excluded; {advice}."


def _slice_limit(name: str, budget: Budget) -> str:
    return f"recall of {name} at most {points(budget.slice_max_drop or 0.0)} below the baseline"


def _slice_lines(slices: Sequence[str], pair: Pair, budget: Budget) -> list[Line]:
    """One line per slice, tested together; a label that no example has cannot be judged."""
    rows = {name: pair.truth == name for name in slices if (pair.truth == name).any()}
    margin, share = budget.slice_max_drop or 0.0, ERROR / max(1, len(rows))
    tests = {} if pair.known else compare_slices(rows, pair.before, pair.after, margin, ERROR)
    lines = []
    for name in slices:
        limit = _slice_limit(name, budget)
        if name not in rows:
            reason = f"No example of the evaluation set has the label {name}: add some."
            lines.append(Line(limit, "-", "inconclusive", reason))
        else:
            outcome, reason = pair.known or _explain(tests[name], share)
            lines.append(Line(limit, pair.change(rows[name]), outcome, reason))
    return lines


def points(share: float) -> str:
    """A difference of shares in percentage points: 0.005 is "0.5 points"."""
    number = f"{100 * share:.2f}".rstrip("0").rstrip(".")
    return f"{number} point" if number == "1" else f"{number} points"


# Size and memory


def _cost_lines(measurement: Measurement, budget: Budget) -> list[Line]:
    lines = []
    if budget.size_mb is not None:
        lines.append(_at_most("size", measurement.subject.size_mb, budget.size_mb))
    if budget.peak_rss_mb is not None:
        peaks = [start.peak_rss_mb for start in measurement.starts]
        lines.append(_at_most("peak memory", max(peaks, default=None), budget.peak_rss_mb))
    return lines


def _at_most(name: str, value: float | None, most: float) -> Line:
    limit = f"{name} <= {most:g} MB"
    if value is None:
        return Line(limit, "-", "inconclusive", "It was not measured.")
    if value <= most:
        return Line(limit, f"{value:.1f} MB", "pass", f"{most - value:.1f} MB are left.")
    return Line(limit, f"{value:.1f} MB", "fail", f"That is {value - most:.1f} MB too much.")
