"""Fewer experts in every layer: those that the user's texts hardly use go, or are taken up into the ones they are near.

What each expert is worth is measured: the sum of the weights that the router gives it, over all tokens of the
calibration texts. Pruned, a layer keeps its most used experts, and the router shares the tokens out among them. Merged,
each of the others joins the kept one that the router likes for the same tokens (the cosine between their shares over
all tokens), and a group becomes the mean of its experts by use; the router keeps the row of the one that was kept.

Li et al. 2023, "Merge, Then Compress", arXiv:2310.01334; Lu et al. 2024, arXiv:2402.14800 (pruning by use).
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from transformers import PreTrainedModel

from mct.compress.plan.passes import Product, Resources
from mct.compress.run.folders import copy_rest
from mct.compress.run.inputs import encode_requests
from mct.models.checkpoints.load import load_model
from mct.models.checkpoints.techniques import EXPERT_COUNTS

MOST_TEXTS, MOST_TOKENS = 256, 256

# What a router gives: its shares (tokens, experts), the weights of those that are taken, and which these are.
_Routed = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write the checkpoint with `options["keep"]` experts a layer; `options["others"]` are "dropped" or "merged"."""
    model = load_model(resources.checkpoint)
    kept = []
    for layer, shares, use in _measured(model, resources):
        stay = sorted(use.topk(options["keep"]).indices.tolist())
        groups = _grouped(stay, shares) if options["others"] == "merged" else [[place] for place in stay]
        _rewrite(layer, stay, groups, use)
        kept.append({"kept": stay, "groups": groups, "share_of_use": round(float(use[stay].sum() / use.sum()), 4)})
    for key in EXPERT_COUNTS:
        if hasattr(model.config, key):
            setattr(model.config, key, options["keep"])
    model.config.dtype = model.dtype
    model.save_pretrained(draft)
    copy_rest(source.folder, draft)
    return Product(draft, "", notes={"layers": kept})


def _measured(
    model: PreTrainedModel, resources: Resources
) -> Iterator[tuple[torch.nn.Module, torch.Tensor, torch.Tensor]]:
    """Each layer of experts, its router's shares of every token, (tokens, experts), and the experts' use."""
    layers = [module for module in model.modules() if hasattr(module, "gate") and hasattr(module, "experts")]
    found: list[list[_Routed]] = [[] for _ in layers]
    hooks = [
        cast(torch.nn.Module, layer.gate).register_forward_hook(
            lambda gate, inputs, output, rows=rows: rows.append(output)
        )
        for layer, rows in zip(layers, found, strict=True)
    ]
    with torch.inference_mode():
        for tokens in encode_requests(resources.checkpoint, resources.calibration_requests()[:MOST_TEXTS]):
            model(input_ids=torch.tensor([tokens.ids[:MOST_TOKENS]]))
    for hook in hooks:
        hook.remove()
    for layer, routed in zip(layers, found, strict=True):
        shares, weights, taken = (torch.cat(parts) for parts in zip(*routed, strict=True))
        use = torch.zeros(shares.shape[1]).scatter_add(0, taken.flatten(), weights.flatten().float())
        yield layer, shares, use


def _grouped(stay: Sequence[int], shares: torch.Tensor) -> list[list[int]]:
    """The experts that stay, each with those that join it."""
    directions = torch.nn.functional.normalize(shares, dim=0)
    nearness = directions.T @ directions
    groups = {place: [place] for place in stay}
    for expert in range(shares.shape[1]):
        if expert not in groups:
            groups[max(stay, key=lambda place: float(nearness[expert, place]))].append(expert)
    return [groups[place] for place in stay]


def _rewrite(layer: Any, stay: Sequence[int], groups: Sequence[Sequence[int]], use: torch.Tensor) -> None:
    """Put the mean of each group, by use, in the place of the layer's experts."""
    for name in ("gate_up_proj", "down_proj"):
        weight = getattr(layer.experts, name).data
        means = [_mean(weight[list(group)], use[list(group)]) for group in groups]
        setattr(layer.experts, name, torch.nn.Parameter(torch.stack(means)))
    layer.gate.weight = torch.nn.Parameter(layer.gate.weight.data[list(stay)].clone())


def _mean(weights: torch.Tensor, use: torch.Tensor) -> torch.Tensor:
    """The mean of matrices by use; the first of them where none was used."""
    if len(weights) == 1 or float(use.sum()) == 0:
        return weights[0].clone()
    mean: torch.Tensor = torch.tensordot(use / use.sum(), weights, 1)
    return mean
