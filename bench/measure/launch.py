"""The coordinator's end of a worker: start it, ask it, end it, and tell what became of it when it dies.

Pinning of threads is done before the process starts (OpenMP and friends read it once, on import); a worker that
crashes, raises or hangs is its artifact's failure and nobody else's.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic
from typing import IO, Any

from mct.bench.samples.measurement import Answers, Block, Failure, Start, from_record
from mct.bench.samples.subject import Subject
from mct.bench.worker.open_loop import Segment, Traffic, segment_from
from mct.bench.worker.predict import NEW_TOKENS, NO_PAUSE, Pause
from mct.models.tasks.examples import Example
from mct.targets.devices.gpus import device_environment
from mct.targets.memory import MemoryLimit, limit_memory

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
ALONE = "OPENBLAS_NUM_THREADS"
"""numpy's products, which follow a runtime's: with a pool of threads of its own it takes the runtime's CPUs away."""
PATIENCE_S = 300.0
STDERR_LINES = 8
WORKER = "a worker's reply"


class WorkerDied(Exception):  # noqa: N818 - what happened, not an error of ours
    """A worker could not go on; `failure` says why in words for the report. Never leaves this room."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


@dataclass(frozen=True)
class Setting:
    """How a worker runs, and on what. `affinity` are the CPUs to be pinned to, empty where that cannot be.

    `pause` comes after each request: to see whether a check would find it. A language model is timed writing
    `new_tokens` at most. `batch` requests are made at once, each of `length` tokens (0: as they come). With an answer
    comes the score of each label that is `watched`. `memory_mb` (10^6 bytes) is the most that a timed process may take;
    0 is no limit. What the original gave is found in the folder `original`, or put into the folder `original_kept` by
    itself ("" for neither). `python` is the command that stands for Python, where that is not the one that runs this
    (an emulator with one of another architecture), and `environment` what it is told beside.
    """

    examples: Sequence[Example]
    threads: int
    affinity: Sequence[int]
    seed: int
    pause: Pause = NO_PAUSE
    new_tokens: int = NEW_TOKENS
    batch: int = 1
    length: int = 0
    watched: Sequence[str] = ()
    memory_mb: int = 0
    original: str = ""
    original_kept: str = ""
    python: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(eq=False)
class Worker:
    """A running worker. Use as a context manager: it is gone afterwards, whatever happened."""

    process: subprocess.Popen[bytes]
    errors: IO[bytes]
    job: Mapping[str, Any]
    round: int
    memory: MemoryLimit | None = None
    unread: bytes = b""
    start: Start = field(init=False)

    def get_ready(self) -> None:
        """Hand it its job and wait until it is loaded; warm besides, if it is to be timed."""
        reply = self._ask(self.job)
        if self.job["timed"]:
            start = from_record({"kind": "start", "round": self.round} | reply, WORKER)
            assert isinstance(start, Start)
            self._check_memory(start.peak_rss_mb)
            self.start = start

    def run(self, count: int, cap_s: float, position: int) -> Block:
        """Time `count` requests, or as many as `cap_s` seconds allow; `position` is the block's place in the run."""
        reply = self._ask({"run": count, "cap_s": cap_s})
        block = from_record({"kind": "block", "round": self.round, "position": position} | reply, WORKER)
        assert isinstance(block, Block)
        self._check_memory(block.peak_rss_mb)
        return block

    def serve(self, traffic: Traffic, position: int) -> Segment:
        """Let requests arrive on their own schedule, done or not; `position` is the segment's place in the run."""
        command = {"load": traffic.qps, "count": traffic.count, "cap_s": traffic.cap_s, "seed": traffic.seed}
        return segment_from({"round": self.round, "position": position} | self._ask(command))

    def answers(self, first: int, last: int) -> Answers:
        """Answers and token counts of examples `first` up to `last` (not included)."""
        answers = from_record({"kind": "answers"} | self._ask({"answers": [first, last]}), WORKER)
        assert isinstance(answers, Answers)
        return answers

    def outputs(self, first: int, last: int) -> list[Any]:
        """What the model gives for each request of examples `first` up to `last`: see the worker's `outputs`."""
        found: list[Any] = self._ask({"outputs": [first, last]})["outputs"]
        return found

    def kill(self) -> None:
        """End it by force, from whatever thread; whoever waits for its reply learns that it died."""
        self.process.kill()

    def close(self) -> None:
        """End it: politely, then by force."""
        if self.process.poll() is None and self.process.stdin is not None:
            try:
                self.process.stdin.close()
                self.process.wait(timeout=1)
            except (OSError, subprocess.TimeoutExpired):
                self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.errors.close()
        if self.memory is not None:
            self.memory.remove()

    def _ask(self, message: Mapping[str, Any]) -> dict[str, Any]:
        self._send(message)
        return self._receive()

    def _send(self, message: Mapping[str, Any]) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return  # it died: the reply that does not come tells how

    def _receive(self) -> dict[str, Any]:
        line = self._read_line(monotonic() + PATIENCE_S)
        try:
            reply: dict[str, Any] = json.loads(line)
        except ValueError:
            raise WorkerDied(self._failure(self._how_it_ended(), self._about_memory())) from None
        if "error" in reply:
            raise WorkerDied(self._failure(reply["error"], reply["hint"] or self._about_memory()))
        return reply

    def _check_memory(self, peak_rss_mb: float | None) -> None:
        """A group does not count the pages of files that another process had read before; on the target nobody has."""
        if self.memory is not None and peak_rss_mb is not None and peak_rss_mb > self.memory.megabytes:
            raise WorkerDied(self._failure(f"{self._too_little()}: it held {peak_rss_mb:.0f} MB"))

    def _too_little(self) -> str:
        assert self.memory is not None
        return f"it needs more than the {self.memory.megabytes} MB of its target"

    def _how_it_ended(self) -> str:
        code = self.process.wait()
        if self.memory is not None and self.memory.exceeded():
            peak = self.memory.peak_mb()
            reached = "" if peak is None else f" when it held {peak:.0f} MB"
            return f"{self._too_little()}: the kernel ended it{reached}"
        if code < 0:
            return f"the worker was ended by {signal.Signals(-code).name}"
        return f"the worker ended with exit code {code} before it answered"

    def _about_memory(self) -> str:
        """A hint where the failure may come from the limit of its memory, which only a control group tells for sure."""
        if self.memory is None:
            return ""
        return f"it may take {self.memory.megabytes} MB on this target ({self.memory.how})"

    def _read_line(self, deadline: float) -> bytes:
        """The next line of the protocol; what there is of it if the worker died."""
        assert self.process.stdout is not None
        channel = self.process.stdout.fileno()
        while b"\n" not in self.unread:
            if not select.select([channel], [], [], max(0.0, deadline - monotonic()))[0]:
                self.process.kill()
                raise WorkerDied(self._failure(f"the worker did not answer within {PATIENCE_S:g} s"))
            chunk = os.read(channel, 1 << 16)
            if not chunk:
                break
            self.unread += chunk
        line, _, self.unread = self.unread.partition(b"\n")
        return line

    def _failure(self, message: str, hint: str = "") -> Failure:
        self.errors.seek(0)
        said = self.errors.read().decode("utf-8", "replace").splitlines()
        return Failure(message, hint, tuple(line for line in said if line.strip())[-STDERR_LINES:])


