"""What a run under load has shown: latency percentiles where the queue has a steady state, and its growth where not.

Whether there is a steady state is decided before any percentile is looked at: by the utilisation (rate times mean
service time, with its interval over fresh processes), by the length of the run against the queue's memory, and by
whether latency still climbed. Above capacity the latency of a request depends on how long one has been watching, so
there is no P95 to print; the P95 of each tenth of the run is kept instead, to show the climb.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import exp, inf, log
from typing import Any, Literal

import numpy as np

from mct.bench.judge.latency import summarise
from mct.bench.judge.noise import assess
from mct.bench.samples.measurement import Block
from mct.bench.statistics.levels import CONFIDENCE
from mct.bench.statistics.percentiles import Estimate, Floats, estimate_percentile, percentile
from mct.bench.statistics.queueing import relaxation, settling
from mct.bench.statistics.rounding import rounded
from mct.bench.statistics.student import student
from mct.bench.worker.open_loop import Segment

State = Literal["steady", "above capacity", "undecided"]
Interval = tuple[float, float]

TAIL = 0.95
PARTS = 10
MOST_LOG = 100.0
ENOUGH = 10
"""A segment must last this many relaxations of its queue before its latencies tell of a steady state."""
CLIMB_CONFIDENCE = 0.99
MOST_LATE = 0.05
"""Share of P95 by which the generator itself may be late, in 19 requests of 20, before its figures are refused."""


@dataclass(frozen=True)
class LoadResult:
    """One subject under Poisson arrivals at `offered_qps`. Milliseconds; percentiles are None without a steady state.

    `utilisation` is the share of time the one server is busy, the rate times the mean service time where that is
    above 1. `capacity_qps` is the rate that keeps it just busy. `late_ms` is P95 of what the generator itself was late.
    `climb` is the P95 of each tenth of the run in turn, mean of the processes. `closed` is the P95 that a closed
    loop saw of the same processes. `limit_ms` is the P95 budget, None where none was given. `stable` is False where
    the machine disturbed the run.
    """

    artifact: str
    offered_qps: float
    achieved_qps: float
    state: State
    reasons: tuple[str, ...]
    requests: int
    rounds: int
    utilisation: float
    utilisation_ci: Interval
    capacity_qps: float
    service_ms: float
    late_ms: float
    climb: tuple[float, ...]
    p50: Estimate | None
    p95: Estimate | None
    p99: Estimate | None
    closed: Estimate | None
    limit_ms: float | None
    stable: bool

    @property
    def outcome(self) -> str:
        """ "pass", "fail" or "inconclusive": above capacity fails, whatever the budget; an unsteady run cannot pass."""
        if self.state == "above capacity":
            return "fail"
        if self.p95 is None or (self.limit_ms is not None and self.p95.low <= self.limit_ms <= self.p95.high):
            return "inconclusive"
        if self.limit_ms is not None and self.p95.low > self.limit_ms:
            return "fail"
        return "pass" if self.stable else "inconclusive"

    def as_json(self) -> dict[str, Any]:
        """Plain values, rounded to what they can be trusted for."""
        plain: dict[str, Any] = rounded(asdict(self), 5)
        return plain | {"outcome": self.outcome}


@dataclass(frozen=True)
class Queue:
    """The arrays behind a result, one per process in order of arrival. `busy_ms` is what each request took the server.

    `late_ms` is how long after its time a request was begun though the server was free.
    """

    latency_ms: tuple[Floats, ...]
    busy_ms: tuple[Floats, ...]
    late_ms: tuple[Floats, ...]

    @property
    def variation(self) -> float:
        """Squared coefficient of variation of the busy times."""
        busy = np.concatenate(self.busy_ms)
        return float(busy.var() / busy.mean() ** 2)


def read_queue(segments: Sequence[Segment]) -> Queue:
    """The queue that these segments saw."""
    parts = [_read(segment) for segment in segments]
    latency, busy, late = zip(*parts, strict=True)
    return Queue(latency, busy, late)


def settled(queue: Queue, utilisation: float) -> list[Floats]:
    """Each segment's latencies in ms, without its beginning, when the queue was emptier than it is on average."""
    skip = [settling(utilisation, queue.variation, len(part) // 2) for part in queue.latency_ms]
    return [part[first:] for part, first in zip(queue.latency_ms, skip, strict=True)]


def measure_utilisation(qps: float, queues: Sequence[Queue]) -> tuple[float, Interval]:
    """Mean utilisation over processes, one queue each, and its interval.

    Student's t on logarithms: processes and moments differ by a factor, and no utilisation is below 0.
    """
    shares = [qps * float(np.concatenate(queue.busy_ms).mean()) / 1e3 for queue in queues]
    low, high = student([log(share) for share in shares], CONFIDENCE)
    return float(np.mean(shares)), (exp(low), exp(high) if high < MOST_LOG else inf)


def summarise_load(
    name: str, segments: Sequence[Segment], blocks: Sequence[Block], limit_ms: float | None = None
) -> LoadResult:
    """What one subject's segments (one per fresh process, all at one rate) and closed-loop blocks show."""
    queue, closed = read_queue(segments), summarise(blocks)
    qps = segments[0].qps
    utilisation, interval = measure_utilisation(qps, [read_queue([segment]) for segment in segments])
    memory = relaxation(utilisation, queue.variation)
    steady = settled(queue, utilisation)
    found = {p: estimate_percentile(steady, p) for p in (0.50, 0.95, 0.99)}
    state, reasons = _state(queue, interval, memory, found[TAIL])
    stability = assess(blocks)
    if state != "steady":
        found = dict.fromkeys(found)
    busy = np.concatenate(queue.busy_ms)
    return LoadResult(
        artifact=name,
        offered_qps=qps,
        achieved_qps=_achieved(segments),
        state=state,
        reasons=reasons + (() if stability is None else stability.reasons),
        requests=len(busy),
        rounds=len(segments),
        utilisation=utilisation,
        utilisation_ci=interval,
        capacity_qps=1e3 / float(busy.mean()),
        service_ms=float(busy.mean()),
        late_ms=percentile(np.concatenate(queue.late_ms), TAIL),
        climb=_climb(queue),
        p50=found[0.50],
        p95=found[0.95],
        p99=found[0.99],
        closed=None if closed is None else closed.p95,
        limit_ms=limit_ms,
        stable=stability is None or stability.ok,
    )


def _read(segment: Segment) -> tuple[Floats, Floats, Floats]:
    scheduled, started, ended = (
        np.asarray(values, dtype=np.float64) / 1e6
        for values in (segment.scheduled_ns, segment.started_ns, segment.ended_ns)
    )
    free = np.concatenate(([0.0], ended[:-1]))
    due = np.maximum(scheduled, free)
    late = np.where(scheduled >= free, started - scheduled, 0.0)
    return ended - scheduled, ended - due, late


def _achieved(segments: Sequence[Segment]) -> float:
    """Requests answered per second of the time it took to answer them."""
    seconds = sum(segment.ended_ns[-1] for segment in segments) / 1e9
    return sum(len(segment.ended_ns) for segment in segments) / seconds


def _climb(queue: Queue) -> tuple[float, ...]:
    tenths = [[percentile(part, TAIL) for part in np.array_split(latency, PARTS)] for latency in queue.latency_ms]
    return tuple(float(value) for value in np.mean(tenths, axis=0))


def _state(queue: Queue, utilisation: Interval, memory: float, p95: Estimate | None) -> tuple[State, tuple[str, ...]]:
    """Whether there is a steady state, and every reason not to believe in one."""
    low, high = utilisation
    if low > 1:
        return "above capacity", (f"requests come {low:.2f} to {high:.2f} times as fast as they can be served",)
    reasons = []
    if high >= 1:
        reasons.append(f"utilisation is {low:.2f} to {high:.2f}: it may be above capacity")
    if min(map(len, queue.latency_ms)) < ENOUGH * memory:
        reasons.append(f"the queue remembers about {memory:.0f} requests, too many for this run: give it more time")
    elif p95 is None:
        reasons.append("too few requests for an interval of P95: give it more time")
    if _still_climbs(queue):
        reasons.append("latency still climbed from the first half of the run to the second")
    late = percentile(np.concatenate(queue.late_ms), TAIL)
    if p95 is not None and late > MOST_LATE * p95.value:
        reasons.append(f"the load generator itself was up to {late:.2f} ms late: use a quieter machine")
    return ("undecided" if reasons else "steady"), tuple(reasons)


def _still_climbs(queue: Queue) -> bool:
    """True when the second half was slower than the first in the processes taken together, by more than one service.

    A noisy process or one long queue does that to a single process, so it is judged by the interval over them.
    """
    halves = [np.array_split(part, 2) for part in queue.latency_ms]
    rises = [float(np.mean(second) - np.mean(first)) for first, second in halves]
    low, _ = student(rises, CLIMB_CONFIDENCE)
    return low > float(np.concatenate(queue.busy_ms).mean())
