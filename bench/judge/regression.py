"""Is the change worse than the base? Verdict lines that ask only that, each answered by an interval.

Latency has two cases. Base and change, in turns in one job, share the machine's moods, so the ratio's own interval
decides, by the very estimator of `mct compare`, and a few per cent are found. A base measured on another day does not:
what differs between two jobs on the very same machine (neighbours, clock, placement) is often tens of per cent and
stands in neither run's interval, so only a slow-down beyond `ACROSS_RUNS` is called one, and a run of another machine
is not compared at all. Quality has no such trouble: the same rows, answered by both, are paired whenever they were
answered.

Pure: values in, lines out. `mct.bench.jobs.guard` measures and stores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, hypot, log

from mct.bench.judge.line import Line, Outcome
from mct.bench.judge.noise import assess, least_disturbed_ms
from mct.bench.judge.verdict import judge, milliseconds
from mct.bench.measure.pairs import ratios, shared_rounds
from mct.bench.samples.measurement import Measurement, per_process_ms
from mct.bench.statistics.percentiles import FEWEST_PROCESSES, Estimate, Floats, estimate_percentile, minimum_sample
from mct.bench.statistics.ratio import FEWEST_ROUNDS, Ratio, judge_latency
from mct.targets.budget import Budget

TAIL = 0.95
MAX_SLOWDOWN = 0.10
"""Share by which the change may be slower than the base in one job."""
ACROSS_RUNS = 0.25
"""Share by which P95 may differ between two jobs on one machine before it is called a difference."""
MAX_DROP = 0.01
"""Quality that may be lost where no budget says how much: one point."""


@dataclass(frozen=True)
class Shift:
    """P95 of two runs that were not interleaved, and the ratio of the later to the earlier with its 95 % interval."""

    before: Estimate
    after: Estimate
    value: float
    low: float
    high: float


def judge_same_job(base: Measurement, change: Measurement, max_slowdown: float | None = None) -> Line:
    """P50 and P95 of the change over the base's, from rounds in which they took turns, as `mct compare` judges them.

    Passes where more than `max_slowdown` (a fraction) is excluded for both, and fails where either is shown to be more.
    Where none is given it is `MAX_SLOWDOWN`, and then whatever is shown to be slower at all fails that may be more.
    """
    tolerated = MAX_SLOWDOWN if max_slowdown is None else max_slowdown
    limit = f"P50 and P95 at most {100 * tolerated:g}% slower than the base, in turns"
    if len(shared_rounds(base.blocks, change.blocks)) < 2:
        return Line(limit, "-", "inconclusive", "Too few rounds were measured to compare: allow more seconds.")
    p50, p95 = ratios(base.blocks, change.blocks)
    measured = ", ".join(
        f"{name} {ratio.value:.2f}x [{ratio.low:.2f}, {ratio.high:.2f}]" for name, ratio in (("P50", p50), ("P95", p95))
    )
    return Line(limit, measured, *_explain(p50, p95, tolerated, 0.0 if max_slowdown is None else max_slowdown))


def compare_runs(before_ms: Sequence[Floats], after_ms: Sequence[Floats]) -> Shift | None:
    """P95 of one run over that of an earlier one, from milliseconds per process; None where either has too few.

    The interval comes from the two runs' own, recovering their variances on the log scale (MOVER, Zou & Donner 2008).
    It knows nothing of what differs between two jobs: hold it against `ACROSS_RUNS`.
    """
    before, after = estimate_percentile(before_ms, TAIL), estimate_percentile(after_ms, TAIL)
    if before is None or after is None:
        return None
    centre = log(after.value / before.value)
    low = exp(centre - hypot(log(after.value / after.low), log(before.high / before.value)))
    high = exp(centre + hypot(log(after.high / after.value), log(before.value / before.low)))
    return Shift(before, after, exp(centre), low, high)


def judge_stored(base: Measurement, change: Measurement, tolerated: float = ACROSS_RUNS) -> Line:
    """P95 of the change against that of a run of another day on the same machine: worse only wholly beyond `tolerated`.

    An unsteady run decides nothing, except that its least disturbed process was too slow all the same: noise adds time.
    """
    limit = f"P95 at most {100 * tolerated:g}% slower than the stored run"
    shift = compare_runs(per_process_ms(base.blocks), per_process_ms(change.blocks))
    if shift is None:
        least = f"{FEWEST_PROCESSES} processes and {minimum_sample(TAIL)} requests"
        reason = f"One side has fewer than {least}: allow more seconds."
        return Line(limit, "-", "inconclusive", reason)
    measured = f"{shift.value:.2f}x [{shift.low:.2f}, {shift.high:.2f}]"
    seen = f"{milliseconds(shift.after)} now, {milliseconds(shift.before)} then"
    unsteady = _unsteady("this run", change)
    slow_at_best = not unsteady or least_disturbed_ms(change.blocks, TAIL) > (1 + tolerated) * shift.before.high
    if shift.low > 1 + tolerated and slow_at_best:
        return Line(limit, measured, "fail", f"{seen}: more than two jobs on one machine differ by.")
    unsteady += _unsteady("the stored run", base)
    if unsteady:
        return Line(limit, measured, "inconclusive", f"{seen}. But {'; '.join(unsteady)}.")
    if shift.high <= 1 + tolerated:
        return Line(limit, measured, "pass", f"{seen}.")
    advice = "give the base's artifact, so that both are measured in one job"
    return Line(limit, measured, "inconclusive", f"{seen}: {advice}.")


def other_conditions(different: Sequence[str]) -> Line:
    """The line in place of a comparison that would compare machines, settings or libraries instead of artifacts."""
    reason = (
        f"The stored run had other conditions ({', '.join(different)}): store one here, or give the base's artifact."
    )
    return Line("P95 no slower than the stored run", "-", "inconclusive", reason)


def judge_quality(base: Measurement, change: Measurement, budget: Budget | None) -> tuple[Line, ...]:
    """Paired quality against the base alone: the drop that the budget allows (one point without), and its slices'."""
    return judge(change, _only_drops(budget, change.subject.task), base).lines


