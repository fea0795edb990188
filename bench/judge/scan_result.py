"""What a scan over one parameter shows: latency and throughput at each of its values, each with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import exp, log
from typing import Any

from mct.bench.judge.latency import summarise
from mct.bench.judge.noise import assess
from mct.bench.samples.measurement import Block, per_process_ms
from mct.bench.statistics.levels import CONFIDENCE
from mct.bench.statistics.percentiles import Estimate
from mct.bench.statistics.rounding import rounded
from mct.bench.statistics.student import student

MOST = 1e9
"""More requests a second than this are none: the interval of a rate that two processes do not tell."""


@dataclass(frozen=True)
class ScanRow:
    """One artifact at one value of the parameter. Times are those of one call, of `batch` requests, in milliseconds.

    So many `clients` call at once, each again as soon as it is answered.

    `per_s` is requests a second, the geometric mean over fresh processes, with its interval over them (Student's t of
    logarithms). P50 and P95 are None where there are too few calls for their intervals.
    """

    artifact: str
    parameter: str
    value: int
    threads: int
    batch: int
    processes: int
    calls: int
    p50: Estimate | None
    p95: Estimate | None
    per_s: float
    per_s_ci: tuple[float, float] | None
    reasons: tuple[str, ...]
    clients: int = 1

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        plain: dict[str, Any] = rounded(asdict(self), 5)
        return plain


def _rates(blocks: Sequence[Block], batch: int, clients: int) -> list[float]:
    """Requests a second of each process: of one client by the time of its calls, of several by the clock on the wall.

    Several clients do not all begin and end together, so what their calls took says less than the clock does.
    """
    if clients == 1:
        return [1e3 * batch * len(process) / float(process.sum()) for process in per_process_ms(blocks)]
    calls, walls = dict[int, int](), dict[int, float]()
    for block in blocks:
        calls[block.round] = calls.get(block.round, 0) + len(block.end_to_end_ns)
        walls[block.round] = walls.get(block.round, 0.0) + block.wall_s
    return [batch * calls[number] / walls[number] for number in calls]


def summarise_row(
    artifact: str, parameter: str, value: int, threads: int, batch: int, blocks: Sequence[Block], clients: int = 1
) -> ScanRow:
    """What these blocks, whose times are those of calls of `batch` requests by each of `clients` at once, show."""
    latency, stability = summarise(blocks), assess(blocks)
    rates = [log(each) for each in _rates(blocks, batch, clients)]
    low, high = student(rates, CONFIDENCE)
    return ScanRow(
        artifact=artifact,
        parameter=parameter,
        value=value,
        threads=threads,
        batch=batch,
        processes=len(rates),
        calls=sum(len(block.end_to_end_ns) for block in blocks),
        p50=None if latency is None else latency.p50,
        p95=None if latency is None else latency.p95,
        per_s=exp(sum(rates) / len(rates)),
        per_s_ci=None if high > log(MOST) else (exp(low), exp(high)),
        reasons=() if stability is None else stability.reasons,
        clients=clients,
    )
