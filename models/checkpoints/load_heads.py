"""Several heads on one backbone, as a folder: written by those who train them, read by those who compress them.

The backbone is what AutoModel saves. `heads.json` says what each head answers ({"label": {"kind": "label", "labels":
[...]}}), `heads.safetensors` has its linear layer ("label.weight" of shape (labels, width), "label.bias"). A head for
the whole text reads the first token's vector as it is, without a pooler; a head for tags reads every token's. A leaf.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import save
from transformers import PreTrainedModel

from mct import MctError
from mct.models.checkpoints.checkpoint import HEADS_WEIGHTS as WEIGHTS
from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.checkpoints.files import HEADS
from mct.models.checkpoints.load import load_model
from mct.models.checkpoints.tensor_files import read_tensors
from mct.models.tasks.multi_head import SUFFIX
from mct.models.tasks.table import Head
from mct.models.writing.folders import write_bytes_atomically, write_json


class Heads(torch.nn.Module):
    """The backbone `model` and a linear layer for each of `heads`, in their order."""

    def __init__(self, model: PreTrainedModel, heads: Sequence[Head], layers: Sequence[torch.nn.Linear]) -> None:
        super().__init__()
        self.model, self.heads, self.layers = model, tuple(heads), torch.nn.ModuleList(layers)

    def forward(self, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        """Each head's logits as "<name>_logits": (batch, labels), or (batch, tokens, labels) for tags."""
        hidden = self.model(**inputs).last_hidden_state
        return {
            head.name + SUFFIX: layer(hidden if head.kind == "tags" else hidden[:, 0])
            for head, layer in zip(self.heads, self.layers, strict=True)
        }


def load_heads(checkpoint: Checkpoint) -> Heads:
    """The folder as a module in evaluation mode. MctError where heads.json and the weights do not belong together."""
    model = load_model(checkpoint)
    layers = _layers(checkpoint.path, checkpoint.heads, int(model.config.hidden_size))
    return Heads(model, checkpoint.heads, layers).train(False)


def save_heads(folder: Path, heads: Sequence[Head], layers: Mapping[str, torch.nn.Linear]) -> None:
    """Write heads.json and heads.safetensors beside the backbone, which the caller saves; `layers` by head name."""
    write_json(folder / HEADS, {head.name: {"kind": head.kind, "labels": list(head.labels)} for head in heads})
    weights = {
        f"{head.name}.{part}": getattr(layers[head.name], part).detach().cpu().contiguous()
        for head in heads
        for part in ("weight", "bias")
    }
    write_bytes_atomically(folder / WEIGHTS, save(weights))


def _layers(folder: Path, heads: Sequence[Head], width: int) -> list[torch.nn.Linear]:
    weights = read_tensors(folder / WEIGHTS)
    return [_layer(folder, head, weights, width) for head in heads]


def _layer(folder: Path, head: Head, weights: Mapping[str, torch.Tensor], width: int) -> torch.nn.Linear:
    layer = torch.nn.Linear(width, len(head.labels))
    try:
        layer.load_state_dict({part: weights[f"{head.name}.{part}"].float() for part in ("weight", "bias")})
    except (KeyError, RuntimeError) as error:
        raise MctError(
            f"{folder / WEIGHTS} has no layer of {len(head.labels)} x {width} for the head {head.name!r}",
            f"{HEADS} and {WEIGHTS} must come from the same training",
        ) from error
    return layer
