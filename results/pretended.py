"""A machine that only pretends to run models: `mct bench`'s and `mct compare`'s own loops on latencies of a `World`.

The loops of `mct.bench.measure` run unchanged, on a clock that advances by what the pretended requests take. Nothing
but where latencies come from is simulated.
"""

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from latencies import REQUESTS, Floats, Rng, World

from mct.bench.jobs.compare import MEASURING
from mct.bench.measure.pairs import Arm, PairPlan, measure_pair
from mct.bench.measure.rounds import Instruments, measure
from mct.bench.measure.sampling import BenchPlan
from mct.bench.samples.measurement import Answers, Block, Measurement, Start
from mct.bench.samples.subject import Subject
from mct.bench.transport.site import Setting
from mct.models.tasks.datasets import Dataset
from mct.models.tasks.table import Head
from mct.targets.runtimes.table import Executable

MS = 2.0
"""Milliseconds of a request that the world gives as 1."""
START_S, TURN_S = 1.2, 0.03
"""Seconds that a fresh process takes to start and warm up, and a turn to hand over, as on a small model."""
TASK, LABELS = "sequence-classification", ("yes", "no")
ROWS = Dataset("rows.jsonl", ({"text": "yes", "label": "yes"},), "0" * 64)
Spoil = Callable[[Rng, Floats], Floats]


def subject(name: str) -> Subject:
    """One that only has a name."""
    folder = Path(name)
    return Subject(
        name=name, path=folder, format="onnx", precision="int8", runtime="onnxruntime", task=TASK, labels=LABELS,
        heads=(Head("logits", "label", LABELS),), executable=Executable(folder, "model.onnx", TASK, 2, 32),
        files=("model.onnx",), size_mb=1.0, digest="0" * 64,
    )  # fmt: skip


@dataclass
class Pretended:
    """The machine: a clock in seconds, and what each subject's latencies are like; `spoil` changes those of "B"."""

    world: World
    rng: Rng
    spoil: Spoil = lambda rng, values: values
    weather: float = 0.0
    now: float = field(default=0.0, init=False)

    def clock(self) -> float:
        """Seconds."""
        return self.now

    def start(self, subject: Subject, setting: Setting, number: int) -> "Process":
        """A fresh process."""
        self.now += START_S
        start = Start(number, 50.0, 80.0, 2.0, 0.0, 100.0, 15.0, 40, 0.2, True, MS, ("onnxruntime",))
        factor = self.world.factor(self.rng) * MS
        return Process(self, subject.name == "B", factor, self.world.stall_share(self.rng), start)

    @staticmethod
    def collect(subjects: Any, setting: Any, report: Any) -> list[Any]:
        """Everyone answers the one row rightly."""
        return [Answers(("yes",), (3,)) for _ in subjects]

    def moment(self) -> float:
        """The machine's mood: shared by the two sides of a turn, as `weather` is their standard deviation."""
        second = int(self.now / 0.5)
        return 1 + self.weather * float(np.random.default_rng(second).random() - 0.5) * 12**0.5


@dataclass
class Process:
    """One pretended process; its own factor and share of stalls stay with it."""

    machine: Pretended
    spoiled: bool
    factor: float
    stalled: float
    start: Start

    def run(self, count: int, cap_s: float, position: int) -> Block:
        """A block of requests."""
        world, rng = self.machine.world, self.machine.rng
        values = world.moments(rng, REQUESTS[world.requests](rng, count), self.stalled)
        values = self.machine.spoil(rng, values) if self.spoiled else values
        nanoseconds = (values * self.factor * self.machine.moment() * 1e6).astype(np.int64)
        took_s = float(nanoseconds.sum()) / 1e9
        self.machine.now += took_s + TURN_S
        times = array("q", nanoseconds.tolist())
        return Block(self.start.round, position, times, times, took_s, took_s, 0, 0.0, 0.0, 0, 0)

    def close(self) -> None:
        """Nothing to end."""


def bench(world: World, limit_ms: float | None, rng: Rng) -> tuple[Measurement, float]:
    """One artifact measured by the whole loop of `mct bench`, and the seconds it took."""
    machine = Pretended(world, rng)
    plan = BenchPlan(threads=1, limit_ms=limit_ms)
    instruments = Instruments(machine.start, machine.collect, machine.clock)
    (found,) = measure([subject("A")], ROWS, plan, instruments=instruments)
    return found, machine.now


def compare(
    world: World, spoil: Spoil, weather: float, rng: Rng, max_seconds: float = 60.0
) -> tuple[Measurement, Measurement, float]:
    """A and B by the whole loop of `mct compare`, and the seconds it took."""
    machine = Pretended(world, rng, spoil, weather)
    arms = (Arm(subject("A"), 1), Arm(subject("B"), 1))
    plan = PairPlan(max_seconds=MEASURING * max_seconds)
    a, b = measure_pair(*arms, ROWS, plan, launch=machine.start, clock=machine.clock, collect=machine.collect)
    return a, b, machine.now
