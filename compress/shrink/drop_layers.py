"""Keep some of the layers and leave out the others: the student that a teacher's own layers make.

The layers kept move together and keep their weights; nothing is trained here. Untrained, such a model may answer at
random: it is where distillation starts (Sun et al. 2019, arXiv:1908.09355; DistilBERT, arXiv:1910.01108, which took
every other layer of its teacher).
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from mct.compress.plan.passes import Product, Resources
from mct.compress.run.folders import copy_rest, rewrite_weights
from mct.models.data.declared import read_object
from mct.models.families.table import find_family
from mct.models.writing.folders import write_json

# What a configuration lists layer by layer: kinds of attention, and whether positions are rotated.
BY_LAYER = ("layer_types", "no_rope_layers")


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write the checkpoint with the layers `options["keep"]` alone, numbered anew."""
    folder, kept = source.folder, list(options["keep"])
    config = read_object(folder / "config.json")
    family = find_family(config["model_type"])
    assert family is not None
    place = {layer: number for number, layer in enumerate(kept)}
    layer_of = re.compile(rf"(^|\.){re.escape(family.layers)}\.(\d+)\.")

    def change(name: str, tensor: torch.Tensor) -> tuple[str, torch.Tensor] | None:
        found = layer_of.search(name)
        if found is None:
            return name, tensor
        number = place.get(int(found[2]))
        return None if number is None else (f"{name[: found.start(2)]}{number}{name[found.end(2) :]}", tensor)

    rewrite_weights(folder, draft, change)
    write_json(draft / "config.json", shortened(config, family.keys.layers, kept))
    copy_rest(folder, draft)
    return Product(draft, "", notes={"layers": kept, "of": config[family.keys.layers]})


def shortened(config: Mapping[str, Any], layer_count: str, kept: Sequence[int]) -> dict[str, Any]:
    """The configuration of a model with these layers alone; what it says layer by layer follows."""
    found = dict(config)
    for key in BY_LAYER:
        if config.get(key):
            found[key] = [config[key][layer] for layer in kept]
    if config.get("mlp_only_layers"):
        found["mlp_only_layers"] = [place for place, layer in enumerate(kept) if layer in config["mlp_only_layers"]]
    if config.get("max_window_layers"):
        found["max_window_layers"] = sum(layer < config["max_window_layers"] for layer in kept)
    return found | {layer_count: len(kept)}
