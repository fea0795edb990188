"""The loop of `mct compare`, with sides that answer at once and a clock that is told what time it is."""

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mct import MctError
from mct.bench.judge.compare import Limits, compare, markdown
from mct.bench.measure.launch import WorkerDied
from mct.bench.measure.pairs import FEWEST_CYCLES, PAIRS, TURN_LEAST, Arm, PairPlan, measure_pair
from mct.bench.samples.measurement import Answers, Block, Failure, Measurement, Start
from mct.bench.samples.subject import Subject
from mct.bench.statistics.ratio import FEWEST_ROUNDS
from mct.bench.transport.site import Setting
from mct.models.progress import Report
from mct.models.tasks.datasets import Dataset
from mct.targets.runtimes.table import Executable

ROWS = tuple({"text": f"text {number}", "label": "a"} for number in range(400))
DATA = Dataset("rows", ROWS, "0" * 64)


def arm(name: str, **changes: Any) -> Arm:
    executable = Executable(Path(name), "", "sequence-classification", 2, 64)
    subject = Subject(
        name,
        Path(name),
        "onnx",
        "int8",
        "onnxruntime",
        "sequence-classification",
        ("a", "b"),
        executable,
        (),
        1.0,
        name,
    )
    return Arm(subject, threads=1, **changes)


@dataclass
class World:
    """A clock, and sides whose requests take as long as they are told; `log` is who took each turn, as A0 for A of
    pair 0; `alive` counts the processes, `most_alive` their most at a time."""

    factor: float = 1.0
    typical_ms: float = 1.5
    spread: float = 0.02
    start_s: float = 0.5
    tail: float = 1.0
    rss_mb: float = 10.0
    wrong: int = 0
    now: float = 0.0
    alive: int = 0
    most_alive: int = 0
    log: list[str] = field(default_factory=list)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def clock(self) -> float:
        return self.now

    def launch(self, subject: Subject, setting: Setting, number: int) -> "Fake":
        self.now += self.start_s
        self.alive += 1
        self.most_alive = max(self.most_alive, self.alive)
        return Fake(self, subject.name, number)

    def collect(self, subjects: Sequence[Subject], setting: Setting, report: Report) -> list[Answers | Failure]:
        self.now += 100.0  # answers, however long they take, are not in the cap
        return [self.answers(len(setting.examples), self.wrong if subject.name == "B" else 0) for subject in subjects]

    @staticmethod
    def answers(rows: int, wrong: int) -> Answers:
        return Answers(("b",) * wrong + ("a",) * (rows - wrong), (5,) * rows)

    def measure(self, plan: PairPlan) -> tuple[Measurement, Measurement]:
        a, b = arm("A"), arm("B")
        return measure_pair(a, b, DATA, plan, launch=self.launch, clock=self.clock, collect=self.collect)

    def timed_s(self) -> float:
        return self.now - 100.0


