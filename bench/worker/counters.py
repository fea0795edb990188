"""What the system has counted of this process and its CPUs so far."""

import os
import resource
import sys
from pathlib import Path


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


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
