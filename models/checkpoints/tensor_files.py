"""safetensors files, read by the library that defines them: what they hold, or the values of all of it. A leaf."""

from __future__ import annotations

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


def read_shapes(path: Path) -> dict[str, Shape]:
    """Name and shape of every tensor. MctError where the file is missing, cut off, or damaged in its header.

    MctError too for weights that are no floating-point numbers: those of a model that was quantised already.
    """
    require_file(path)
    try:
        with safe_open(path, framework="numpy") as file:
            found = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            for name, tensor in found.items():
                if name.endswith(WEIGHTS) and tensor.get_dtype() not in FLOATS:
                    raise MctError(f"{path} holds {name} as {tensor.get_dtype()}", f"mct reads {', '.join(FLOATS)}")
            return {name: tuple(tensor.get_shape()) for name, tensor in found.items()}
    except SafetensorError as error:
        raise damaged(path, error) from error


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Every tensor by its name, as torch has it. MctError where the file is missing or damaged."""
    from safetensors.torch import load_file

    require_file(path)
    try:
        return load_file(path)
    except SafetensorError as error:
        raise damaged(path, error) from error


def damaged(path: Path, error: SafetensorError) -> MctError:
    """The error for a file that safetensors cannot read."""
    return MctError(f"{path} is truncated or damaged: {error}", "copy it again from where it was saved")
