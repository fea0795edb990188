"""The fresh process that one artifact is measured in: `python -m mct.bench.worker.worker`, driven over its pipes.

First line in: the job. First line out: what loading and warming up cost, nothing for one that is not timed. Then one
line in, one line out:
{"run": 200, "cap_s": 2} times 200 requests or as many as 2 s allow, {"load": 50, "count": 200, "cap_s": 9, "seed": 1}
serves 200 requests that arrive at 50 a second, {"answers": [0, 256]} gives the answers to those examples,
{"outputs": [0, 256]} what they are made of; the end of stdin ends it. What a library prints goes to stderr, so that it
cannot break the protocol. Between commands the worker sleeps in a read, and it dies with its parent.

Only the standard library and light rooms are imported here: what the runtime's import costs is part of the measure.
"""

from __future__ import annotations

import base64
import ctypes
import gc
import json
import os
import random
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from time import perf_counter, perf_counter_ns, process_time, sleep
from typing import Any

from mct import MctError
from mct.bench.worker.clients import one_call_at_a_time, time_clients
from mct.bench.worker.counters import (
    Throttling,
    package_energy_uj,
    peak_rss_mb,
    read_mb,
    spent_uj,
    stolen_s,
    throttling,
    waited_s,
)
from mct.bench.worker.open_loop import poisson_arrivals, serve_traffic
from mct.bench.worker.originals import Originals
from mct.bench.worker.predict import (
    Pause,
    Predictor,
    Timings,
    answer_all,
    count_tokens,
    import_runtime,
    noting_deferred,
    open_predictor,
    time_requests,
    watching,
)
from mct.bench.worker.warm_up import CAP_S, WarmUp, requests_a_lap, warm_up
from mct.models.tables import load
from mct.models.tasks.examples import Request
from mct.models.tasks.table import Head
from mct.targets.devices.gpus import is_cuda
from mct.targets.devices.nvml import Meter, Reading, open_meter
from mct.targets.machine import cgroup_folders
from mct.targets.runtimes.table import Executable, runtime_for

HEAVY = ("torch", "transformers", "onnxruntime", "openvino", "llama_cpp", "numpy", "tokenizers", "scipy")
PR_SET_PDEATHSIG = 1
MOST_STRUNG = 200
"""So many different texts of a wanted length are enough, and soon made."""
RESUME_LEAST = 3
RESUME_S = 0.01
REST_STEP_S = 0.003
REST_STEPS = 2
REST_CAP_S = 0.25

Reply = dict[str, Any]


@dataclass(frozen=True)
class Bench:
    """A loaded, warm model and the endless seeded order in which the requests are made.

    `meter` reads the counters of the GPU it runs on, None where there is none or it tells none.

    `scorer` answers `scored`, for the score, with the scores of labels that are `watched`; `writes` says that the model
    is timed writing a text. `originals` is what the original gave. `groups` are the control groups that limit this
    process. So many `clients` ask at once.
    """

    predictor: Predictor
    pause: Pause
    requests: Sequence[Request]
    order: Iterator[int]
    scorer: Predictor
    watched: tuple[str, ...]
    originals: Originals
    scored: Sequence[Request]
    answers_at_once: int
    writes: bool
    groups: Sequence[Path]
    clients: int = 1
    meter: Meter | None = None

    def next_requests(self, count: int) -> list[Request]:
        """The next `count` requests of the order."""
        return [self.requests[next(self.order)] for _ in range(count)]


