"""Measure two against each other: pairs of fresh processes, one of each side, that take short turns A B B A on the same
texts, until a difference of the size asked for would have been seen, or is plain to see, or the time is over.

Three things were measured on a shared machine to give a ratio its precision (results/compare_noise.md says what is
reached). Turns are as short as they may be and still have a P95: the speed of a request wanders by half within a
second, so two sides have the less in common the further apart their turns are. All pairs live at once and take turns
in laps: where a process happens to sit stays with it for seconds, and would be the whole life of one that is started,
asked and ended. And a process must have come to rest before the other side's turn (`mct.bench.worker.worker`).

The price is memory, for which fewer pairs live at once where the model is large, one after the other. The same artifact
may stand on both sides, under two settings or none: that is how a machine's own noise is told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from mct import MctError
from mct.bench.measure.answers import collect_answers
from mct.bench.measure.launch import Setting, WorkerDied, start_worker
from mct.bench.measure.rounds import Collect, Runner
from mct.bench.samples.measurement import Answers, Block, Failure, Measurement, Start, per_turn_ms
from mct.bench.samples.subject import Subject
from mct.bench.statistics.ratio import FEWEST_ROUNDS, Ratio, compare_turns, is_decided
from mct.models.progress import Report, part, silent
from mct.models.tasks.datasets import Dataset, read_examples
from mct.models.tasks.examples import Example

TAIL, TYPICAL = 0.95, 0.50
PAIRS = 10
START_SHARE, LAP_SHARE = 0.5, 0.8
"""Shares of the time that starts, and starts with a first lap, may take before there are fewer than `PAIRS`."""
MEMORY_SHARE = 0.25
CAP = 5.0
"""A turn is cut off at this many times the seconds it should take."""
TURN_S = 0.025
TURN_LEAST, TURN_SLOW = 30, 5
"""Requests: with fewer than the first, the P95 of a turn is its slowest request. Of a model so slow that the fewest
pairs would not fit into the time, as few as the second."""
TAKES_LESS = 0.9
"""How fast the slowest turns so far are forgotten when it is foretold whether another pair's fit into the time."""
FEWEST_LAPS = 4
"""Before the spread between pairs is looked at for the first time."""

Launch = Callable[[Subject, Setting, int], Runner]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Contestant:
    """One side: what runs, and how. `slow_down` above 1 makes each request that much longer, to try the check."""

    subject: Subject
    threads: int
    slow_down: float = 1.0


@dataclass(frozen=True)
class PairPlan:
    """How to compare. `detect` is the ratio that must not go unseen; `max_seconds` caps starts and timing.

    `memory_mb` is what the machine has: processes that live at once are to take no more than `MEMORY_SHARE` of it.
    """

    affinity: tuple[int, ...] = ()
    seed: int = 0
    detect: float = 1.10
    max_seconds: float = 60.0
    memory_mb: int = 8192


@dataclass
class Side:
    """What has been gathered of one contestant."""

    contestant: Contestant
    starts: list[Start] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    answers: Answers | None = None

    def finish(self, truth: tuple[Any, ...]) -> Measurement:
        """The values, frozen."""
        return Measurement(self.contestant.subject, truth, tuple(self.starts), tuple(self.blocks), self.answers, None)


@dataclass
class Match:
    """A comparison under way. `deadline` is when its time is over; the answers, which no cap counts, are there."""

    sides: tuple[Side, Side]
    examples: Sequence[Example]
    plan: PairPlan
    report: Report
    launch: Launch
    clock: Clock
    deadline: float

    @property
    def left(self) -> float:
        """Share of the time that is left."""
        return max(0.0, (self.deadline - self.clock()) / self.plan.max_seconds)


@dataclass(frozen=True)
class Pair:
    """Two live processes, in the order in which they begin; a turn is `requests` long."""

    players: tuple[tuple[Side, Runner], tuple[Side, Runner]]
    requests: int


@dataclass(frozen=True)
class Crowd:
    """How many pairs there are to be, and how many of them at once."""

    pairs: int
    at_once: int


def measure_pair(
    a: Contestant,
    b: Contestant,
    dataset: Dataset,
    plan: PairPlan,
    report: Report = silent,
    launch: Launch = start_worker,
    clock: Clock = monotonic,
    collect: Collect = collect_answers,
) -> tuple[Measurement, Measurement]:
    """Collect the answers of both and time them in turns on the requests of `dataset`.

    Blocks of one round are those of a pair, and the k-th of A came beside the k-th of B, on the same requests.
    MctError where either cannot be run: half a comparison is none.
    """
    examples = read_examples(dataset, a.subject.task, a.subject.heads)
    sides = (Side(a), Side(b))
    asked = Setting(examples, a.threads, plan.affinity, plan.seed)
    for side, answers in zip(sides, collect([a.subject, b.subject], asked, part(report, 0.0, 0.0)), strict=True):
        if isinstance(answers, Failure):
            raise _half(answers)
        side.answers = answers
    match = Match(sides, examples, plan, report, launch, clock, clock() + plan.max_seconds)
    try:
        _play(match)
    except WorkerDied as death:
        raise _half(death.failure) from death
    report("compared", 1.0)
    truth = tuple(example.truth for example in examples)
    return match.sides[0].finish(truth), match.sides[1].finish(truth)


