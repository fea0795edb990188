"""The highest load that still meets the P95 budget: a search whose every step is decided by interval, not by point.

It begins where a simulation with the closed loop's service times says that the answer lies, and serves real traffic
from there on. A rate is shown to meet the limit, shown to miss it, or stays open within its share of the time; P95
grows with the rate, so the answer lies between the highest rate shown to meet and the lowest shown to miss. The search
narrows that from both sides, passing by what stayed open, until the gap is small, nothing more can be told, or the
time is over. All decisions together err with probability 5 % at most.

The same few processes serve every rate, so that rates are compared with one another and not with the luck of a start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from math import inf
from time import monotonic

from mct import MctError
from mct.bench.jobs.job import Job
from mct.bench.jobs.load import CAP, LEAST_REQUESTS, Launch, Loaded, LoadRun, Server, closed_block, failed, make_ready
from mct.bench.judge.max_load import Answer, MaxLoad, Tried
from mct.bench.measure.launch import WorkerDied, start_worker
from mct.bench.measure.sampling import TAIL
from mct.bench.samples.measurement import Block
from mct.bench.samples.subject import Subject
from mct.bench.worker.open_loop import Segment, Traffic
from mct.models.progress import Report, part, silent
from mct.models.tables import load

ANSWERS: dict[str, Answer] = {"below": "meets", "above": "misses", "undecided": "open"}
Probe = Callable[[float], "Tried"]

PROCESSES = 3
MAX_SECONDS = 120.0
"""For each subject, unless the job says otherwise."""
MOST_RATES = 12
INTERIM_LOOKS = 5
"""At one rate, each on at least twice as much further traffic as the last."""
RESOLUTION = 0.05
"""The gap between meeting and missing at which the search ends, as a share of the rate."""
LOWEST = 0.02
"""The lowest load tried, as a share of the highest: what misses the limit there misses it without any queue."""
FIRST_STEP = 0.1
HEADROOM = 1.25
"""The highest load tried over what the closed loop got through: its mean is no exact bound."""
MEMORIES = 50
SHARE_OF_TIME = 0.25
"""No rate may take more of the time than this."""


@dataclass(frozen=True)
class Bracket:
    """`meets_qps` is the highest rate shown to meet (0: none), `misses_qps` the lowest shown to miss (None: none)."""

    meets_qps: float
    misses_qps: float | None
    tried: tuple[Tried, ...]


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
    ready = make_ready(job, "mct-max-load", MAX_SECONDS)
    count = len(ready.subjects)
    results = tuple(
        _search_subject(ready, subject, limit_ms, part(report, place / count, (place + 1) / count), launch, clock)
        for place, subject in enumerate(ready.subjects)
    )
    return LoadRun(results, ready.recording.finish([result.as_json() for result in results]))


def search(probe: Probe, guess: float, highest: float, is_over: Callable[[], bool] = lambda: False) -> Bracket:
    """Narrow the gap between the highest rate that meets and the lowest that misses.

    `probe` decides one rate. `guess` is where to begin; no rate above `highest` is tried.
    """
    tried: list[Tried] = []
    while not is_over() and len(tried) < MOST_RATES:
        rate = next_rate(tried, guess, highest)
        if rate is None:
            break
        tried.append(probe(rate))
    meets, misses = _gap(tried, inf)
    return Bracket(meets, misses if misses < inf else None, tuple(tried))


def next_rate(tried: Sequence[Tried], guess: float, highest: float) -> float | None:
    """The rate to try next; None when the gap is narrow, nothing in it can be told, or not even the lowest rate meets.

    First a step to either side of the guess, then the middle of the gap. Where rates in the gap stayed open, the wider
    of the parts below and above them.
    """
    meets, misses = _gap(tried, highest)
    lowest = LOWEST * highest
    if misses <= lowest or misses - meets <= RESOLUTION * misses:
        return None
    between = sorted(each.qps for each in tried if each.answer == "open" and meets < each.qps < misses)
    edges = [(meets, between[0]), (between[-1], misses)] if between else [(meets, misses)]
    low, high = max(edges, key=lambda edge: edge[1] - edge[0])
    if high - low <= RESOLUTION * high:
        return None
    below, above = guess * (1 - FIRST_STEP), guess * (1 + FIRST_STEP)
    wished = next((rate for rate in (below, above) if low < rate < high and not between), (low + high) / 2)
    rate = max(lowest, wished)
    return None if any(each.qps == rate for each in tried) else rate


def _gap(tried: Sequence[Tried], highest: float) -> tuple[float, float]:
    misses = min((each.qps for each in tried if each.answer == "misses"), default=highest)
    meets = max((each.qps for each in tried if each.answer == "meets" and each.qps < misses), default=0.0)
    return meets, misses


@dataclass(frozen=True)
class Bench:
    """The loaded processes of one subject, and what a probe may spend on a rate."""

    name: str
    ready: Loaded
    servers: tuple[Server, ...]
    limit_ms: float
    clock: Callable[[], float]


def _search_subject(
    ready: Loaded, subject: Subject, limit_ms: float, report: Report, launch: Launch, clock: Callable[[], float]
) -> MaxLoad:
    began = clock()
    report(f"loading {subject.name}", 0.0)
    try:
        with ExitStack() as stack:
            servers = [
                stack.enter_context(closing(launch(subject, ready.setting, number))) for number in range(PROCESSES)
            ]
            bench = Bench(subject.name, ready, tuple(servers), limit_ms, clock)
            before = _closed_blocks(bench, 0)
            services_ms = [value / 1e6 for block in before for value in block.end_to_end_ns]
            capacity = 1e3 * len(services_ms) / sum(services_ms)
            guess = 1e3 * load("mct.bench.statistics.queueing:guess_max_rate")(services_ms, limit_ms, TAIL)

            def probe(rate: float) -> Tried:
                report(f"{rate:.1f} requests/s to {subject.name}", min(0.99, (clock() - began) / ready.seconds))
                return _probe(bench, rate)

            found = search(probe, guess, HEADROOM * capacity, lambda: clock() - began >= ready.seconds)
            stability = load("mct.bench.judge.noise:assess")([*before, *_closed_blocks(bench, 1)])
    except WorkerDied as death:
        raise failed(subject, death) from death
    report("searched", 1.0)
    return MaxLoad(subject.name, limit_ms, capacity, found.meets_qps, found.misses_qps, found.tried, stability.reasons)


def _closed_blocks(bench: Bench, position: int) -> list[Block]:
    return [closed_block(bench.ready, bench.name, server, position) for server in bench.servers]


def _probe(bench: Bench, rate: float) -> Tried:
    """Serve one rate with every process, again and longer while it stays open and has time."""
    began, allowed_s = bench.clock(), SHARE_OF_TIME * bench.ready.seconds
    segments: list[list[Segment]] = [[] for _ in bench.servers]
    count, judge_rate = LEAST_REQUESTS, load("mct.bench.judge.load_result:judge_rate")
    found = Tried(rate, "open", 0, 0.0, None)
    for look in range(INTERIM_LOOKS):
        left_s = allowed_s - (bench.clock() - began)
        count = min(count, int(rate * left_s / len(bench.servers)))
        if count < 1:
            break
        for number, server in enumerate(bench.servers):
            seed = bench.ready.plan.seed * 1000 + 100 * look + number
            segments[number].append(server.serve(Traffic(rate, count, seed, CAP * count / rate + 1.0), look))
            bench.ready.recording.keep(bench.name, segments[number][-1])
        shown = judge_rate(segments, bench.limit_ms, INTERIM_LOOKS * MOST_RATES)
        found = Tried(rate, ANSWERS[shown.decision], shown.requests, shown.utilisation, shown.p95_ms)
        if found.answer != "open":
            break
        count = max(2 * count, round(MEMORIES * min(shown.memory, 1000.0)))
    return found