def main() -> None:
    """Read a job, get ready, obey commands until stdin ends. Exit code 1 after any error, which is replied first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the coordinator, which ends its workers itself
    say = open_channel()
    try:
        job = json.loads(sys.stdin.readline())
        die_with(job["parent"])
        if job["affinity"] and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, job["affinity"])
        bench, ready = get_ready(job) if job["timed"] else (_open(job), {})
        _come_to_rest()
        say(ready)
        for line in sys.stdin:
            reply = _obey(bench, json.loads(line))
            _come_to_rest()
            say(reply)
    except MctError as error:
        say({"error": error.message, "hint": error.hint})
        sys.exit(1)
    except Exception as error:
        traceback.print_exc()
        say({"error": f"{type(error).__name__}: {error}".splitlines()[0], "hint": ""})
        sys.exit(1)
    os._exit(0)  # a runtime that stumbles over its own tidying up has been measured all the same


def get_ready(job: Mapping[str, Any]) -> tuple[Bench, Reply]:
    """Import, load, make the first call and warm up, each timed on its own."""
    runtime = runtime_for(job["format"])
    bare_mb = peak_rss_mb()
    began = perf_counter()
    import_runtime(runtime, job["executable"]["task"])
    imported, read_before = perf_counter(), read_mb()
    bench = _open(job)
    loaded = perf_counter()
    read_after = read_mb()
    bench.predictor(bench.requests[0])
    called = perf_counter()
    _call_every_length(bench)
    with _no_collections():
        warmed = _warm_up(bench)
    return bench, {
        "import_ms": (imported - began) * 1e3,
        "load_ms": (loaded - began) * 1e3,  # from nothing to ready, the import included
        "first_call_ms": (called - loaded) * 1e3,
        "read_mb": None if read_after is None or read_before is None else read_after - read_before,
        "peak_rss_mb": peak_rss_mb(),
        "bare_rss_mb": bare_mb,
        "libraries": [name for name in HEAVY if name in sys.modules],
        "warm_up_requests": warmed.requests,
        "warm_up_s": warmed.seconds,
        "warm_up_ended": warmed.ended,
        "typical_ms": warmed.typical_ns / 1e6,
    }


def _warm_up(bench: Bench) -> WarmUp:
    """Warm up on the same few requests over and over, which take nothing from the order."""
    cap_ns = int(CAP_S * 1e9)
    few = [bench.requests[place] for place in spread(bench.requests, 3)]
    typical_ns = median(time_requests(bench.predictor, few, cap_ns).end_to_end)
    lap = [bench.requests[place] for place in spread(bench.requests, requests_a_lap(typical_ns))]
    return warm_up(lambda: time_requests(bench.predictor, lap, cap_ns).end_to_end)


def spread(requests: Sequence[Request], count: int) -> list[int]:
    """The places of so many requests, from short ones to long ones."""
    ranked = sorted(range(len(requests)), key=lambda place: len(json.dumps(requests[place])))
    return [ranked[(2 * place + 1) * len(ranked) // (2 * count)] for place in range(count)]


def _open(job: Mapping[str, Any]) -> Bench:
    """The model loaded, with what it is to be asked."""
    runtime, requests = runtime_for(job["format"]), job["requests"]
    executable = Executable(**{**job["executable"], "folder": Path(job["executable"]["folder"])})
    heads = tuple(Head(head["name"], head["kind"], tuple(head["labels"])) for head in job["heads"])
    if job["length"]:
        executable, requests = of_length(executable, requests, job["length"], job["new_tokens"])
    folder = job["original_kept"] or job["original"]
    if job["original_kept"]:
        Path(folder).mkdir(exist_ok=True)  # there already, but on another machine than the coordinator's
    originals = Originals(Path(folder) if folder else None, writes=bool(job["original_kept"]))
    opened = open_predictor(runtime, executable, heads, job["threads"], job["new_tokens"], originals)
    timed = opened.timed
    if job["batch"] > 1:
        if opened.together is None:
            raise MctError(f"{runtime.name} writes one text at a time", "a batch is for other tasks")
        timed, requests = opened.together, in_batches(requests, job["batch"], job["seed"])
    recorded = {"graphs", "compile"} & executable.settings.keys()  # these read and write memory of their own
    if job["clients"] > 1 and (recorded or not runtime.concurrent):
        timed = one_call_at_a_time(timed)
    return Bench(
        predictor=timed,
        pause=Pause(*job["pause"]),
        requests=requests,
        order=shuffled_forever(len(requests), job["seed"]),
        scorer=watching(opened.scored, executable.task, heads, job["watched"]) if job["watched"] else opened.scored,
        watched=tuple(job["watched"]),
        originals=originals,
        scored=requests if job["scored"] is None else job["scored"],
        answers_at_once=opened.at_once,
        writes=executable.network == "causal-lm",
        groups=cgroup_folders(),
        clients=job["clients"],
        meter=open_meter(executable.device.partition(":")[2]) if is_cuda(executable.device) else None,
    )


def shuffled_forever(size: int, seed: int) -> Iterator[int]:
    """Row numbers in random order, every row once before any comes again; the same for every artifact of a round."""
    rng = random.Random(seed)
    rows = list(range(size))
    while True:
        rng.shuffle(rows)
        yield from rows


def in_batches(requests: Sequence[Request], size: int, seed: int) -> list[list[Request]]:
    """The requests in random order, so many at a time; those of the beginning fill up the last."""
    mixed = random.Random(seed).sample(list(requests), len(requests))
    endless = cycle(mixed)
    return [list(islice(endless, size)) for _ in range(-(-len(mixed) // size))]


def of_length(
    executable: Executable, requests: Sequence[Request], tokens: int, new_tokens: int
) -> tuple[Executable, list[Request]]:
    """Requests of exactly so many tokens, special ones among them: texts strung together and cut there.

    MctError for what is no text, and for more tokens than the model takes.
    """
    room = tokens + (new_tokens if executable.network == "causal-lm" else 0)
    if room > executable.max_tokens:
        raise MctError(f"this model takes {executable.max_tokens} tokens, not {room}", "scan over shorter lengths")
    if not all(isinstance(request, str) for request in requests):
        raise MctError("only single texts can be made as long as wanted", "leave a scan over length to such tasks")
    tokenize = load("mct.models.tasks.tokens:open_tokenizer")(executable.vocabulary, tokens)
    endless, found = cycle(map(str, requests)), []
    for text in map(str, requests[:MOST_STRUNG]):
        while len(tokenize(text).ids) < tokens:
            text += " " + next(endless)
        found.append(text)
    return replace(executable, max_tokens=room), found


def run_block(bench: Bench, count: int, cap_s: float) -> Reply:
    """Time `count` requests. A few untimed ones come before: they refill the caches after another artifact's turn."""
    requests = bench.next_requests(count)
    with _no_collections():
        _resume(bench.predictor, requests)
        before, energy = resource.getrusage(resource.RUSAGE_SELF), package_energy_uj()
        stolen, waited, stopped, card = stolen_s(), waited_s(), throttling(bench.groups), _read(bench.meter)
        began_cpu, began = process_time(), perf_counter_ns()
        timings = _timed(bench, requests, int(cap_s * 1e9))
        ended, ended_cpu = perf_counter_ns(), process_time()
        after = resource.getrusage(resource.RUSAGE_SELF)
    return throttled_since(stopped, bench.groups) | {
        "end_to_end_ns": timings.end_to_end.tolist(),
        "model_ns": timings.model.tolist(),
        "wall_s": (ended - began) / 1e9,
        "cpu_s": ended_cpu - began_cpu,
        "involuntary_switches": after.ru_nivcsw - before.ru_nivcsw,
        "minor_faults": after.ru_minflt - before.ru_minflt,
        "major_faults": after.ru_majflt - before.ru_majflt,
        "stolen_s": stolen_s() - stolen,
        "waited_s": _waited_since(waited),
        "energy_uj": spent_uj(energy, package_energy_uj()),
        "gpu": _gpu_since(card, _read(bench.meter)),
        "peak_rss_mb": peak_rss_mb(),
        "tokens": timings.tokens.tolist(),
        "new_tokens": sum(timings.written) if bench.writes else None,
        "first_ns": timings.first.tolist() if bench.writes else None,
        "written": timings.written.tolist() if bench.writes else None,
        "deferred": timings.deferred.tolist() or None,
    }


