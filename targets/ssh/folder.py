"""A folder on another machine that holds what was copied there, as long as somebody here needs it.

One connection copies the files and then stays: as soon as it ends, however that comes about (this process ends or is
killed, the line breaks), the keeper at the other end removes the folder. Each worker is a connection of its own, so
that one that breaks takes no other with it. If the keeper's own breaks, the next that needs the folder copies again:
the keeper is asked each time, since a connection may be dead some time before this end of it ends.
"""

from __future__ import annotations

import base64
import json
import os
import re
import select
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock, Thread
from time import monotonic
from typing import IO, Any

from mct import MctError
from mct.models.progress import Report, silent
from mct.targets.ssh.bundle import CODE, code_files, size_of, write_bundle
from mct.targets.ssh.connection import OLDEST_PYTHON, TOO_OLD, Remote, explained
from mct.targets.ssh.keeper import ASKED

ALIVE_S = 20.0
SILENCE_S = 150.0
"""A keeper that hears nothing for so long clears away: the machine that asked went down, or off the net."""
READY_S = 120.0
"""To unpack the last of it, and say so."""
LEAVE_S = 10.0
ANSWER_S = 60.0
"""A keeper that does not answer for so long is taken for gone; a line that stalls for less loses nothing."""
NO_SSH = ("there is no ssh here", "apt-get install openssh-client")
_FOLDER = re.compile(r"/[A-Za-z0-9_./+-]{1,200}")


@dataclass
class RemoteFolder:
    """The folder, made when it is first needed. Use it within `opened`."""

    remote: Remote
    files: Mapping[str, Path]
    keep: bool = False
    report: Report = silent
    path: str = ""
    process: subprocess.Popen[bytes] | None = None
    lock: Lock = field(default_factory=Lock)
    done: Event = field(default_factory=Event)

    def ready(self) -> str:
        """The folder's path there, copied anew where it is gone. MctError where the machine cannot be reached."""
        with self.lock:
            if not self._answers():
                self.path = self._copy()
            return self.path

    def is_gone(self) -> bool:
        """Whether the connection that keeps it has ended: what ran there ends with it."""
        return self.process is None or self.process.poll() is not None

    def _answers(self) -> bool:
        """Whether the keeper is there and says so; it is ended where it does not."""
        process = self.process
        if process is None or process.stdin is None or process.poll() is not None:
            return False
        with suppress(OSError, ValueError):  # ValueError: it was closed meanwhile
            process.stdin.write(ASKED)
            process.stdin.flush()
            if _reply(_line(process, ANSWER_S)) == {"folder": self.path}:
                return True
        _end(process)
        return False

    def run(self, module: str, words: Sequence[str] = ()) -> dict[str, Any]:
        """Run a module of this package there; gives the JSON object that it prints. MctError where it fails."""
        command = self.remote.command(python_words(self.remote, self.ready(), module, words))
        done = _run(command, self.remote)
        said = done.stderr.decode("utf-8", "replace").splitlines()
        if done.returncode:
            if error := explained(self.remote, done.returncode, said):
                raise error
            with self.lock:
                if not self._answers():  # its files were being cleared away meanwhile
                    raise MctError(f"the connection to {self.remote.name} broke", "run the command again")
            raise MctError(
                f"{self.remote.python} on {self.remote.name} failed: {(said or ['it said nothing'])[-1][:300]}",
                "try another Python there, named in a target file",
            )
        return _object(done.stdout, self.remote)

    def _copy(self) -> str:
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - read when it failed, closed with its process
        process = _popen(self.remote.command(_keeper_words(self.remote)), errors)
        self.process = process
        try:
            self._send(process)
            reply = _reply(_line(process))
        except OSError:
            reply = None
        if reply is None or "error" in reply:
            _end(process)
            errors.seek(0)
            said = [line for line in errors.read().decode("utf-8", "replace").splitlines() if line.strip()]
            if reply is not None:
                raise MctError(f"{self.remote.name}: {reply['error']}", reply["hint"])
            raise explained(self.remote, process.returncode, said) or MctError(
                f"{self.remote.python} on {self.remote.name} does not work: {(said or ['it said nothing'])[-1][:300]}",
                "is it a Python 3.11 or newer? Another can be named in a target file",
            )
        if not _FOLDER.fullmatch(str(reply.get("folder"))):
            _end(process)
            raise MctError(
                f"{self.remote.name} has its temporary files in {str(reply.get('folder'))[:300]!r}",
                "point TMPDIR of that user to a shorter path of ASCII letters, digits and . _ + - alone",
            )
        Thread(target=self._say_alive, args=(process,), daemon=True).start()
        return str(reply["folder"])

    def _send(self, process: subprocess.Popen[bytes]) -> None:
        total = size_of(self.files)
        stream = process.stdin
        assert stream is not None
        with suppress(BrokenPipeError):  # it ended: its reply, or that there is none, tells why
            stream.write(json.dumps({"bytes": total, "keep": self.keep, "silence_s": SILENCE_S}).encode() + b"\n")
            write_bundle(stream, self.files, lambda gone: self.report(f"copying to {self.remote.name}", gone / total))
            stream.flush()

    def _say_alive(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        while not self.done.wait(ALIVE_S) and process.poll() is None:
            try:
                process.stdin.write(b"\n")
                process.stdin.flush()
            except (OSError, ValueError):
                return

    def close(self) -> None:
        """Let the keeper go, which clears away."""
        self.done.set()
        if self.process is not None:
            _end(self.process)


@contextmanager
def opened(
    remote: Remote, files: Mapping[str, Path], keep: bool = False, report: Report = silent
) -> Iterator[RemoteFolder]:
    """The light part of this package and these files on that machine, until the block ends."""
    folder = RemoteFolder(remote, {**code_files(), **files}, keep, report)
    try:
        folder.ready()
        yield folder
    finally:
        folder.close()


def python_words(remote: Remote, folder: str, module: str, words: Sequence[str]) -> list[str]:
    """The words that run a module of the package copied there."""
    return ["env", f"PYTHONPATH={folder}/{CODE}", remote.python, "-P", "-m", module, *words]


def _keeper_words(remote: Remote) -> list[str]:
    """Python with the keeper as text, after a line that every Python understands: too old a one says so."""
    text = base64.b64encode(Path(__file__).with_name("keeper.py").read_bytes()).decode()
    start = (
        f"import sys,base64;v=sys.version_info;v<{OLDEST_PYTHON}and(sys.stderr.write('mct: Python %d.%d\\n'%v[:2]),"
        f"sys.exit({TOO_OLD}));exec(base64.b64decode('{text}'))"
    )
    return [remote.python, "-c", start]


def _popen(command: Sequence[str], errors: IO[bytes]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        )
    except FileNotFoundError as error:
        raise MctError(*NO_SSH) from error


def _run(command: Sequence[str], remote: Remote) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=READY_S, check=False)
    except FileNotFoundError as error:
        raise MctError(*NO_SSH) from error
    except subprocess.TimeoutExpired as error:
        raise MctError(f"{remote.name} did not answer within {READY_S:g} s", "check what it is busy with") from error


