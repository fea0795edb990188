"""Fewer attention heads in every layer: those that the answers to the user's texts depend on most stay.

A head is a slice of the query, key and value matrices' rows and of the output matrix's columns. Where several heads
share their keys and values (grouped heads), whole groups go, and the cache of a language model becomes smaller with
them; or, where that does not come out even, as many heads of each group. config.json goes on saying how wide a head is,
which is why only families whose configuration can say so are taken. Nothing is trained here.

Michel et al. 2019, arXiv:1905.10650; the measure: mct.compress.shrink.importance.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from mct.compress.plan.passes import Product, Resources
from mct.compress.run.folders import copy_rest, rewrite_weights
from mct.compress.shrink.importance import importance, kept_share, layer_pattern, most_important
from mct.compress.shrink.obstacles import head_sizes
from mct.models.data.declared import read_object
from mct.models.families.table import find_family
from mct.models.writing.folders import write_json

# Which heads each part holds, and along which axis of its weight.
_QUERIES = {"query": 0, "attention_output": 1}
_KEYS = {"key": 0, "value": 0}


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write the checkpoint with `options["keep"]` heads a layer."""
    folder = source.folder
    config = read_object(folder / "config.json")
    family = find_family(config["model_type"])
    assert family is not None
    sizes = head_sizes(config)
    worth = importance(resources, family, "attention_output", sizes.width)
    whole_groups = options["keep"] % sizes.group == 0
    if whole_groups:
        groups = most_important([each.view(-1, sizes.group).sum(1) for each in worth], options["keep"] // sizes.group)
        queries = [[group * sizes.group + head for group in layer for head in range(sizes.group)] for layer in groups]
    else:
        groups = [list(range(sizes.keys)) for _ in worth]
        queries = [_of_each_group(each.view(sizes.keys, sizes.group), options["keep"] // sizes.keys) for each in worth]
    cuts = [
        (layer_pattern(family, part), axis, kept)
        for parts, kept in ((_QUERIES, queries), (_KEYS, groups))
        for part, axis in parts.items()
    ]

    def change(name: str, tensor: torch.Tensor) -> tuple[str, torch.Tensor]:
        for pattern, axis, kept in cuts:
            if (found := pattern.search(name)) and axis < tensor.dim():
                channels = _channels(kept[int(found[1])], sizes.width)
                return name, tensor.index_select(axis, channels).contiguous()
        return name, tensor

    rewrite_weights(folder, draft, change)
    said = {"num_attention_heads": len(queries[0]), "num_key_value_heads": len(groups[0]), "head_dim": sizes.width}
    write_json(draft / "config.json", config | said)
    copy_rest(folder, draft)
    notes = {"kept": queries, "of": sizes.queries, "importance_kept": kept_share(worth, queries)}
    return Product(draft, "", notes=notes)


def _of_each_group(worth: torch.Tensor, keep: int) -> list[int]:
    """As many heads of each group, by their numbers among all heads; `worth` is (groups, heads of each)."""
    best = most_important(list(worth), keep)
    return [group * worth.shape[1] + head for group, heads in enumerate(best) for head in heads]


def _channels(heads: Sequence[int], width: int) -> torch.Tensor:
    return torch.tensor([head * width + channel for head in heads for channel in range(width)])
