"""Latency of one subject, computed from its raw blocks: percentiles with intervals, refused where n is too small."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mct.bench.samples.measurement import Block, per_process_ms
from mct.bench.statistics.levels import CONFIDENCE
from mct.bench.statistics.percentiles import Estimate, estimate_percentile


@dataclass(frozen=True)
class Latency:
    """Milliseconds per request. A percentile is None where too few requests carry it."""

    n: int
    blocks: int
    rounds: int
    mean_ms: float
    p50: Estimate | None
    p95: Estimate | None
    p99: Estimate | None

    def as_json(self) -> dict[str, Any]:
        """As result.schema.json has it."""
        return {
            "n": self.n,
            "effective_n": None if self.p95 is None else float(self.p95.effective_n),
            "blocks": self.blocks,
            "rounds": self.rounds,
            "confidence": CONFIDENCE,
            "mean_ms": _short(self.mean_ms),
            **_percentile("p50", self.p50),
            **_percentile("p95", self.p95),
            **_percentile("p99", self.p99),
        }


def summarise(blocks: Sequence[Block], model_only: bool = False) -> Latency | None:
    """End-to-end latency (or that of the runtime within it); None where nothing was timed."""
    processes = per_process_ms(blocks, model_only)
    if not processes:
        return None
    pooled = np.concatenate(processes)
    p50, p95, p99 = (estimate_percentile(processes, p, CONFIDENCE) for p in (0.50, 0.95, 0.99))
    return Latency(len(pooled), len(blocks), len(processes), float(pooled.mean()), p50, p95, p99)


def _percentile(name: str, estimate: Estimate | None) -> dict[str, Any]:
    if estimate is None:
        return {f"{name}_ms": None, f"{name}_ci_ms": None}
    return {f"{name}_ms": _short(estimate.value), f"{name}_ci_ms": [_short(estimate.low), _short(estimate.high)]}


def _short(milliseconds: float) -> float:
    return round(milliseconds, 5)
