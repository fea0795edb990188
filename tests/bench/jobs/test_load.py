"""Open-loop traffic for real: the worker keeps its schedule, and what is due while it is busy waits and is counted.

A busy machine makes requests late and slow, never early or few: what is asserted of times is their order and least.
"""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mct import MctError
from mct.bench.jobs.job import Job
from mct.bench.jobs.load import plan_traffic, run_load
from mct.bench.measure.launch import Worker, start_worker
from mct.bench.measure.sampling import BenchPlan
from mct.bench.samples.subject import identify
from mct.bench.store.store import begin_load
from mct.bench.transport.site import Setting
from mct.bench.worker.facts import facts_here
from mct.bench.worker.open_loop import Traffic, poisson_arrivals, serve_traffic
from mct.models.tasks.datasets import Dataset, read_examples
from mct.models.tasks.examples import Example
from mct.targets.target import Target

ReadRecords = Callable[[Path], list[dict[str, Any]]]


@pytest.fixture
def worker(tiny_artifact: Path, dataset: Dataset) -> Iterator[Worker]:
    found = start_worker(
        identify(tiny_artifact), Setting(read_examples(dataset, "sequence-classification", ()), 1, (), 3), 0
    )
    yield found
    found.close()


@pytest.fixture
def job(tiny_artifact: Path, dataset: Dataset, tmp_path: Path) -> Job:
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in dataset.rows))
    target = Target("one", "cpu", "", threads=1)
    return Job((tiny_artifact,), data, target, results=tmp_path / "results", max_seconds=4.0, rounds=3, block_s=0.05)


def test_no_request_is_begun_before_its_time_and_none_overlap() -> None:
    arrivals = poisson_arrivals(400.0, 80, seed=1)
    times = serve_traffic(lambda text: time.sleep(0.001), ["order"] * 80, arrivals, cap_s=10.0)
    assert times.scheduled_ns.tolist() == [round(arrival * 1e9) for arrival in arrivals]
    assert all(due <= began < done for due, began, done in zip(*times, strict=True))
    assert all(began >= done for began, done in zip(times.started_ns[1:], times.ended_ns, strict=False))


def test_a_stall_is_felt_by_every_request_that_was_due_in_it() -> None:
    """One request takes 50 ms, one is due every 5 ms: a closed loop would count one slow request, here ten waited."""
    pauses = iter([0.05] + [0.0] * 19)
    arrivals = [0.005 * number for number in range(20)]
    times = serve_traffic(lambda text: time.sleep(next(pauses)), ["order"] * 20, arrivals, cap_s=10.0)
    latency_ms = (np.array(times.ended_ns) - np.array(times.scheduled_ns)) / 1e6
    assert np.sum(latency_ms > 4) >= 9
    assert latency_ms[5] >= 25


def test_traffic_is_cut_off_at_its_cap() -> None:
    times = serve_traffic(lambda text: time.sleep(0.01), ["order"] * 1000, [0.0] * 1000, cap_s=0.05)
    assert 1 <= len(times.ended_ns) <= 6
    assert len(times.scheduled_ns) == len(times.started_ns) == len(times.ended_ns)


def test_a_worker_serves_traffic_at_the_rate_asked_for(worker: Worker) -> None:
    segment = worker.serve(Traffic(qps=200.0, count=100, seed=5, cap_s=9.0), position=4)
    assert (segment.round, segment.position, segment.asked) == (0, 4, 100)
    assert segment.scheduled_ns.tolist() == [round(each * 1e9) for each in poisson_arrivals(200.0, 100, 5)]
    assert all(due <= began < done for due, began, done in zip(*_arrays(segment), strict=True))
    assert segment.cpu_s < 0.9 * segment.ended_ns[-1] / 1e9, "it sleeps between arrivals"
    assert worker.run(20, 9.0, 5).end_to_end_ns, "and goes back to closed blocks"