def start_worker(subject: Subject, setting: Setting, round_number: int) -> Worker:
    """A fresh process, loaded and warm. WorkerDied where it does not get that far.

    It dies with the thread that started it (that is how Linux has it), so start it from one that lives as long.

    In the first round the model's files are dropped from the page cache before, where the system allows it.
    """
    if round_number == 0:
        for name in subject.files:
            _forget_cached(subject.path / name)
    worker = _launch(subject, setting, round_number, timed=True)
    try:
        worker.get_ready()
    except BaseException:
        worker.kill()
        worker.close()
        raise
    return worker


def launch_answerer(subject: Subject, setting: Setting) -> Worker:
    """A fresh process that gives answers and is not timed, so it warms up to nothing. Its `get_ready` loads it."""
    return _launch(subject, setting, 0, timed=False)


def _launch(subject: Subject, setting: Setting, round_number: int, timed: bool) -> Worker:
    errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
    environment = worker_environment(setting.threads) | device_environment(subject.executable.device)
    command = [*(setting.python or (sys.executable,)), "-P", "-m", "mct.bench.worker.worker"]
    memory = limit_memory(setting.memory_mb) if timed and setting.memory_mb else None
    process = subprocess.Popen(
        command if memory is None else memory.command(command),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
        env=environment | dict(setting.environment),
    )  # fmt: skip
    return Worker(process, errors, _job(subject, setting, round_number) | {"timed": timed}, round_number, memory)


def _job(subject: Subject, setting: Setting, round_number: int) -> dict[str, Any]:
    executable = asdict(subject.executable) | {"folder": str(subject.executable.folder.resolve())}
    requests = [example.request for example in setting.examples]
    scored = [example.scored for example in setting.examples]
    return {
        "parent": os.getpid(),
        "format": subject.format,
        "executable": executable,
        "heads": [asdict(head) for head in subject.heads],
        "threads": setting.threads,
        "affinity": list(setting.affinity),
        "seed": setting.seed * 1000 + round_number,
        "pause": list(setting.pause),
        "new_tokens": setting.new_tokens,
        "batch": setting.batch,
        "length": setting.length,
        "watched": list(setting.watched),
        "original": setting.original,
        "original_kept": setting.original_kept,
        "requests": requests,
        "scored": None if scored == requests else scored,
    }


def worker_environment(threads: int) -> dict[str, str]:
    """The parent's environment and import path, with every runtime told the same number of threads."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return {
        **os.environ,
        **dict.fromkeys(THREAD_VARIABLES, str(threads)),
        ALONE: "1",
        "PYTHONPATH": path,
        "PYTHONHASHSEED": "0",
        "TOKENIZERS_PARALLELISM": "false",
    }


def _forget_cached(path: Path) -> None:
    """Ask the kernel to drop a file's pages, so that the next load reads it from disk."""
    if not hasattr(os, "posix_fadvise"):
        return
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
