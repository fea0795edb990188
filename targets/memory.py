"""A limit on the memory of a measured process that really binds it, and what became of the process under it.

Where this process may make a control group (version 2, else 1), the limit is on what the measured process holds in
RAM, swap included, and the kernel tells its peak; files that it merely maps count for the first who reads them, and are
given back first. Else
its data is limited (RLIMIT_DATA): what it asks for, whether it touches it or not, mapped files left out.
That is stricter on runtimes that reserve much, so a failure names which of the two it was.
"""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mct.targets.machine import read_lines

How = Literal["cgroup v2", "cgroup v1", "rlimit"]

MB = 10**6
PREFIX = "mct-memory-"
_JOIN = 'echo $$ > "$1" && shift && exec "$@"'
_LIMIT = 'ulimit -d "$1" && shift && exec "$@"'
REMOVAL_S = 1.0
"""A group can be removed once the kernel has let go of its last process."""


@dataclass(frozen=True)
class MemoryLimit:
    """`megabytes` (10^6 bytes) for one process, and what holds it to that; `group` is None for an rlimit."""

    megabytes: int
    how: How
    group: Path | None = None

    def exceeded(self) -> bool:
        """Whether the kernel ended the process for it; an rlimit never does, it makes allocations fail."""
        if self.group is None:
            return False
        counts = read_lines(self.group / ("memory.events" if self.how == "cgroup v2" else "memory.oom_control"))
        return any(name == "oom_kill" and int(count) > 0 for name, _, count in (line.partition(" ") for line in counts))

    def peak_mb(self) -> float | None:
        """The most that the process held, 10^6 bytes; None where the kernel does not tell."""
        if self.group is None:
            return None
        name = "memory.peak" if self.how == "cgroup v2" else "memory.max_usage_in_bytes"
        lines = read_lines(self.group / name)
        return int(lines[0]) / MB if lines else None

    def describe_end(self) -> str:
        """What became of a process that the kernel ended for it."""
        peak = self.peak_mb()
        reached = "" if peak is None else f" when it held {peak:.0f} MB"
        return f"{too_little(self.megabytes)}: the kernel ended it{reached}"

    def command(self, command: Sequence[str]) -> list[str]:
        """A command line that puts itself under the limit and then becomes `command`."""
        if self.group is not None:
            return ["/bin/sh", "-c", _JOIN, "sh", str(self.group / "cgroup.procs"), *command]
        return ["/bin/sh", "-c", _LIMIT, "sh", str(self.megabytes * MB // 1024), *command]

    def remove(self) -> None:
        """Take the group away again."""
        deadline = time.monotonic() + REMOVAL_S
        while self.group is not None and self.group.exists() and time.monotonic() < deadline:
            try:
                self.group.rmdir()
            except OSError:
                time.sleep(0.01)


def too_little(megabytes: int) -> str:
    """How a message about it begins."""
    return f"it needs more than the {megabytes} MB of its target"


def limit_memory(megabytes: int) -> MemoryLimit:
    """A limit for one process, to be started by its `command`. What a killed run left of its groups is removed."""
    for parent, how in _groups():
        _sweep(parent)
        group = parent / f"{PREFIX}{os.getpid()}-{time.monotonic_ns()}"
        try:
            group.mkdir()
        except OSError:
            continue
        limit = MemoryLimit(megabytes, how, group)
        if _write_limits(limit):
            return limit
        limit.remove()
    return MemoryLimit(megabytes, "rlimit")


def memory_control() -> How:
    """What a limit would be enforced by here."""
    limit = limit_memory(1000)
    limit.remove()
    return limit.how


def _groups() -> list[tuple[Path, How]]:
    """Where a group might be made, nearest first: this process's own groups that limit memory, and those above them."""
    found: list[tuple[Path, How]] = []
    for line in read_lines(Path("/proc/self/cgroup")):
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = Path("/sys/fs/cgroup/memory" if controllers else "/sys/fs/cgroup")
        how: How = "cgroup v1" if controllers else "cgroup v2"
        own = top / path.lstrip("/")
        found += [(each, how) for each in (own, *own.parents) if each.is_relative_to(top)]
    return found


def _write_limits(limit: MemoryLimit) -> bool:
    """Set the group's limit; False where it cannot be set, or a process cannot be moved into the group."""
    assert limit.group is not None
    names = ("memory.max", "memory.swap.max", "0")
    if limit.how == "cgroup v1":
        names = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", str(limit.megabytes * MB))
    memory, swap, most_swap = names
    if not (limit.group / memory).exists() or not os.access(limit.group / "cgroup.procs", os.W_OK):
        return False
    try:
        (limit.group / memory).write_text(str(limit.megabytes * MB))
    except OSError:
        return False
    with suppress(OSError):  # a kernel that does not count swap
        (limit.group / swap).write_text(most_swap)
    return True


def _sweep(parent: Path) -> None:
    """Remove the groups of runs that are gone."""
    for group in parent.glob(f"{PREFIX}*"):
        owner = group.name.removeprefix(PREFIX).partition("-")[0]
        if not Path("/proc", owner).exists():
            with suppress(OSError):
                group.rmdir()
