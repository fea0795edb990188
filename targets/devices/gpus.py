"""Which NVIDIA GPUs this process may use, in the order in which its programs count them.

Asked of nvidia-smi, which comes with the driver and imports nothing. It shows every GPU of the machine, whatever
CUDA_VISIBLE_DEVICES says; CUDA counts only those that the variable leaves, in its order. An index here is CUDA's.
A measured process is shown one GPU alone, by its UUID, so every runtime in it finds the same one under number 0.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from mct import MctError

PATIENCE_S = 10.0
FIELDS = ("name", "compute_cap", "memory.total", "driver_version", "uuid")
CLOCKS = ("clocks.sm", "clocks.max.sm")
VISIBLE = "CUDA_VISIBLE_DEVICES"
CPU: Final = "cpu"
CUDA: Final = "cuda"
OPENVINO_GPU: Final = "openvino-gpu"
"""A GPU that OpenVINO knows."""
WEBGPU: Final = "webgpu"
"""A GPU as a browser gives it to a page; what is made for a CPU runs on it, or beside it."""
PROBE = "see what is here: mct targets probe"


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA GPU as its driver names it; `memory_mb` in units of 2^20 bytes, 0 where the driver does not say."""

    index: int
    name: str
    compute_capability: str
    memory_mb: int
    driver: str
    uuid: str = ""


def find_gpus(environment: Mapping[str, str] | None = None) -> tuple[Gpu, ...]:
    """The GPUs that CUDA would find; none where the driver's tool is not there or fails."""
    rows = _nvidia_smi(FIELDS)
    found = tuple(
        Gpu(index, name, capability, int(memory) if memory.isdigit() else 0, driver, uuid)
        for index, (name, capability, memory, driver, uuid) in enumerate(rows)
    )
    return _visible(found, (os.environ if environment is None else environment).get(VISIBLE))


def read_clocks() -> tuple[tuple[int, int], ...]:
    """Of every GPU of the machine, in nvidia-smi's order: the clock of its multiprocessors now, and at most (MHz)."""
    rows = _nvidia_smi(CLOCKS)
    return tuple((int(now), int(most)) for now, most in rows if now.isdigit() and most.isdigit())


def require_gpu(index: int, target: str) -> Gpu:
    """The GPU of that index. MctError where there is none, or none of that number."""
    found = find_gpus()
    if not found:
        raise MctError(
            f"target {target} needs an NVIDIA GPU, and there is none that nvidia-smi shows here",
            "run this where one is, or use the machine's CPU: --target cpu",
        )
    if index >= len(found):
        has = ", ".join(f"{gpu.index} ({gpu.name})" for gpu in found)
        raise MctError(f"target {target} is GPU {index}, and there is {has}", f"write index = 0; {PROBE}")
    return found[index]


def device_name(gpu: Gpu) -> str:
    """How an executable names a GPU: "cuda:GPU-…", by what no variable and no order changes."""
    return f"{CUDA}:{gpu.uuid or gpu.index}"


def is_cuda(device: str) -> bool:
    """True for an NVIDIA GPU."""
    return device.partition(":")[0] == CUDA


def device_environment(device: str) -> dict[str, str]:
    """What a process is told so that it finds this GPU and no other, as its number 0; nothing for other devices."""
    return {VISIBLE: device.partition(":")[2], "CUDA_DEVICE_ORDER": "PCI_BUS_ID"} if is_cuda(device) else {}


def _visible(gpus: Sequence[Gpu], said: str | None) -> tuple[Gpu, ...]:
    """Those that the variable leaves, numbered anew. CUDA stops at the first word that names none, and so does this."""
    if said is None:
        return tuple(gpus)
    left: list[Gpu] = []
    for word in (word.strip() for word in said.split(",")):
        one = next((gpu for gpu in gpus if word and (word == str(gpu.index) or gpu.uuid.startswith(word))), None)
        if one is None:
            break
        left.append(one)
    return tuple(replace(gpu, index=index) for index, gpu in enumerate(left))


def _nvidia_smi(fields: Sequence[str]) -> list[list[str]]:
    """A row of these fields for each GPU; none where the tool is not there, fails or says something else."""
    command = ("nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    except (OSError, ValueError, subprocess.SubprocessError):
        return []
    rows = [[part.strip() for part in line.split(",")] for line in done.stdout.splitlines()]
    return [row for row in rows if len(row) == len(fields)]
