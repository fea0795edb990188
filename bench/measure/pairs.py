"""Measure two against each other: pairs of fresh processes, one of each side, that take short turns A B B A on the same
texts, until a difference of the size asked for would have been seen, or is plain to see, or the time is over.

Three things were measured on a shared machine to give a ratio its precision (results/compare_noise.md says what is
reached). Turns are short: the speed of a request wanders by half within a second, so two sides have the less in common
the further apart their turns are. All pairs live at once and take turns
in cycles: where a process happens to sit stays with it for seconds, and would be the whole life of one that is started,
asked and ended. And a process must have come to rest before the other side's turn (`mct.bench.worker.worker`).

The price is memory, for which fewer pairs live at once where the model is large, one after the other. The same artifact
may stand on both sides, under two settings or none: that is how a machine's own noise is told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from time import monotonic

from mct import MctError
from mct.bench.measure.answers import collect_answers
from mct.bench.measure.launch import WorkerDied, start_worker
from mct.bench.measure.rounds import Collect, Runner, Track, collect_beside
from mct.bench.samples.measurement import Answers, Block, Failure, Measurement, per_process_ms
from mct.bench.samples.subject import Subject
from mct.bench.statistics.ratio import FEWEST_ROUNDS, Ratio, compare_percentile, is_decided
from mct.bench.transport.site import HERE, Setting, Site
from mct.bench.worker.predict import NO_PAUSE, Pause
from mct.models.progress import Report, part, silent
from mct.models.tasks.datasets import Dataset, read_examples
from mct.models.tasks.examples import Example
from mct.targets.cpus import kept_off

TAIL, TYPICAL = 0.95, 0.50
PAIRS = 10
"""In a minute or less: the spread between pairs is what an interval comes from. Who gives more time gets more pairs."""
START_SHARE, CYCLE_SHARE = 0.5, 0.8
"""Shares of the time that starts, and starts with a first cycle, may take before there are fewer than `PAIRS`."""
MEMORY_SHARE = 0.25
CAP = 5.0
"""A turn is cut off at this many times the seconds it should take."""
TURN_S = 0.025
TURN_LEAST, TURN_SLOW = 30, 5
"""Requests: with fewer than the first, handing over takes most of the time. Of a model so slow that the fewest pairs
would not fit into the time, as few as the second."""
TAKES_LESS = 0.9
"""How fast the slowest turns so far are forgotten when it is foretold whether another pair's fit into the time."""
FEWEST_CYCLES = 4
"""Before the spread between pairs is looked at for the first time."""

Launch = Callable[[Subject, Setting, int], Runner]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Arm:
    """One arm: what runs, and how. A `pause` after each request is there to try the check.

    `memory_mb` is the most that each of its processes may take, 0 no limit; they run at `site`.
    """

    subject: Subject
    threads: int
    pause: Pause = NO_PAUSE
    memory_mb: int = 0
    site: Site = HERE

    def affinity(self, plan: PairPlan) -> tuple[int, ...]:
        """The CPUs that it may be pinned to: the plan's here, elsewhere those of its own."""
        return plan.affinity if self.site.here else self.site.facts().choose_cpus(self.threads)


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
class Experiment:
    """A comparison under way. `deadline` is when its time is over; the answers, which no cap counts, are there."""

    arms: tuple[Arm, Arm]
    tracks: tuple[Track, Track]
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

    runners: tuple[tuple[Track, Runner], ...]
    requests: int


@dataclass(frozen=True)
class Schedule:
    """How many pairs there are to be, and how many of them at once."""

    pairs: int
    at_once: int


