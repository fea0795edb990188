"""Fewer neurons in every layer's feed-forward network: those that the answers to the user's texts depend on most stay.

A neuron is a row of the first matrix (and of its gate, where there is one) and a column of the second, so leaving it
out leaves an ordinary, narrower network. Every layer keeps as many, since config.json knows one width for all. Nothing
is trained here: distillation makes up for what is lost.

McCarley et al. 2019, arXiv:1910.06360, who narrowed BERT's layers so; the measure: mct.compress.shrink.importance.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mct.compress.plan.passes import Product, Resources
from mct.compress.run.folders import copy_rest, rewrite_weights
from mct.compress.shrink.importance import importance, kept_share, layer_pattern, most_important
from mct.compress.shrink.obstacles import neurons_kept
from mct.models.data.declared import read_object
from mct.models.families.table import find_family
from mct.models.writing.folders import write_json

# Which axis of each part's weight runs over the neurons; a bias that has one entry a neuron has but the one.
_NEURONS = {"ffn_gate": 0, "ffn_up": 0, "ffn_down": 1}


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write the checkpoint with `options["keep"]` neurons a layer, or that share of them."""
    folder = source.folder
    config = read_object(folder / "config.json")
    family = find_family(config["model_type"])
    assert family is not None
    width = config[family.keys.feed_forward]
    worth = importance(resources, family, "ffn_down")
    kept = most_important(worth, neurons_kept(width, options["keep"]))
    axes = {layer_pattern(family, part): axis for part, axis in _NEURONS.items() if part in family.parts}

    def change(name: str, tensor: torch.Tensor) -> tuple[str, torch.Tensor]:
        for pattern, axis in axes.items():
            if (found := pattern.search(name)) and axis < tensor.dim():
                return name, tensor.index_select(axis, torch.tensor(kept[int(found[1])])).contiguous()
        return name, tensor

    rewrite_weights(folder, draft, change)
    write_json(draft / "config.json", config | {family.keys.feed_forward: len(kept[0])})
    copy_rest(folder, draft)
    return Product(draft, "", notes={"neurons": len(kept[0]), "of": width, "importance_kept": kept_share(worth, kept)})
