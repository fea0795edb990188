"""A torch model with fewer bits: half precision, or weights in 8 or 4 bits by the kernels that torch itself has.

- "fp16", "bf16": everything.
- "int8": weights of linear layers in 8 bits, one scale a row; the product in bfloat16. Its kernel
  (`_weight_int8pack_mm`) is not built for every device; where it is not, weights are widened as they are read, which
  torch.compile makes one kernel of and eager does not.
- "int8-dynamic": activations in 8 bits too, one scale a row, multiplied as integers (`_int_mm`), which a GPU takes
  from 17 rows on: fewer, as at one token a step, go the way of "int8".
- "int4": weights in 4 bits in groups of 32 (`_weight_int4pack_mm`), the product in bfloat16; on a GPU of compute
  capability 8.0 and later.

Embeddings, norms, and layers whose sizes a kernel does not take stay in bfloat16. Source: gpt-fast's quantize.py, whose
grid this is.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

PRECISIONS = ("fp32", "fp16", "bf16", "int8", "int8-dynamic", "int4")
GROUP = 32
TILES = 8
"""Of the packed layout on a GPU: a row's length is a multiple of 16 times that."""
INT4_ROWS = 64
LEAST_ROWS = 17
HALVES = {"fp16": torch.float16, "bf16": torch.bfloat16}


def lowered(model: nn.Module, precision: str) -> nn.Module:
    """The model, which is on its device already, in that precision: changed in place where it can be.

    RuntimeError, naming it, where torch has no kernel for the device.
    """
    if precision == "fp32":
        return model
    if precision in HALVES:
        return _halved(model, HALVES[precision])
    layers: dict[str, type[Int8Linear] | type[Int4Linear]] = {
        "int8": Int8Linear, "int8-dynamic": DynamicInt8Linear, "int4": Int4Linear,
    }  # fmt: skip
    return _with_linears(_halved(model, torch.bfloat16), layers[precision])


def weight_bytes(model: nn.Module) -> int:
    """What parameters and buffers take, each memory once."""
    found = {each.data_ptr(): each.numel() * each.element_size() for each in (*model.parameters(), *model.buffers())}
    return sum(found.values())


class Int8Linear(nn.Module):
    """A linear layer with weights in 8 bits, (out, in), and a scale for each row."""

    weight: torch.Tensor
    scales: torch.Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        whole = linear.weight.detach().float()
        scales = (whole.abs().amax(dim=1) / 127).clamp(min=1e-8)
        self.register_buffer("weight", (whole / scales[:, None]).round().to(torch.int8))
        self.register_buffer("scales", scales.to(torch.bfloat16))
        self.bias = linear.bias
        self.kernel = _has("aten::_weight_int8pack_mm", whole.device) and self._agrees()

    @staticmethod
    def takes(linear: nn.Linear) -> bool:
        """Whether a layer's sizes fit."""
        return True

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(…, in) to (…, out)."""
        rows = values.reshape(-1, values.shape[-1])
        return _with_bias(self._packed(rows) if self.kernel else self._widened(rows), self.bias, values)

    def _packed(self, rows: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = torch.ops.aten._weight_int8pack_mm(rows.contiguous(), self.weight, self.scales)
        return found

    def _widened(self, rows: torch.Tensor) -> torch.Tensor:
        return functional.linear(rows, self.weight.to(rows.dtype)) * self.scales

    def _agrees(self) -> bool:
        """Whether the kernel takes these sizes, of which its documents say nothing, and gives the same."""
        rows = torch.ones(1, self.weight.shape[1], dtype=torch.bfloat16, device=self.weight.device)
        try:
            found, wanted = self._packed(rows).float(), self._widened(rows).float()
        except RuntimeError:
            return False
        return bool(((found - wanted).abs().max() <= 0.05 * wanted.abs().max()).item())


class DynamicInt8Linear(Int8Linear):
    """The same with activations in 8 bits, a scale for each of their rows, where there are enough rows."""

    @staticmethod
    def takes(linear: nn.Linear) -> bool:
        """`_int_mm` on a GPU takes multiples of 8."""
        return linear.in_features % 8 == 0 and linear.out_features % 8 == 0

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(…, in) to (…, out)."""
        rows = values.reshape(-1, values.shape[-1])
        if rows.shape[0] < LEAST_ROWS:
            return super().forward(values)
        scales = (rows.abs().amax(dim=1, keepdim=True).float() / 127).clamp(min=1e-8)
        small = (rows / scales).round().to(torch.int8)
        found = torch._int_mm(small, self.weight.t()) * scales * self.scales.float()
        return _with_bias(found.to(values.dtype), self.bias, values)


