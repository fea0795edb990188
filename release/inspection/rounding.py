"""The original with as few bits as its artifact: what rounding alone moves, whoever rounds. By torch.

Weights of every linear layer are put on the nearest of the levels that so many bits have, a scale for each output (in
blocks of `BLOCK` below eight bits); at eight bits, what goes into a layer is rounded too, a scale for each input, as
dynamic quantisation does. It is the plainest rounding there is: an artifact that moves more than this lost something
else than digits. A leaf.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from mct import MctError
from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.checkpoints.files import pad_id
from mct.models.checkpoints.load import load_model, load_module, outputs_of
from mct.models.tasks.tokens import Tokens
from mct.targets.runtimes.batches import padded
from mct.targets.runtimes.run_torch import input_names
from mct.targets.runtimes.table import Session

BLOCK = 32
BYTES = 8
_BITS = re.compile(r"(?:int|q|iq)(\d)")


def bits_of(precision: str) -> int | None:
    """How many bits the weights of a precision have ("int8", "q4_k_m"); None where they are 16 or more."""
    found = _BITS.match(precision)
    return int(found[1]) if found else None


def rounded_session(checkpoint: Checkpoint, bits: int) -> Session:
    """The checkpoint as a session, rounded to so many bits. MctError where it has no linear layers to round."""
    module = open_module(checkpoint)
    layers = linear_layers(module)
    if not layers:
        raise MctError(f"{checkpoint.path} has no linear layers to round", "its drift is stated without a floor")
    for layer in layers.values():
        _round(layer, bits)
    return session_of(module, checkpoint)


def open_module(checkpoint: Checkpoint) -> torch.nn.Module:
    """The checkpoint by torch: a language model as transformers has it, all else as its runtime has it."""
    return load_model(checkpoint) if checkpoint.network == "causal-lm" else load_module(checkpoint)


def linear_layers(module: torch.nn.Module) -> dict[str, Any]:
    """Every layer with a matrix of weights, by name, in the order of the network."""
    return {name: each for name, each in module.named_modules() if isinstance(each, torch.nn.Linear | Conv1D)}


@contextmanager
def rounded(layers: Sequence[Any], bits: int) -> Iterator[None]:
    """These layers rounded to so many bits while it lasts."""
    kept = [layer.weight.data for layer in layers]
    hooks = [hook for layer in layers if (hook := _round(layer, bits)) is not None]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for layer, weights in zip(layers, kept, strict=True):
            layer.weight.data = weights


def session_of(module: torch.nn.Module, checkpoint: Checkpoint) -> Session:
    """The module as a session."""
    return _writing(module) if checkpoint.network == "causal-lm" else _encoding(module, checkpoint)


def _round(layer: Any, bits: int) -> Any:
    """Its weights, and at eight bits its input; gives the hook that does this."""
    _round_weights(layer, bits)
    if bits != BYTES:
        return None
    return layer.register_forward_pre_hook(lambda layer, given: (_rounded_input(given[0]), *given[1:]))


def _round_weights(layer: Any, bits: int) -> None:
    weights = layer.weight.data if isinstance(layer, torch.nn.Linear) else layer.weight.data.T
    rows, columns = weights.shape
    width = BLOCK if bits < BYTES and columns % BLOCK == 0 else columns
    blocks = weights.reshape(rows, columns // width, width)
    most = 2 ** (bits - 1) - 1
    scale = (blocks.abs().amax(dim=-1, keepdim=True) / most).clamp_min(1e-12)
    rounded = ((blocks / scale).round().clamp(-most - 1, most) * scale).reshape(rows, columns)
    layer.weight.data = rounded if isinstance(layer, torch.nn.Linear) else rounded.T.contiguous()


def _rounded_input(given: torch.Tensor) -> torch.Tensor:
    """Every row of a batch on 256 levels from its least to its greatest value, 0 among them."""
    inner = tuple(range(1, given.dim()))
    low, high = given.amin(dim=inner, keepdim=True).clamp_max(0), given.amax(dim=inner, keepdim=True).clamp_min(0)
    scale = ((high - low) / 255).clamp_min(1e-12)
    zero = (-low / scale).round()
    return ((given / scale + zero).round().clamp(0, 255) - zero) * scale


def _encoding(module: torch.nn.Module, checkpoint: Checkpoint) -> Session:
    heart: Any = module.model
    heart = getattr(heart, "inner", heart)
    assert isinstance(heart, PreTrainedModel)
    names, fill = input_names(heart), pad_id(checkpoint.sizes)

    def infer(batch: Sequence[Tokens]) -> dict[str, NDArray[np.float32]]:
        inputs = {name: torch.from_numpy(array) for name, array in padded(batch, names, fill).items()}
        return {name: value.numpy() for name, value in outputs_of(module, inputs).items()}

    return infer


def _writing(module: torch.nn.Module) -> Session:
    def infer(batch: Sequence[Tokens]) -> dict[str, NDArray[np.float32]]:
        (tokens,) = batch
        with torch.inference_mode():
            return {"logits": module(torch.tensor([tokens.ids]), use_cache=False).logits.numpy()}

    return infer
