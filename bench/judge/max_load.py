"""The highest load that still meets the P95 budget, as a search found it: a rate, its bracket, and all that was served.

Nothing is decided on the way and nothing stops early, so that the interval at the end may spend all of the error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from mct.bench.judge.load_result import read_queue
from mct.bench.statistics.highest_rate import FEWEST_PROCESSES, HighestRate, Trace, highest_rate, likely_rate
from mct.bench.statistics.percentiles import estimate_percentile, percentile
from mct.bench.statistics.rounding import rounded
from mct.bench.worker.open_loop import Segment

Answer = Literal["meets", "misses", "open"]

TAIL = 0.95
NEAR = 0.25
"""How far, as a share, a rate that was served may be from the one found: a server that idles more may serve slower."""


@dataclass(frozen=True)
class Tried:
    """What one process was served: the rate, on which side of the bracket it lies, requests, utilisation and P95 seen.

    `p95_ms` is the point, no evidence.
    """

    qps: float
    answer: Answer
    requests: int
    utilisation: float
    p95_ms: float | None


@dataclass(frozen=True)
class MaxLoad:
    """The outcome for one subject: the highest load that keeps P95 below `limit_ms`, for the typical fresh process.

    It is `qps`, and lies between `meets_qps` and `misses_qps` (95 % interval). `qps` None: no load was shown to meet
    the limit; `meets_qps` is 0 then, and `misses_qps` the lowest rate looked at where even that was shown to miss, else
    None. `each_qps` are the processes' own. `capacity_qps` is what a closed loop gets through. `reasons` say why the
    bracket is not to be believed, or the machine too unsteady for it to be repeated.
    """

    artifact: str
    limit_ms: float
    capacity_qps: float
    qps: float | None
    meets_qps: float
    misses_qps: float | None
    each_qps: tuple[float, ...]
    tried: tuple[Tried, ...]
    reasons: tuple[str, ...] = ()

    @property
    def outcome(self) -> str:
        """ "pass" where some load meets the limit, "fail" where not even the lowest does; unsteady runs cannot pass."""
        if self.meets_qps > 0:
            return "inconclusive" if self.reasons else "pass"
        return "fail" if self.misses_qps is not None else "inconclusive"

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        plain: dict[str, Any] = rounded(asdict(self), 4)
        return plain | {"outcome": self.outcome}


def summarise_max_load(
    name: str, segments: Sequence[Segment], capacity_qps: float, limit_ms: float, reasons: Sequence[str] = ()
) -> MaxLoad:
    """What the segments, one of each fresh process in the order they were served, say of the highest load."""
    alone = estimate_percentile([read_queue([segment]).busy_ms[0] for segment in segments], TAIL)
    lowest = min(segment.qps for segment in segments)
    if alone is not None and alone.low >= limit_ms:
        tried = _tried(segments, 0.0, lowest)
        return MaxLoad(name, limit_ms, capacity_qps, None, 0.0, lowest, (), tried, tuple(reasons))
    found = None if alone is None or alone.value >= limit_ms else _found(segments, limit_ms)
    if found is None or not found.enough:
        said = ("too little traffic near the limit for an interval: give it more time", *reasons)
        return MaxLoad(name, limit_ms, capacity_qps, None, 0.0, None, (), _tried(segments, 0.0, None), said)
    tried = _tried(segments, found.low, found.high)
    said = tuple(reasons)
    return MaxLoad(name, limit_ms, capacity_qps, found.value, found.low, found.high, found.each, tried, said)


def current_rate(segments: Sequence[Segment], limit_ms: float) -> float | None:
    """The best guess at the highest load by now, where another process is best served; None before there is any."""
    return likely_rate(_traces(segments), limit_ms / 1e3, TAIL) if segments else None


def _found(segments: Sequence[Segment], limit_ms: float) -> HighestRate | None:
    """The rate that all segments tell, then what those tell that were served near it."""
    rate = current_rate(segments, limit_ms)
    if rate is None:
        return None
    near = [segment for segment in segments if abs(segment.qps / rate - 1) <= NEAR]
    return highest_rate(_traces(near), limit_ms / 1e3, TAIL) if len(near) >= FEWEST_PROCESSES else None


def _traces(segments: Sequence[Segment]) -> list[Trace]:
    return [
        Trace(
            gaps=np.diff(np.asarray(segment.scheduled_ns, dtype=np.float64), prepend=0.0) / 1e9 * segment.qps,
            services=read_queue([segment]).busy_ms[0] / 1e3,
        )
        for segment in segments
    ]


def _tried(segments: Sequence[Segment], meets_qps: float, misses_qps: float | None) -> tuple[Tried, ...]:
    found = []
    for segment in segments:
        queue = read_queue([segment])
        answer: Answer = "meets" if segment.qps <= meets_qps else "open"
        if misses_qps is not None and segment.qps >= misses_qps:
            answer = "misses"
        utilisation = segment.qps * float(queue.busy_ms[0].mean()) / 1e3
        p95_ms = percentile(queue.latency_ms[0], TAIL) if utilisation < 1 else None
        found.append(Tried(segment.qps, answer, len(queue.latency_ms[0]), utilisation, p95_ms))
    return tuple(found)
