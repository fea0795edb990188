"""The highest load that still meets the P95 budget, searched with as many fresh processes as there is time for.

The first is served where a simulation with the closed loop's service times says that the answer lies, each further one
where the traffic so far says it does. So most of the traffic is near the answer, and all of it tells
(`mct.bench.statistics.highest_rate`). Nothing is decided on the way: how much is served does not hang on what is seen,
and the interval at the end holds as it stands.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from time import monotonic

from mct import MctError
from mct.bench.jobs.job import Job
from mct.bench.jobs.load import CAP, Launch, Loaded, LoadRun, closed_block, failed, make_ready
from mct.bench.judge.max_load import MaxLoad
from mct.bench.measure.launch import WorkerDied, start_worker
from mct.bench.measure.sampling import TAIL
from mct.bench.samples.measurement import Block
from mct.bench.samples.subject import Subject
from mct.bench.worker.open_loop import Segment, Traffic
from mct.models.progress import Report, part, silent
from mct.models.tables import load

MAX_SECONDS = 180.0
"""For each subject, unless the job says otherwise."""
MOST_PROCESSES, FEWEST_PROCESSES = 12, 4
PROCESS_S = 12.0
"""How long one process is served, starting it included, where there is time for all of them."""
LEAST_S = 1.0
LOWEST, HIGHEST = 0.02, 0.97
"""The rates that are served, as shares of what the closed loop gets through."""


def find_max_load(
    job: Job,
    limit_ms: float | None = None,
    report: Report = silent,
    launch: Launch = start_worker,
    clock: Callable[[], float] = monotonic,
) -> LoadRun[MaxLoad]:
    """Search the highest rate of each subject of the job, one subject after the other, and store what was found.

    `limit_ms` None takes the P95 limit of the job's budget. MctError where there is none, where a subject cannot be
    run, or for whatever else the user can mend.
    """
    limit_ms = limit_ms or (job.budget.p95_ms if job.budget else None)
    if limit_ms is None:
        raise MctError("there is no P95 limit to search the highest load for", "name a budget with one: --budget")
    with make_ready(job, "mct-max-load", MAX_SECONDS) as ready, ready.kept_off():
        count = len(ready.subjects)
        results = tuple(
            search_subject(ready, subject, limit_ms, part(report, place / count, (place + 1) / count), launch, clock)
            for place, subject in enumerate(ready.subjects)
        )
        return LoadRun(results, ready.recording.finish([result.as_json() for result in results]))


def process_count(seconds: float) -> int:
    """How many fresh processes share the time."""
    return int(min(MOST_PROCESSES, max(FEWEST_PROCESSES, seconds // PROCESS_S)))


def search_subject(
    ready: Loaded, subject: Subject, limit_ms: float, report: Report, launch: Launch, clock: Callable[[], float]
) -> MaxLoad:
    """Serve one subject with one fresh process after the other, and say what they show. MctError where one dies."""
    blocks: list[Block] = []
    segments: list[Segment] = []
    began, count = clock(), process_count(ready.seconds)
    for number in range(count):
        until = began + ready.seconds * (number + 1) / count
        report(f"process {number + 1} of {count} of {subject.name}", number / count)
        try:
            with closing(launch(subject, ready.setting, number)) as server:
                blocks.append(closed_block(ready, subject.name, server, 2 * number))
                rate = _next_rate(blocks, segments, limit_ms)
                seconds = max(LEAST_S, until - clock())
                traffic = Traffic(rate, max(1, round(rate * seconds)), 1000 * ready.plan.seed + number, CAP * seconds)
                segments.append(server.serve(traffic, 2 * number + 1))
                ready.recording.keep(subject.name, segments[-1])
        except WorkerDied as death:
            raise failed(subject, death) from death
    report("searched", 1.0)
    stability = load("mct.bench.judge.noise:assess")(blocks)
    summarise = load("mct.bench.judge.max_load:summarise_max_load")
    found: MaxLoad = summarise(subject.name, segments, _capacity_qps(blocks), limit_ms, stability.reasons)
    return found


def _next_rate(blocks: list[Block], segments: list[Segment], limit_ms: float) -> float:
    """Where the next process is served: at the best guess by now, within what it can serve."""
    guess = load("mct.bench.judge.max_load:current_rate")(segments, limit_ms)
    if guess is None:
        services_ms = [value / 1e6 for block in blocks for value in block.end_to_end_ns]
        guess = 1e3 * load("mct.bench.statistics.queueing:guess_max_rate")(services_ms, limit_ms, TAIL)
    capacity = _capacity_qps(blocks)
    return float(min(HIGHEST * capacity, max(LOWEST * capacity, guess)))


def _capacity_qps(blocks: list[Block]) -> float:
    times_ns = [value for block in blocks for value in block.end_to_end_ns]
    return 1e9 * len(times_ns) / sum(times_ns)
