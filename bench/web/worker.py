"""The process that the bench starts where an artifact runs in onnxruntime-web: `python -m mct.bench.web.worker`.

It speaks the protocol of `mct.bench.worker.worker` and has that worker's order of requests, warm-up and counters. What
is timed is not here: an engine in Node or in a page (`mct.bench.web.engine`), started afresh by each such process,
reads the clock itself, from text to answer. What is counted beside the clock is counted of the engine's processes.

While the engine works this process sleeps in a read. It dies with its parent, and its keeper then ends the engine.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Any

from mct import MctError
from mct.bench.web.engine import Engine, files_of
from mct.bench.web.in_browser import open_browser
from mct.bench.web.in_node import open_node
from mct.bench.web.keeper import Keeper
from mct.bench.web.packages import installed
from mct.bench.web.processes import Counts, count, peak_rss_mb, worked_ticks
from mct.bench.worker.counters import package_energy_uj, read_mb, spent_uj, stolen_s, throttling
from mct.bench.worker.open_loop import poisson_arrivals
from mct.bench.worker.predict import Predictor, answer_all, open_predictor
from mct.bench.worker.warm_up import CAP_S, WarmUp, requests_a_lap, warm_up
from mct.bench.worker.worker import (
    REST_CAP_S,
    REST_STEP_S,
    REST_STEPS,
    RESUME_LEAST,
    RESUME_S,
    Reply,
    die_with,
    in_batches,
    of_length,
    open_channel,
    shuffled_forever,
    spread,
    throttled_since,
)
from mct.models.tables import load
from mct.models.tasks.examples import Kind, Request, find_kind
from mct.models.tasks.table import Head
from mct.targets.machine import cgroup_folders
from mct.targets.runtimes.table import Executable, installed_version, runtime_for

if TYPE_CHECKING:
    from mct.models.tasks.tokens import Tokenize

OPENED = {"node": open_node, "browser": open_browser}
RESUMED = 50
"""Requests that are made untimed after a pause, again and again for `RESUME_S`."""


@dataclass(frozen=True)
class Bench:
    """A loaded, warm engine and the endless seeded order in which the requests are made, by their places.

    `holder` is the process that holds the model. `tokenize` and `kind` encode as Python runtimes do, and `native` is
    such a runtime: what JavaScript makes of a request is held against theirs.
    """

    engine: Engine
    pause: Sequence[float]
    requests: Sequence[Request]
    scored: Sequence[Request]
    order: Iterator[int]
    watched: Sequence[str]
    kind: Kind
    tokenize: Tokenize
    groups: Sequence[Path]
    holder: int = 0
    native: Predictor | None = None

    def next_rows(self, count: int) -> list[int]:
        """The next `count` places of the order."""
        return list(islice(self.order, count))

    def time(self, rows: Sequence[int], cap_s: float, pause: Sequence[float] = (0.0, False)) -> Reply:
        """What the engine timed of the requests in these places; see `timeRequests` of engine.mjs."""
        return self.engine.ask("time", rows=list(rows), cap_ms=cap_s * 1e3, pause=list(pause))


def main() -> None:
    """Read a job, get ready, obey commands until stdin ends. Exit code 1 after any error, which is replied first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the coordinator, which ends its workers itself
    say = open_channel()
    with Keeper() as keeper:
        try:
            job = json.loads(sys.stdin.readline())
            die_with(job["parent"])
            if job["affinity"] and hasattr(os, "sched_setaffinity"):
                os.sched_setaffinity(0, job["affinity"])
            executable = executable_of(job)
            with OPENED[job["web"]["host"]](files_of(executable, job["web"]["provider"]), keeper) as engine:
                bench, ready = get_ready(job, engine)
                come_to_rest(engine)
                say(ready)
                for line in sys.stdin:
                    reply = obey(bench, json.loads(line))
                    come_to_rest(engine)
                    say(reply)
        except MctError as error:
            say({"error": error.message, "hint": error.hint})
            sys.exit(1)
        except Exception as error:
            traceback.print_exc()
            say({"error": f"{type(error).__name__}: {error}".splitlines()[0], "hint": ""})
            sys.exit(1)


def executable_of(job: Mapping[str, Any]) -> Executable:
    """The artifact as the job has it."""
    return Executable(**{**job["executable"], "folder": Path(job["executable"]["folder"])})