class Int4Linear(nn.Module):
    """A linear layer with weights in 4 bits; each group of a row has a scale and a zero, (in / group, out, 2)."""

    packed: torch.Tensor
    scales_and_zeros: torch.Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        levels, scales_and_zeros = to_4_bits(linear.weight.detach())
        self.cuda_layout = levels.is_cuda
        if self.cuda_layout:
            pairs = (levels[:, ::2] << 4 | levels[:, 1::2]).to(torch.uint8)
            packed = torch.ops.aten._convert_weight_to_int4pack(pairs, TILES)
        else:
            packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(levels, TILES)
        self.register_buffer("packed", packed)
        self.register_buffer("scales_and_zeros", scales_and_zeros)
        self.bias = linear.bias

    @staticmethod
    def takes(linear: nn.Linear) -> bool:
        """Whether the packed layout holds it."""
        return linear.in_features % (TILES * 16) == 0 and linear.out_features % INT4_ROWS == 0

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(…, in) to (…, out)."""
        rows = values.reshape(-1, values.shape[-1]).contiguous()
        operators = torch.ops.aten
        multiply = operators._weight_int4pack_mm if self.cuda_layout else operators._weight_int4pack_mm_for_cpu
        return _with_bias(multiply(rows, self.packed, GROUP, self.scales_and_zeros), self.bias, values)


def to_4_bits(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Levels 0 to 15, (out, in) int32, and scales and zeros, (in / group, out, 2): w is (level - 8) * scale + zero."""
    rows = weight.float().reshape(-1, GROUP)
    least, most = rows.amin(dim=1, keepdim=True), rows.amax(dim=1, keepdim=True)
    scales = ((most - least).clamp(min=1e-6) / 15).to(torch.bfloat16)
    zeros = (least + scales.float() * 8).to(torch.bfloat16)
    levels = ((rows - (zeros.float() - scales.float() * 8)) / scales.float()).round().clamp(0, 15)
    groups = weight.shape[1] // GROUP
    both = torch.stack([each.reshape(weight.shape[0], groups) for each in (scales, zeros)], dim=2)
    return levels.to(torch.int32).reshape(weight.shape), both.transpose(0, 1).contiguous()


def _halved(model: nn.Module, kind: torch.dtype) -> nn.Module:
    """Its parameters in half precision; what is computed from positions (a buffer) stays exact, as when loaded."""
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(kind)
    return model


def _with_linears(model: nn.Module, make: type[Int8Linear] | type[Int4Linear]) -> nn.Module:
    changed = 0
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear and make.takes(child):
                setattr(parent, name, make(child))
                changed += 1
    if not changed:
        raise RuntimeError(f"no layer of this model has sizes that {make.__name__} takes")
    return model


def _with_bias(rows: torch.Tensor, bias: torch.Tensor | None, values: torch.Tensor) -> torch.Tensor:
    added = rows if bias is None else rows + bias
    return added.reshape(*values.shape[:-1], -1)


def _has(operator: str, device: torch.device) -> bool:
    """Whether this build of torch has a kernel of its own for the device."""
    return bool(torch._C._dispatch_has_kernel_for_dispatch_key(operator, device.type.upper()))
