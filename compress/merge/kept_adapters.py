"""Adapters that stay beside their base: what each adds to which layer, read by peft.

peft says what an adapter is scaled by, layer by layer (alpha over rank, rsLoRA, patterns): no format says it whole, so
whoever writes a file takes it from here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from peft.tuners.lora import LoraLayer
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from mct.models.checkpoints.adapted import adapter_name
from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.checkpoints.load_adapter import inner_model, load_peft, plain_base

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class LowRank:
    """What an adapter adds to a layer's `weight` (out, in): `scale` times `up` (out, rank) times `down` (rank, in).

    `turned` where the checkpoint has that weight as (in, out).
    """

    weight: Floats
    up: Floats
    down: Floats
    scale: float
    turned: bool


Layers = Mapping[str, LowRank]


def load_kept(checkpoint: Checkpoint) -> tuple[PreTrainedModel, dict[str, Layers]]:
    """The base alone, and by adapter what it adds to each layer that it changes."""
    adaptation = checkpoint.adaptation
    assert adaptation is not None
    adapted = load_peft(checkpoint, plain_base(checkpoint))
    changed = {name: module for name, module in inner_model(adapted).named_modules() if isinstance(module, LoraLayer)}
    found: dict[str, Layers] = {}
    for adapter in adaptation.adapters:
        peft_name = adapter_name(adapter)
        layers = {name: module for name, module in changed.items() if peft_name in module.lora_A}
        found[adapter.name] = {name: _low_rank(module, peft_name) for name, module in layers.items()}
    base = adapted.unload()
    assert isinstance(base, PreTrainedModel)
    base.train(False)
    return base, found


def _low_rank(layer: Any, adapter: str) -> LowRank:
    base, turned = layer.get_base_layer(), isinstance(layer.get_base_layer(), Conv1D)
    return LowRank(
        weight=_array(base.weight.T if turned else base.weight),
        up=_array(layer.lora_B[adapter].weight),
        down=_array(layer.lora_A[adapter].weight),
        scale=float(layer.scaling[adapter]),
        turned=turned,
    )


def _array(tensor: torch.Tensor) -> Floats:
    return np.ascontiguousarray(tensor.detach().numpy())
