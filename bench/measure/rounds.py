"""The coordinator: fresh processes, several rounds of them, and in each round the artifacts taking turns.

Taking turns in short blocks, in the order of a Latin square, puts every artifact under the same weather; fresh
processes show how much one process differs from the next. Every artifact gets its turns in the planned rounds; those
whose question is open then get more rounds, until the time cap. The answers for the score are there before anything is
timed (`mct.bench.measure.answers`). What is gathered is handed to `keep` as it comes, so that a later crash loses
nothing.

The loop knows workers only as something that starts, runs, answers and closes: tests give it such without a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any, Protocol

from mct.bench.measure.answers import collect_answers
from mct.bench.measure.launch import ConnectionLost, WorkerDied, start_worker
from mct.bench.measure.sampling import GROWTH, INTERIM_LOOKS, BenchPlan, block_size, is_enough
from mct.bench.measure.turns import turns
from mct.bench.samples.measurement import Answers, Block, Failure, Lost, Measurement, Start, Value, to_record
from mct.bench.samples.subject import Subject
from mct.bench.transport.site import HERE, Setting, Site
from mct.models.progress import Report, silent
from mct.models.tasks.datasets import Dataset, check_labels, fields_beside, read_examples
from mct.models.tasks.examples import Example, find_kind
from mct.targets.cpus import kept_off

MOST_LOST = 3
"""Rounds that a subject may lose to connections that break, before it is given up."""
CAP_BLOCKS = 5
"""A block is cut off at this many times the length to expect: the machine got far slower than it was at warm-up."""


class Runner(Protocol):
    """A loaded, warm subject in a process of its own."""

    start: Start

    def run(self, count: int, cap_s: float, position: int) -> Block: ...

    def close(self) -> None: ...


NOBODY: Mapping[str, Failure] = {}
Collect = Callable[[Sequence[Subject], Setting, Report], list[Answers | Failure]]


@dataclass(frozen=True)
class Instruments:
    """What the loop acts through: how a runner is started and answers are collected, the clock (seconds), where each
    record goes as it comes, the `site` where everything runs."""

    start: Callable[[Subject, Setting, int], Runner] = start_worker
    collect: Collect = collect_answers
    clock: Callable[[], float] = monotonic
    keep: Callable[[dict[str, Any]], None] = lambda record: None
    site: Site = HERE


@dataclass
class Track:
    """What has been gathered of one subject so far. `processes_looked_at` were there at its last look."""

    subject: Subject
    starts: list[Start] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    answers: Answers | None = None
    failure: Failure | None = None
    lost: list[Lost] = field(default_factory=list)
    interim_looks: int = 0
    processes_looked_at: int = 0
    settled: bool = False

    def finish(self, dataset: Dataset, examples: Sequence[Example]) -> Measurement:
        """The values, frozen."""
        truth, fields = (
            tuple(example.truth for example in examples),
            fields_beside(dataset, self.subject.task, examples),
        )
        gathered = (tuple(self.starts), tuple(self.blocks), self.answers, self.failure)
        return Measurement(self.subject, truth, *gathered, dataset.groups, fields, tuple(self.lost))


@dataclass
class Run:
    """One run under way. `answers_s` seconds went into answers before the timing `began`."""

    plan: BenchPlan
    setting: Setting
    tracks: list[Track]
    instruments: Instruments
    report: Report
    began: float
    answers_s: float = 0.0
    share: float = 0.0
    sweeps: int = 0

    def spent_s(self) -> float:
        """Seconds of timing so far."""
        return self.instruments.clock() - self.began

    def gather(self, track: Track, value: Value) -> None:
        """Hand a value to `keep` before anything else can go wrong."""
        self.instruments.keep(to_record(track.subject.name, value))

    def report_timing(self, stage: str) -> None:
        """Report progress: of the time that this run will take, as far as is known by now; never backwards."""
        elapsed = self.answers_s + self.spent_s()
        self._report_share(stage, elapsed, self.answers_s + _expected_s(self))

    def report_answers(self, stage: str, done: float) -> None:
        """The same while answers are collected, a share of `done` of them by now."""
        elapsed = self.spent_s()
        self._report_share(stage, elapsed, elapsed / max(done, 1e-3) + self.plan.max_seconds)

    def _report_share(self, stage: str, elapsed: float, expected: float) -> None:
        self.share = max(self.share, min(0.99, elapsed / max(elapsed, expected, 1e-9)))
        self.report(stage, self.share)


Crew = list[tuple[Track, Runner]]


def measure(
    subjects: Sequence[Subject],
    dataset: Dataset,
    plan: BenchPlan,
    report: Report = silent,
    instruments: Instruments | None = None,
    watched: Sequence[str] = (),
    barred: Mapping[str, Failure] = NOBODY,
    baseline: str | None = None,
) -> tuple[Measurement, ...]:
    """Collect every subject's answer to each example of `dataset`, and time it on the requests.

    Of the labels that are `watched` the answers tell a score; what a language model tells beside the subject named
    `baseline` stands with its answers. A subject whose worker dies keeps what it has and its failure; the others go on.
    Those `barred`, by name, fail without being started. MctError where the data has labels
    that a model does not know.
    """
    for subject in subjects:
        check_labels(dataset, subject.task, subject.heads)
    examples = read_examples(dataset, subjects[0].task, subjects[0].heads)
    instruments = instruments or Instruments()
    setting = Setting(
        examples, plan.threads, plan.affinity, plan.seed, new_tokens=plan.new_tokens, watched=watched,
        memory_mb=plan.memory_mb, site=instruments.site,
    )  # fmt: skip
    run = Run(plan, setting, [Track(subject) for subject in subjects], instruments, report, instruments.clock())
    for track in run.tracks:
        if reason := barred.get(track.subject.name):
            track.failure = reason
            run.gather(track, reason)
    _collect(run, baseline)
    number = 0
    with kept_off(plan.affinity if instruments.site.here else ()):
        while tracks := _next_tracks(run, number):
            _run_round(run, number, tracks)
            number += 1
    report("measured", 1.0)
    return tuple(track.finish(dataset, examples) for track in run.tracks)


def _collect(run: Run, baseline: str | None) -> None:
    """Everyone's answers. Who cannot give them is not timed."""
    tracks = [track for track in run.tracks if track.failure is None]
    subjects = [track.subject for track in tracks]
    found = collect_beside(subjects, baseline, run.setting, run.report_answers, run.instruments.collect)
    for track, answers in (*zip(tracks, found, strict=True), *_baseline_here(run, baseline)):
        run.gather(track, answers)
        if isinstance(answers, Failure):
            track.failure = answers
        else:
            track.answers = answers
    run.answers_s = run.spent_s()
    run.began += run.answers_s


