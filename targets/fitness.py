"""Is this machine fit to measure on? What would disturb a latency here, with the evidence, and what to type against it.

Reads /proc and /sys only, and watches the counters for a moment: what counts is what happens while nothing of ours
runs. Decides nothing for a bench, which measures the noise that really came (mct.bench.judge.noise); this says
beforehand where it would come from. What the machine does not show is unknown: never guessed, and never held against
it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from mct.targets.devices.gpus import read_clocks
from mct.targets.machine import cgroup_folders, folder_quota

State = Literal["ok", "doubtful", "unknown"]

WATCH_S = 1.0
MOST_TAKEN = 0.05
"""Share of the CPUs' time: the size of the tail that P95 looks at. With more than that taken away, P95 is others'."""
MOST_STOLEN = 0.02
MOST_THROTTLED = 0.01
MOST_PRESSURE = 1.0
"""Per cent of the time in which some process waited for memory, over ten seconds."""

FIXED_SHARE = 0.8
"""Of a GPU's highest clock: one that it can hold whatever it computes, within its power."""

CGROUP_MARKS = ("cgroup.controllers", "cpu.max", "cpu.cfs_quota_us")
WHOLE_CPUS = "give the container whole CPUs instead of a share of time: docker run --cpuset-cpus 0,1 …"


@dataclass(frozen=True)
class Finding:
    """One thing that can disturb a measurement: what was read, and, where it is doubtful, what to type."""

    name: str
    state: State
    evidence: str
    hint: str = ""