def _timed(bench: Bench, requests: Sequence[Request], cap_ns: int) -> Timings:
    if bench.clients == 1:
        return time_requests(bench.predictor, requests, cap_ns, bench.pause)
    return time_clients(bench.predictor, requests, bench.clients, cap_ns)


def _read(meter: Meter | None) -> Reading | None:
    return None if meter is None else meter.read()


def _gpu_since(before: Reading | None, after: Reading | None) -> Reply | None:
    """What the card used between two readings, and its state at the end; None where it tells nothing."""
    if before is None or after is None:
        return None
    energy = (before.energy_mj, after.energy_mj)
    return {
        "energy_mj": None if energy[0] is None or energy[1] is None else max(0, energy[1] - energy[0]),
        "power_w": after.power_w,
        "clock_mhz": after.clock_mhz,
        "memory_mb": after.memory_mb,
        "temperature_c": after.temperature_c,
        "slowed_by": sorted({*before.slowed_by, *after.slowed_by}),
    }


def run_traffic(bench: Bench, command: Mapping[str, Any]) -> Reply:
    """Serve open-loop traffic at a given rate; see `mct.bench.worker.open_loop`."""
    count = command["count"]
    requests, arrivals = bench.next_requests(count), poisson_arrivals(command["load"], count, command["seed"])
    for request in bench.next_requests(RESUME_LEAST):
        bench.predictor(request)
    with _no_collections():
        stolen, waited, began_cpu = stolen_s(), waited_s(), process_time()
        times = serve_traffic(bench.predictor, requests, arrivals, command["cap_s"])
        ended_cpu = process_time()
    return {key: value.tolist() for key, value in times._asdict().items()} | {
        "qps": command["load"],
        "asked": count,
        "cpu_s": ended_cpu - began_cpu,
        "stolen_s": stolen_s() - stolen,
        "waited_s": _waited_since(waited),
    }