def _half(failure: Failure) -> MctError:
    return MctError(f"one side could not be run: {failure.message}", failure.hint)


def ratios(a: Sequence[Block], b: Sequence[Block]) -> tuple[Ratio, Ratio]:
    """P50 and P95 of B over those of A, turn against turn; at least two pairs."""
    before, after = per_turn_ms(a), per_turn_ms(b)
    return compare_turns(before, after, TYPICAL), compare_turns(before, after, TAIL)


def _play(match: Match) -> None:
    """Start as many pairs as may live at once, let them take turns, end them, start the next."""
    with ExitStack() as stack:
        began = match.clock()
        pairs = [_start(match, stack, 0)]
        crowd = _plan_crowd(match, match.clock() - began, pairs[0].requests)
        for number in range(1, crowd.pairs + 1):
            if number == crowd.pairs or len(pairs) == crowd.at_once:
                _take_laps(match, pairs, number, crowd)
                pairs.clear()
                stack.close()
            if number < crowd.pairs:
                pairs.append(_start(match, stack, number))


def _start(match: Match, stack: ExitStack, number: int) -> Pair:
    match.report(f"starting pair {number + 1}", 1 - match.left)
    players = []
    for side in match.sides if number % 2 == 0 else reversed(match.sides):
        of, plan = side.contestant, match.plan
        setting = Setting(match.examples, of.threads, plan.affinity[: of.threads], plan.seed, of.slow_down)
        runner = stack.enter_context(closing(match.launch(of.subject, setting, number)))
        side.starts.append(runner.start)
        players.append((side, runner))
    return Pair((players[0], players[1]), _turn_requests(match))


def _turn_requests(match: Match) -> int:
    """Requests in a turn, the same for both sides: as many as last `TURN_S`, at least enough for a P95 if they fit."""
    request_s = min(side.starts[-1].typical_ms for side in match.sides) / 1e3
    fit = LAP_SHARE * match.plan.max_seconds / (4 * FEWEST_ROUNDS * request_s)
    return max(TURN_SLOW, min(TURN_LEAST, int(fit)), int(TURN_S / request_s))


def _plan_crowd(match: Match, start_s: float, requests: int) -> Crowd:
    """From what the first pair took: seconds to start, the length of a turn, and memory."""
    lap_s = 4 * requests * max(side.starts[0].typical_ms for side in match.sides) / 1e3
    by_starts = START_SHARE * match.plan.max_seconds / max(start_s, 1e-9)
    by_laps = LAP_SHARE * match.plan.max_seconds / max(start_s + lap_s, 1e-9)
    pairs = min(PAIRS, int(by_laps), max(FEWEST_ROUNDS, int(by_starts)))
    resident_mb = sum(side.starts[0].peak_rss_mb for side in match.sides)
    return Crowd(max(2, pairs), max(1, int(MEMORY_SHARE * match.plan.memory_mb / resident_mb)))


def _take_laps(match: Match, pairs: Sequence[Pair], started: int, crowd: Crowd) -> None:
    """Laps until these pairs' share of the time is used, or, with all pairs there, until the question is decided."""
    leave, took, laps = 1 - started / crowd.pairs, 0.0, 0
    while True:
        for pair in pairs:
            before = match.left
            if laps > 0 and before <= leave + took:
                return
            for side, runner in (*pair.players, *reversed(pair.players)):
                _take_turn(match, side, runner, pair.requests)
            took = max(before - match.left, TAKES_LESS * took)
        laps += 1
        match.report(f"{laps} laps of {started} pairs", 1 - match.left)
        if started == crowd.pairs and laps >= FEWEST_LAPS and _is_decided(match):
            return


def _is_decided(match: Match) -> bool:
    return is_decided(*ratios(match.sides[0].blocks, match.sides[1].blocks), match.plan.detect)


def _take_turn(match: Match, side: Side, runner: Runner, requests: int) -> None:
    position = sum(len(each.blocks) for each in match.sides)
    cap_s = CAP * max(0.1, requests * runner.start.typical_ms / 1e3)
    side.blocks.append(runner.run(requests, cap_s, position))
