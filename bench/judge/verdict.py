"""Pass, fail or inconclusive, line by line: a pure function of what was measured and the budget.

A limit passes when the data exclude that it is missed, fails when they exclude that it is met, and is inconclusive
otherwise: nothing passes on a point estimate. The errors this can make:

- latency: 5 % over all interim looks and the final interval (mct.bench.measure.sampling). That P95 lies above the limit
  can be shown by fewer requests than an interval for it needs. An unsteady run decides only where twice its noise would
  change nothing, or where even its fastest requests (P5) are above the limit: noise only adds time, and spares some
  requests.
- quality "at least X or at most d below the baseline": two ways to pass, so each gets half of the 5 %.
- further metrics and perplexity: 5 % each, paired; all of them must hold, so none can be passed for another.
- recall of slices: 5 % each, paired; all must hold, so all together pass wrongly no more often than one. Any that fails
  is enough, so failing is 5 % for all of them together (Holm).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from mct.bench.judge.latency import Latency, summarise
from mct.bench.judge.line import Line, Outcome, worst
from mct.bench.judge.noise import assess, fastest_ms
from mct.bench.judge.verdict_quality import quality_lines
from mct.bench.samples.measurement import Measurement, per_process_ms
from mct.bench.statistics.percentiles import Estimate, decide_below, minimum_sample
from mct.targets.budget import Budget

SAFETY = 2
"""An unsteady run decides only where this many times its noise would leave the interval on its side of the limit."""


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
    lines = []
    if measurement.failure is not None:
        reason = f"It could not be measured: {measurement.failure.message}."
        lines.append(Line("runs to the end", "no", "fail", reason))
    lines += _latency_lines(measurement, budget)
    lines += quality_lines(measurement, budget, baseline)
    lines += _cost_lines(measurement, budget)
    return Verdict(worst(line.outcome for line in lines), tuple(lines))


# Latency


def _latency_lines(measurement: Measurement, budget: Budget) -> list[Line]:
    if budget.p95_ms is None:
        return []
    limit = f"P95 < {budget.p95_ms:g} ms"
    latency = summarise(measurement.blocks)
    if latency is None:
        return [Line(limit, "-", "inconclusive", "No request was timed.")]
    if latency.p95 is None:
        outcome, reason = _judge_unbounded(latency, budget.p95_ms, measurement)
        return [Line(limit, f"{latency.n:,} requests", outcome, reason)]
    outcome, reason = _judge_p95(latency.p95, budget.p95_ms, measurement)
    return [Line(limit, milliseconds(latency.p95), outcome, reason)]


def _judge_unbounded(latency: Latency, limit: float, measurement: Measurement) -> tuple[Outcome, str]:
    """Too few requests for an interval may be enough to say that P95 lies above the limit."""
    processes, noise = per_process_ms(measurement.blocks), _noise(measurement)
    if decide_below(processes, 0.95, limit * (1 + SAFETY * noise), interim_looks=1) == "above":
        reason = f"Too few for an interval of P95, and enough to show that it lies above {limit:g} ms."
        return "fail", _despite(noise, reason) if noise else reason
    needed = minimum_sample(0.95)
    if latency.n < needed:
        return "inconclusive", f"P95 needs at least {needed} requests: let it measure for longer."
    return "inconclusive", (
        f"The {latency.rounds} fresh processes differ so much that {latency.n:,} requests are worth fewer than the"
        f" {needed} independent ones that P95 needs: let it measure for longer, or on a quieter machine."
    )


def milliseconds(estimate: Estimate) -> str:
    """A percentile with its interval, as tables have it: "3.21 ms [3.10, 3.35]"."""
    return f"{estimate.value:.2f} ms [{estimate.low:.2f}, {estimate.high:.2f}]"


def _judge_p95(p95: Estimate, limit: float, measurement: Measurement) -> tuple[Outcome, str]:
    outcome, reason = _place(p95, limit)
    noise = _noise(measurement)
    if noise == 0:
        return outcome, reason
    if outcome == "fail" and (fastest := fastest_ms(measurement.blocks)) > limit:
        return "fail", f"{reason} The run was unsteady, but 95 % of all requests took more than {fastest:.2f} ms."
    if p95.high * (1 + SAFETY * noise) < limit or p95.low > limit * (1 + SAFETY * noise):
        return outcome, _despite(noise, reason)
    return "inconclusive", f"{reason} But the run was unsteady."


def _despite(noise: float, reason: str) -> str:
    return f"{reason} The run was unsteady, but {SAFETY} times its noise of {noise:.0%} changes nothing."


def _noise(measurement: Measurement) -> float:
    """The relative error that noise may have caused; 0 for a steady run."""
    stability = assess(measurement.blocks)
    return 0.0 if stability is None or stability.ok else stability.disturbance


def _place(p95: Estimate, limit: float) -> tuple[Outcome, str]:
    level = f"{p95.confidence:.0%}"
    if p95.high < limit:
        return "pass", f"The whole {level} interval lies below {limit:g} ms ({p95.n:,} requests)."
    if p95.low > limit:
        return "fail", f"The whole {level} interval lies above {limit:g} ms ({p95.n:,} requests)."
    reason = f"The {level} interval reaches across {limit:g} ms after {p95.n:,} requests: let it measure for longer."
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