@dataclass(frozen=True)
class Fitness:
    """All findings; fit where none is doubtful."""

    findings: tuple[Finding, ...]

    @property
    def fit(self) -> bool:
        """True where nothing speaks against it."""
        return not any(finding.state == "doubtful" for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Plain values, for --json."""
        return {"fit": self.fit, "findings": [asdict(finding) for finding in self.findings]}

    def describe(self) -> str:
        """A line a finding, a hint below those that need one, and the outcome."""
        lines = []
        for finding in self.findings:
            lines.append(f"{finding.state:<9} {finding.name:<16} {finding.evidence}")
            lines += [f"{'hint:':>26} {finding.hint}"] if finding.hint else []
        unknown = sum(finding.state == "unknown" for finding in self.findings)
        outcome = "fit to measure on" if self.fit else "doubtful: see the hints"
        return "\n".join([*lines, outcome + (f" ({unknown} of {len(self.findings)} unknown)" if unknown else "")])


@dataclass(frozen=True)
class _Ticks:
    """Where the CPUs' time went so far, in ticks."""

    idle: int
    stolen: int
    total: int


def check_fitness(
    root: Path = Path("/"), cpus: Sequence[int] = (), wait: Callable[[], object] = lambda: time.sleep(WATCH_S)
) -> Fitness:
    """Look at this machine's CPUs that this process may use (or `cpus`), and watch them for as long as `wait` takes.

    `root` is the folder that holds `proc` and `sys`.
    """
    usable = sorted(cpus or _usable_cpus())
    before = _ticks(root, usable)
    wait()
    after = _ticks(root, usable)
    return Fitness(
        (
            _governor(root, usable),
            _boost(root),
            _siblings(root, usable),
            _other_load(before, after),
            _stolen(before, after),
            _quota(root, usable),
            _throttling(root),
            _memory(root),
            *_gpu_clocks(),
        )
    )


def _usable_cpus() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def _governor(root: Path, cpus: Sequence[int]) -> Finding:
    name, pattern = "governor", "sys/devices/system/cpu/cpu{}/cpufreq/scaling_governor"
    governors = {cpu: _text(root / pattern.format(cpu)) for cpu in cpus}
    if not all(governors.values()):
        return Finding(name, "unknown", "the machine does not show its clock governor, as virtual ones rarely do")
    slow = [cpu for cpu, governor in governors.items() if governor != "performance"]
    if not slow:
        return Finding(name, "ok", f"performance on CPU {_ranges(cpus)}")
    said = "/".join(sorted({str(governors[cpu]) for cpu in slow}))
    hint = f"echo performance | sudo tee /{pattern.format('*')}"
    return Finding(name, "doubtful", f"{said} on CPU {_ranges(slow)}: the clock follows the load, with a delay", hint)


def _boost(root: Path) -> Finding:
    name, folder = "boost", "sys/devices/system/cpu"
    for file, on, off in ((f"{folder}/cpufreq/boost", "1", "0"), (f"{folder}/intel_pstate/no_turbo", "0", "1")):
        if found := _text(root / file):
            if found != on:
                return Finding(name, "ok", "off: the clock does not hang on heat and on who else works")
            said = "on: the clock hangs on heat and on how many CPUs work"
            return Finding(name, "doubtful", said, f"echo {off} | sudo tee /{file}")
    return Finding(name, "unknown", "the machine does not show whether its clock is boosted")


def _siblings(root: Path, cpus: Sequence[int]) -> Finding:
    name = "SMT siblings"
    shown = {cpu: _text(root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") for cpu in cpus}
    if not all(shown.values()):
        return Finding(name, "unknown", "the machine does not show which CPUs share a core")
    cores = {tuple(sorted(_cpu_list(str(siblings)) & set(cpus))) for siblings in shown.values()}
    shared = sorted(core for core in cores if len(core) > 1)
    if not shared:
        return Finding(name, "ok", f"no two of CPU {_ranges(cpus)} share a core")
    said = f"{len(shared)} of {len(cores)} cores have more than one of the usable CPUs (such as {_ranges(shared[0])})"
    return Finding(name, "doubtful", said, f"taskset -c {_ranges(sorted(core[0] for core in cores))} mct bench …")


def _other_load(before: _Ticks | None, after: _Ticks | None) -> Finding:
    name = "other load"
    if before is None or after is None or after.total <= before.total:
        return Finding(name, "unknown", "/proc/stat does not say what the CPUs do")
    total = after.total - before.total
    share = 1 - (after.idle - before.idle + after.stolen - before.stolen) / total
    said = f"others took {share:.1%} of the CPUs' time while this looked on"
    if share <= MOST_TAKEN:
        return Finding(name, "ok", said)
    return Finding(name, "doubtful", said, "top -o %CPU shows who: stop it, or wait until it is done")


def _stolen(before: _Ticks | None, after: _Ticks | None) -> Finding:
    name = "steal"
    if before is None or after is None or after.total <= before.total:
        return Finding(name, "unknown", "/proc/stat does not say what other virtual machines took")
    share = (after.stolen - before.stolen) / (after.total - before.total)
    said = f"other virtual machines took {share:.1%} of the CPUs' time while this looked on"
    if share <= MOST_STOLEN:
        return Finding(name, "ok", said)
    return Finding(name, "doubtful", said, "take a machine with CPUs of its own (dedicated, bare metal), or try later")


def _quota(root: Path, cpus: Sequence[int]) -> Finding:
    name, folders = "quota", _known_cgroups(root)
    if not folders:
        return Finding(name, "unknown", "the limits of this process's cgroup are not shown")
    quota = min((found for folder in folders if (found := folder_quota(folder)) is not None), default=None)
    if quota is None:
        return Finding(name, "ok", "none: every usable CPU may be used all the time")
    said = f"{quota:g} CPUs' worth of time, {len(cpus)} CPUs usable"
    if quota >= 1:
        return Finding(name, "ok", said)
    return Finding(name, "doubtful", f"{said}: even one thread is stopped in every period", WHOLE_CPUS)


def _throttling(root: Path) -> Finding:
    name, folders = "throttling", _known_cgroups(root)
    counts = [_counters(folder / "cpu.stat") for folder in folders]
    if not any(counts):
        return Finding(name, "unknown", "no cpu.stat says how often the quota stopped this process's cgroup")
    periods, throttled = max(
        ((count.get("nr_periods", 0), count.get("nr_throttled", 0)) for count in counts),
        key=lambda found: found[1] / max(found[0], 1),
    )
    said = f"the quota stopped this cgroup in {throttled} of {periods} periods so far"
    if throttled <= MOST_THROTTLED * periods:
        return Finding(name, "ok", said if periods else "there was no quota to stop this cgroup so far")
    return Finding(name, "doubtful", said, WHOLE_CPUS)


def _memory(root: Path) -> Finding:
    name = "memory pressure"
    words = (_text(root / "proc/pressure/memory") or "").split()
    found = next((word.partition("=")[2] for word in words if word.startswith("avg10=")), None)
    if found is None:
        return Finding(name, "unknown", "the kernel does not say whether programs wait for memory")
    said = f"programs waited for memory {float(found):.1f}% of the last ten seconds"
    if float(found) <= MOST_PRESSURE:
        return Finding(name, "ok", said)
    return Finding(name, "doubtful", said, "ps aux --sort=-rss | head shows who holds it: stop what is not needed")


def _gpu_clocks() -> list[Finding]:
    """A finding a GPU, none without one. That a clock was fixed nobody is told; that it moves, no more."""
    return [
        Finding(
            f"GPU {index} clock", "unknown", f"{now:,} MHz now, {most:,} at most: whether it is fixed is not shown",
            f"sudo nvidia-smi -i {index} -pm 1; sudo nvidia-smi -i {index} -lgc {round(FIXED_SHARE * most)}",
        )
        for index, (now, most) in enumerate(read_clocks())
    ]  # fmt: skip


def _known_cgroups(root: Path) -> list[Path]:
    """The folders of this process's cgroup and those above it, where the system shows them."""
    return [folder for folder in cgroup_folders(root) if any((folder / mark).exists() for mark in CGROUP_MARKS)]


def _ticks(root: Path, cpus: Sequence[int]) -> _Ticks | None:
    """The time of these CPUs together; None where it is not shown for all of them."""
    mine = {f"cpu{cpu}" for cpu in cpus}
    rows = [line.split() for line in (_text(root / "proc/stat") or "").splitlines()]
    # user, nice, system, idle, iowait, irq, softirq, steal: guests' time, which follows, is in user's already
    times = [[int(value) for value in row[1:9]] for row in rows if row and row[0] in mine and len(row) > 8]
    if not mine or len(times) < len(mine):
        return None
    return _Ticks(
        idle=sum(row[3] + row[4] for row in times),
        stolen=sum(row[7] for row in times),
        total=sum(sum(row) for row in times),
    )


def _counters(file: Path) -> dict[str, int]:
    rows = (line.split() for line in (_text(file) or "").splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}


def _cpu_list(text: str) -> set[int]:
    """The numbers in the kernel's way to write them: "0-3,8"."""
    found = set[int]()
    for part in text.split(","):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def _ranges(cpus: Sequence[int]) -> str:
    """Numbers, in order, as the kernel and taskset write them."""
    parts: list[list[int]] = []
    for cpu in cpus:
        if parts and cpu == parts[-1][-1] + 1:
            parts[-1].append(cpu)
        else:
            parts.append([cpu])
    return ",".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


def _text(path: Path) -> str | None:
    """What a file says; None where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
