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
from collections.abc import Mapping, Sequence
from itertools import cycle, islice
from time import perf_counter, sleep
from typing import Any

from mct import MctError
from mct.bench.web.engine import Engine, files_of
from mct.bench.web.in_browser import open_browser
from mct.bench.web.in_node import open_node
from mct.bench.web.keeper import Keeper
from mct.bench.web.loaded import Bench, executable_of, get_ready
from mct.bench.web.processes import Counts, count, peak_rss_mb
from mct.bench.worker.counters import package_energy_uj, spent_uj, stolen_s, throttling
from mct.bench.worker.open_loop import poisson_arrivals
from mct.bench.worker.predict import answer_all
from mct.bench.worker.warm_up import CAP_S
from mct.bench.worker.worker import (
    REST_CAP_S,
    REST_STEP_S,
    REST_STEPS,
    RESUME_LEAST,
    RESUME_S,
    Reply,
    die_with,
    open_channel,
    throttled_since,
)

OPENED = {"node": open_node, "browser": open_browser}
RESUMED = 50
"""Requests that are made untimed after a pause, again and again for `RESUME_S`."""


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
        "deferred": timed["deferred"] or None,
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
    told = bench.engine.ask("answers", first=first, last=last)
    values = told["values"]
    tokens = bench.engine.ask("lengths", of="requests", first=first, last=last)["tokens"]
    native = [] if bench.native is None else answer_all(bench.native, bench.scored[first:last], at_once=1)
    found = {
        "values": values, "tokens": tokens, "native": native, "unlike": _unlike(bench, first, last),
        "deferred": told["deferred"],
    }  # fmt: skip
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


if __name__ == "__main__":
    main()
