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
from mct.bench.jobs.max_load import find_max_load, process_count
from mct.bench.judge.max_load import MaxLoad
from mct.bench.report.table import max_load_table
from mct.bench.samples.measurement import Block, Start
from mct.bench.samples.subject import Subject
from mct.bench.transport.site import Setting
from mct.bench.worker.open_loop import Segment, Traffic
from mct.targets.target import Target

MEAN_MS = 2.0
Services = Callable[[np.random.Generator, int], NDArray[np.float64]]


def exponential(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    return rng.exponential(MEAN_MS, count)


def constant(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    return np.full(count, MEAN_MS)


def tailed(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """One request in fifty takes eight times as long."""
    return MEAN_MS / 1.14 * np.where(rng.random(count) < 0.02, 8.0, 1.0)


@dataclass
class Simulated:
    """A server that answers on paper, one request after the other: what it does is told here alone.

    Its process is slower than the typical one by the factor `pace`. Only its clock moves.
    """

    made_up: SimpleNamespace
    services: Services
    seed: int
    pace: float = 1.0
    now_s: list[float] = field(default_factory=lambda: [0.0])

    def __post_init__(self) -> None:
        self.start: Start = self.made_up.start(typical_ms=MEAN_MS)
        self.rng = np.random.default_rng(self.seed)

    def run(self, count: int, cap_s: float, position: int) -> Block:
        block: Block = self.made_up.block(list(self.pace * self.services(self.rng, count)), self.seed % 100, position)
        return block

    def serve(self, traffic: Traffic, position: int) -> Segment:
        arrivals = np.cumsum(self.rng.exponential(1e3 / traffic.qps, traffic.count)).tolist()
        free, started, ended = 0.0, [], []
        for arrival, takes in zip(arrivals, self.pace * self.services(self.rng, traffic.count), strict=True):
            started.append(max(free, arrival))
            free = started[-1] + takes
            ended.append(free)
        self.now_s[0] += ended[-1] / 1e3
        arrays = (array("q", [round(time * 1e6) for time in times]) for times in (arrivals, started, ended))
        return Segment(0, position, traffic.qps, traffic.count, *arrays, cpu_s=0.0, stolen_s=0.0, waited_s=0.0)

    def close(self) -> None:
        self.now_s[0] += 0.1


def run_search(
    made_up: SimpleNamespace,
    folder: Path,
    services: Services,
    limit_ms: float | None,
    seconds: float = 120.0,
    seed: int = 0,
    spread: float = 0.0,
    server: type[Simulated] = Simulated,
) -> LoadRun[MaxLoad]:
    """The search as users run it, minutes of traffic in a second. Processes differ by `spread`, on log scale."""
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "data.jsonl"
    data.write_text('{"text": "where is my order", "label": "order"}\n')
    artifact = folder / "onnx-fp32"
    if not artifact.is_dir():
        made_up.artifact(artifact)
    job = Job((artifact,), data, Target("cpu", "cpu", ""), results=folder, max_seconds=seconds)
    now_s = [0.0]
    paces = np.exp(spread * np.random.default_rng(1000 + seed).standard_normal(50))

    def launch(subject: Subject, setting: Setting, number: int) -> Simulated:
        return server(made_up, services, 100 * seed + number, float(paces[number]), now_s)

    return find_max_load(job, limit_ms, launch=launch, clock=lambda: now_s[0])


def find(made_up: SimpleNamespace, folder: Path, services: Services, limit_ms: float) -> MaxLoad:
    return run_search(made_up, folder, services, limit_ms).results[0]


def is_bracket(found: MaxLoad, truth: float) -> bool:
    """Whether the truth lies within the bracket, and nothing is claimed on either side of it that is wrong."""
    return found.meets_qps <= truth and (found.misses_qps is None or truth <= found.misses_qps)


def width(found: MaxLoad) -> float:
    """How far the bracket reaches, as a share of the rate found, to its farther side."""
    assert found.qps is not None and found.misses_qps is not None
    return max(1 - found.meets_qps / found.qps, found.misses_qps / found.qps - 1)


@pytest.mark.parametrize("limit_ms", [12.0, 20.0, 40.0])
def test_the_rate_of_the_m_m_1_queue_is_found_within_fifteen_per_cent(
    made_up: SimpleNamespace, tmp_path: Path, limit_ms: float
) -> None:
    """Time in an M/M/1 system is exponential of rate mu - lambda, so its P95 is ln 20 / (mu - lambda)."""
    found = find(made_up, tmp_path, exponential, limit_ms)
    assert is_bracket(found, 1e3 * (1 / MEAN_MS - log(20) / limit_ms))
    assert width(found) < 0.15


@pytest.mark.parametrize(("utilisation", "services"), [(0.5, 3.051), (0.7, 5.103), (0.8, 7.621)])
def test_the_rate_of_the_m_d_1_queue_is_found(
    made_up: SimpleNamespace, tmp_path: Path, utilisation: float, services: float
) -> None:
    """P95 in services by Erlang's formula (tests/bench/statistics/test_queueing.py), taken as the limit."""
    found = find(made_up, tmp_path, constant, MEAN_MS * services)
    assert is_bracket(found, 1e3 * utilisation / MEAN_MS)
    assert width(found) < 0.10


@pytest.mark.parametrize("spread", [0.0, 0.1])
def test_the_bracket_holds_search_after_search(made_up: SimpleNamespace, tmp_path: Path, spread: float) -> None:
    """Of 12 searches the bracket may miss the truth in one or two (5 % each); the seeds are fixed.

    The typical process has pace 1. Others meet the limit at mu / pace - ln 20 / limit, of which the mean of logarithms
    is worked out over the paces.
    """
    draws = np.exp(spread * np.random.default_rng(9).standard_normal(20_000))
    truth = float(np.exp(np.log(1e3 * (1 / MEAN_MS / draws - log(20) / 15.0)).mean()))
    found = [
        run_search(made_up, tmp_path, exponential, 15.0, seconds=40.0, seed=seed, spread=spread).results[0]
        for seed in range(1, 13)
    ]
    assert sum(not is_bracket(each, truth) for each in found) <= 2


def test_a_limit_that_no_load_meets_is_called_so(made_up: SimpleNamespace, tmp_path: Path) -> None:
    """Served alone, P95 of exponential services of 2 ms is 5.99 ms."""
    found = find(made_up, tmp_path, exponential, 3.0)
    assert (found.meets_qps, found.qps, found.outcome) == (0.0, None, "fail")


def test_little_time_makes_no_false_claim(made_up: SimpleNamespace, tmp_path: Path) -> None:
    found = run_search(made_up, tmp_path, exponential, 15.0, seconds=2.0).results[0]
    assert is_bracket(found, 1e3 * (1 / MEAN_MS - log(20) / 15.0))
    assert found.outcome in {"pass", "inconclusive"}


def test_the_first_guess_may_be_far_off(made_up: SimpleNamespace, tmp_path: Path) -> None:
    """A closed loop that never meets the slow requests promises too much; what was served far off is left out."""

    class Flattered(Simulated):
        def run(self, count: int, cap_s: float, position: int) -> Block:
            block: Block = self.made_up.block([MEAN_MS / 2] * count, 0, position)
            return block

    truth = 1e3 * (1 / MEAN_MS - log(20) / 20.0)
    found = run_search(made_up, tmp_path, exponential, 20.0, server=Flattered).results[0]
    assert found.tried[0].qps > 1.5 * truth
    assert is_bracket(found, truth)
    assert width(found) < 0.15


def test_every_rate_tried_is_kept_with_its_samples(
    made_up: SimpleNamespace, tmp_path: Path, read_records: Callable[[Path], list[dict[str, Any]]]
) -> None:
    run = run_search(made_up, tmp_path, constant, 8.0)
    stored = json.loads(run.path.read_text())
    assert stored["kind"] == "mct-max-load"
    assert stored["results"] == [run.results[0].as_json()]
    records = read_records(run.path.parent / stored["samples"])
    served = [(record["qps"], len(record["ended_ns"])) for record in records if record["kind"] == "stretch"]
    assert served == [(each.qps, each.requests) for each in run.results[0].tried]
    assert all(f"{each.qps:.1f} {each.answer}" in max_load_table(run.results) for each in run.results[0].tried)


def test_without_a_limit_there_is_nothing_to_search_for(made_up: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(MctError, match="no P95 limit"):
        run_search(made_up, tmp_path, constant, None)


def test_time_is_shared_out_among_as_many_processes_as_are_worth_it() -> None:
    assert [process_count(seconds) for seconds in (2, 60, 100, 180, 3600)] == [4, 5, 8, 12, 12]