def get_ready(job: Mapping[str, Any], engine: Engine) -> tuple[Bench, Reply]:
    """Import, load, make the first call and warm up, each timed by the engine itself; no warm-up if it is not timed."""
    engine.ask("ready")
    disk_mb = _read_mb(engine)
    candidates = {process: (peak_rss_mb(process), worked_ticks(process)) for process in engine.holders()}
    imported = engine.ask("import")["import_ms"]
    bench, opened = _open(job, engine)
    # A browser has several processes for pages. The one that opened a model worked for it.
    holder = max(candidates, key=lambda process: worked_ticks(process) - candidates[process][1])
    bench = replace(bench, holder=holder)
    if not job["timed"]:
        return replace(bench, native=_open_native(job)), {}
    read_now_mb = _read_mb(engine)
    first = engine.ask("first", row=0)
    bench.time(_one_of_each_length(bench), CAP_S)
    warmed = _warm_up(bench)
    return bench, {
        "import_ms": imported,
        "load_ms": imported + sum(opened["stages_ms"].values()),  # from nothing to ready, the import included
        "first_call_ms": first["first_call_ms"],
        "stages_ms": opened["stages_ms"],
        "downloads": job["web"]["downloads"],
        "read_mb": read_now_mb - disk_mb,
        "peak_rss_mb": peak_rss_mb(holder),
        "bare_rss_mb": candidates[holder][0],
        "libraries": sorted(installed()),
        "warm_up_requests": warmed.requests,
        "warm_up_s": warmed.seconds,
        "warm_up_ended": warmed.ended,
        "typical_ms": warmed.typical_ns / 1e6,
    }


def _open(job: Mapping[str, Any], engine: Engine) -> tuple[Bench, Reply]:
    executable, requests = executable_of(job), job["requests"]
    if job["length"]:
        executable, requests = of_length(executable, requests, job["length"], job["new_tokens"])
    if job["batch"] > 1:
        requests = in_batches(requests, job["batch"], job["seed"])
    tokenize = load("mct.models.tasks.tokens:open_tokenizer")(executable.vocabulary, executable.max_tokens)
    settings, scored = executable.settings, requests if job["scored"] is None else job["scored"]
    opened = engine.ask(
        "open",
        task=executable.task,
        requests=requests,
        scored=scored,
        batched=job["batch"] > 1,
        heads=job["heads"],
        watched=list(job["watched"]),
        max_tokens=executable.max_tokens,
        special=tokenize.special,
        pad_id=int(settings.get("pad_id", 0)),
        threads=min(job["threads"], int(settings.get("threads") or job["threads"])),
        provider=job["web"]["provider"],
    )
    bench = Bench(
        engine=engine,
        pause=job["pause"],
        requests=requests,
        scored=scored,
        order=shuffled_forever(len(requests), job["seed"]),
        watched=tuple(job["watched"]),
        kind=find_kind(executable.task),
        tokenize=tokenize,
        groups=cgroup_folders(),
    )
    return bench, opened


def _open_native(job: Mapping[str, Any]) -> Predictor | None:
    """The same artifact by this machine's own runtime; None where that is not installed."""
    runtime = runtime_for(job["format"])
    if installed_version(runtime) is None:
        return None
    heads = tuple(Head(head["name"], head["kind"], tuple(head["labels"])) for head in job["heads"])
    return open_predictor(runtime, executable_of(job), heads, threads=1).scored


def _warm_up(bench: Bench) -> WarmUp:
    """Warm up on the same few requests over and over, which take nothing from the order."""
    typical_ns = median(bench.time(spread(bench.requests, 3), CAP_S)["end_to_end_ns"])
    lap = spread(bench.requests, requests_a_lap(typical_ns))
    return warm_up(lambda: bench.time(lap, CAP_S)["end_to_end_ns"])


def _one_of_each_length(bench: Bench) -> list[int]:
    """A request of every number of tokens: what is done per length is done before anything is timed."""
    lengths = bench.engine.ask("lengths", of="requests", first=0, last=len(bench.requests))["tokens"]
    return list({length: row for row, length in enumerate(lengths)}.values())


