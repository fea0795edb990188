"""How a subject is run beyond what its folder says: on which device, and in which further ways, each a row of its own.

A way is one word or several joined by "+": a precision of torch ("bf16", "int8", "int4"), "compile" (torch.compile),
"graphs" (CUDA graphs), and of ONNX files "tensorrt". A checkpoint's folder, a precision and a way make another subject
with a digest of its own: its answers may differ.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from mct import MctError
from mct.bench.samples.subject import Subject, compiled
from mct.models.tables import unknown
from mct.targets.devices.gpus import CUDA, device_name, is_cuda, require_gpu
from mct.targets.target import CPU, HERE, OPENVINO_GPU, WEBGPU, Target

PRECISIONS = ("fp16", "bf16", "int8", "int8-dynamic", "int4")
COMPILE, GRAPHS, TENSORRT = "compile", "graphs", "tensorrt"
WORDS = (*PRECISIONS, COMPILE, GRAPHS, TENSORRT)


def device_of(target: Target) -> str:
    """How an executable names the target's device (`mct.targets.runtimes.table.Executable`).

    MctError for an NVIDIA GPU that is not here.
    """
    if target.device not in (CPU, WEBGPU) and target.transport != HERE:
        raise MctError(f"target {target.name} is a GPU of another machine", "run mct on that machine: --target gpu")
    if target.device == CUDA:
        return device_name(require_gpu(target.index or 0, target.name))
    if target.device == OPENVINO_GPU:
        return "openvino:GPU" if target.index is None else f"openvino:GPU.{target.index}"
    return CPU


def on_device(subject: Subject, device: str) -> Subject:
    """The same subject run on a device."""
    return replace(subject, executable=replace(subject.executable, device=device))


def run_as(subjects: Sequence[Subject], ways: Sequence[str]) -> tuple[Subject, ...]:
    """The subjects, and after them each of them in each way that is for it. MctError for a way that is for none."""
    found = tuple(subjects)
    for way in ways:
        words = way.split("+")
        for word in words:
            if word not in WORDS:
                raise unknown("way to run", word, WORDS)
        if len(set(words)) < len(words) or len(set(words) & set(PRECISIONS)) > 1:
            raise MctError(f"{way!r} says one thing twice", "join one precision with others: bf16+graphs")
        added = tuple(_in_way(subject, words) for subject in subjects if _is_for(subject, words))
        if not added:
            raise MctError(f"none of these is run by {way}", f"{TENSORRT} is for ONNX files, the rest for checkpoints")
        found += added
    return found


def _is_for(subject: Subject, words: Sequence[str]) -> bool:
    return subject.runtime == "onnxruntime" if TENSORRT in words else subject.runtime == "torch"


def _in_way(subject: Subject, words: Sequence[str]) -> Subject:
    if {GRAPHS, TENSORRT} & set(words) and not is_cuda(subject.executable.device):
        raise MctError(f"{' and '.join(words)} is for an NVIDIA GPU", "add --target gpu")
    if TENSORRT in words and len(words) > 1:
        raise MctError(f"{TENSORRT} goes with nothing else", f"write {TENSORRT} alone")
    made = compiled(subject) if COMPILE in words else subject
    precision = next((word for word in words if word in PRECISIONS), "")
    settings = dict(made.executable.settings)
    settings |= {"precision": precision} if precision else {}
    settings |= {word: True for word in (GRAPHS, TENSORRT) if word in words}
    return replace(
        subject,
        name=f"{subject.name} ({', '.join(words)})",
        precision=precision or subject.precision,
        executable=replace(made.executable, settings=settings),
        digest=hashlib.sha256(f"{subject.digest} {'+'.join(sorted(words))}".encode()).hexdigest(),
    )
