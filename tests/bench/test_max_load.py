"""The search for the highest load, on simulated servers whose answer a formula gives."""

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from math import log
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from mct.bench.job import Job
from mct.bench.max_load import MaxLoad, find_max_load
from mct.bench.measurement import Block, Start
from mct.bench.open_loop import Stretch, Traffic, poisson_arrivals
from mct.bench.queueing import serve
from mct.targets.target import Target

MEAN_MS = 2.0
Services = Callable[[np.random.Generator, int], NDArray[np.float64]]


def exponential(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    return rng.exponential(MEAN_MS, count)


def constant(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    return np.full(count, MEAN_MS)


@dataclass
class Simulated:
    """A server that answers on paper: its service times are drawn, its queue computed, and only its clock moves."""

    made_up: SimpleNamespace
    services: Services
    seed: int
    now_s: list[float] = field(default_factory=lambda: [0.0])

    def __post_init__(self) -> None:
        self.start: Start = self.made_up.start(typical_ms=MEAN_MS)
        self.rng = np.random.default_rng(self.seed)

    def run(self, count: int, cap_s: float, position: int) -> Block:
        block: Block = self.made_up.block(list(self.services(self.rng, count)), 0, position)
        return block

    def serve(self, traffic: Traffic, position: int) -> Stretch:
        scheduled = np.array(poisson_arrivals(traffic.qps, traffic.count, traffic.seed + 7919 * self.seed)) * 1e3
        takes = self.services(self.rng, traffic.count)
        ended = scheduled + serve(scheduled, takes)
        self.now_s[0] += float(ended[-1]) / 1e3
        arrays = (array("q", np.rint(times * 1e6).astype(int).tolist()) for times in (scheduled, ended - takes, ended))
        return Stretch(0, position, traffic.qps, traffic.count, *arrays, cpu_s=0.0, stolen_s=0.0, waited_s=0.0)

    def close(self) -> None:
        self.now_s[0] += 0.1


def find(made_up: SimpleNamespace, folder: Path, services: Services, limit_ms: float, seconds: float) -> MaxLoad:
    """The search as users run it, an hour of traffic in a second."""
    data = folder / "data.jsonl"
    data.write_text('{"text": "where is my order", "label": "order"}\n')
    job = Job(
        (made_up.artifact(folder / "onnx-fp32"),),
        data,
        Target("cpu", "cpu", ""),
        results=folder / "results",
        max_seconds=seconds,
    )
    now_s = [0.0]
    run = find_max_load(
        job, limit_ms, launch=lambda _, __, number: Simulated(made_up, services, number, now_s), clock=lambda: now_s[0]
    )
    return run.results[0]


@pytest.mark.parametrize("limit_ms", [8.0, 15.0, 40.0])
def test_the_rate_of_the_m_m_1_queue_is_found(made_up: SimpleNamespace, tmp_path: Path, limit_ms: float) -> None:
    """Time in an M/M/1 system is exponential of rate mu - lambda, so its P95 is ln 20 / (mu - lambda)."""
    truth = 1e3 * (1 / MEAN_MS - log(20) / limit_ms)
    found = find(made_up, tmp_path, exponential, limit_ms, 5000.0)
    assert found.misses_qps is not None
    assert found.meets_qps <= truth <= found.misses_qps
    assert found.misses_qps - found.meets_qps < 0.2 * truth
