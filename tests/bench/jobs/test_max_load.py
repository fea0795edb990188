"""The search for the highest load, on simulated servers whose answer a formula gives."""

import json
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from math import log
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mct import MctError
from mct.bench.jobs.job import Job
from mct.bench.jobs.load import LoadRun
from mct.bench.jobs.max_load import find_max_load, next_rate, search
from mct.bench.judge.max_load import MaxLoad, Tried
from mct.bench.report.table import max_load_table
from mct.bench.samples.measurement import Block, Start
from mct.bench.statistics.queueing import serve
from mct.bench.worker.open_loop import Segment, Traffic, poisson_arrivals
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

    def serve(self, traffic: Traffic, position: int) -> Segment:
        scheduled = np.array(poisson_arrivals(traffic.qps, traffic.count, traffic.seed + 7919 * self.seed)) * 1e3
        takes = self.services(self.rng, traffic.count)
        ended = scheduled + serve(scheduled, takes)
        self.now_s[0] += float(ended[-1]) / 1e3
        arrays = (array("q", np.rint(times * 1e6).astype(int).tolist()) for times in (scheduled, ended - takes, ended))
        return Segment(0, position, traffic.qps, traffic.count, *arrays, cpu_s=0.0, stolen_s=0.0, waited_s=0.0)

    def close(self) -> None:
        self.now_s[0] += 0.1


def run_search(
    made_up: SimpleNamespace, folder: Path, services: Services, limit_ms: float | None, seconds: float = 5000.0
) -> LoadRun[MaxLoad]:
    """The search as users run it, an hour of traffic in a second."""
    data = folder / "data.jsonl"
    data.write_text('{"text": "where is my order", "label": "order"}\n')
    artifact = made_up.artifact(folder / "onnx-fp32")
    job = Job((artifact,), data, Target("cpu", "cpu", ""), results=folder, max_seconds=seconds)
    now_s = [0.0]
    return find_max_load(
        job, limit_ms, launch=lambda _, __, number: Simulated(made_up, services, number, now_s), clock=lambda: now_s[0]
    )


def find(made_up: SimpleNamespace, folder: Path, services: Services, limit_ms: float) -> MaxLoad:
    return run_search(made_up, folder, services, limit_ms).results[0]


@pytest.mark.parametrize("limit_ms", [8.0, 15.0, 40.0])
def test_the_rate_of_the_m_m_1_queue_is_found(made_up: SimpleNamespace, tmp_path: Path, limit_ms: float) -> None:
    """Time in an M/M/1 system is exponential of rate mu - lambda, so its P95 is ln 20 / (mu - lambda)."""
    truth = 1e3 * (1 / MEAN_MS - log(20) / limit_ms)
    found = find(made_up, tmp_path, exponential, limit_ms)
    assert found.misses_qps is not None
    assert found.meets_qps <= truth <= found.misses_qps
    assert found.misses_qps - found.meets_qps < 0.3 * truth


@pytest.mark.parametrize(("utilisation", "services"), [(0.5, 3.051), (0.7, 5.103), (0.8, 7.621)])
def test_the_rate_of_the_m_d_1_queue_is_found(
    made_up: SimpleNamespace, tmp_path: Path, utilisation: float, services: float
) -> None:
    """P95 in services by Erlang's formula (tests/bench/statistics/test_queueing.py), taken as the limit."""
    found = find(made_up, tmp_path, constant, MEAN_MS * services)
    truth = 1e3 * utilisation / MEAN_MS
    assert found.misses_qps is not None
    assert found.meets_qps <= truth <= found.misses_qps
    assert found.misses_qps - found.meets_qps < 0.15 * truth


def test_a_limit_that_no_load_meets_is_called_so(made_up: SimpleNamespace, tmp_path: Path) -> None:
    """Served alone, P95 of exponential services of 2 ms is 5.99 ms."""
    found = find(made_up, tmp_path, exponential, 3.0)
    assert (found.meets_qps, found.outcome) == (0.0, "fail")


def test_little_time_leaves_a_wide_gap_and_no_false_claim(made_up: SimpleNamespace, tmp_path: Path) -> None:
    found = run_search(made_up, tmp_path, exponential, 15.0, seconds=2.0).results[0]
    assert found.meets_qps <= 1e3 * (1 / MEAN_MS - log(20) / 15.0)
    assert found.misses_qps is None or found.misses_qps >= 1e3 * (1 / MEAN_MS - log(20) / 15.0)
    assert found.outcome in {"pass", "inconclusive"}


def test_every_rate_tried_is_kept_with_its_samples(
    made_up: SimpleNamespace, tmp_path: Path, read_records: Callable[[Path], list[dict[str, Any]]]
) -> None:
    run = run_search(made_up, tmp_path, constant, 8.0)
    stored = json.loads(run.path.read_text())
    assert stored["kind"] == "mct-max-load"
    assert stored["results"] == [run.results[0].as_json()]
    records = read_records(run.path.parent / stored["samples"])
    served = {record["qps"]: 0 for record in records if record["kind"] == "stretch"}
    for record in records:
        if record["kind"] == "stretch":
            served[record["qps"]] += len(record["ended_ns"])
    assert served == {each.qps: each.requests for each in run.results[0].tried}
    assert all(f"{each.qps:.1f} {each.answer}" in max_load_table(run.results) for each in run.results[0].tried)


def test_without_a_limit_there_is_nothing_to_search_for(made_up: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(MctError, match="no P95 limit"):
        run_search(made_up, tmp_path, constant, None)


def tried(qps: float, answer: str) -> Tried:
    return Tried(qps, answer, 1000, 0.5, None)  # type: ignore[arg-type]


def test_the_search_steps_as_worked_by_hand() -> None:
    """First a tenth below and above the guess, then the middle of the gap, or of its wider part beside what is open."""
    steps: list[Tried] = []
    for rate, answer in [(90.0, "meets"), (110.0, "open"), (155.0, "misses"), (132.5, "misses"), (121.25, "open")]:
        assert next_rate(steps, 100.0, 200.0) == pytest.approx(rate)
        steps.append(tried(rate, answer))
    assert next_rate(steps, 100.0, 200.0) == pytest.approx(100.0)
    assert next_rate([tried(97.0, "meets"), tried(100.0, "misses")], 100.0, 200.0) is None
    assert next_rate([tried(4.0, "misses")], 100.0, 200.0) is None
    assert next_rate([tried(4.0, "open"), tried(7.0, "misses")], 100.0, 200.0) is None, "never the same rate twice"


def test_the_search_ends_when_the_time_is_over() -> None:
    asked: list[float] = []

    def probe(rate: float) -> Tried:
        asked.append(rate)
        return tried(rate, "open")

    found = search(probe, 100.0, 200.0, lambda: len(asked) == 3)
    assert (found.meets_qps, found.misses_qps, len(found.tried)) == (0.0, None, 3)
