"""What the kernel has counted of other processes: the ones that Node or a browser is made of. Read from /proc."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

from mct.targets.machine import read_lines

PROC = Path("/proc")


@dataclass(frozen=True)
class Counts:
    """Added up over processes: seconds that threads ran and stood ready, switches, faults, 10^6 bytes from disk."""

    cpu_s: float = 0.0
    waited_s: float = 0.0
    involuntary_switches: int = 0
    minor_faults: int = 0
    major_faults: int = 0
    read_mb: float = 0.0

    def since(self, before: Counts) -> Counts:
        """What came after `before`; a thread that ended took its counts along, which are no less than nothing."""
        return Counts(*(max(0, _of(self, name) - _of(before, name)) for name in _NAMES))  # type: ignore[arg-type]


_NAMES = [field.name for field in fields(Counts)]


def _of(counts: Counts, name: str) -> float:
    value: float = getattr(counts, name)
    return value


def descendants(process: int) -> list[int]:
    """A process and all that it started and they started, as far as they are its children still; itself first."""
    parents = {int(path.name): _parent(path) for path in PROC.glob("[0-9]*")}
    found, newest = [process], [process]
    while newest:
        newest = [child for child, parent in parents.items() if parent in newest]
        found += newest
    return found


def count(processes: Iterable[int]) -> Counts:
    """What has been counted of these so far; of those that are gone, nothing."""
    each = [_count(PROC / str(process)) for process in processes]
    return Counts(*(sum(_of(counts, name) for counts in each) for name in _NAMES))  # type: ignore[arg-type]


def peak_rss_mb(process: int) -> float:
    """The most memory that it ever held, 10^6 bytes."""
    return _status(PROC / str(process)).get("VmHWM", 0) * 1024 / 1e6


def worked_ticks(process: int) -> int:
    """Ticks of the clock that a process has run so far, its ended threads included."""
    fields = _stat(PROC / str(process))
    return int(fields[11]) + int(fields[12]) if fields else 0


def is_renderer(process: int) -> bool:
    """Whether a browser's process is one that shows pages."""
    return "--type=renderer" in " ".join(read_lines(PROC / str(process) / "cmdline")).replace("\0", " ").split()


def _stat(folder: Path) -> list[str]:
    """What the kernel tells of a process in one line, from its state on; nothing of one that is gone."""
    return "".join(read_lines(folder / "stat")).rpartition(")")[2].split()


def _parent(folder: Path) -> int:
    return _status(folder).get("PPid", 0)


def _status(folder: Path) -> dict[str, int]:
    """The numbers that the kernel tells of a process or a thread by name."""
    told = (line.partition(":") for line in read_lines(folder / "status"))
    return {name: int(words[0]) for name, _, said in told if (words := said.split()) and words[0].isdigit()}


def _count(folder: Path) -> Counts:
    threads = [*folder.glob("task/*")]
    # Nanoseconds on a CPU and ready for one; the clock ticks of `stat` are too coarse for a block of requests.
    schedules = [line.split() for thread in threads for line in read_lines(thread / "schedstat")[:1]]
    faults = _stat(folder)
    read = next((line.split()[1] for line in read_lines(folder / "io") if line.startswith("read_bytes:")), "0")
    return Counts(
        cpu_s=sum(int(ran) for ran, *_ in schedules) / 1e9,
        waited_s=sum(int(waited) for _, waited, *_ in schedules) / 1e9,
        involuntary_switches=sum(_status(thread).get("nonvoluntary_ctxt_switches", 0) for thread in threads),
        minor_faults=int(faults[7]) if faults else 0,
        major_faults=int(faults[9]) if faults else 0,
        read_mb=int(read) / 1e6,
    )