class Fake:
    def __init__(self, world: World, name: str, number: int) -> None:
        self.world, self.name, self.number = world, name, number
        self.factor = world.factor if name == "B" else 1.0
        self.start = Start(number, 1, 1, 1, None, world.rss_mb, 1, 1, 1, True, world.typical_ms * self.factor, ())

    def run(self, count: int, cap_s: float, position: int) -> Block:
        self.world.log.append(f"{self.name}{self.number}")
        self.world.now += 0.04
        rng = self.world.rng
        level = self.world.typical_ms * self.factor * float(np.exp(rng.normal(0, self.world.spread)))
        latency = level * np.linspace(0.6, 1.6, count) * rng.lognormal(0, 0.02, count)
        latency[-(count // 10) :] *= self.world.tail ** rng.standard_normal()
        times = array("q", (1e6 * latency).astype(int).tolist())
        self.world.now += sum(times) / 1e9
        return Block(self.number, position, times, times, 1.0, 1.0, 0, 0.0, 0, 0, 0.0)

    def close(self) -> None:
        self.world.alive -= 1


def outcome(world: World, memory_mb: int = 8000, **limits: float) -> Any:
    plan = PairPlan(detect=1.10, max_seconds=60, memory_mb=memory_mb)
    pair = world.measure(plan)
    return compare(*pair, Limits(**limits), ("a",))


def test_all_pairs_take_turns_in_cycles_and_swap_who_begins() -> None:
    world = World()
    outcome(world)
    assert world.log[:4] == ["A0", "B0", "B0", "A0"]
    assert world.log[4:8] == ["B1", "A1", "A1", "B1"]
    assert world.log[: 4 * PAIRS] == world.log[4 * PAIRS : 8 * PAIRS]
    assert world.alive == 0 and world.most_alive == 2 * PAIRS


def test_both_sides_of_a_pair_make_the_same_number_of_requests_per_turn() -> None:
    world = World(factor=1.5)
    pair = world.measure(PairPlan())
    counts = {len(block.end_to_end_ns) for side in pair for block in side.blocks}
    assert counts == {TURN_LEAST}


def test_it_ends_within_its_cap_whatever_the_noise() -> None:
    for spread in (0.0, 0.02, 0.6):
        world = World(spread=spread)
        found = outcome(world)
        assert found.p95.rounds == PAIRS
        assert len(world.log) >= FEWEST_CYCLES * 4 * PAIRS
        assert world.timed_s() <= 60


def test_more_time_gives_more_pairs() -> None:
    pair = World(spread=0.6).measure(PairPlan(max_seconds=180))
    assert [side.rounds for side in pair] == [3 * PAIRS, 3 * PAIRS]


def test_noise_costs_time_and_calm_does_not() -> None:
    calm, noisy = World(spread=0.01), World(spread=0.6)
    assert outcome(calm).latency == "no difference" and outcome(noisy).latency == "inconclusive"
    assert len(calm.log) == FEWEST_CYCLES * 4 * PAIRS < len(noisy.log)
    assert noisy.timed_s() > 50


def test_large_models_live_one_pair_at_a_time_and_slow_starters_make_fewer_pairs() -> None:
    large = World(rss_mb=900)
    assert outcome(large, memory_mb=8000).p95.rounds == PAIRS
    assert large.most_alive == 2 and large.alive == 0 and large.timed_s() <= 60
    slow = World(start_s=2.5)
    assert outcome(slow).p95.rounds == FEWEST_ROUNDS
    assert slow.timed_s() <= 60


@pytest.mark.parametrize(("start_s", "typical_ms"), [(0.5, 80.0), (0.5, 300.0), (9.0, 1.5), (9.0, 300.0)])
def test_slow_starters_and_slow_models_keep_to_the_cap_and_never_guess(start_s: float, typical_ms: float) -> None:
    world = World(start_s=start_s, typical_ms=typical_ms)
    found = outcome(world)
    assert world.timed_s() <= 60
    enough = found.p95.rounds >= FEWEST_ROUNDS
    assert found.latency == ("no difference" if enough else "inconclusive")
    assert ("could have told" in markdown(found, [])) == enough


@pytest.mark.parametrize("start_s", [20.0, 31.0, 100.0])
def test_where_starting_alone_takes_the_time_it_ends_after_a_cycle_and_decides_nothing(start_s: float) -> None:
    """As on a machine that is busy with other work: cycles without an end came of it."""
    world = World(start_s=start_s, spread=0.6)
    assert outcome(world).latency == "inconclusive"
    pairs = world.most_alive // 2
    assert len(world.log) == 4 * pairs <= 8 and world.alive == 0


def test_a_tenth_is_found_and_nothing_is_nothing() -> None:
    slower, same = outcome(World(factor=1.1)), outcome(World())
    assert (slower.latency, slower.outcome) == ("slower", "worse")
    assert slower.p95.low < 1.1 < slower.p95.high
    assert same.latency == "no difference"


def test_a_slow_down_of_the_median_counts_where_the_tail_is_too_noisy_to_judge_and_says_so() -> None:
    found = outcome(World(factor=1.1, tail=8.0))
    assert (found.latency, found.latency_shown) == ("slower", ("P50",))
    shown = markdown(found, [row["text"] for row in ROWS])
    assert "slower at P50 by" in shown and "P95 could not be resolved" in shown
    assert found.as_json()["latency_shown"] == ("P50",)


def test_lost_answers_are_found_and_shown_with_their_texts() -> None:
    found = outcome(World(wrong=20))
    assert found.quality.outcome == "inferior"
    assert found.outcome == "worse"
    assert [flip.row for flip in found.lost] == list(range(20))
    shown = markdown(found, [row["text"] for row in ROWS])
    assert "'text 0' is a: A a, B b" in shown and "and 10 more" in shown


def test_too_few_rows_cannot_exclude_a_drop() -> None:
    assert outcome(World(), quality=0.001).outcome == "inconclusive"


def test_a_side_that_dies_ends_the_comparison_in_one_line() -> None:
    def dying(subject: Subject, setting: Setting, number: int) -> Fake:
        raise WorkerDied(Failure("the worker was ended by SIGSEGV"))

    launch: Callable[..., Fake] = dying
    with pytest.raises(MctError, match="SIGSEGV"):
        measure_pair(arm("A"), arm("B"), DATA, PairPlan(), launch=launch, collect=World().collect)


def test_a_side_that_cannot_answer_ends_the_comparison_in_one_line() -> None:
    def failing(subjects: Sequence[Subject], setting: Setting, report: Report) -> list[Answers | Failure]:
        return [World.answers(400, 0), Failure("the worker was ended by SIGSEGV")]

    world = World()
    with pytest.raises(MctError, match="SIGSEGV"):
        measure_pair(arm("A"), arm("B"), DATA, PairPlan(), launch=world.launch, collect=failing)
    assert world.log == []