def _baseline_here(run: Run, baseline: str | None) -> list[tuple[Track, Answers | Failure]]:
    """The answers of a baseline that another site cannot run: they are the same wherever they are given."""
    tracks = [each for each in run.tracks if each.subject.name == baseline and each.failure is not None]
    if run.instruments.site is HERE or not tracks:
        return []
    setting = replace(run.setting, site=HERE, affinity=HERE.facts().choose_cpus(1))
    found = run.instruments.collect([tracks[0].subject], setting, run.report_answers)
    return [(tracks[0], each) for each in found if isinstance(each, Answers)]


def collect_beside(
    subjects: Sequence[Subject], baseline: str | None, setting: Setting, report: Report, collect: Collect
) -> list[Answers | Failure]:
    """The answers of each subject; where their task kind compares outputs, the others' stand beside the baseline's."""
    names = [subject.name for subject in subjects]
    if baseline not in names or find_kind(subjects[0].task).sketch is None:
        return collect(subjects, setting, report)
    at, share = names.index(baseline), 1 / len(names)
    others = [subject for subject in subjects if subject.name != baseline]
    with TemporaryDirectory(prefix="mct-original-") as folder:
        kept = replace(setting, original_kept=folder)
        found = collect([subjects[at]], kept, lambda stage, done: report(stage, share * done))
        beside = replace(setting, original=folder)
        rest = collect(others, beside, lambda stage, done: report(stage, share + (1 - share) * done)) if others else []
    return [*rest[:at], *found, *rest[at:]]


