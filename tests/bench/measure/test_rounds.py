"""The coordinator's loop, with runners that only pretend, on a clock that only they move."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mct import MctError
from mct.bench.judge.latency import summarise
from mct.bench.measure.launch import WorkerDied
from mct.bench.measure.rounds import Instruments, measure
from mct.bench.measure.sampling import BLOCK_LEAST, BenchPlan
from mct.bench.samples.measurement import Answers, Block, Failure, Start
from mct.bench.samples.subject import Subject, identify, identify_all
from mct.bench.transport.site import Setting
from mct.models.progress import Report
from mct.models.tasks.datasets import Dataset


@dataclass
class Stage:
    """Pretended runners: `median_ms` by subject; a subject in `dies` fails from its n-th call on.

    Its first call is the one for its answers.
    """

    made_up: SimpleNamespace
    median_ms: dict[str, float]
    dies: dict[str, int] = field(default_factory=dict)
    now: float = 0.0
    log: list[str] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)
    open: int = 0

    def start(self, subject: Subject, setting: Setting, round_number: int) -> "Pretender":
        self.step(subject.name, f"start {subject.name}", 1.0)
        self.open += 1
        return Pretender(self, subject.name, self.made_up.start(round_number, self.median_ms[subject.name]))

    def step(self, name: str, what: str, seconds: float) -> None:
        self.calls[name] = self.calls.get(name, 0) + 1
        if self.calls[name] >= self.dies.get(name, 10**9):
            raise WorkerDied(Failure(f"{name} died"))
        self.log.append(what)
        self.now += seconds

    def collect(self, subjects: Sequence[Subject], setting: Setting, report: Report) -> list[Answers | Failure]:
        found: list[Answers | Failure] = []
        for number, subject in enumerate(subjects):
            report(f"answers of {subject.name}", number / len(subjects))
            try:
                self.step(subject.name, f"answers {subject.name}", 2.0)
            except WorkerDied as death:
                found.append(death.failure)
            else:
                rows = len(setting.examples)
                found.append(Answers(("order",) * rows, tuple(range(rows))))
        return found

    def instruments(self, keep: Callable[[dict[str, Any]], None] = lambda record: None) -> Instruments:
        return Instruments(self.start, self.collect, lambda: self.now, keep)


@dataclass
class Pretender:
    stage: Stage
    name: str
    start: Start

    def run(self, count: int, cap_s: float, position: int) -> Block:
        rng = np.random.default_rng(position)
        times = self.stage.median_ms[self.name] * np.exp(0.2 * rng.standard_normal(count))
        times = times[: 1 + np.searchsorted(times.cumsum(), cap_s * 1e3)]
        self.stage.step(self.name, self.name, float(times.sum()) / 1e3)
        block: Block = self.stage.made_up.block(list(times), self.start.round, position)
        return block

    def close(self) -> None:
        self.stage.open -= 1


def _plan(**changes: Any) -> BenchPlan:
    return BenchPlan(**{"threads": 1, "limit_ms": 15.0, "rounds": 2, "block_s": 0.3, **changes})


@pytest.fixture
def pair(made_up: SimpleNamespace) -> tuple[Subject, Subject]:
    return made_up.subject("A"), made_up.subject("B")


def test_fresh_processes_take_turns_each_first_as_often_as_the_other(
    made_up: SimpleNamespace, pair: tuple[Subject, Subject], dataset: Dataset
) -> None:
    stage = Stage(made_up, {"A": 1.0, "B": 1.2})
    first, second = measure(pair, dataset, _plan(rounds=3), instruments=stage.instruments())
    begun = ["start A", "start B"]
    assert stage.log[:2] == ["answers A", "answers B"]
    assert (stage.log[2:4], stage.log[8:10]) == (begun, begun)
    for round_ in (stage.log[4:8], stage.log[10:14]):
        assert round_ in (["A", "B", "B", "A"], ["B", "A", "A", "B"])
    assert stage.open == 0
    assert (first.rounds, first.requests) == (3, 6 * 300)
    assert (second.rounds, second.requests) == (3, 6 * 250)
    assert sorted(block.position for each in (first, second) for block in each.blocks) == list(range(12))


def test_answers_are_there_before_anything_is_timed_and_cost_no_timing(
    made_up: SimpleNamespace, pair: tuple[Subject, Subject], dataset: Dataset
) -> None:
    stage = Stage(made_up, {"A": 1.0, "B": 1.0})
    kept: list[dict[str, Any]] = []
    first, _ = measure(pair, dataset, _plan(max_seconds=4.5), instruments=stage.instruments(kept.append))
    assert [record["kind"] for record in kept[:4]] == ["answers", "answers", "start", "start"]
    assert first.answers == Answers(("order",) * 60, tuple(range(60)))
    assert first.truth == tuple(dataset.column("label"))
    assert first.rounds == 2, "4 s of answers would have left no time for a second round"


def test_only_the_undecided_go_on_and_only_until_the_cap(
    made_up: SimpleNamespace, pair: tuple[Subject, Subject], dataset: Dataset
) -> None:
    """P95 of B is at the limit, 1.39 * 10.8 ms; that of A is far below it."""
    stage = Stage(made_up, {"A": 1.0, "B": 15.0 / 1.39})
    first, second = measure(pair, dataset, _plan(rounds=3, max_seconds=30.0), instruments=stage.instruments())
    assert (len(first.blocks), len(second.blocks)) == (2 * first.rounds, 2 * second.rounds)
    assert first.rounds == 3
    assert second.rounds > 10  # more fresh processes for B alone
    assert 4.0 + 30.0 <= stage.now < 4.0 + 35.0


def test_a_slow_model_has_a_p95_too(made_up: SimpleNamespace, dataset: Dataset) -> None:
    """A block of the fewest requests takes many times the usual length, and is not cut off for that."""
    stage = Stage(made_up, {"A": 500.0})
    (found,) = measure(
        [made_up.subject("A")], dataset, _plan(block_s=0.2, limit_ms=2e3), instruments=stage.instruments()
    )
    assert {len(block.end_to_end_ns) for block in found.blocks} == {BLOCK_LEAST}
    latency = summarise(found.blocks)
    assert latency is not None
    assert latency.p95 is not None


def test_a_rigorous_run_ends_with_mlperfs_count(made_up: SimpleNamespace, dataset: Dataset) -> None:
    """Which at 10 ms takes more processes than there are looks."""
    stage = Stage(made_up, {"A": 10.0})
    plan = _plan(block_s=5.0, rigorous=True, max_seconds=3600.0)
    (found,) = measure([made_up.subject("A")], dataset, plan, instruments=stage.instruments())
    assert 50_425 <= found.requests <= 50_425 + 2 * 500


def test_a_dead_worker_is_its_own_failure(
    made_up: SimpleNamespace, pair: tuple[Subject, Subject], dataset: Dataset
) -> None:
    stage = Stage(made_up, {"A": 1.0, "B": 1.0}, dies={"A": 4})
    kept: list[dict[str, Any]] = []
    first, second = measure(pair, dataset, _plan(rounds=3), instruments=stage.instruments(kept.append))
    assert first.failure == Failure("A died")
    assert (len(first.blocks), len(first.starts), first.answers is None) == (1, 1, False)
    assert (second.failure, len(second.blocks)) == (None, 6)
    assert second.answers is not None
    assert stage.open == 0
    assert [record["kind"] for record in kept if record["subject"] == "A"] == ["answers", "start", "block", "failure"]


def test_who_is_barred_fails_and_is_never_started(
    made_up: SimpleNamespace, pair: tuple[Subject, Subject], dataset: Dataset
) -> None:
    stage, kept, why = Stage(made_up, {"A": 1.0, "B": 1.0}), [], Failure("the box has no openvino")
    instruments = stage.instruments(kept.append)
    first, second = measure(pair, dataset, _plan(), instruments=instruments, barred={"A": why})
    assert (first.failure, first.starts, first.answers) == (why, (), None)
    assert second.failure is None and second.blocks and "A" not in stage.calls
    assert [record["kind"] for record in kept if record["subject"] == "A"] == ["failure"]


def test_a_worker_that_cannot_start_is_not_started_again(
    made_up: SimpleNamespace, pair: tuple[Subject, Subject], dataset: Dataset
) -> None:
    stage = Stage(made_up, {"A": 1.0, "B": 1.0}, dies={"B": 1})
    _, second = measure(pair, dataset, _plan(), instruments=stage.instruments())
    assert second.failure == Failure("B died")
    assert stage.calls["B"] == 1


def test_workers_are_closed_when_the_user_interrupts(
    made_up: SimpleNamespace, pair: tuple[Subject, Subject], dataset: Dataset
) -> None:
    stage = Stage(made_up, {"A": 1.0, "B": 1.0})

    def interrupt(record: dict[str, Any]) -> None:
        if record["kind"] == "block":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(pair, dataset, _plan(), instruments=stage.instruments(interrupt))
    assert stage.open == 0


def test_progress_never_goes_back_and_ends_at_one(
    made_up: SimpleNamespace, pair: tuple[Subject, Subject], dataset: Dataset
) -> None:
    shares: list[float] = []
    stage = Stage(made_up, {"A": 1.0, "B": 15.0 / 1.39})
    report = lambda stage_name, share: shares.append(share)  # noqa: E731
    measure(pair, dataset, _plan(max_seconds=20.0), report, stage.instruments())
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert shares[0] < 0.1


def test_a_label_the_model_does_not_know_stops_before_anything_starts(
    made_up: SimpleNamespace, dataset: Dataset
) -> None:
    stage = Stage(made_up, {"A": 1.0})
    with pytest.raises(MctError, match="'human'"):
        measure([made_up.subject("A", labels=("order", "returns"))], dataset, _plan(), instruments=stage.instruments())
    assert stage.log == []


def test_real_workers_one_of_them_broken(made_up: SimpleNamespace, tmp_path: Path, dataset: Dataset) -> None:
    good, bad = made_up.artifact(tmp_path / "good"), made_up.artifact(tmp_path / "bad")
    subjects = identify_all([good, bad])
    (bad / "onnx" / "model.onnx").write_bytes(b"truncated since it was verified")
    plan = BenchPlan(threads=1, limit_ms=1000.0, rounds=3, block_s=0.05, max_seconds=10.0)
    first, second = measure(subjects, dataset, plan)
    assert first.failure is None
    assert first.answers is not None
    assert first.answers.values == first.truth
    assert first.rounds >= 3
    assert second.failure is not None
    assert "onnxruntime cannot open" in second.failure.message
    assert identify(good).digest == first.subject.digest


def test_no_artifact_always_follows_the_same_other(made_up: SimpleNamespace, dataset: Dataset) -> None:
    """In A B C C B A, B always follows A or C, and A never stands in the middle."""
    stage = Stage(made_up, dict.fromkeys("ABCD", 1.0))
    subjects = [made_up.subject(name) for name in "ABCD"]
    measure(subjects, dataset, _plan(rounds=2, max_seconds=60.0), instruments=stage.instruments())
    timed = [entry for entry in stage.log if entry in set("ABCD")]
    sweeps = [timed[start : start + 4] for start in range(0, 16, 4)]
    assert all(sorted(sweep) == list("ABCD") for sweep in sweeps)
    assert all(sorted(place) == list("ABCD") for place in zip(*sweeps, strict=True))
    assert len({pair for sweep in sweeps for pair in pairwise(sweep)}) == 12