def answer(bench: Bench, first: int, last: int) -> Reply:
    """Answers, token counts and scores of the watched labels, of examples `first` up to `last` (not included)."""
    bench.originals.begin(first, last)
    deferred: list[bool] = []
    values = answer_all(noting_deferred(bench.scorer, deferred), bench.scored[first:last], bench.answers_at_once)
    bench.originals.end(first, last)
    tokens = count_tokens(bench.predictor, bench.requests[first:last])
    told = {"tokens": tokens, "deferred": deferred}
    if not bench.watched:
        return {"values": values} | told
    scores = {label: [scored[label] for _, scored in values] for label in bench.watched}
    return {"values": [value for value, _ in values], "scores": scores} | told


def outputs(bench: Bench, first: int, last: int) -> Reply:
    """What the model itself gives for each request of examples `first` up to `last` (not included).

    An array for each output of each of its inputs, as its shape and the base64 of its float32; of a language model the
    text that it writes.
    """
    if bench.writes:
        return {"outputs": [bench.predictor(request) for request in bench.requests[first:last]]}
    found = []
    for request in bench.requests[first:last]:
        given = [bench.scorer.infer([tokens]) for tokens in bench.scorer.encode(request)]
        found.append([{name: [list(value.shape), _portable(value)] for name, value in one.items()} for one in given])
    return {"outputs": found}


def _portable(array: Any) -> str:
    return base64.b64encode(array.astype("<f4").tobytes()).decode("ascii")


def _waited_since(before: float | None) -> float | None:
    """Threads that have ended take their count along: what is left may be less than before."""
    return None if before is None else max(0.0, (waited_s() or 0.0) - before)


def throttled_since(before: Throttling | None, groups: Sequence[Path]) -> Reply:
    """How often and how long these groups were stopped since `before`; None of both where none has a quota."""
    after = throttling(groups)
    if before is None or after is None:
        return {"throttled": None, "throttled_s": None}
    return {
        "throttled": max(0, after.times - before.times),
        "throttled_s": max(0.0, after.seconds - before.seconds),
    }


def _obey(bench: Bench, command: Mapping[str, Any]) -> Reply:
    if "run" in command:
        return run_block(bench, command["run"], command["cap_s"])
    if "load" in command:
        return run_traffic(bench, command)
    if "outputs" in command:
        return outputs(bench, *command["outputs"])
    return answer(bench, *command["answers"])


def _resume(predictor: Predictor, requests: Sequence[Request]) -> None:
    """Untimed requests for `RESUME_S`: the first dozen after a pause are up to twice as slow as the rest.

    Their number depends on the artifact, so they take nothing from the order, in which both sides stay abreast.
    """
    ended = perf_counter() + RESUME_S
    for number, request in enumerate(cycle(requests)):
        if number >= RESUME_LEAST and perf_counter() > ended:
            break
        predictor(request)


def _come_to_rest() -> None:
    """Wait until no thread of this process runs any more, or `REST_CAP_S`.

    A runtime's threads go on spinning for work after the last request (ONNX Runtime's for 35 ms). Were the turn over
    before they sleep, they would take the next artifact's CPUs and stand in its tail.
    """
    ended, quiet = perf_counter() + REST_CAP_S, 0
    while quiet < REST_STEPS and perf_counter() < ended:
        before = process_time()
        sleep(REST_STEP_S)
        quiet = quiet + 1 if process_time() - before < REST_STEP_S / 10 else 0


def _call_every_length(bench: Bench) -> None:
    """One untimed request of every token length: a runtime that compiles per length does so before it is timed.

    A language model meets every length while it writes.
    """
    met: set[int] = set()
    for request in () if bench.writes else bench.requests:
        lengths = {len(tokens.ids) for tokens in bench.predictor.encode(request)}
        if not lengths <= met:
            bench.predictor(request)
            met |= lengths


def open_channel() -> Callable[[Reply], None]:
    """Keep the real stdout to ourselves and let everyone else's stdout, in Python or in C, go to stderr."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(reply: Reply) -> None:
        try:
            line = json.dumps(reply, allow_nan=False)
        except ValueError as error:
            raise MctError("it answers by what is no number (NaN or infinity)", "its weights are damaged") from error
        channel.write(line + "\n")
        channel.flush()

    return say


def die_with(parent: int) -> None:
    """Be killed when the coordinator is, even by SIGKILL. Elsewhere than on Linux the end of stdin has to do.

    `parent` is the process that starts it, 0 where whoever writes the job cannot know it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent and os.getppid() != parent:  # it died before we asked
        sys.exit(1)


@contextmanager
def _no_collections() -> Iterator[None]:
    """No garbage collection inside: what exists is set aside for good and the collector sleeps.

    Without the setting aside, the collection before every block would walk all objects and empty the caches.
    """
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


if __name__ == "__main__":
    main()
