"""The last layers of a model, where llama.cpp's graph ends before them: a few small matrices in float32.

A leaf: numpy, and safetensors for the models that have such a file. `mct.targets.llama.encoders` documents the
settings.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mct import MctError
from mct.targets.runtimes.table import Executable

Array = NDArray[np.float32]
Step = Callable[[Array], Array]
Answer = Callable[[Sequence[Array]], dict[str, Array]]

AS_POOLED: Mapping[str, Any] = {"logits": {"per": "text", "steps": []}}
SMALLEST = 1e-12  # as torch's normalize
EPSILON = 1e-5  # as torch's LayerNorm


def open_outputs(executable: Executable, width: int) -> Answer:
    """A function from what llama.cpp gave for each input, (1 or tokens, `width`), to the model's named outputs.

    An output "per" text is (inputs, values), one per token (inputs, longest, values), zero behind shorter inputs.
    MctError where the layers do not fit one another or the manifest.
    """
    weights = _read(executable.folder / executable.settings["head"]) if "head" in executable.settings else {}
    specifications = executable.settings.get("outputs", AS_POOLED)
    steps = {name: [_step(step, weights) for step in each["steps"]] for name, each in specifications.items()}
    for name, each in steps.items():
        _check(executable, name, each, width)
    gather = {name: _GATHER[each["per"]] for name, each in specifications.items()}

    def answer(encoded: Sequence[Array]) -> dict[str, Array]:
        return {name: gather[name](each, encoded) for name, each in steps.items()}

    return answer


def _read(path: Path) -> dict[str, Array]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        found: dict[str, Array] = load_file(path)
    except (FileNotFoundError, SafetensorError) as error:
        raise MctError(f"{path} is missing or damaged", "compress the checkpoint again") from error
    return found


def _step(step: str | Mapping[str, str], weights: Mapping[str, Array]) -> Step:
    if isinstance(step, str):
        return _FUNCTIONS[step]
    name = step["linear"]
    if not {f"{name}.weight", f"{name}.bias"} <= set(weights):
        raise MctError(f"the head's file has no layer {name!r}", "compress the checkpoint again")
    weight, bias = np.ascontiguousarray(weights[f"{name}.weight"].T), weights[f"{name}.bias"]
    return lambda rows: rows @ weight + bias


def _check(executable: Executable, name: str, steps: Sequence[Step], width: int) -> None:
    """Try the layers once, so that a wrong shape is found on opening."""
    try:
        rows = _follow(steps, np.zeros((1, width), dtype=np.float32))
    except ValueError as error:
        raise MctError(
            f"the layers of {name!r} do not fit one another: {error}", "compress the checkpoint again"
        ) from error
    path, labels = executable.folder / executable.model, rows.shape[1]
    if executable.outputs and labels != executable.outputs:
        raise MctError(
            f"{path} has {labels} labels, its manifest says {executable.outputs}", "compress the checkpoint again"
        )


def _follow(steps: Sequence[Step], rows: Array) -> Array:
    for step in steps:
        rows = step(rows)
    return rows


def _per_text(steps: Sequence[Step], encoded: Sequence[Array]) -> Array:
    """From the first row of each: the pooled vector, or the first token's."""
    return _follow(steps, np.concatenate([rows[:1] for rows in encoded]))


def _per_token(steps: Sequence[Step], encoded: Sequence[Array]) -> Array:
    made = [_follow(steps, rows) for rows in encoded]
    together = np.zeros((len(made), max(map(len, made)), made[0].shape[1]), dtype=np.float32)
    for place, rows in enumerate(made):
        together[place, : len(rows)] = rows
    return together


def _normalise(rows: Array) -> Array:
    length = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), SMALLEST)
    unit: Array = (rows / length).astype(np.float32)
    return unit


def _standardise(rows: Array) -> Array:
    """A norm that subtracts the mean, whose weight is in the layer behind it."""
    apart = rows - rows.mean(axis=1, keepdims=True)
    found: Array = (apart / np.sqrt(np.square(apart).mean(axis=1, keepdims=True) + EPSILON)).astype(np.float32)
    return found


def _relu(rows: Array) -> Array:
    return np.maximum(rows, np.float32(0))


def _sigmoid(rows: Array) -> Array:
    return (1 / (1 + np.exp(-rows))).astype(np.float32)


def _gelu(rows: Array) -> Array:
    made: Array = (rows * (1 + _erf(rows / math.sqrt(2))) / 2).astype(np.float32)
    return made


_erf = np.vectorize(math.erf, otypes=[np.float32])
_GATHER: Mapping[str, Callable[[Sequence[Step], Sequence[Array]], Array]] = {"text": _per_text, "token": _per_token}
_FUNCTIONS: Mapping[str, Step] = {
    "normalise": _normalise, "standardise": _standardise, "relu": _relu, "tanh": np.tanh, "sigmoid": _sigmoid,
    "gelu": _gelu,
}  # fmt: skip
