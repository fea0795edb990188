"""What runs a processor that is not here: qemu's user mode with a Python of that processor, or a runtime's own switch.

qemu translates every instruction, so it shows what an instruction set answers and nothing of how fast it is. Of each
architecture it emulates a few processors, and the one that has a target's instruction sets and no other that counts is
the one to check on. What a program reads of its processor in /proc and /sys comes from a folder of ours: of this
machine it would be told what the emulated one has not.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mct import MctError
from mct.bench.emulation.foreign import FOREIGN, find_foreign, mct_alone
from mct.models.writing.folders import cache_folder, write_atomically
from mct.targets.arithmetic import ARM
from mct.targets.machine import X86
from mct.targets.target import Target

PATIENCE_S = 20.0
INSTALL = "apt-get install -y qemu-user-static"
SWITCH = "ONEDNN_MAX_CPU_ISA"
AVX2 = frozenset({"avx2", "fma"})


@dataclass(frozen=True)
class Processor:
    """A processor that qemu emulates by that name: those of its instruction sets that count, and what Linux shows."""

    name: str
    sets: frozenset[str]
    flags: str


X86_PROCESSORS = (
    Processor("Haswell", AVX2, "fpu sse sse2 ssse3 sse4_1 sse4_2 popcnt avx f16c fma avx2 bmi1 bmi2"),
    Processor("Westmere", frozenset(), "fpu sse sse2 ssse3 sse4_1 sse4_2 popcnt"),
)
ARM_PROCESSORS = (
    Processor(
        "cortex-a76", frozenset({"asimd", "asimddp"}),
        "fp asimd aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
    ),
    Processor("cortex-a72", frozenset({"asimd"}), "fp asimd aes pmull sha1 sha2 crc32 cpuid"),
)  # fmt: skip


@dataclass(frozen=True)
class Emulator:
    """How a worker is run as if on a target: the command that stands for Python, variables, and that in words."""

    how: str
    python: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


def find_emulator(target: Target, distribution: str, install: bool = False) -> Emulator:
    """What emulates a target's processor for a runtime's library. `install`: bring the Python of another architecture.

    MctError, with the line that brings it, for what is missing; and for a target that is no other machine, or one whose
    processor nothing here emulates.
    """
    if not target.architecture:
        raise MctError(
            f"target {target.name} describes no other processor: there is nothing to emulate", "name one like edge-arm"
        )
    arm = target.architecture in ARM
    processor = _processor(target, ARM_PROCESSORS if arm else X86_PROCESSORS)
    here = (platform.machine() in ARM) == arm and platform.machine() in (ARM if arm else X86)
    program = shutil.which("qemu-aarch64-static" if arm else "qemu-x86_64-static") or shutil.which(
        "qemu-aarch64" if arm else "qemu-x86_64"
    )
    if program is None:
        if here and distribution == "openvino" and processor.sets == AVX2:
            return Emulator(f"{SWITCH}=AVX2, OpenVINO's own switch", (sys.executable,), {SWITCH: "AVX2"})
        raise MctError(f"checking answers for {target.name} needs qemu's user mode, which is not here", INSTALL)
    how = f"{_version(program)}, as {processor.name}"
    if here:
        shown = _shown_files(cache_folder() / "emulated" / f"{platform.machine()}-{processor.name}", processor, arm)
        return Emulator(how, (program, "-cpu", processor.name, "-L", str(shown), sys.executable))
    foreign = find_foreign(FOREIGN["aarch64" if arm else "x86_64"], distribution, install)
    _shown_files(foreign.root, processor, arm)
    return Emulator(
        how,
        (program, "-cpu", processor.name, "-L", str(foreign.root), str(foreign.python)),
        {"PYTHONPATH": os.pathsep.join((str(mct_alone()), str(foreign.packages)))},
    )


def _processor(target: Target, known: tuple[Processor, ...]) -> Processor:
    wanted = frozenset(target.instruction_sets)
    for processor in known:
        if processor.sets == wanted:
            return processor
    raise MctError(
        f"no processor that is emulated has exactly {', '.join(target.instruction_sets) or 'none that count'}",
        "emulated are " + "; ".join(f"{', '.join(sorted(each.sets)) or 'none that count'}" for each in known),
    )


def _version(program: str) -> str:
    """The program and its version: "qemu-aarch64 7.2.22" and the like."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise MctError(f"{program} does not run: {error}".splitlines()[0], INSTALL) from error
    name, _, version = done.stdout.partition("\n")[0].partition("(")[0].strip().partition(" version ")
    return f"{name} {version}" if version else Path(program).name


def _shown_files(root: Path, processor: Processor, arm: bool) -> Path:
    """`root` with what Linux shows of one such processor below it: qemu takes a file from there before the system's.

    ONNX Runtime for ARM reads caches and clusters there when it is loaded, and does not survive those of an x86 CPU.
    """
    for name, text in _cpu_files(processor, arm).items():
        path = root / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            write_atomically(path, text)
    return root


def _cpu_files(processor: Processor, arm: bool) -> dict[str, str]:
    told = (
        {"Features": processor.flags, "CPU implementer": "0x41", "CPU architecture": "8", "CPU variant": "0x4",
         "CPU part": "0xd0b" if processor.name == "cortex-a76" else "0xd08", "CPU revision": "1"}
        if arm
        else {"vendor_id": "GenuineIntel", "cpu family": "6", "model": "60", "model name": processor.name,
              "flags": processor.flags}
    )  # fmt: skip
    cpus = "sys/devices/system/cpu"
    files = {"proc/cpuinfo": "".join(f"{key}\t: {value}\n" for key, value in {"processor": "0", **told}.items()) + "\n"}
    files |= {f"{cpus}/{name}": "0\n" for name in ("possible", "present", "online", "kernel_max")}
    for number, (level, holds, size) in enumerate(
        (("1", "Data", "64K"), ("1", "Instruction", "64K"), ("2", "Unified", "512K"))
    ):
        told = {"level": level, "type": holds, "size": size, "shared_cpu_list": "0", "coherency_line_size": "64"}
        files |= {f"{cpus}/cpu0/cache/index{number}/{name}": f"{value}\n" for name, value in told.items()}
    for name in ("core_id", "physical_package_id", "cluster_id", "thread_siblings_list", "cluster_cpus_list"):
        files[f"{cpus}/cpu0/topology/{name}"] = "0\n"
    if arm:
        files[f"{cpus}/cpu0/regs/identification/midr_el1"] = "0x00000000414fd0b1\n"
    return files
