"""The measured processes of `make peers`: each in its own environment, driven line by line, taking turns in rounds.

A round is a fresh process of every system. They load side by side, warm up one by one, then take short turns in the
orders of a Latin square: each runs after each other one equally often. A round is kept as it ends, in nanoseconds.
"""

import hashlib
import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import IO, Any

from forms import ROOT
from peers_systems import PEERS, WORKERS, System, environment

from mct.models.data.declared import read_object
from mct.models.writing.folders import write_json
from mct.targets.machine import probe_machine

ROUNDS = 8
TURN_S, TURN_LEAST, TURN_MOST = 0.08, 2, 250
CAP = 5.0
"""A turn is cut off at this many times the seconds it should take."""
PATIENCE_S = 900.0

Round = Mapping[str, list[int]]


@dataclass
class Contender:
    """One row on its way: the system, its Python and folder, what was learnt of it, or why there is nothing."""

    system: System
    python: Path = Path()
    folder: Path = Path()
    digest: str = ""
    size_mb: float | None = None
    answers: list[Any] = field(default_factory=list)
    libraries: dict[str, str] = field(default_factory=dict)
    failure: str = ""


@dataclass(frozen=True)
class Setting:
    """What every process of a comparison is told."""

    requests: Sequence[str]
    scored: Sequence[str]
    threads: int
    affinity: tuple[int, ...]


class Died(Exception):  # noqa: N818 - what happened, not an error of ours
    """A process could not go on; the text is the reason that the row shows."""


class Process:
    """One process of a contender, driven line by line; gone when the block is left."""

    def __init__(self, contender: Contender, verb: str, job: Mapping[str, Any], threads: int) -> None:
        self.contender = contender
        self.errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self.process = subprocess.Popen(
            [contender.python, WORKERS / "worker.py", verb], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.errors, env=environment(contender.system, threads), cwd=PEERS,
        )  # fmt: skip
        self.send({**job, "parent": os.getpid()})

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *what: object) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.errors):
            assert stream is not None
            stream.close()

    def ask(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """One line in, one line out."""
        self.send(command)
        return self.receive()

    def send(self, command: Mapping[str, Any]) -> None:
        """One line in."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(command).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return  # it died: the reply that does not come tells how

    def receive(self) -> dict[str, Any]:
        """One line out; Died where there is none, with the last thing that it said."""
        assert self.process.stdout is not None
        ready = select.select([self.process.stdout], [], [], PATIENCE_S)[0]
        said = self.process.stdout.readline() if ready else b""
        reply: dict[str, Any] = json.loads(said) if said else {"error": self._last_words() or "it gave no answer"}
        if "error" in reply:
            self.contender.failure = f"failed: {reply['error']}"
            raise Died(self.contender.failure)
        return reply

    def _last_words(self) -> str:
        self.errors.seek(0)
        said = self.errors.read().decode("utf-8", "replace").splitlines()
        return next((words for words in reversed(said) if words.strip()), "")


def serving(contender: Contender, setting: Setting, seed: int) -> dict[str, Any]:
    """The job of a process that answers."""
    return {
        "open": contender.system.open, "folder": str(contender.folder), "threads": setting.threads,
        "affinity": list(setting.affinity), "requests": list(setting.requests), "scored": list(setting.scored),
        "seed": seed,
    }  # fmt: skip


def latin_square(size: int) -> list[list[int]]:
    """Orders in which each of `size` stands at every place, and before every other, equally often (Williams 1949)."""
    first = [0 if place == 0 else (place + 1) // 2 if place % 2 else size - place // 2 for place in range(size)]
    orders = [[(each + shift) % size for each in first] for shift in range(size)]
    return orders if size % 2 == 0 else orders + [order[::-1] for order in orders]


def measure(contenders: Sequence[Contender], setting: Setting, seconds: float) -> list[Round]:
    """Nanoseconds by name, a dict a round: those that were kept, and as many more as `seconds` allow up to `ROUNDS`.

    Who dies in a round is left out from then on, and has failed.
    """
    told = [(each.system.name, each.digest, setting.threads, len(setting.requests)) for each in contenders]
    folder = PEERS / "rounds" / hashlib.sha256(f"{told} {probe_machine().instruction_sets}".encode()).hexdigest()[:12]
    found: list[Round] = [read_object(file) for file in sorted(folder.glob("*.json"))]
    for each in contenders:
        if any(each.system.name not in kept for kept in found):
            each.failure = f"failed in an earlier round: remove {folder.relative_to(ROOT)} to try it again"
    end, took, kept_rounds = monotonic() + seconds, 0.0, len(found)
    while len(found) < ROUNDS:
        began = monotonic()
        if len(found) > kept_rounds and end - began < took / 2:
            break
        able = [each for each in contenders if not each.failure]
        with suppress(Died):
            found.append(run_round(able, setting, len(found), began + (end - began) / (ROUNDS - len(found))))
            write_json(folder / f"{len(found) - 1}.json", found[-1])
            took = monotonic() - began
            print(f"round {len(found)} of {ROUNDS}: {took:.0f} s", file=sys.stderr, flush=True)
    return found


def run_round(contenders: Sequence[Contender], setting: Setting, index: int, deadline: float) -> Round:
    """A fresh process of each, loaded side by side, warmed one by one; then turns until the deadline, at least once."""
    with ExitStack() as stack:
        processes = [
            stack.enter_context(Process(each, "serve", serving(each, setting, index), setting.threads))
            for each in contenders
        ]
        for process in processes:
            process.receive()
        turns = [turn(process.ask({"warm": True})["typical_ms"]) for process in processes]
        found: dict[str, list[int]] = {each.system.name: [] for each in contenders}
        orders = latin_square(len(contenders))
        for number in range(len(orders)):
            if number and monotonic() > deadline:
                break
            for place in orders[(index * len(orders) // ROUNDS + number) % len(orders)]:
                found[contenders[place].system.name] += processes[place].ask(turns[place])["ns"]
    return found


def turn(typical_ms: float) -> dict[str, float]:
    """What to ask for in a turn: slow and fast ones get like shares of the time."""
    requests = min(TURN_MOST, max(TURN_LEAST, round(TURN_S * 1e3 / max(typical_ms, 1e-3))))
    return {"run": requests, "cap_s": CAP * max(TURN_S, requests * typical_ms / 1e3)}
