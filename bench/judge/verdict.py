"""Pass, fail or inconclusive, line by line: a pure function of what was measured and the budget.

A limit passes when the data exclude that it is missed, fails when they exclude that it is met, and is inconclusive
otherwise: nothing passes on a point estimate. The errors this can make:

- latency: 5 % over all looks and the final interval (mct.bench.measure.sampling). That P95 lies above the limit can be
  shown by fewer requests than an interval for it needs. Noise only adds time: an unsteady run that lies below the limit
  passes, and one that lies above it fails only where its least disturbed process does too.
- quality "at least X or at most d below the baseline": two ways to pass, so each gets half of the 5 %.
- further metrics and perplexity: 5 % each, paired; all of them must hold, so none can be passed for another.
- recall of slices: 5 % each, paired; all must hold, so all together pass wrongly no more often than one. Any that fails
  is enough, so failing is 5 % for all of them together (Holm).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mct.bench.judge.line import Line, Outcome, worst
from mct.bench.judge.noise import assess, least_disturbed_ms
from mct.bench.judge.verdict_quality import quality_lines
from mct.bench.samples.measurement import Measurement, per_process_ms
from mct.bench.statistics.levels import ERROR
from mct.bench.statistics.percentiles import (
    FEWEST_PROCESSES,
    Estimate,
    Floats,
    estimate_percentile,
    evidence_above,
    minimum_sample,
)
from mct.targets.budget import Budget

TAIL = 0.95
OTHERS = 2.0
"""Processes that nobody saw may be this many times as slow, where too few were started to know how they differ."""


@dataclass(frozen=True)
class Verdict:
    """The outcome over all lines: fail if any fails, else inconclusive if any is, else pass."""

    outcome: Outcome
    lines: tuple[Line, ...]

    def as_json(self) -> dict[str, Any]:
        """As result.schema.json has it."""
        return {"outcome": self.outcome, "lines": [asdict(line) for line in self.lines]}


def judge(
    measurement: Measurement, budget: Budget, baseline: Measurement | None = None, error: float = ERROR
) -> Verdict:
    """Judge one subject, each line with at most this `error`. `baseline` is the measurement, on the same rows, that
    relative limits refer to.
    """
    lines = []
    if measurement.failure is not None:
        reason = f"It could not be measured: {measurement.failure.message}."
        lines.append(Line("runs to the end", "no", "fail", reason))
    lines += _latency_lines(measurement, budget, error)
    lines += quality_lines(measurement, budget, baseline, error)
    lines += _cost_lines(measurement, budget)
    return Verdict(worst(line.outcome for line in lines), tuple(lines))


# Latency


def _latency_lines(measurement: Measurement, budget: Budget, error: float) -> list[Line]:
    if budget.p95_ms is None:
        return []
    limit = f"P95 < {budget.p95_ms:g} ms"
    processes = per_process_ms(measurement.blocks)
    if not processes:
        return [Line(limit, "-", "inconclusive", "No request was timed.")]
    p95 = estimate_percentile(processes, TAIL, 1 - error)
    if p95 is None:
        requests = f"{sum(map(len, processes)):,} requests of {_processes(len(processes))}"
        return [Line(limit, requests, *_judge_without_interval(measurement, processes, budget.p95_ms, error))]
    outcome, reason = _place(p95, budget.p95_ms)
    stability = assess(measurement.blocks)
    if stability is not None and not stability.ok:
        outcome, reason = _in_spite_of_noise(outcome, reason, budget.p95_ms, measurement)
    return [Line(limit, milliseconds(p95), outcome, reason)]


def _judge_without_interval(
    measured: Measurement, processes: Sequence[Floats], limit: float, error: float
) -> tuple[Outcome, str]:
    """Too few for an interval may be enough: where most requests are too slow, or all are fast beyond any doubt."""
    needed = minimum_sample(TAIL, 1 - error)
    if evidence_above(processes, TAIL, limit) >= 2 / ERROR and least_disturbed_ms(measured.blocks, TAIL) > limit:
        return "fail", f"Too few for an interval of P95, and enough to show that it lies above {limit:g} ms."
    if sum(map(len, processes)) < needed:
        return "inconclusive", f"P95 needs at least {needed} requests: let it measure for longer."
    if len(processes) >= FEWEST_PROCESSES:
        return "inconclusive", "Too few requests of a single process: let it measure for longer."
    highest = max(float(np.max(each)) for each in processes)
    if OTHERS * highest < limit:
        reason = (
            f"Its slowest request took {highest:.2f} ms: processes {OTHERS:g} times as slow would meet the limit too."
        )
        return "pass", reason
    reason = f"How processes differ is not known from {_processes(len(processes))}: let it measure for longer."
    return "inconclusive", reason


def _processes(number: int) -> str:
    return "one process" if number == 1 else f"{number} processes"


def milliseconds(estimate: Estimate) -> str:
    """A percentile with its interval, as tables have it: "3.21 ms [3.10, 3.35]"."""
    return f"{estimate.value:.2f} ms [{estimate.low:.2f}, {estimate.high:.2f}]"


def _in_spite_of_noise(outcome: Outcome, reason: str, limit: float, measured: Measurement) -> tuple[Outcome, str]:
    """What the noise of an unsteady run leaves of an outcome: it only adds time."""
    if outcome == "pass":
        return "pass", f"{reason} The run was unsteady, which only adds time."
    if outcome == "fail" and least_disturbed_ms(measured.blocks, TAIL) > limit:
        return "fail", f"{reason} The run was unsteady, but even its least disturbed process is too slow."
    return "inconclusive", f"{reason} But the run was unsteady."


def _place(p95: Estimate, limit: float) -> tuple[Outcome, str]:
    level, seen = f"{100 * p95.confidence:g} %", f"{p95.n:,} requests of {_processes(p95.processes)}"
    if p95.high < limit:
        return "pass", f"The whole {level} interval lies below {limit:g} ms ({seen})."
    if p95.low > limit:
        return "fail", f"The whole {level} interval lies above {limit:g} ms ({seen})."
    reason = f"The {level} interval reaches across {limit:g} ms after {seen}: let it measure for longer."
    return "inconclusive", reason


# Size and memory


def _cost_lines(measurement: Measurement, budget: Budget) -> list[Line]:
    lines = []
    if budget.size_mb is not None:
        lines.append(_at_most("size", measurement.subject.size_mb, budget.size_mb))
    if budget.peak_rss_mb is not None:
        lines.append(_at_most("peak memory", measurement.peak_rss_mb, budget.peak_rss_mb))
    return lines


def _at_most(name: str, value: float | None, most: float) -> Line:
    limit = f"{name} <= {most:g} MB"
    if value is None:
        return Line(limit, "-", "inconclusive", "It was not measured.")
    if value <= most:
        return Line(limit, f"{value:.1f} MB", "pass", f"{most - value:.1f} MB are left.")
    return Line(limit, f"{value:.1f} MB", "fail", f"That is {value - most:.1f} MB too much.")
