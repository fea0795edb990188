"""How much to sample, and when to stop: the plan of a run and the question asked of its growing data.

Sampling of an artifact ends once its P95 is decided against the limit or, without one, known narrowly. Nothing is asked
before the planned processes are there: how processes differ is what decides, and of one nobody knows it. Looking often
at growing data would in the end find anything, so looks are few (each on 30 % more processes than the last) and each
spends a part of the error that all of them may make together. A look only ends the measuring: what the verdict says is
read off all data at the end, by the interval that spends the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mct import MctError
from mct.bench.samples.measurement import Block, Start, per_process_ms
from mct.bench.statistics.levels import CONFIDENCE, ERROR
from mct.bench.worker.facts import Facts
from mct.bench.worker.predict import NEW_TOKENS
from mct.models.data.declared import Count, Index, Positive
from mct.models.tables import load

TAIL = 0.95
STOP_ERROR = ERROR / 2
"""Of stopping early, over all looks."""
INTERIM_LOOKS = 8
GROWTH = 1.3
NARROW = 0.10
"""Without a limit: the interval of P95 is narrow enough at this share of P95."""
BLOCK_LEAST, BLOCK_MOST = 15, 4000


@dataclass(frozen=True)
class BenchPlan:
    """How to measure. `limit_ms` is the P95 limit to decide against; `affinity` the CPUs to pin to (none: not pinned).

    `rounds` is the least number of fresh processes per artifact. `max_seconds` caps the timing:
    loading included, the answers for the quality score not. `rigorous` asks for MLPerf's number of requests. A
    language model is timed writing `new_tokens` at most. `memory_mb` binds each timed process (10^6 bytes; 0: nothing
    does), by `memory_by`, a way of mct.targets.memory.
    """

    threads: Count
    affinity: tuple[Index, ...] = ()
    seed: int = 0
    limit_ms: Positive | None = None
    rounds: Count = 6
    block_s: Positive = 0.2
    max_seconds: Positive = 75.0
    rigorous: bool = False
    new_tokens: Count = NEW_TOKENS
    memory_mb: Index = 0
    memory_by: str = ""


def plan_bench(
    facts: Facts, threads: int = 0, limit_ms: float | None = None, seed: int = 0, rigorous: bool = False
) -> BenchPlan:
    """A plan for that machine. `threads` 0 means all that affinity and quota allow; more than that is refused."""
    usable = facts.machine.usable_threads
    if threads > usable:
        raise MctError(
            f"{threads} threads were asked for, but only {usable} can run at once there",
            "lower the target's threads, or raise the container's CPU quota",
        )
    return BenchPlan(
        threads=threads or usable,
        affinity=facts.choose_cpus(threads or usable),
        seed=seed,
        limit_ms=limit_ms,
        max_seconds=3600.0 if rigorous else BenchPlan.max_seconds,
        rigorous=rigorous,
    )


def block_size(start: Start, plan: BenchPlan) -> int:
    """Requests that take about `plan.block_s` in this process: slow and fast artifacts get like shares of time."""
    return min(BLOCK_MOST, max(BLOCK_LEAST, round(plan.block_s * 1e3 / max(start.typical_ms, 1e-3))))


def is_enough(blocks: Sequence[Block], plan: BenchPlan, subjects: int = 1) -> bool:
    """True when these answer the question, of one of so many subjects. What one look spends: see above.

    Whoever names the best of several divides the error by their number; a look that stops them has to do so, too.
    """
    processes = per_process_ms(blocks)
    if plan.rigorous:
        needed = load("mct.bench.statistics.percentiles:mlperf_query_count")(TAIL)
        return sum(map(len, processes)) >= int(needed)
    if plan.limit_ms is not None:
        decide_below = load("mct.bench.statistics.percentiles:decide_below")
        return bool(decide_below(processes, TAIL, plan.limit_ms, STOP_ERROR / INTERIM_LOOKS / subjects) != "undecided")
    estimate = load("mct.bench.statistics.percentiles:estimate_percentile")(processes, TAIL, CONFIDENCE)
    return estimate is not None and bool(estimate.high - estimate.low <= NARROW * estimate.value)
