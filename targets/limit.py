"""The limit of this machine: how fast its runtimes can multiply and read at best, measured once and remembered.

A latency alone does not say whether it could be lower. Against the machine's own limit it does. The limit is measured
in a process of its own, with the threads and the pinning of a bench, in about five seconds
(`mct.targets.measure_limit`), and kept in the user's cache folder under a name made of everything that decides it: the
machine, threads, pinning, library versions and the version of the measurement.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct

from mct import MctError
from mct.models.data.declared import Count, Positive, read_json
from mct.models.tables import pip_line
from mct.models.writing.folders import cache_folder, write_json
from mct.targets.machine import probe_machine

VERSION = 1
"""Of the measurement: raise it when what is measured changes, and old figures are measured again."""
PATIENCE_S = 120
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


# Megabytes, as the name of an entry.
Size = Annotated[str, Meta(pattern=r"^\d{1,6}(\.\d+)?$")]


@dataclass(frozen=True)
class MachineLimit:
    """The best seen on `threads` threads. Matrix products in 10^9 operations (multiplications and additions) a second.

    `square` is a product of two 1024 x 1024 matrices, `skinny` one of 16 x 384 and 384 x 1536, a short text in a small
    encoder. `read_gb_per_s` maps a size in MB to the 10^9 bytes a second at which that much is read again and again:
    what fits a cache is read faster than memory gives it.
    """

    threads: Count
    int8_square: Positive
    int8_skinny: Positive
    fp32_square: Positive
    fp32_skinny: Positive
    read_gb_per_s: Annotated[Mapping[Size, Positive], Meta(min_length=1)]

    @property
    def int8_gops(self) -> float:
        """Upper bound for INT8 matrix products."""
        return max(self.int8_square, self.int8_skinny)

    @property
    def fp32_gops(self) -> float:
        """Upper bound for FP32 matrix products."""
        return max(self.fp32_square, self.fp32_skinny)

    def read_rate(self, megabytes: float) -> float:
        """10^9 bytes a second at which so much can be read: that of the largest measured size not above it.

        An upper bound: anything smaller is read at least as fast.
        """
        sizes = sorted(self.read_gb_per_s, key=float)
        below = [size for size in sizes if float(size) <= megabytes] or sizes[:1]
        return max(self.read_gb_per_s[size] for size in sizes[sizes.index(below[-1]) :])

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def describe(self) -> str:
        """A few lines for people."""
        reading = ", ".join(f"{size} MB {rate:.0f}" for size, rate in self.read_gb_per_s.items())
        return "\n".join(
            [
                f"threads           {self.threads}",
                f"INT8 products     {self.int8_square:.0f} GOP/s square, {self.int8_skinny:.0f} of 16 rows",
                f"FP32 products     {self.fp32_square:.0f} GOP/s square, {self.fp32_skinny:.0f} of 16 rows",
                f"reading, GB/s     {reading}",
            ]
        )


class Kept(Struct, frozen=True):
    """What is kept of a measurement."""

    version: int
    limit: MachineLimit


def find_limit(threads: int, affinity: Sequence[int] = (), again: bool = False) -> MachineLimit:
    """The limit for so many threads on these CPUs: from the cache, else (or `again`) measured and put there.

    MctError where onnxruntime is not installed or the measurement fails.
    """
    path = _place(threads, affinity)
    found = None if again else _read(path)
    if found is None:
        found = _measure(threads, affinity)
        with suppress(OSError, MctError):  # without a cache it is measured again next time
            write_json(path, {"version": VERSION, "limit": found.as_json()})
    return found


def known_limit(threads: int, affinity: Sequence[int] = ()) -> MachineLimit | None:
    """The limit if it was measured before; None, at no cost, where it was not."""
    return _read(_place(threads, affinity))


def _place(threads: int, affinity: Sequence[int]) -> Path:
    decides = {
        "version": VERSION,
        "machine": asdict(probe_machine()),
        "threads": threads,
        "affinity": list(affinity),
        "libraries": [_version(name) for name in ("onnxruntime", "numpy")],
    }
    name = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]
    return cache_folder() / f"limit-{name}.json"


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "absent"


def _read(path: Path) -> MachineLimit | None:
    """What is kept there; None where there is nothing, or nothing that can be read."""
    if not path.is_file():
        return None
    try:
        found = read_json(path, Kept)
    except MctError:
        return None
    return found.limit if found.version == VERSION else None


def _measure(threads: int, affinity: Sequence[int]) -> MachineLimit:
    if _version("onnxruntime") == "absent":
        raise MctError("the machine's limit is measured with onnxruntime, which is missing", pip_line("onnx"))
    path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "mct.targets.measure_limit", str(threads), *map(str, affinity)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env={**os.environ, **dict.fromkeys(ONE_THREAD, "1"), "PYTHONPATH": path},
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise MctError(f"the machine's limit could not be measured: {reason}", "bench without --limit")
    return MachineLimit(**json.loads(done.stdout))
