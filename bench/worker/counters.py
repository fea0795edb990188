"""What the system has counted of this process, its CPUs and their energy so far."""

import os
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mct.targets.machine import folder_quota

ZONES = Path("/sys/class/powercap")


def peak_rss_mb() -> float:
    """Most memory this process ever held, 10^6 bytes. getrusage's figure would include the parent's before exec."""
    for line in _lines("/proc/self/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def read_mb() -> float | None:
    """What this process really read from disk so far, 10^6 bytes; None where the kernel does not say."""
    for line in _lines("/proc/self/io"):
        if line.startswith("read_bytes:"):
            return int(line.split()[1]) / 1e6
    return None


def stolen_s() -> float:
    """Seconds that other virtual machines took from the CPUs this process is pinned to, since boot; 0 if uncounted."""
    mine = {f"cpu{number}" for number in os.sched_getaffinity(0)} if hasattr(os, "sched_getaffinity") else set()
    rows = [line.split() for line in _lines("/proc/stat") if line.startswith("cpu")]
    return sum(int(row[8]) for row in rows if row[0] in mine and len(row) > 8) / os.sysconf("SC_CLK_TCK")


def waited_s() -> float | None:
    """Seconds that this process's threads stood ready to run while others ran; None where the kernel does not count."""
    rows = [_lines(str(task)) for task in Path("/proc/self/task").glob("*/schedstat")]
    waits = [int(row[0].split()[1]) for row in rows if row]
    return sum(waits) / 1e9 if waits else None


@dataclass(frozen=True)
class Throttling:
    """How often this process's control groups were stopped for having used up their quota, and for how long."""

    times: int
    seconds: float


def throttling(folders: Sequence[Path]) -> Throttling | None:
    """What these control groups (`mct.targets.machine.cgroup_folders`) count so far; None where none has a quota.

    The kernel counts the group whose quota it was, so a group within it shows nothing: all are added up.
    """
    counts = [_cpu_stat(folder) for folder in folders if folder_quota(folder) is not None]
    known = [count for count in counts if "nr_throttled" in count]
    if not known:
        return None
    # Version 2 of control groups counts microseconds, version 1 nanoseconds.
    stopped_us = (count.get("throttled_usec", count.get("throttled_time", 0) / 1e3) for count in known)
    return Throttling(sum(count["nr_throttled"] for count in known), sum(stopped_us) / 1e6)


def package_energy_uj(zones: Path = ZONES) -> dict[str, tuple[int, int]]:
    """Microjoules and the value at which the counter wraps, by CPU package; empty where RAPL is unreadable, never zero.

    The counter is of the whole package: cores that idle and neighbours that work are in it.
    """
    found = {}
    for zone in sorted(zones.glob("intel-rapl:[0-9]*")):
        if zone.name.count(":") > 1:  # a part of a package, counted in it already
            continue
        try:
            found[zone.name] = (int((zone / "energy_uj").read_text()), int((zone / "max_energy_range_uj").read_text()))
        except (OSError, ValueError):
            continue
    return found


def spent_uj(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]) -> int | None:
    """Microjoules between two readings, over all packages; None where a package was not readable both times."""
    if not before or before.keys() != after.keys():
        return None
    return sum((after[name][0] - start) % wrap for name, (start, wrap) in before.items())


def _cpu_stat(folder: Path) -> dict[str, int]:
    pairs = [line.partition(" ") for line in _lines(str(folder / "cpu.stat"))]
    return {name: int(value) for name, _, value in pairs if value.isdigit()}


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
