"""The loop of `mct compare`, with sides that answer at once and a clock that is told what time it is."""

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mct import MctError
from mct.bench.compare import Limits, compare, markdown
from mct.bench.launch import Setting, WorkerDied
from mct.bench.measurement import Answers, Block, Failure, Start
from mct.bench.pairs import MOST_ROUNDS, TURNS, Contestant, PairPlan, measure_pair
from mct.bench.ratio import FEWEST_ROUNDS
from mct.bench.subject import Subject
from mct.models.datasets import Dataset
from mct.targets.runtimes import Executable

ROWS = tuple({"text": f"text {number}", "label": "a"} for number in range(400))
DATA = Dataset("rows", ROWS, "0" * 64)


def contestant(name: str, **changes: Any) -> Contestant:
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
    return Contestant(subject, threads=1, **changes)


@dataclass
class World:
    """A clock, and sides whose requests take as long as they are told; `log` is the order of their turns."""

    factor: float = 1.0
    spread: float = 0.02
    start_s: float = 1.0
    wrong: int = 0
    now: float = 0.0
    log: list[str] = field(default_factory=list)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def clock(self) -> float:
        return self.now

    def launch(self, subject: Subject, setting: Setting, number: int) -> "Fake":
        self.now += self.start_s
        level = 1.5 * float(np.exp(self.rng.normal(0, self.spread)))
        return Fake(self, subject.name, level * (self.factor if subject.name == "B" else 1.0))


class Fake:
    def __init__(self, world: World, name: str, typical_ms: float) -> None:
        self.world, self.name, self.typical_ms = world, name, typical_ms
        self.start = Start(0, 1, 1, 1, None, 1, 1, 1, 1, True, typical_ms, ())

    def run(self, count: int, cap_s: float, position: int) -> Block:
        self.world.log.append(self.name)
        times = array("q", (1e6 * self.typical_ms * self.world.rng.lognormal(0, 0.3, count)).astype(int).tolist())
        self.world.now += sum(times) / 1e9
        round_number = (self.world.log.count(self.name) - 1) // TURNS
        return Block(round_number, position, times, times, 1.0, 1.0, 0, 0.0, 0, 0, 0.0)

    def answers(self, first: int, last: int) -> Answers:
        wrong = self.world.wrong if self.name == "B" else 0
        return Answers(("b",) * wrong + ("a",) * (last - first - wrong), (5,) * (last - first))

    def close(self) -> None:
        pass


def outcome(world: World, **limits: float) -> Any:
    plan = PairPlan(detect=1.10, max_seconds=60)
    pair = measure_pair(contestant("A"), contestant("B"), DATA, plan, launch=world.launch, clock=world.clock)
    return compare(*pair, Limits(**limits), ("a",))


def test_sides_take_turns_and_swap_who_begins() -> None:
    world = World()
    outcome(world)
    assert world.log[:4] == ["A", "B", "B", "A"]
    assert world.log[2 * TURNS : 2 * TURNS + 4] == ["B", "A", "A", "B"]


def test_it_ends_within_its_cap_with_the_fewest_rounds_or_more() -> None:
    for spread in (0.0, 0.02, 0.3):
        world = World(spread=spread)
        rounds = outcome(world).p95.rounds
        assert FEWEST_ROUNDS <= rounds <= MOST_ROUNDS
        assert world.now <= 60 * 1.1


def test_noise_costs_rounds() -> None:
    assert outcome(World(spread=0.06)).p95.rounds > outcome(World(spread=0.001)).p95.rounds


def test_a_tenth_is_found_and_nothing_is_nothing() -> None:
    slower, same = outcome(World(factor=1.1)), outcome(World())
    assert (slower.latency, slower.outcome) == ("slower", "worse")
    assert slower.p95.low < 1.1 < slower.p95.high
    assert same.latency == "no difference"


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
        measure_pair(contestant("A"), contestant("B"), DATA, PairPlan(), launch=launch)