def _next_tracks(run: Run, number: int) -> list[Track]:
    """Who takes part in the next round: everyone alive in the planned rounds, then those with an open question."""
    if number and run.spent_s() >= run.plan.max_seconds:
        return []
    if number < run.plan.rounds:
        return [track for track in run.tracks if track.failure is None]
    return [track for track in run.tracks if _wants_more(track)]


def _run_round(run: Run, number: int, tracks: Sequence[Track]) -> None:
    """Start everyone afresh and let them take turns; then ask whether that is enough."""
    with ExitStack() as stack:
        crew: Crew = []
        for track in tracks:
            with _its_own_failure(run, track, number):
                run.report_timing(f"loading {track.subject.name} (round {number + 1})")
                runner = stack.enter_context(closing(run.instruments.start(track.subject, run.setting, number)))
                run.gather(track, runner.start)
                track.starts.append(runner.start)
                crew.append((track, runner))
        _take_turns(run, crew, number)
    if number + 1 >= run.plan.rounds:
        for track in tracks:
            _interim_look(track, run.plan, len(run.tracks))


def _take_turns(run: Run, crew: Crew, number: int) -> None:
    """One block each, then one block each in the Latin square's next order."""
    run.sweeps += 2
    for track, runner in chain(*turns(crew, run.sweeps, run.plan.seed)[-2:]):
        with _its_own_failure(run, track, number):
            run.report_timing(f"timing {track.subject.name}")
            position = sum(len(other.blocks) for other in run.tracks)
            count = block_size(runner.start, run.plan)
            expected_s = max(run.plan.block_s, count * runner.start.typical_ms / 1e3)
            block = runner.run(count, CAP_BLOCKS * expected_s, position)
            run.gather(track, block)
            track.blocks.append(block)


@contextmanager
def _its_own_failure(run: Run, track: Track, number: int) -> Iterator[None]:
    """A worker that dies in here fails its subject; asking the dead again changes nothing of what is known.

    Where only the connection to it broke, the next round starts another.
    """
    try:
        yield
    except ConnectionLost as death:
        _note_lost(run, track, number, death.failure)
    except WorkerDied as death:
        if track.failure is None:
            track.failure = death.failure
            run.gather(track, death.failure)


def _note_lost(run: Run, track: Track, number: int, why: Failure) -> None:
    """One loss a round, however often it is met."""
    if track.failure is not None or number in {each.round for each in track.lost}:
        return
    lost = Lost(number, why.message)
    track.lost.append(lost)
    run.gather(track, lost)
    if len(track.lost) > MOST_LOST:
        track.failure = why
        run.gather(track, why)


def _interim_look(track: Track, plan: BenchPlan, subjects: int) -> None:
    """Ask whether this is enough, if there are enough new processes for one of the few looks.

    To count requests is no look at what they took: it costs no error, and is done after every round.
    """
    processes = len({block.round for block in track.blocks})
    is_due = track.interim_looks < INTERIM_LOOKS and processes >= GROWTH * track.processes_looked_at
    is_due = is_due and (not track.lost or processes >= plan.rounds)
    if track.settled or not (is_due or plan.rigorous):
        return
    track.interim_looks += 1
    track.processes_looked_at = processes
    track.settled = is_enough(track.blocks, plan, subjects)


def _wants_more(track: Track) -> bool:
    return track.failure is None and not track.settled


def _expected_s(run: Run) -> float:
    """Seconds the timing will take, as far as is known: what every round does, more while a question is open."""
    plan, starts = run.plan, [track.starts[0] for track in run.tracks if track.starts]
    if len(starts) < sum(track.failure is None for track in run.tracks):
        return plan.max_seconds
    loading_s = sum(start.load_ms / 1e3 + start.warm_up_s for start in starts)
    least_s = plan.rounds * (loading_s + 2 * plan.block_s * len(starts))
    opened = any(track.interim_looks and _wants_more(track) for track in run.tracks)
    return plan.max_seconds if opened else min(plan.max_seconds, least_s)