def measure_pair(
    a: Arm,
    b: Arm,
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
    tracks = (Track(a.subject), Track(b.subject))
    for track, answers in zip(tracks, _answers(a, b, examples, plan, collect, part(report, 0.0, 0.0)), strict=True):
        if isinstance(answers, Failure):
            raise _half(answers)
        track.answers = answers
    experiment = Experiment((a, b), tracks, examples, plan, report, launch, clock, clock() + plan.max_seconds)
    try:
        with kept_off(plan.affinity if a.site.here or b.site.here else ()):
            _run_pairs(experiment)
    except WorkerDied as death:
        raise _half(death.failure) from death
    report("compared", 1.0)
    return tracks[0].finish(dataset, examples), tracks[1].finish(dataset, examples)


def _answers(
    a: Arm, b: Arm, examples: Sequence[Example], plan: PairPlan, collect: Collect, report: Report
) -> list[Answers | Failure]:
    """Those of both: together where they run at one site, and B's outputs then beside what was kept of A's."""
    settings = [Setting(examples, arm.threads, arm.affinity(plan), plan.seed, site=arm.site) for arm in (a, b)]
    if a.site is b.site:
        return collect_beside([a.subject, b.subject], a.subject.name, settings[0], report, collect)
    return [*collect([a.subject], settings[0], report), *collect([b.subject], settings[1], report)]


def _half(failure: Failure) -> MctError:
    return MctError(f"one side could not be run: {failure.message}", failure.hint)


def shared_rounds(a: Sequence[Block], b: Sequence[Block]) -> set[int]:
    """The rounds in which both took turns: a side whose question stayed open went on alone."""
    return {block.round for block in a} & {block.round for block in b}


def ratios(a: Sequence[Block], b: Sequence[Block]) -> tuple[Ratio, Ratio]:
    """P50 and P95 of B over those of A, by the pairs in which they ran side by side; at least two."""
    shared = shared_rounds(a, b)
    before, after = (per_process_ms([block for block in side if block.round in shared]) for side in (a, b))
    return compare_percentile(before, after, TYPICAL), compare_percentile(before, after, TAIL)


def _run_pairs(experiment: Experiment) -> None:
    """Start as many pairs as may live at once, let them take turns, end them, start the next."""
    with ExitStack() as stack:
        began = experiment.clock()
        pairs = [_start(experiment, stack, 0)]
        schedule = _plan_schedule(experiment, experiment.clock() - began, pairs[0].requests)
        for number in range(1, schedule.pairs + 1):
            if number == schedule.pairs or len(pairs) == schedule.at_once:
                _run_cycles(experiment, pairs, number, schedule)
                pairs.clear()
                stack.close()
            if number < schedule.pairs:
                pairs.append(_start(experiment, stack, number))


def _start(experiment: Experiment, stack: ExitStack, number: int) -> Pair:
    plan, both = experiment.plan, list(zip(experiment.arms, experiment.tracks, strict=True))
    experiment.report(f"starting pair {number + 1}", 1 - experiment.left)
    runners = []
    for arm, track in both if number % 2 == 0 else reversed(both):
        affinity = arm.affinity(plan)[: arm.threads]
        setting = Setting(
            experiment.examples, arm.threads, affinity, plan.seed, arm.pause, memory_mb=arm.memory_mb, site=arm.site
        )
        runner = stack.enter_context(closing(experiment.launch(arm.subject, setting, number)))
        track.starts.append(runner.start)
        runners.append((track, runner))
    return Pair(tuple(runners), _turn_requests(experiment))


def _turn_requests(experiment: Experiment) -> int:
    """Requests in a turn, the same for both arms: as many as last `TURN_S`, at least `TURN_LEAST` if they fit."""
    request_s = min(track.starts[-1].typical_ms for track in experiment.tracks) / 1e3
    fit = CYCLE_SHARE * experiment.plan.max_seconds / (4 * FEWEST_ROUNDS * request_s)
    return max(TURN_SLOW, min(TURN_LEAST, int(fit)), int(TURN_S / request_s))


def _plan_schedule(experiment: Experiment, start_s: float, requests: int) -> Schedule:
    """From what the first pair took: seconds to start, the length of a turn, and memory."""
    plan, starts = experiment.plan, [track.starts[0] for track in experiment.tracks]
    cycle_s = 4 * requests * max(start.typical_ms for start in starts) / 1e3
    by_starts = START_SHARE * plan.max_seconds / max(start_s, 1e-9)
    by_cycles = CYCLE_SHARE * plan.max_seconds / max(start_s + cycle_s, 1e-9)
    wanted = round(PAIRS * max(1.0, plan.max_seconds / 60))
    pairs = min(wanted, int(by_cycles), max(FEWEST_ROUNDS, int(by_starts)))
    resident_mb = sum(start.peak_rss_mb for start in starts)
    return Schedule(max(2, pairs), max(1, int(MEMORY_SHARE * plan.memory_mb / resident_mb)))


def _run_cycles(experiment: Experiment, pairs: Sequence[Pair], started: int, schedule: Schedule) -> None:
    """Cycles until these pairs' share of the time is used, or, with all pairs there, until the question is decided."""
    a, b = experiment.tracks
    leave, took, cycles = 1 - started / schedule.pairs, 0.0, 0
    while True:
        for pair in pairs:
            before = experiment.left
            if cycles > 0 and before <= leave + took:
                return
            for track, runner in (*pair.runners, *reversed(pair.runners)):
                cap_s = CAP * max(0.1, pair.requests * runner.start.typical_ms / 1e3)
                track.blocks.append(runner.run(pair.requests, cap_s, len(a.blocks) + len(b.blocks)))
            took = max(before - experiment.left, TAKES_LESS * took)
        cycles += 1
        experiment.report(f"{cycles} cycles of {started} pairs", 1 - experiment.left)
        all_started = started == schedule.pairs and cycles >= FEWEST_CYCLES
        if all_started and is_decided(*ratios(a.blocks, b.blocks), experiment.plan.detect):
            return