def run_block(bench: Bench, count_: int, cap_s: float) -> Reply:
    """Time `count_` requests, after a few untimed ones."""
    rows, engine = bench.next_rows(count_), bench.engine
    _resume(bench, rows)
    processes = engine.processes()
    before, energy = count(processes), package_energy_uj()
    stolen, stopped, began = stolen_s(), throttling(bench.groups), perf_counter()
    timed = bench.time(rows, cap_s, bench.pause)
    wall_s, counted = perf_counter() - began, count(processes).since(before)
    return throttled_since(stopped, bench.groups) | _disturbed(counted) | {
        "end_to_end_ns": timed["end_to_end_ns"],
        "model_ns": timed["model_ns"],
        "tokens": timed["tokens"],
        "wall_s": wall_s,
        "cpu_s": counted.cpu_s,
        "stolen_s": stolen_s() - stolen,
        "energy_uj": spent_uj(energy, package_energy_uj()),
        "peak_rss_mb": peak_rss_mb(bench.holder),
    }  # fmt: skip


def _disturbed(counted: Counts) -> Reply:
    return {
        "waited_s": counted.waited_s,
        "involuntary_switches": counted.involuntary_switches,
        "minor_faults": counted.minor_faults,
        "major_faults": counted.major_faults,
    }


def run_traffic(bench: Bench, command: Mapping[str, Any]) -> Reply:
    """Serve open-loop traffic at a given rate; see `mct.bench.worker.open_loop`."""
    asked, engine = command["count"], bench.engine
    rows, arrivals = bench.next_rows(asked), poisson_arrivals(command["load"], asked, command["seed"])
    bench.time(bench.next_rows(RESUME_LEAST), CAP_S)
    processes, stolen = engine.processes(), stolen_s()
    before = count(processes)
    times = engine.ask("serve", rows=rows, arrivals_s=arrivals, cap_ms=command["cap_s"] * 1e3)
    counted = count(processes).since(before)
    return times | {
        "qps": command["load"],
        "asked": asked,
        "cpu_s": counted.cpu_s,
        "stolen_s": stolen_s() - stolen,
        "waited_s": counted.waited_s,
    }


def answer(bench: Bench, first: int, last: int) -> Reply:
    """Answers, token counts and scores of the watched labels, of examples `first` up to `last` (not included).

    With them how many inputs of each JavaScript's tokenizer cuts otherwise than Python's does, and what the native
    runtime answers.
    """
    values = bench.engine.ask("answers", first=first, last=last)["values"]
    tokens = bench.engine.ask("lengths", of="requests", first=first, last=last)["tokens"]
    native = [] if bench.native is None else answer_all(bench.native, bench.scored[first:last], at_once=1)
    found = {"values": values, "tokens": tokens, "native": native, "unlike": _unlike(bench, first, last)}
    if not bench.watched:
        return found
    scores = {label: [scored[label] for _, scored in values] for label in bench.watched}
    return found | {"values": [value for value, _ in values], "scores": scores}


def _unlike(bench: Bench, first: int, last: int) -> list[int]:
    theirs = bench.engine.ask("tokens", of="scored", first=first, last=last)["inputs"]
    counts = []
    for request, inputs in zip(bench.scored[first:last], theirs, strict=True):
        own = ([each.ids, each.type_ids, list(each.words)] for each in bench.kind.encode(bench.tokenize, request))
        counts.append(sum(left != right for left, right in zip(own, inputs, strict=True)))
    return counts


def obey(bench: Bench, command: Mapping[str, Any]) -> Reply:
    """The reply to a command of the protocol."""
    if "run" in command:
        return run_block(bench, command["run"], command["cap_s"])
    if "load" in command:
        return run_traffic(bench, command)
    return answer(bench, *command["answers"])


def _resume(bench: Bench, rows: Sequence[int]) -> None:
    """Untimed requests for `RESUME_S`, since the first ones after a pause are slower than the rest."""
    lead = list(islice(cycle(rows), RESUMED))
    bench.time(lead[:RESUME_LEAST], CAP_S)
    bench.time(lead[RESUME_LEAST:], RESUME_S)


def come_to_rest(engine: Engine) -> None:
    """Wait until no thread of the engine runs any more, or `REST_CAP_S`: the runtime's go on spinning for a while."""
    processes = engine.processes()
    ended, quiet, before = perf_counter() + REST_CAP_S, 0, count(processes).cpu_s
    while quiet < REST_STEPS and perf_counter() < ended:
        sleep(REST_STEP_S)
        after = count(processes).cpu_s
        quiet, before = (quiet + 1 if after - before < REST_STEP_S / 10 else 0), after


def _read_mb(engine: Engine) -> float:
    """From disk, by the engine and by this process, which serves a page its files."""
    return count(engine.processes()).read_mb + (read_mb() or 0.0)


if __name__ == "__main__":
    main()