def _only_drops(budget: Budget | None, task: str) -> Budget:
    """The budget without its absolute limits: those are judged with the rest of it."""
    if budget is None:
        return Budget("no worse than the base", task, quality_max_drop=MAX_DROP)
    drop = MAX_DROP if budget.quality_max_drop is None else budget.quality_max_drop
    return replace(budget, p95_ms=None, quality_at_least=None, quality_max_drop=drop, size_mb=None, peak_rss_mb=None)


def _unsteady(name: str, measurement: Measurement) -> list[str]:
    stability = assess(measurement.blocks)
    if stability is None or stability.ok:
        return []
    return [f"{name} was unsteady: {'; '.join(stability.reasons)}"]


def _explain(p50: Ratio, p95: Ratio, max_slowdown: float, shown: float) -> tuple[Outcome, str]:
    """What is slower by more than `shown` (a fraction) beyond doubt fails."""
    over, worst = f"over {p95.rounds} rounds", max(p50.high, p95.high) - 1
    if p95.rounds < FEWEST_ROUNDS:
        return "inconclusive", f"Fewer than {FEWEST_ROUNDS} rounds decide nothing: allow more seconds."
    if worst <= max_slowdown:
        return "pass", f"A slow-down of more than {max(0.0, worst):.1%} is excluded {over}."
    judged = judge_latency(p50, p95, max_slowdown)
    if judged.outcome == "slower" and max(p50.low, p95.low) > 1 + shown:
        return "fail", f"Slower at {' and '.join(judged.shown)} {over}."
    return "inconclusive", f"A slow-down of up to {worst:.0%} cannot be excluded {over}: allow more seconds."
