"""A scan over one parameter: the same artifacts at several threads, batch sizes, text lengths or numbers of clients.

Every value of every artifact gets a fresh process in each round, one after the other in the order of a Latin square, so
that no value meets another hour than its neighbours. Throughput (`--offline`) is the scan over batch sizes: all texts
are there from the start, and what counts is how many are answered in a second.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mct import MctError
from mct.bench.jobs.job import Job
from mct.bench.jobs.load import CAP_BLOCKS, Loaded, LoadRun, failed, make_ready
from mct.bench.measure.launch import WorkerDied, start_worker
from mct.bench.measure.rounds import Runner
from mct.bench.measure.sampling import block_size
from mct.bench.measure.turns import turns
from mct.bench.samples.measurement import Block
from mct.bench.samples.subject import Subject
from mct.bench.transport.site import Setting
from mct.models.progress import Report, silent
from mct.models.tables import load, unknown
from mct.targets.cpus import kept_off
from mct.targets.target import BROWSER, NODE

if TYPE_CHECKING:
    from mct.bench.judge.scan_result import ScanRow

PARAMETERS = ("threads", "batch", "length", "clients")
BATCHES = (1, 2, 4, 8, 16, 32)
"""What `--offline` tries."""
MOST_VALUES, LARGEST, MOST_CLIENTS, DIGITS = 16, 4096, 64, 9
MAX_SECONDS = 240.0
BLOCK_S = 1.0

Launch = Callable[[Subject, Setting, int], Runner]


@dataclass(frozen=True)
class Scan:
    """Which parameter, and its values."""

    parameter: str
    values: tuple[int, ...]


@dataclass
class Variant:
    """One subject at one value, and what has been gathered of it."""

    subject: Subject
    value: int
    setting: Setting
    blocks: list[Block] = field(default_factory=list)


OFFLINE = Scan("batch", BATCHES)
ONE_BY_ONE = Scan("batch", (1,))
"""Throughput of what writes one text at a time."""


def parse_scan(text: str) -> Scan:
    """A scan as it is written: threads=1,2,4. MctError for another parameter, and for what are no whole numbers."""
    name, _, listed = text.partition("=")
    if name not in PARAMETERS:
        raise unknown("parameter to scan over", name, PARAMETERS)
    values = listed.split(",")
    most = MOST_CLIENTS if name == "clients" else LARGEST
    if not all(value.isdecimal() and len(value) <= DIGITS and 1 <= int(value) <= most for value in values):
        raise MctError(f"{listed!r} are no values of {name}", f"write whole numbers from 1 to {most}: {name}=1,2,4")
    numbers = tuple(dict.fromkeys(map(int, values)))
    if len(numbers) > MOST_VALUES:
        raise MctError(f"{len(numbers)} values are too many for one scan", f"give {MOST_VALUES} at most")
    return Scan(name, numbers)


def run_scan(job: Job, scan: Scan, report: Report = silent, launch: Launch = start_worker) -> LoadRun[ScanRow]:
    """Measure each subject of the job at each value, and store it. MctError for whatever the user can mend."""
    with make_ready(job, "mct-scan", MAX_SECONDS) as ready:
        usable = min(ready.setting.site.facts().machine.usable_threads, job.target.threads or LARGEST)
        _require_possible(scan, usable, job.target.transport)
        return _scan_all(ready, scan, report, launch)


def _scan_all(ready: Loaded, scan: Scan, report: Report, launch: Launch) -> LoadRun[ScanRow]:
    scan = _fitting(ready.subjects, scan)
    variants = [
        Variant(subject, value, _setting(ready.setting, scan.parameter, value))
        for subject in ready.subjects
        for value in scan.values
    ]
    turn_s = ready.seconds / (ready.plan.rounds * len(variants))
    measured = max((variant.setting.affinity for variant in variants), key=len)
    with kept_off(measured if ready.setting.site.here else ()):
        for number, order in enumerate(turns(variants, ready.plan.rounds, ready.plan.seed)):
            for place, variant in enumerate(order):
                share = (number + place / len(variants)) / ready.plan.rounds
                report(f"{variant.subject.name}, {scan.parameter} {variant.value} (round {number + 1})", share)
                _run_process(ready, scan, variant, number, turn_s, launch)
    report("measured", 1.0)
    summarise_row = load("mct.bench.judge.scan_result:summarise_row")
    rows: tuple[ScanRow, ...] = tuple(
        summarise_row(
            each.subject.name,
            scan.parameter,
            each.value,
            each.setting.threads,
            each.setting.batch,
            each.blocks,
            clients=each.setting.clients,
        )
        for each in variants
    )
    return LoadRun(rows, ready.recording.finish([row.as_json() for row in rows]))


def _run_process(ready: Loaded, scan: Scan, variant: Variant, number: int, turn_s: float, launch: Launch) -> None:
    """One fresh process and one block, as long as the process's share of the time leaves it."""
    try:
        with closing(launch(variant.subject, variant.setting, number)) as runner:
            left_s = turn_s - runner.start.load_ms / 1e3 - runner.start.warm_up_s
            block_s = max(ready.plan.block_s, min(BLOCK_S, left_s))
            count = block_size(runner.start, replace(ready.plan, block_s=block_s))
            count = max(count, 2 * variant.setting.clients)
            variant.blocks.append(runner.run(count, CAP_BLOCKS * block_s, number))
            ready.recording.keep(f"{variant.subject.name} {scan.parameter}={variant.value}", variant.blocks[-1])
    except WorkerDied as death:
        raise failed(variant.subject, death) from death


def _setting(setting: Setting, parameter: str, value: int) -> Setting:
    if parameter == "threads":
        return replace(setting, threads=value, affinity=setting.site.facts().choose_cpus(value))
    told: dict[str, Any] = {parameter: value}
    return replace(setting, **told)


def _require_possible(scan: Scan, usable: int, transport: str) -> None:
    if scan.parameter == "clients" and transport in (NODE, BROWSER):
        raise MctError(f"an engine in a {transport} answers one call at a time", "scan clients on another target")
    if scan.parameter == "threads" and max(scan.values) > usable:
        raise MctError(
            f"{max(scan.values)} threads were asked for, but only {usable} can run at once there",
            "scan over fewer, or raise what the target or the container's quota allows",
        )


def _fitting(subjects: tuple[Subject, ...], scan: Scan) -> Scan:
    """The scan as these subjects can be run. MctError, before anything is timed, where they cannot."""
    if scan.parameter == "length":
        for subject in subjects:
            if max(scan.values) > (most := subject.executable.max_tokens):
                raise MctError(
                    f"{subject.name} takes {most} tokens at most, not {max(scan.values)}", "scan over shorter lengths"
                )
    writes = [subject.name for subject in subjects if subject.executable.network == "causal-lm"]
    if not writes or scan.parameter not in ("batch", "clients") or max(scan.values) == 1:
        return scan
    if scan == OFFLINE:
        return ONE_BY_ONE
    raise MctError(f"{writes[0]} writes one text at a time", f"scan {scan.parameter} of other tasks")
