"""safetensors files, read by the library that defines them: what they hold, or the values of all of it. A leaf."""

from __future__ import annotations

import re
from collections.abc import Container
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from mct import MctError
from mct.models.data.declared import require_file

if TYPE_CHECKING:
    import torch

Shape = tuple[int, ...]
FLOATS = ("F64", "F32", "F16", "BF16")
WEIGHTS = (".weight", ".bias")

# What stands beside a weight that bitsandbytes packed.
STATE = "quant_state.bitsandbytes__"
_PACKING = re.compile(r"\.weight\.(absmax|quant_map|nested_absmax|nested_quant_map|quant_state\.\w+)$")


def read_shapes(path: Path) -> dict[str, Shape]:
    """Name and shape of every tensor. MctError where the file is missing, cut off, or damaged in its header.

    MctError too for weights that are neither floating-point numbers nor packed by bitsandbytes: quantised otherwise.
    """
    require_file(path)
    try:
        with safe_open(path, framework="numpy") as file:
            found = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            for name, tensor in found.items():
                if name.endswith(WEIGHTS) and tensor.get_dtype() not in FLOATS and not _is_packed(name, found):
                    raise MctError(f"{path} holds {name} as {tensor.get_dtype()}", f"mct reads {', '.join(FLOATS)}")
            return {name: tuple(tensor.get_shape()) for name, tensor in found.items()}
    except SafetensorError as error:
        raise damaged(path, error) from error


def read_names(path: Path) -> list[str]:
    """The name of every tensor, whatever type it is of. MctError where the file is missing or damaged."""
    require_file(path)
    try:
        with safe_open(path, framework="numpy") as file:
            return list(file.keys())
    except SafetensorError as error:
        raise damaged(path, error) from error


def _is_packed(name: str, among: Container[str]) -> bool:
    """True for a weight of 4-bit numbers, which bitsandbytes packs and says how beside it."""
    return any(f"{name}.{STATE}{kind}" in among for kind in ("nf4", "fp4"))


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Every tensor by its name, as torch has it. MctError where the file is missing or damaged."""
    from safetensors.torch import load_file

    require_file(path)
    try:
        return load_file(path)
    except SafetensorError as error:
        raise damaged(path, error) from error


def read_unpacked(folder: Path) -> dict[str, torch.Tensor]:
    """Every tensor of a model whose weights bitsandbytes packed into 4 bits, these decoded to what it computes with."""
    import torch

    from mct.models.checkpoints.four_bit import decode, read_state

    found = {
        name: each for file in sorted(folder.glob("model*.safetensors")) for name, each in read_tensors(file).items()
    }
    weights = {}
    for name, tensor in found.items():
        beside = {key.removeprefix(f"{name}."): each for key, each in found.items() if key.startswith(f"{name}.")}
        states = [key for key in beside if key.startswith(STATE)]
        if states:
            parts = {key: each.numpy() for key, each in beside.items() if not key.startswith(STATE)}
            state = read_state(beside[states[0]].numpy(), f"{folder}: {name}")
            weights[name] = torch.from_numpy(decode(tensor.numpy(), parts, state))
        elif not _PACKING.search(name):
            weights[name] = tensor
    return weights


def damaged(path: Path, error: SafetensorError) -> MctError:
    """The error for a file that safetensors cannot read."""
    return MctError(f"{path} is truncated or damaged: {error}", "copy it again from where it was saved")
