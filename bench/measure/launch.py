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
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from time import monotonic
from typing import IO, Any

from mct import MctError
from mct.bench.samples.measurement import Answers, Block, Failure, Start, from_record
from mct.bench.samples.subject import Subject
from mct.bench.transport.site import Setting, Site, Wanted
from mct.bench.worker.environment import forget_cached
from mct.bench.worker.open_loop import Segment, Traffic, segment_from
from mct.targets.memory import MemoryLimit, limit_memory, too_little

PATIENCE_S = 300.0
STDERR_LINES = 8
WORKER = "a worker's reply"


class WorkerDied(Exception):  # noqa: N818 - what happened, not an error of ours
    """A worker could not go on; `failure` says why in words for the report. Never leaves this room."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class ConnectionLost(WorkerDied):
    """Not the worker failed but the way to it: another one may be started."""


@dataclass(eq=False)
class Worker:
    """A running worker. Use as a context manager: it is gone afterwards, whatever happened."""

    process: subprocess.Popen[bytes]
    errors: IO[bytes]
    job: Mapping[str, Any]
    round: int
    site: Site
    memory: MemoryLimit | None = None
    most_mb: int = 0
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
            raise self._death() from None
        if "error" in reply:
            said = reply["error"]
            if self.memory is not None and self.memory.exceeded():  # it was what the worker had started that was ended
                said = self.memory.describe_end()
            failure = self._failure(said, reply["hint"] or self._about_memory())
            if (lost := self.site.lost(0, failure.stderr)) is not None:  # its files went with the connection
                raise ConnectionLost(lost)
            raise WorkerDied(failure)
        return reply

    def _check_memory(self, peak_rss_mb: float | None) -> None:
        """A group does not count the pages of files that another process had read before; on the target nobody has."""
        if self.most_mb and peak_rss_mb is not None and peak_rss_mb > self.most_mb:
            raise WorkerDied(self._failure(f"{too_little(self.most_mb)}: it held {peak_rss_mb:.0f} MB"))

    def _death(self) -> WorkerDied:
        """Why no reply came: the worker ended, or the way to it did."""
        ended = self._how_it_ended()
        failure = self._failure(ended, self._about_memory())
        lost = self.site.lost(self.process.returncode, failure.stderr)
        return WorkerDied(failure) if lost is None else ConnectionLost(lost)

    def _how_it_ended(self) -> str:
        code = self.process.wait()
        if self.memory is not None and self.memory.exceeded():
            return self.memory.describe_end()
        if code < 0:
            return f"the worker was ended by {signal.Signals(-code).name}"
        return f"the worker ended with exit code {code} before it answered"

    def _about_memory(self) -> str:
        """A hint where the failure may come from the limit of its memory, which only a control group tells for sure."""
        if not self.most_mb:
            return ""
        how = self.memory.how if self.memory is not None else self.site.facts().memory_by
        return f"it may take {self.most_mb} MB on this target ({how})"

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
    if round_number == 0 and setting.site.here:
        for name in subject.files:
            forget_cached(subject.path / name)
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
    most_mb = setting.memory_mb if timed else 0
    try:
        command = setting.site.command(Wanted(subject, setting, round_number, timed))
    except MctError as error:
        raise ConnectionLost(Failure(error.message, error.hint)) from error
    memory = limit_memory(most_mb) if most_mb and command.limited_here else None
    argv = list(command.argv)
    errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
    process = subprocess.Popen(
        argv if memory is None else memory.command(argv),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=dict(command.environment),
    )  # fmt: skip
    job = _job(subject, setting, round_number) | {"timed": timed} | dict(command.told)
    return Worker(process, errors, job, round_number, setting.site, memory, most_mb)


def _job(subject: Subject, setting: Setting, round_number: int) -> dict[str, Any]:
    executable = asdict(subject.executable) | {"folder": str(subject.executable.folder.resolve())}
    requests = [example.request for example in setting.examples]
    scored = [example.scored for example in setting.examples]
    return {
        "parent": 0,
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
        "clients": setting.clients,
        "watched": list(setting.watched),
        "original": setting.original,
        "original_kept": setting.original_kept,
        "requests": requests,
        "scored": None if scored == requests else scored,
    }