def test_a_load_run_shows_both_loops_and_keeps_every_request(job: Job, read_records: ReadRecords) -> None:
    run = run_load(job, 100.0)
    (result,) = run.results
    assert (result.artifact, result.offered_qps, result.rounds) == ("onnx-fp32", 100.0, 3)
    stored = json.loads(run.path.read_text())
    assert (stored["kind"], stored["results"]) == ("mct-load", [result.as_json()])
    assert stored["environments"]["onnx-fp32"]["fingerprint"]
    records = read_records(run.path.parent / stored["samples"])
    assert [record["kind"] for record in records] == ["block", "stretch", "block"] * 3
    served = [record for record in records if record["kind"] == "stretch"]
    assert sum(len(record["ended_ns"]) for record in served) == result.requests
    took_s = sum(record["ended_ns"][-1] for record in served) / 1e9
    assert result.achieved_qps == pytest.approx(result.requests / took_s, rel=0.01)
    assert result.utilisation > 0


def test_what_a_killed_run_leaves_can_be_read(
    dataset: Dataset, made_up: SimpleNamespace, tmp_path: Path, read_records: ReadRecords
) -> None:
    recording = begin_load(tmp_path, "mct-load", [made_up.subject()], dataset, BenchPlan(1), facts_here())
    for position in range(3):
        recording.keep("onnx-int8", made_up.block([1.0, 2.0, 3.0], position=position))
    whole = recording.samples.read_bytes()
    for cut in (1, 30):
        recording.samples.write_bytes(whole[:-cut])
        assert [record["position"] for record in read_records(recording.samples)][:2] == [0, 1]
    assert not list(recording.folder.glob("*.json"))


def test_far_above_capacity_it_says_so(job: Job) -> None:
    (result,) = run_load(job, 1e6).results
    assert (result.state, result.p95, result.outcome) == ("above capacity", None, "fail")
    assert result.climb[-1] > result.climb[0]
    assert result.achieved_qps < 1e6


def test_a_subject_that_cannot_run_is_an_error_with_its_name(job: Job, tiny_artifact: Path) -> None:
    def die(*_: object) -> Worker:
        (tiny_artifact / "onnx" / "model.onnx").write_bytes(b"not a model")
        return start_worker(identify_before, Setting((Example("order", "order", "order", ""),), 1, (), 0), 1)

    identify_before = identify(tiny_artifact)
    with pytest.raises(MctError, match="onnx-fp32 could not be run: onnxruntime cannot open"):
        run_load(job, 10.0, launch=die)


def test_busier_traffic_is_watched_longer_within_the_time(made_up: SimpleNamespace) -> None:
    """Requests of 2 ms; at 400 a second the queue remembers 0.8 / 2 / (1 - sqrt(0.8))^2 = 35.9 requests."""
    blocks = [made_up.block([2.0] * 100)]
    assert plan_traffic(50.0, blocks, 100.0, 0).count == 500
    assert plan_traffic(400.0, blocks, 100.0, 0).count == 5383
    assert plan_traffic(400.0, blocks, 5.0, 0).count == 2000
    assert plan_traffic(5000.0, blocks, 2.0, 7) == Traffic(5000.0, 500, 7, 3.0)


def test_the_command_line_takes_a_load(run_mct: Callable[..., CompletedProcess[str]], job: Job, tmp_path: Path) -> None:
    common = ("bench", job.paths[0], "--data", job.data, "--results", tmp_path / "store", "--max-seconds", 2)
    done = run_mct(*common, "--load", 1_000_000, "--json", tmp_path / "load.json")
    assert done.returncode == 1, done.stderr
    assert "none: above capacity" in done.stdout
    assert json.loads((tmp_path / "load.json").read_text())["kind"] == "mct-load"
    refused = run_mct(*common, "--find-max-load")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "hint: name a budget" in refused.stderr


def _arrays(segment: object) -> list[list[int]]:
    return [list(getattr(segment, name)) for name in ("scheduled_ns", "started_ns", "ended_ns")]