def _line(process: subprocess.Popen[bytes], patience_s: float = READY_S) -> bytes:
    """Its next line; what there is of it once it ends, and nothing if it is silent for so long."""
    assert process.stdout is not None
    found, deadline = b"", monotonic() + patience_s
    while not found.endswith(b"\n"):
        if not select.select([process.stdout], [], [], max(0.0, deadline - monotonic()))[0]:
            return b""
        byte = os.read(process.stdout.fileno(), 1)
        if not byte:
            return found
        found += byte
    return found


def _object(content: bytes, remote: Remote) -> dict[str, Any]:
    try:
        found = json.loads(content.splitlines()[-1])
    except (ValueError, IndexError):
        found = None
    if not isinstance(found, dict):
        raise MctError(f"{remote.name} answers by what is none of ours", "its login prints more than was asked for")
    return found


def _reply(line: bytes) -> dict[str, Any] | None:
    """What the keeper says; None for nothing. A login that prints of its own would be taken for a worker, too."""
    try:
        found = json.loads(line or b"null")
    except ValueError:
        found = line
    if found is None or isinstance(found, dict):
        return found
    said = line[:60].decode("utf-8", "replace").strip()
    return {"error": f"its login prints {said!r}", "hint": "make its ~/.bashrc say nothing where there is no terminal"}


def _end(process: subprocess.Popen[bytes]) -> None:
    """The end of its stdin ends the keeper; by force where that does not come."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    try:
        process.wait(timeout=LEAVE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
