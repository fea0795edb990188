"""A checkpoint's weights as float32 arrays, one at a time, each checked against the shape that config.json promises.

Half-precision weights are widened exactly. Only one tensor is in memory at once.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from mct import MctError
from mct.compress.gguf.graphs.encoders import Tensor

Read = Callable[[Tensor], NDArray[np.float32]]

# LayerNorm parameters under the names that early BERT code gave them; files with these are still written today.
_OLD_NAMES = {".LayerNorm.weight": ".LayerNorm.gamma", ".LayerNorm.bias": ".LayerNorm.beta"}


@contextmanager
def open_weights(folder: Path) -> Iterator[Read]:
    """A function from a planned tensor to its values, over all of the folder's safetensors files.

    It raises MctError, naming the tensor, where one is missing or has another shape than planned.
    """
    with ExitStack() as stack:
        files: dict[str, Any] = {}
        for path in sorted(folder.glob("*.safetensors")):
            try:
                file = stack.enter_context(safe_open(path, framework="pt"))
            except SafetensorError as error:
                raise MctError(f"{path} is truncated or damaged", "copy it again from where it was saved") from error
            files |= dict.fromkeys(file.keys(), file)

        def read(tensor: Tensor) -> NDArray[np.float32]:
            name = _stored_name(tensor.source, files)
            found = tuple(files[name].get_slice(name).get_shape())
            if found != tensor.shape:
                raise MctError(
                    f"{folder}: tensor {name} has shape {found}, config.json promises {tensor.shape}",
                    "weights and config.json must come from the same model",
                )
            values: torch.Tensor = files[name].get_tensor(name)[tensor.skip_rows :]
            array: NDArray[np.float32] = values.to(torch.float32).contiguous().numpy()
            return array

        yield read


def stored_names(folder: Path) -> frozenset[str]:
    """The names of all tensors in the folder's safetensors files."""
    names: set[str] = set()
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            names.update(file.keys())
    return frozenset(names)


def _stored_name(name: str, files: Mapping[str, Any]) -> str:
    if name in files:
        return name
    for new, old in _OLD_NAMES.items():
        if name.endswith(new) and name.removesuffix(new) + old in files:
            return name.removesuffix(new) + old
    raise MctError(
        f"the checkpoint has no tensor {name}", "is it saved from the architecture that its config.json names?"
    )
