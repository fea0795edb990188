"""The importance matrix: how strongly each input channel of each matrix is used, on the user's own texts.

A block-wise type has one scale for 32 to 256 weights, and must choose where to be exact. llama.cpp weighs each weight's
error by the mean square of the activation it will meet, because that is the error of the product. The statistics are
taken from the original torch model at fp32, not from llama.cpp: a hook on every linear layer, and for experts on the
layer that holds them all, each of which counts only the tokens that were routed to it.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mct.compress.export_gguf_lm import plan, read_config
from mct.compress.gguf_decoders import Weight
from mct.compress.inputs import encode_requests
from mct.compress.passes import Material
from mct.models.checkpoint import Checkpoint
from mct.models.load import load_model

TEXTS, TOKENS = 256, 128

Reading = tuple[str, str]


@dataclass(frozen=True)
class Importance:
    """Mean squares by GGUF's tensor name: (columns,) of a matrix, (experts, columns) of stacked ones.

    `notes` say where they come from.
    """

    tensors: Mapping[str, NDArray[np.float32]]
    notes: Mapping[str, Any]


def measure(material: Material) -> Importance:
    """The importance matrix of a language or reward model, from at most 256 calibration texts of 128 tokens each.

    The texts are drawn by the material's seed, so that one file gives one matrix.
    """
    checkpoint = material.checkpoint
    requests = material.calibration_requests()
    drawn = sorted(random.Random(material.seed).sample(range(len(requests)), min(TEXTS, len(requests))))
    inputs = encode_requests(checkpoint, [requests[place] for place in drawn])
    ids = tuple(tuple(tokens.ids[:TOKENS]) for tokens in inputs[:TEXTS])
    tensors = _measure(checkpoint, ids)
    notes = {
        "texts": len(ids),
        "tokens": sum(map(len, ids)),
        "tensors": len(tensors),
        "ids_sha256": sha256(repr(ids).encode()).hexdigest(),
    }
    return Importance(tensors, notes)


@lru_cache(maxsize=1)
def _measure(checkpoint: Checkpoint, inputs: tuple[tuple[int, ...], ...]) -> dict[str, NDArray[np.float32]]:
    """By GGUF's names. Kept for the next type of the same command."""
    weights = [weight for weight in plan(checkpoint, read_config(checkpoint.path)).weights if weight.reads]
    means = mean_squares(load_model(checkpoint), {(weight.reads, weight.part) for weight in weights}, inputs)
    return {weight.name: means[weight.reads, weight.part] for weight in weights if _is_matrix(weight)}


def _is_matrix(weight: Weight) -> bool:
    return len(weight.sources[0].shape) == 2


class _Sums:
    """A running sum of squares and count, by channel or by expert and channel."""

    def __init__(self) -> None:
        self.squares: torch.Tensor = torch.zeros(())
        self.counts: torch.Tensor = torch.zeros(())

    def add(self, squares: torch.Tensor, counts: torch.Tensor) -> None:
        self.squares, self.counts = self.squares + squares, self.counts + counts


def mean_squares(
    model: torch.nn.Module, readings: set[Reading], inputs: Sequence[Sequence[int]]
) -> dict[Reading, NDArray[np.float32]]:
    """The mean square of each channel that `readings` (module, part) meet while the model reads `inputs`.

    Part "" is the input of a linear layer. Parts "up" and "down" are those of the two steps of a layer of experts,
    each expert's own; an expert that no token reached is given the mean of the others.
    """
    sums = {reading: _Sums() for reading in sorted(readings)}
    with _listening(model, sums), torch.inference_mode():
        for ids in inputs:
            model(input_ids=torch.tensor([ids]))
    return {reading: _mean(found) for reading, found in sums.items()}


@contextmanager
def _listening(model: torch.nn.Module, sums: Mapping[Reading, _Sums]) -> Iterator[None]:
    modules = dict(model.named_modules())
    with ExitStack() as stack:
        for name in {module for module, _ in sums}:
            hook = (
                _on_linear(sums[name, ""]) if (name, "") in sums else _on_experts(sums[name, "up"], sums[name, "down"])
            )
            handle = modules[name].register_forward_pre_hook(hook)
            stack.callback(handle.remove)
        yield


Hook = Callable[[torch.nn.Module, tuple[torch.Tensor, ...]], None]


def _on_linear(sums: _Sums) -> Hook:
    def hook(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        rows = inputs[0].flatten(0, -2).double()
        sums.add(rows.square().sum(0), torch.tensor(float(len(rows))))

    return hook


def _on_experts(up: _Sums, down: _Sums) -> Hook:
    """What the experts' first matrices read is what comes in; what the last ones read is worked out once more."""

    def hook(module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        states, chosen = inputs[0].flatten(0, -2), inputs[1]
        for expert in range(module.num_experts):
            rows = states[(chosen.reshape(len(states), -1) == expert).any(dim=1)]
            gate, value = torch.nn.functional.linear(rows, module.gate_up_proj[expert]).chunk(2, dim=-1)
            for sums, read in ((up, rows), (down, module.act_fn(gate) * value)):
                _add_expert(sums, expert, module.num_experts, read.double())

    return hook


def _add_expert(sums: _Sums, expert: int, experts: int, rows: torch.Tensor) -> None:
    squares, counts = torch.zeros(experts, rows.shape[1], dtype=torch.float64), torch.zeros(experts, 1)
    squares[expert], counts[expert] = rows.square().sum(0), float(len(rows))
    sums.add(squares, counts)


def _mean(sums: _Sums) -> NDArray[np.float32]:
    means = sums.squares / sums.counts.clamp(min=1)
    if means.dim() == 2:
        idle = (sums.counts == 0).flatten()
        means[idle] = (sums.squares.sum(0) / sums.counts.sum().clamp(min=1)).expand(int(idle.sum()), -1)
    found: NDArray[np.float32] = means.to(torch.float32).contiguous().numpy()
    return found
