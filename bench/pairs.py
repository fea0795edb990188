"""Measure two against each other: fresh processes of both in every round, taking turns A B B A, until a difference of
the size that was asked for would have been seen, or the time is over.

How many rounds that takes depends on the weather, so it is asked of the data after every round (`mct.bench.ratio`).
The same artifact may stand on both sides, under two settings or none: that is how a machine's own noise is told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from time import monotonic

from mct import MctError
from mct.bench.launch import Setting, WorkerDied, start_worker
from mct.bench.measure import Runner
from mct.bench.measurement import Answers, Block, Measurement, Start, per_process_ms
from mct.bench.ratio import FEWEST_ROUNDS, plan_rounds, samples_per_round
from mct.bench.subject import Subject
from mct.models.datasets import Dataset
from mct.models.progress import Report, silent

TAIL = 0.95
MOST_ROUNDS = 40
CAP = 5.0
"""A block is cut off at this many times the seconds it should take."""
START_REQUESTS = 200
TURNS = 8
"""Blocks per side and round. Short ones put both sides under the same weather, which changes within a second."""


@dataclass(frozen=True)
class Contestant:
    """One side: what runs, and how. `slow_down` above 1 makes each request that much longer, to try the check."""

    subject: Subject
    threads: int
    slow_down: float = 1.0


@dataclass(frozen=True)
class PairPlan:
    """How to compare. `detect` is the ratio of P95 that must not go unseen; `max_seconds` caps starts and timing."""

    affinity: tuple[int, ...] = ()
    seed: int = 0
    detect: float = 1.10
    max_seconds: float = 60.0


@dataclass
class Side:
    """What has been gathered of one contestant."""

    contestant: Contestant
    starts: list[Start] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    answers: Answers | None = None

    def finish(self, truth: tuple[str, ...]) -> Measurement:
        """The values, frozen."""
        return Measurement(self.contestant.subject, truth, tuple(self.starts), tuple(self.blocks), self.answers, None)


Launch = Callable[[Subject, Setting, int], Runner]


def measure_pair(
    a: Contestant,
    b: Contestant,
    dataset: Dataset,
    plan: PairPlan,
    report: Report = silent,
    launch: Launch = start_worker,
    clock: Callable[[], float] = monotonic,
) -> tuple[Measurement, Measurement]:
    """Time both in turns on the texts of `dataset` and collect their answers; round i of both ran at the same time.

    MctError where either cannot be run: half a comparison is none.
    """
    sides = (Side(a), Side(b))
    began, aside_s, samples, rounds = clock(), 0.0, START_REQUESTS, 0
    while rounds < FEWEST_ROUNDS or not _is_enough(sides, plan, rounds):
        spent_s = clock() - began - aside_s
        if rounds >= 2 and spent_s * (rounds + 1) / rounds > plan.max_seconds:
            break
        report(f"round {rounds + 1} of both", _share(sides, plan, rounds, spent_s))
        aside_s += _play(sides, dataset, plan, rounds, samples, launch, clock)
        rounds += 1
        if rounds == 1:
            samples = _samples(sides, plan, clock() - began - aside_s, samples)
    report("compared", 1.0)
    truth = tuple(str(label) for label in dataset.column("label"))
    return sides[0].finish(truth), sides[1].finish(truth)


def _play(
    sides: Sequence[Side], dataset: Dataset, plan: PairPlan, number: int, samples: int, launch: Launch,
    clock: Callable[[], float],
) -> float:  # fmt: skip
    """One round; gives the seconds that went into answers, which no cap counts."""
    texts = dataset.column("text")
    with ExitStack() as stack:
        crew: list[tuple[Side, Runner]] = []
        try:
            for side in sides if number % 2 == 0 else reversed(sides):
                of = side.contestant
                setting = Setting(texts, of.threads, plan.affinity[: of.threads], plan.seed, of.slow_down)
                runner = stack.enter_context(closing(launch(of.subject, setting, number)))
                side.starts.append(runner.start)
                crew.append((side, runner))
            for side, runner in [*crew, *reversed(crew)] * (TURNS // 2):
                position = sum(len(each.blocks) for each in sides)
                count = max(1, samples // TURNS)
                cap_s = CAP * max(0.1, count * runner.start.typical_ms / 1e3)
                side.blocks.append(runner.run(count, cap_s, position))
            began = clock()
            if number == 0:
                for side, runner in crew:
                    side.answers = runner.answers(0, len(texts))
            return clock() - began
        except WorkerDied as death:
            raise MctError(f"one side could not be run: {death.failure.message}", death.failure.hint) from death


def _is_enough(sides: Sequence[Side], plan: PairPlan, rounds: int) -> bool:
    a, b = (per_process_ms(side.blocks) for side in sides)
    return plan_rounds(a, b, TAIL, plan.detect, MOST_ROUNDS) <= rounds


def _samples(sides: Sequence[Side], plan: PairPlan, round_s: float, samples: int) -> int:
    """Requests per side and round, from what the first round showed of starting and of a request."""
    request_s = max(side.starts[0].typical_ms for side in sides) / 1e3
    start_s = max(0.05, (round_s - 2 * samples * request_s) / 2)
    return samples_per_round(request_s, start_s, plan.max_seconds)


def _share(sides: Sequence[Side], plan: PairPlan, rounds: int, spent_s: float) -> float:
    if rounds < FEWEST_ROUNDS:
        return min(spent_s / plan.max_seconds, rounds / FEWEST_ROUNDS / 2)
    a, b = (per_process_ms(side.blocks) for side in sides)
    return max(spent_s / plan.max_seconds, rounds / plan_rounds(a, b, TAIL, plan.detect, MOST_ROUNDS)) * 0.99
