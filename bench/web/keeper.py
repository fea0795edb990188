"""A process that clears up after the measured one, however that ends: killed, it cannot end what it started itself.

It is forked off before anything else, waits for the end of a pipe, and does then what it was told: ends groups of
processes, removes folders. Nothing of it runs while something is measured.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

from mct.targets.machine import read_lines

PATIENCE_S = 5.0
STEP_S = 0.02
MOST_FILES = 1 << 16


class Keeper:
    """Told what to clear up. A context manager: all of it is cleared up at the end, or when this process dies."""

    def __enter__(self) -> Keeper:
        read, self._write = os.pipe()
        self._process = os.fork()
        if not self._process:
            os.close(self._write)
            _keep(read)
        os.close(read)
        return self

    def __exit__(self, *raised: object) -> None:
        os.close(self._write)
        with suppress(ChildProcessError):
            os.waitpid(self._process, 0)

    def end_group(self, leader: int) -> None:
        """End the group of processes that this one leads."""
        self._tell(f"group {leader}")

    def remove(self, folder: Path) -> None:
        """Remove a folder, once the groups have ended."""
        self._tell(f"folder {folder}")

    def _tell(self, order: str) -> None:
        os.write(self._write, order.encode() + b"\0")


def _keep(read: int) -> None:
    """In the process of its own: wait for the end, clear up, and be gone."""
    try:
        os.setsid()
        for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(ignored, signal.SIG_IGN)
        _let_go(read)
        with os.fdopen(read, "rb") as orders:
            told = [order.partition(" ") for order in orders.read().decode().split("\0") if order]
        for leader in (int(what) for kind, _, what in told if kind == "group"):
            _end(leader)
        for folder in (Path(what) for kind, _, what in told if kind == "folder"):
            _remove(folder)
    finally:
        os._exit(0)


def _let_go(kept: int) -> None:
    """Hold no pipe of the measured process open: whoever reads it waits for its end."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    os.closerange(3, kept)
    os.closerange(kept + 1, min(os.sysconf("SC_OPEN_MAX"), MOST_FILES))


def _end(leader: int) -> None:
    ended = time.monotonic() + PATIENCE_S
    while _runs(leader) and time.monotonic() < ended:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, signal.SIGKILL)
        time.sleep(STEP_S)


def _runs(leader: int) -> bool:
    """Whether any of the group does: those that have ended stay in it until somebody asks how."""
    stats = (read_lines(folder / "stat") for folder in Path("/proc").glob("[0-9]*"))
    states = [lines[0].rpartition(")")[2].split() for lines in stats if lines]
    if not states:  # a system that shows no processes: ask the group itself
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, 0)
            return True
    return any(int(group) == leader and state != "Z" for state, _, group, *_ in states)


def _remove(folder: Path) -> None:
    """A browser's last process may still write into it."""
    ended = time.monotonic() + PATIENCE_S
    while folder.exists() and time.monotonic() < ended:
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            time.sleep(STEP_S)
