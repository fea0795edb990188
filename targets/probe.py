"""All that this machine can do for an artifact, and what is missing: `mct targets probe`.

Read from /proc, /sys and the kernel's own tools; nvidia-smi is only asked what there is; Node and a browser run a few
lines of their own. What the machine does not show is None or "unknown", never a guess.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mct.targets.arithmetic import Arithmetic, arithmetic_of
from mct.targets.conditions import Conditions, read_conditions
from mct.targets.cpus import allowed_cpus, cpu_list
from mct.targets.devices.gpus import Gpu, find_gpus
from mct.targets.machine import Machine, probe_machine, read_lines
from mct.targets.memory import How, memory_control
from mct.targets.programs import Program, find_chromium, find_node

PATIENCE_S = 10.0
CPUS = "sys/devices/system/cpu"


@dataclass(frozen=True)
class Cache:
    """One of a CPU's caches; `kilobytes` (1,024 bytes) are shared by the `cpus`."""

    level: int
    holds: str
    kilobytes: int
    cpus: tuple[int, ...]


@dataclass(frozen=True)
class RuntimeState:
    """A runtime: its version where it is installed and what it computes in here, else the line that brings it."""

    name: str
    version: str | None
    computes: tuple[str, ...]
    missing: str


@dataclass(frozen=True)
class Probe:
    """Everything, for a person (`describe`) and for a program (`as_json`)."""

    machine: Machine
    cpus: tuple[int, ...]
    cores: int
    caches: tuple[Cache, ...]
    conditions: Conditions
    arithmetic: Arithmetic
    memory_limit: How
    gpus: tuple[Gpu, ...]
    runtimes: tuple[RuntimeState, ...]
    programs: tuple[Program, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values: the machine's own, then the rest by name."""
        return asdict(self.machine) | {
            "usable_threads": self.machine.usable_threads,
            "cpus": list(self.cpus),
            "cores": self.cores,
            "caches": [asdict(cache) for cache in self.caches],
            **self.conditions.as_json(),
            "int8_saturates": self.arithmetic.saturates,
            "memory_limit_by": self.memory_limit,
            "gpus": [asdict(gpu) for gpu in self.gpus],
            "runtimes": {state.name: asdict(state) for state in self.runtimes},
            "programs": {program.name: asdict(program) for program in self.programs},
        }

    def describe(self) -> str:
        """A line a fact."""
        machine, quota = self.machine, self.machine.quota_cpus
        facts = {
            "cpu": f"{machine.cpu} ({machine.architecture}, {machine.system})",
            "cpus": f"{machine.online_cpus} on line, {machine.affinity_cpus} by affinity, "
            f"{'no quota' if quota is None else f'a quota of {quota:g}'}: {machine.usable_threads} thread(s) at once",
            "cores": f"{self.cores} of their own among CPU {', '.join(map(str, self.cpus)) or 'unknown'}; "
            f"SMT {self.conditions.smt}",
            "caches": ", ".join(_cache(cache) for cache in self.caches) or "unknown",
            "instruction sets": ", ".join(machine.instruction_sets) or "none that matter here",
            "8-bit products": "saturate in 16 bits: weights keep to 7 bits"
            if self.arithmetic.saturates
            else "are summed in 32 bits",
            "clock": f"governor {self.conditions.governor or 'unknown'}, boost {self.conditions.boost}",
            "memory": f"{machine.memory_mb:,} MB; a target's limit is held by {self.memory_limit}",
            "gpus": "; ".join(map(_gpu, self.gpus)) or "none that nvidia-smi knows of",
        }
        lines = [f"{name:<17}{value}" for name, value in facts.items()]
        lines += [
            f"{state.name:<17}{state.version or 'not installed'}"
            + (f": {', '.join(state.computes)}" if state.computes else "")
            for state in self.runtimes
        ]
        lines += [f"{program.name:<17}{_program(program)}" for program in self.programs]
        parts: tuple[RuntimeState | Program, ...] = (*self.runtimes, *self.programs)
        lines += [f"{'hint:':>10} {each.name}: {each.missing}" for each in parts if each.missing]
        return "\n".join(lines)


def probe(runtimes: Sequence[RuntimeState], root: Path = Path("/")) -> Probe:
    """Look at this machine, on which these runtimes are, or are not. `root` is the folder that holds `sys`."""
    machine, cpus = probe_machine(), tuple(allowed_cpus())
    return Probe(
        machine, cpus, count_cores(cpus, root) or machine.affinity_cpus, read_caches(cpus[:1], root),
        read_conditions(cpus, root), arithmetic_of(machine), memory_control(), find_gpus(), tuple(runtimes),
        (find_node(), find_chromium()),
    )  # fmt: skip


def count_cores(cpus: Sequence[int], root: Path = Path("/")) -> int:
    """How many cores these CPUs are of; 0 where the machine does not say."""
    shown = [read_lines(root / CPUS / f"cpu{cpu}/topology/thread_siblings_list") for cpu in cpus]
    return len({lines[0] for lines in shown if lines})


def read_caches(cpus: Sequence[int], root: Path = Path("/")) -> tuple[Cache, ...]:
    """The caches that these CPUs reach, each once, nearest first."""
    found = {
        cache for cpu in cpus for folder in (root / CPUS / f"cpu{cpu}/cache").glob("index*") if (cache := _read(folder))
    }
    return tuple(sorted(found, key=lambda cache: (cache.level, cache.holds)))


def _read(folder: Path) -> Cache | None:
    level, holds, size, cpus = (
        "".join(read_lines(folder / name)[:1]) for name in ("level", "type", "size", "shared_cpu_list")
    )
    if not level.isdigit() or not size.removesuffix("K").isdigit():
        return None
    return Cache(int(level), holds.lower(), int(size.removesuffix("K")), tuple(cpu_list(cpus)) if cpus else ())


def _output(command: Sequence[str]) -> str:
    """What a program prints; "" where it is not there, fails, or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


def _program(program: Program) -> str:
    if program.missing:
        return f"{program.version}, too old" if program.version else "not here"
    has = [name for name, there in (("SIMD", program.simd), ("threads", program.threads)) if there]
    return f"{program.version}: WebAssembly with {' and '.join(has) or 'neither SIMD nor threads'}"


def _cache(cache: Cache) -> str:
    kind = "" if cache.holds == "unified" else f" {cache.holds}"
    return f"L{cache.level}{kind} {cache.kilobytes} KB"


def _gpu(gpu: Gpu) -> str:
    return f"{gpu.index}: {gpu.name}, compute capability {gpu.compute_capability}, {gpu.memory_mb:,} MB"
