"""What runs in a peer's own environment: `worker.py make` makes its model, `worker.py serve` answers to be timed.

Both read a job, one line of JSON, from stdin; what is timed goes on in one line in, one line out: {"warm": true} warms
up, {"run": 20, "cap_s": 1} times 20 requests or as many as a second allows, {"score": [0, 256]} scores those texts.
Python's own library and one leaf of mct are all it needs, so that every environment times by the same loop: the peers'
and ours. What a library prints goes to stderr; between commands the worker sleeps in a read, its threads at rest.
"""

import ctypes
import gc
import json
import os
import random
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from itertools import cycle
from pathlib import Path
from statistics import median
from time import perf_counter, perf_counter_ns, process_time, sleep
from typing import Any

from peer import Peer

from mct.bench.worker.warm_up import requests_a_lap, warm_up

PR_SET_PDEATHSIG = 1
SHOWN = ("torch", "transformers", "onnxruntime", "openvino", "optimum", "nncf", "model2vec", "llama_cpp_python",
         "onnxruntime_genai")  # fmt: skip
WARM_UP_S, LENGTHS_S = 2.0, 2.0
RESUME_LEAST, RESUME_S = 3, 0.01
REST_STEP_S, REST_STEPS, REST_CAP_S = 0.003, 2, 0.25

Reply = dict[str, Any]


def main() -> None:
    """Do what the command line says; exit code 1 after any error, which is replied first."""
    say = open_channel()
    try:
        job = json.loads(sys.stdin.readline())
        die_with(job["parent"])
        if sys.argv[1] == "make":
            named(job["make"])(Path(job["checkpoint"]), Path(job["train"]), Path(job["out"]))
            say({})
        else:
            serve(job, say)
    except Exception as error:
        traceback.print_exc()
        say({"error": f"{type(error).__name__}: {error}".strip().splitlines()[0]})
        sys.exit(1)
    os._exit(0)  # a library that stumbles over its own tidying up has done its work all the same


def serve(job: Mapping[str, Any], say: Callable[[Reply], None]) -> None:
    """Load the model and obey until stdin ends."""
    if job["affinity"] and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, job["affinity"])
    peer = named(job["open"])(Path(job["folder"]), job["threads"])
    order = shuffled_forever(job["requests"], job["seed"])
    say({"libraries": dict(libraries())})
    for line in sys.stdin:
        command = json.loads(line)
        if "warm" in command:
            reply = warmed(peer, job["requests"])
        elif "run" in command:
            reply = timed(peer, [next(order) for _ in range(command["run"])], command["cap_s"])
        else:
            reply = {"values": [peer.score(text) for text in job["scored"][slice(*command["score"])]]}
        come_to_rest()
        say(reply)


def libraries() -> Iterator[tuple[str, str]]:
    """The versions of what answers, as far as it was loaded."""
    for name in SHOWN:
        if name.removesuffix("_python") in sys.modules:
            with suppress(PackageNotFoundError):
                yield name, version(name)


def named(reference: str) -> Callable[..., Any]:
    """The function that "module:function" names, of a module beside this one."""
    module, _, function = reference.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), function)
    return found


def warmed(peer: Peer, requests: Sequence[str]) -> Reply:
    """One request of each length, as far as there is time, then the same few until they get no faster."""
    ranked = sorted(requests, key=len)
    by_length, ended = {len(text) // 4: text for text in ranked}, perf_counter() + LENGTHS_S
    for text in random.Random(0).sample(list(by_length.values()), len(by_length)):
        peer.answer(text)
        if perf_counter() > ended:
            break
    typical_ns = median(nanoseconds(peer, spread(ranked, 3)))
    lap = spread(ranked, requests_a_lap(typical_ns))
    with no_collections():
        found = warm_up(lambda: nanoseconds(peer, lap), WARM_UP_S)
    return {"typical_ms": found.typical_ns / 1e6, "ended": found.ended}


def spread(ranked: Sequence[str], count: int) -> list[str]:
    """So many requests, from short ones to long ones."""
    return [ranked[(2 * place + 1) * len(ranked) // (2 * count)] for place in range(count)]


def timed(peer: Peer, requests: Sequence[str], cap_s: float) -> Reply:
    """Nanoseconds of each request. A few untimed ones come before: the first after a pause are slow."""
    with no_collections():
        ended = perf_counter() + RESUME_S
        for number, text in enumerate(cycle(requests)):
            if number >= RESUME_LEAST and perf_counter() > ended:
                break
            peer.answer(text)
        return {"ns": nanoseconds(peer, requests, cap_s)}


def nanoseconds(peer: Peer, requests: Sequence[str], cap_s: float = 60.0) -> list[int]:
    """Make the requests one after the other; stop early once `cap_s` have passed."""
    answer, clock, found = peer.answer, perf_counter_ns, []
    stop = clock() + int(cap_s * 1e9)
    for text in requests:
        began = clock()
        answer(text)
        ended = clock()
        found.append(ended - began)
        if ended > stop:
            break
    return found


def shuffled_forever(requests: Sequence[str], seed: int) -> Iterator[str]:
    """The requests in random order, every one once before any comes again; the same for all peers of a round."""
    rng, order = random.Random(seed), list(requests)
    while True:
        rng.shuffle(order)
        yield from order


def come_to_rest() -> None:
    """Wait until no thread of this process runs any more: one that spins would stand in the next peer's tail."""
    ended, quiet = perf_counter() + REST_CAP_S, 0
    while quiet < REST_STEPS and perf_counter() < ended:
        before = process_time()
        sleep(REST_STEP_S)
        quiet = quiet + 1 if process_time() - before < REST_STEP_S / 10 else 0


@contextmanager
def no_collections() -> Iterator[None]:
    """No garbage collection inside: what exists is set aside for good and the collector sleeps."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def open_channel() -> Callable[[Reply], None]:
    """Keep the real stdout to ourselves and let everyone else's stdout go to stderr."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(reply: Reply) -> None:
        channel.write(json.dumps(reply) + "\n")
        channel.flush()

    return say


def die_with(parent: int) -> None:
    """Be ended with the coordinator, even by SIGKILL."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


if __name__ == "__main__":
    main()
