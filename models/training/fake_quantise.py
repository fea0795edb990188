"""Training with rounded weights, so that rounding them afterwards costs less: quantisation-aware training.

While a model is `fake_quantised`, the linear layers of its stack compute with weights that lie on a grid, and where the
grid says so with activations rounded as well; gradients pass the rounding as if it were not there (the straight-through
estimator, Bengio, Léonard and Courville 2013, arXiv:1308.3432; Jacob et al. 2018, arXiv:1712.05877). Afterwards the
weights themselves lie on the grid, in fp32: an ordinary checkpoint, which the exporters' own rounding to that grid
leaves as it is. Heads for a whole text stay in float, as in the artifacts.

The grids are those of mct.models.training.grids, here for torch. Activations are uint8 between the least and the
greatest value of each input, as ONNX's `DynamicQuantizeLinear` makes them. torch.ao's own prepare and convert are
deprecated and have neither grid. A leaf.
"""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import torch
from torch.nn.utils import parametrize
from transformers import PreTrainedModel

from mct import MctError
from mct.models.families.table import find_family
from mct.models.training.grids import INT4 as INT4
from mct.models.training.grids import INT8 as INT8
from mct.models.training.grids import Grid as Grid


def scales_of(weights: torch.Tensor, grid: Grid) -> torch.Tensor:
    """The step between levels, (rows, 1) or (rows, blocks); of a row or block of zeros, zero.

    With blocks the step has the sign that puts the value of largest magnitude on the lowest level, and is one of fp16.
    A row's has 16 binary digits: its multiples are then exact in fp32, and give the same step again.
    """
    if not grid.block:
        return _sixteen_digits(weights.abs().amax(-1, keepdim=True) / grid.highest)
    blocks = _blocks(weights, grid)
    low, high = blocks.amin(-1), blocks.amax(-1)  # finding a place, as argmax does, takes five times as long
    largest = torch.where(high > -low, high, low)
    steps: torch.Tensor = (largest / grid.lowest).half().float()
    return steps


def _sixteen_digits(values: torch.Tensor) -> torch.Tensor:
    """fp32 values with the last eight of their 24 binary digits rounded away."""
    digits = (values.contiguous().view(torch.int32) + 0x80) & ~0xFF
    return digits.view(torch.float32)


def on_grid(weights: torch.Tensor, grid: Grid) -> torch.Tensor:
    """The nearest values on the grid, in fp32. What lies there already stays as it is, bit for bit."""
    scales = scales_of(weights, grid).unsqueeze(-1)
    levels = (_blocks(weights, grid) / torch.where(scales == 0, 1, scales)).round_().clamp_(grid.lowest, grid.highest)
    return levels.mul_(scales).reshape(weights.shape)


def rounded_activations(values: torch.Tensor) -> torch.Tensor:
    """What ONNX's DynamicQuantizeLinear makes of values and back: 256 levels between the extremes, one of them zero."""
    low, high = values.amin().clamp(max=0), values.amax().clamp(min=0)
    scale = ((high - low) / 255).clamp(min=torch.finfo(torch.float32).tiny)
    zero = (-low / scale).round()
    return ((values / scale).round() + zero).clamp(0, 255).sub(zero).mul(scale)


@contextmanager
def fake_quantised(model: PreTrainedModel, grid: Grid) -> Iterator[None]:
    """Inside, the stack's linear layers compute on the grid and learn straight through; afterwards they lie on it."""
    layers = quantised_layers(model).values()
    hooks = []
    for layer in layers:
        parametrize.register_parametrization(layer, "weight", _OnGrid(grid))
        if grid.activations:
            hooks.append(layer.register_forward_pre_hook(_round_inputs))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for layer in layers:
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)


def quantised_layers(model: PreTrainedModel) -> dict[str, torch.nn.Linear]:
    """The linear layers of the model's stack by name. MctError where the family is unknown."""
    family = find_family(model.config.model_type)
    if family is None:
        raise MctError(f"which layers a {model.config.model_type} has is not known", "give a model of a known family")
    stacks = (f"{family.prefix}{family.layers}.", f"{family.layers}.")  # the second of a backbone without a head
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and name.startswith(stacks)
    }


def record(model: PreTrainedModel, grid: Grid) -> dict[str, Any]:
    """What tells others about the grid: itself, and each layer's scales (little-endian floats in base64)."""
    kind = torch.float16 if grid.block else torch.float32
    scales = {name: scales_of(layer.weight.detach(), grid).to(kind) for name, layer in quantised_layers(model).items()}
    return {
        "grid": asdict(grid),
        "scales": {
            name: {
                "shape": list(values.shape),
                "dtype": str(kind).removeprefix("torch."),
                "base64": base64.b64encode(values.numpy().tobytes()).decode(),
            }
            for name, values in scales.items()
        },
    }


class _OnGrid(torch.nn.Module):
    """Rounds in the forward pass, lets every gradient through."""

    def __init__(self, grid: Grid) -> None:
        super().__init__()
        self.grid = grid

    def forward(self, weights: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = _StraightThrough.apply(weights, self.grid)  # type: ignore[no-untyped-call]
        return found


class _StraightThrough(torch.autograd.Function):
    """What lies on the grid, as if it were the weights themselves."""

    @staticmethod
    def forward(context: Any, weights: torch.Tensor, grid: Grid) -> torch.Tensor:
        """The nearest weights on the grid."""
        return on_grid(weights, grid)

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        """The gradient as it comes."""
        return gradients[0], None


def _round_inputs(layer: torch.nn.Module, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
    (values,) = inputs
    return (rounded_activations(values.detach().float()) + (values - values.detach()),)


def _blocks(weights: torch.Tensor, grid: Grid) -> torch.Tensor:
    """(rows, blocks, weights of a block). MctError where a row is no whole number of blocks."""
    width = grid.block or weights.shape[-1]
    if weights.shape[-1] % width:
        raise MctError(
            f"rows of {weights.shape[-1]} weights are no whole number of blocks of {width}", "give another block"
        )
    return weights.reshape(weights.shape[0], -1, width)
