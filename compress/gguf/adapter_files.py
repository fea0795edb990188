"""Adapters as llama.cpp's own files: for each layer that one changes two thin matrices, and one number for all of them.

llama.cpp divides that number, alpha, by a matrix's rank and scales by it. What an adapter scales otherwise in one layer
than in the rest (rsLoRA with unlike ranks, alphas by pattern) is multiplied into that layer's second matrix instead.

Names and keys: llama.cpp, convert_lora_to_gguf.py.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFWriter

from mct import MctError
from mct.compress.gguf.graphs.decoders import Array, Decoder, Weight
from mct.compress.merge.kept_adapters import Layers, LowRank

SUFFIX = ".gguf"


def write_adapter(path: Path, decoder: Decoder, layers: Layers) -> dict[str, Any]:
    """Write one file for the model that `decoder` plans; gives notes. MctError for a layer that has no matrix there."""
    path.parent.mkdir(exist_ok=True)
    places = {weight.sources[0].source: weight for weight in decoder.weights if len(weight.sources) == 1}
    alphas = [each.scale * len(each.down) for each in layers.values()]
    alpha = max(set(alphas), key=alphas.count) or 1.0  # an adapter scaled by nothing adds nothing by its matrices
    writer = GGUFWriter(path, decoder.graph)
    try:
        writer.add_type("adapter")
        writer.add_string("adapter.type", "lora")
        writer.add_float32("adapter.lora.alpha", alpha)
        for name, layer in layers.items():
            place = _place(places, name)
            share = layer.scale * len(layer.down) / alpha
            writer.add_tensor(f"{place.name}.lora_a", layer.down)
            writer.add_tensor(f"{place.name}.lora_b", _rows(place, layer) * np.float32(share))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()
    return {"alpha": alpha, "scaled_by_themselves": sum(each != alpha for each in alphas)}


def _place(places: Mapping[str, Weight], layer: str) -> Weight:
    if (found := places.get(f"{layer}.weight")) is None:
        raise MctError(
            f"llama.cpp has no place for what an adapter adds to {layer}",
            "leave --keep-adapter out: the adapter is merged then",
        )
    return found


def _rows(place: Weight, layer: LowRank) -> Array:
    """The second matrix, its rows in the order in which the file has those of the layer."""
    return np.ascontiguousarray(place.arrange([layer.up.T if layer.turned else layer.up]))
