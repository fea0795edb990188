"""A bench under load: Poisson arrivals at a given rate, beside a closed loop on the same processes.

Several rounds of fresh processes, the subjects one after the other in each, in the order of a Latin square. In each
process a closed block, one segment of traffic, a closed block: what the closed loop hides is then seen within the same
minute, on the same process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from mct import MctError
from mct.bench.jobs.job import Job, barred_from, find_subjects, plan_for, read_rows
from mct.bench.measure.launch import WorkerDied, start_worker
from mct.bench.measure.rounds import Runner
from mct.bench.measure.sampling import BenchPlan, block_size
from mct.bench.measure.turns import turns
from mct.bench.samples.measurement import Block
from mct.bench.samples.subject import Subject
from mct.bench.store.store import LoadRecording, begin_load
from mct.bench.transport.site import Setting
from mct.bench.transport.table import open_site
from mct.bench.worker.open_loop import Segment, Traffic
from mct.models.progress import Report, silent
from mct.models.tables import load
from mct.models.tasks.datasets import read_examples
from mct.targets.cpus import kept_off

if TYPE_CHECKING:
    from mct.bench.judge.load_result import LoadResult
    from mct.bench.judge.max_load import MaxLoad
    from mct.bench.judge.scan_result import ScanRow

Result = TypeVar("Result", "LoadResult", "MaxLoad", "ScanRow")

MAX_SECONDS = 60.0
"""For each subject, unless the job says otherwise."""
LEAST_REQUESTS = 500
MEMORIES = 150
"""A segment lasts this many relaxations of its queue where time allows: P95 is then known to about 20 %."""
MOST_UTILISATION = 0.99
"""What is planned for, at most: the memory of a queue has no bound."""
LEAST_S = 2.0
CAP_BLOCKS = 5
CAP = 2.0
"""A segment is cut off at this many times its planned length: the machine got far slower than it was before."""


class Server(Runner, Protocol):
    """A loaded, warm subject that serves requests as they come, or one after the other."""

    def serve(self, traffic: Traffic, position: int) -> Segment: ...


Launch = Callable[[Subject, Setting, int], Server]


@dataclass
class Track:
    """What has been gathered of one subject so far."""

    subject: Subject
    blocks: list[Block] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)


@dataclass(frozen=True)
class Loaded:
    """A job made ready: what is measured, on which texts, how, and where it is kept. `seconds` are for each subject."""

    subjects: tuple[Subject, ...]
    setting: Setting
    plan: BenchPlan
    seconds: float
    recording: LoadRecording

    def kept_off(self) -> AbstractContextManager[None]:
        """This thread off the measured CPUs meanwhile, where they are this machine's."""
        return kept_off(self.plan.affinity if self.setting.site.here else ())


@dataclass(frozen=True)
class LoadRun(Generic[Result]):
    """A finished run: one result per subject, and where it is stored."""

    results: tuple[Result, ...]
    path: Path


@contextmanager
def make_ready(job: Job, kind: str, seconds: float) -> Iterator[Loaded]:
    """Identify and read all that the job names, open its site, begin to record. MctError for what a user can mend."""
    subjects = find_subjects(job)
    dataset = read_rows(job.data, job.renames, subjects)
    examples = read_examples(dataset, subjects[0].task, subjects[0].heads)
    with open_site(job.target, subjects) as site:
        facts = site.facts()
        plan = plan_for(job, facts)
        barred = barred_from(job.target, subjects, None)
        for subject in subjects:
            if (why := barred.get(subject.name) or site.obstacle(subject)) is not None:
                raise failed(subject, WorkerDied(why))
        setting = Setting(
            examples, plan.threads, plan.affinity, plan.seed, new_tokens=plan.new_tokens, memory_mb=plan.memory_mb,
            site=site,
        )  # fmt: skip
        recording = begin_load(job.results, kind, subjects, dataset, plan, facts)
        yield Loaded(subjects, setting, plan, job.max_seconds or seconds, recording)


def run_load(job: Job, qps: float, report: Report = silent, launch: Launch = start_worker) -> LoadRun[LoadResult]:
    """Serve `qps` requests a second with each subject of the job, say what latency that gives, and store it.

    MctError where one cannot be run, or for whatever else the user can mend.
    """
    if qps <= 0:
        raise MctError(f"a load of {qps:g} requests per second is none", "give a rate above 0")
    with make_ready(job, "mct-load", MAX_SECONDS) as ready:
        return _serve_all(ready, qps, report, launch)


def _serve_all(ready: Loaded, qps: float, report: Report, launch: Launch) -> LoadRun[LoadResult]:
    tracks = [Track(subject) for subject in ready.subjects]
    with ready.kept_off():
        for number, order in enumerate(turns(tracks, ready.plan.rounds, ready.plan.seed)):
            for place, track in enumerate(order):
                share = (number + place / len(tracks)) / ready.plan.rounds
                report(f"{qps:g} requests/s to {track.subject.name} (round {number + 1})", share)
                _run_process(ready, track, number, qps, launch)
    report("measured", 1.0)
    summarise_load = load("mct.bench.judge.load_result:summarise_load")
    limit_ms = ready.plan.limit_ms
    results = tuple(summarise_load(each.subject.name, each.segments, each.blocks, limit_ms) for each in tracks)
    return LoadRun(results, ready.recording.finish([result.as_json() for result in results]))


def _run_process(ready: Loaded, track: Track, number: int, qps: float, launch: Launch) -> None:
    """One fresh process of one subject: closed loop, traffic, closed loop."""
    plan, name = ready.plan, track.subject.name
    try:
        with closing(launch(track.subject, ready.setting, number)) as server:
            track.blocks.append(closed_block(ready, name, server, 3 * number))
            lost_s = server.start.load_ms / 1e3 + server.start.warm_up_s + 2 * plan.block_s
            seconds = max(LEAST_S, ready.seconds / plan.rounds - lost_s)
            traffic = plan_traffic(qps, track.blocks, seconds, plan.seed * 1000 + number)
            track.segments.append(server.serve(traffic, 3 * number + 1))
            ready.recording.keep(name, track.segments[-1])
            track.blocks.append(closed_block(ready, name, server, 3 * number + 2))
    except WorkerDied as death:
        raise failed(track.subject, death) from death


def closed_block(ready: Loaded, name: str, server: Server, position: int) -> Block:
    """One block of a closed loop on this process, kept."""
    block_s = ready.plan.block_s
    block = server.run(block_size(server.start, ready.plan), CAP_BLOCKS * block_s, position)
    ready.recording.keep(name, block)
    return block


def plan_traffic(qps: float, blocks: Sequence[Block], seconds: float, seed: int) -> Traffic:
    """As much traffic as the queue's memory asks for, judged by the closed loop, within about `seconds`.

    The further above capacity, the sooner it shows: there as much is sent as for the inverse utilisation.
    """
    times = [value for block in blocks for value in block.end_to_end_ns]
    capacity = 1e9 * len(times) / sum(times)
    memory = load("mct.bench.statistics.queueing:relaxation")(min(qps / capacity, capacity / qps, MOST_UTILISATION))
    served = min(qps, capacity)
    count = max(1, round(min(max(LEAST_REQUESTS, MEMORIES * memory), served * seconds)))
    return Traffic(qps, count, seed, CAP * count / served + 1.0)


def failed(subject: Subject, death: WorkerDied) -> MctError:
    """A worker's death as an error: under load there is nothing to show for half a run."""
    return MctError(f"{subject.name} could not be run: {death.failure.message}", death.failure.hint)
