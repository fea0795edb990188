"""What this machine is and how much of it this process may use: CPU, instruction sets, cgroup quota, affinity, memory.

Reads /proc and /sys only; imports nothing heavy. A runtime that sizes its thread pool from the host under a container
quota is slow and noisy, so every thread count in mct comes from `usable_threads`.

Where ONEDNN_MAX_CPU_ISA keeps OpenVINO and torch from using all of a processor, the machine is that much smaller: what
is made under the switch suits what runs under it. ONNX Runtime and llama.cpp have no such switch and use what is there.
DNNL_MAX_CPU_ISA, its name of old, says it where the new one is empty.
"""

import math
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

X86 = frozenset({"x86_64", "AMD64"})

INSTRUCTION_SETS = (
    "avx2",
    "fma",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
    "asimd",
    "asimddp",
)

# What is left of a processor under each value of ONEDNN_MAX_CPU_ISA, in oneDNN's own order; others limit nothing.
# Source: oneDNN's developer guide, "CPU Dispatcher Control".
LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
_AVX2 = frozenset({"avx2", "fma"})
_AVX512 = _AVX2 | {"avx512f"}
_VNNI = _AVX512 | {"avx512_vnni"}
_BF16 = _VNNI | {"avx512_bf16"}
_LEFT_BY = {
    "SSE41": frozenset[str](),
    "AVX": frozenset[str](),
    "AVX2": _AVX2,
    "AVX2_VNNI": _AVX2 | {"avx_vnni"},
    "AVX2_VNNI_2": _AVX2 | {"avx_vnni"},
    "AVX512_CORE": _AVX512,
    "AVX512_CORE_VNNI": _VNNI,
    "AVX512_CORE_BF16": _BF16,
    "AVX512_CORE_FP16": _BF16 | {"avx_vnni"},
    "AVX10_1_512": _BF16 | {"avx_vnni"},
}


@dataclass(frozen=True)
class Machine:
    """A machine as seen from inside this process. `quota_cpus` is the cgroup limit in CPUs, None without one."""

    cpu: str
    architecture: str
    instruction_sets: tuple[str, ...]
    online_cpus: int
    affinity_cpus: int
    quota_cpus: float | None
    memory_mb: int
    system: str

    @property
    def usable_threads(self) -> int:
        """Threads that can really run at once: the least of affinity and quota (rounded down), at least 1."""
        quota = math.floor(self.quota_cpus) if self.quota_cpus else self.affinity_cpus
        return max(1, min(self.affinity_cpus, quota))


def described_machine(architecture: str, instruction_sets: Sequence[str], cpu: str = "described") -> Machine:
    """A machine that is not this one, as far as an export depends on it: `Resources.machine` for another target.

    Threads and memory are this machine's, since the work is done here.
    """
    return replace(probe_machine(), cpu=cpu, architecture=architecture, instruction_sets=tuple(instruction_sets))


def probe_machine() -> Machine:
    """Read this machine, as far as ONEDNN_MAX_CPU_ISA lets it be used."""
    name, flags = _cpu()
    if platform.machine() in X86:
        limit = next((value for name in LIMITS if (value := os.environ.get(name))), "")
        flags &= _LEFT_BY.get(limit.upper(), flags)
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Machine(
        cpu=name,
        architecture=platform.machine(),
        instruction_sets=tuple(flag for flag in INSTRUCTION_SETS if flag in flags),
        online_cpus=os.cpu_count() or 1,
        affinity_cpus=affinity,
        quota_cpus=_quota(),
        memory_mb=_memory_mb(),
        system=f"{platform.system()} {platform.release()}",
    )


def _cpu() -> tuple[str, set[str]]:
    name, flags = platform.processor() or platform.machine(), set[str]()
    for line in read_lines(Path("/proc/cpuinfo")):
        key, _, value = (part.strip() for part in line.partition(":"))
        if key == "model name":
            name = value
        elif key in {"flags", "Features"}:
            return name, set(value.split())
    return name, flags


def _quota() -> float | None:
    """The tightest CPU limit on the way from this process's cgroup (v2, else v1) to the root."""
    limits = [quota for folder in cgroup_folders() if (quota := folder_quota(folder)) is not None]
    return min(limits, default=None)


def cgroup_folders(root: Path = Path("/")) -> list[Path]:
    """The folders that limit this process's CPUs: its cgroup's (v2, else v1), then those above. `root` holds `sys`."""
    folders = []
    for line in read_lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = root / ("sys/fs/cgroup/cpu" if controllers else "sys/fs/cgroup")
        own = top / path.lstrip("/")
        folders += [own, *(parent for parent in own.parents if parent.is_relative_to(top))]
    return folders


def folder_quota(folder: Path) -> float | None:
    """The CPUs' worth of time that a cgroup gets; None without a limit."""
    if lines := read_lines(folder / "cpu.max"):
        quota, period = lines[0].split()
        return None if quota == "max" else int(quota) / int(period)
    quota_us, period_us = read_lines(folder / "cpu.cfs_quota_us"), read_lines(folder / "cpu.cfs_period_us")
    if quota_us and period_us and int(quota_us[0]) > 0:
        return int(quota_us[0]) / int(period_us[0])
    return None


def _memory_mb() -> int:
    for line in read_lines(Path("/proc/meminfo")):
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) // 1024
    return 0


def read_lines(path: Path) -> list[str]:
    """The lines of a file of the kernel's; none where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
