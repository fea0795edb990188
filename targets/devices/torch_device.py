"""Torch on a GPU or, by the same code, on the CPU: every call that only one of them knows stands behind this value.

A small model on a GPU waits for the CPU to launch its kernels, a few microseconds each, some hundred of them. A CUDA
graph records them once and launches them all by one call, on the same memory every time: `captured`. On the CPU, where
nothing is launched, the function itself is what comes back, so what is around it is tested without a GPU.

Source: PyTorch's CUDA semantics, "CUDA Graphs".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

T = TypeVar("T")

WARM_UP_CALLS = 3
"""Before a capture: libraries choose kernels and take memory at their first calls, which a graph cannot record."""


@dataclass(frozen=True)
class TorchDevice:
    """A device by torch's name: "cpu", "cuda:0"."""

    name: str = "cpu"

    @property
    def cuda(self) -> bool:
        """True for a GPU."""
        return self.name.startswith("cuda")

    def put(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor in this device's memory: nothing is copied where it is there already."""
        return tensor.to(self.name)

    def synchronise(self) -> None:
        """Wait until all that was launched is done."""
        if self.cuda:
            torch.cuda.synchronize(self.name)

    def captured(self, function: Callable[[], T]) -> Callable[[], T]:
        """A function that does the same on the same tensors, which are read and written where they are.

        What it gives is overwritten by its next call. RuntimeError where something in it cannot be recorded (a value
        that the CPU has to know).
        """
        if not self.cuda:
            return function
        with torch.cuda.device(self.name):
            side: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(WARM_UP_CALLS):
                    function()
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                given = function()

        def replay() -> T:
            graph.replay()
            return given

        return replay


def torch_device(name: str) -> TorchDevice:
    """The device of an executable: a process that was shown one GPU has it as number 0."""
    return TorchDevice("cuda:0" if name.startswith("cuda") else "cpu")
