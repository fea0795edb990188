"""OpenVINO language model to INT8 or INT4 weights; the file leaves activations as they are, so it suits every machine.

Reading one token takes every weight once, so the time of a token is the time to fetch the weights: fewer bits, faster
text. NNCF's weight compression (one scale per output channel at 8 bits, per group of weights at 4; embeddings and
the last product stay at 8). At 4 bits two methods learn from real texts: activation-aware scaling (AWQ, Lin et al.
2023, arXiv:2306.00978) and scale estimation. Neither helps every model, so both are tried on the user's texts and held
against plain rounding on texts they did not see: the nearest to the original wins. It costs four compressions. Weights
that were trained on the grid of 4 bits keep their blocks and integers.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mct.compress.openvino.export import MODEL, save
from mct.compress.openvino.export_lm import set_cache_precision
from mct.compress.openvino.half import CACHE, copy_beside
from mct.compress.openvino.quantise_blocks import BITS, product_weights
from mct.compress.plan.passes import Product, Resources
from mct.compress.run.agreement import divergence
from mct.compress.run.calibration import calibration_inputs, calibration_notes
from mct.compress.run.quiet import quiet
from mct.models.tasks.tokens import Tokens
from mct.models.training.grids import trained_grid
from mct.targets.runtimes.generate_openvino import step_inputs
from mct.targets.runtimes.private_openvino import ov
from mct.targets.runtimes.run_openvino import rounding_properties

# Ways to choose 4-bit weights, in the order in which a draw is decided.
METHODS: Mapping[str, Mapping[str, bool]] = {
    "rounding": {},
    "awq": {"awq": True},
    "scale-estimation": {"scale_estimation": True},
    "awq+scale-estimation": {"awq": True, "scale_estimation": True},
}

# Texts are drawn as every calibrated pass draws them; every fourth is held out, and fewer than 32 decide nothing.
TEXTS, HELD_OUT = 128, 4
FEWEST = 32
LONGEST = 256

# Sizes of a group of weights that share a scale, the first that fits is taken. On TinyStories-656K groups of 32 are a
# fifth nearer to the original than groups of 64, for 3 % more bytes.
GROUPS = (32, 64, 16)


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write the model with its weights in `options["bits"]` (8 or 4) bits, and what lies beside it."""
    copy_beside(source, draft)
    graph, notes = _compress(source.folder / source.model, int(options["bits"]), resources)
    set_cache_precision(graph, CACHE["kv_cache_precision"])
    save(graph, draft / MODEL)
    return Product(draft, MODEL, {**source.settings, **CACHE}, {**source.notes, **notes})


def _compress(path: Path, bits: int, resources: Resources) -> tuple[ov.Model, dict[str, Any]]:
    if bits == 8:
        return rounded(path, "INT8_ASYM"), {}
    if block := trained_block(ov.Core().read_model(path)):
        return rounded(path, "INT4_SYM", group_size=block), {"group_size": block, "method": "as trained"}
    size = _group_size(ov.Core().read_model(path))
    texts = _texts(resources)
    if len(texts) < FEWEST:
        return rounded(path, "INT4_ASYM", group_size=size), {"group_size": size, "method": "rounding"}
    learnt_from = [tokens for place, tokens in enumerate(texts) if place % HELD_OUT]
    graph, notes = _nearest(path, size, learnt_from, texts[::HELD_OUT])
    return graph, notes | calibration_notes(resources, texts)


def _nearest(
    path: Path, size: int, learnt_from: list[Tokens], held_out: list[Tokens]
) -> tuple[ov.Model, dict[str, Any]]:
    """The method whose next-token distributions on held-out texts are nearest to the original's."""
    before = _logits(ov.Core().read_model(path), held_out)
    graphs = {
        method: rounded(path, "INT4_ASYM", learnt_from, group_size=size, **options)
        for method, options in METHODS.items()
    }
    distances = {method: _distance(before, _logits(graph, held_out)) for method, graph in graphs.items()}
    best = min(distances, key=lambda method: distances[method])
    held_out_kl = {method: round(distance, 6) for method, distance in distances.items()}
    return graphs[best], {"group_size": size, "method": best, "held_out_kl": held_out_kl, "held_out": len(held_out)}


def rounded(path: Path, mode: str, texts: Sequence[Tokens] = (), **options: Any) -> ov.Model:
    """A fresh copy of the model, compressed. `texts` are given to methods that learn from them."""
    import nncf

    graph = ov.Core().read_model(path)
    if options.keys() & {"awq", "scale_estimation"}:
        names = [port.any_name for port in graph.inputs]
        options["dataset"] = nncf.Dataset([_arrays(tokens, names) for tokens in texts])
        options["subset_size"] = len(texts)
    with quiet():
        compressed: ov.Model = nncf.compress_weights(graph, mode=nncf.CompressWeightsMode[mode], **options)
    return compressed


def trained_block(graph: ov.Model) -> int:
    """The length of the blocks that the layers' weights were trained in; 0 of weights that lie on no grid.

    The last product, which stays at 8 bits, was not trained on it.
    """
    found = (product_weights(node) for node in graph.get_ordered_ops())
    grids = [trained_grid(weights, BITS) for weights in found if weights is not None][:-1]
    blocks = {grid.block if grid else 0 for grid in grids}
    return blocks.pop() if len(blocks) == 1 else 0


def _group_size(graph: ov.Model) -> int:
    """Weights that share a scale: a number that divides every product's inputs; -1 (a whole row) where none does."""
    widths = {_inputs_of(node) for node in graph.get_ops() if node.get_type_name() == "MatMul" and _has_weights(node)}
    return next((size for size in GROUPS if all(width % size == 0 for width in widths)), -1)


def _has_weights(node: ov.Node) -> bool:
    return bool(node.input_value(1).get_partial_shape().is_static)


def _inputs_of(node: ov.Node) -> int:
    """The length of the sums that a product takes."""
    axis = -1 if node.get_attributes()["transpose_b"] else -2
    return int(node.input_value(1).get_shape()[axis])


def _texts(resources: Resources) -> list[Tokens]:
    """At most 128 calibration texts, cut to 256 tokens; none where none were given.

    Label by label, the shortest first: every fourth of them is like the others.
    """
    if resources.calibration is None:
        return []
    inputs = calibration_inputs(resources, TEXTS)
    return [Tokens(tokens.ids[:LONGEST], tokens.type_ids[:LONGEST]) for tokens in inputs if len(tokens.ids) > 1]


def _arrays(tokens: Tokens, names: Sequence[str]) -> dict[str, Any]:
    arrays = step_inputs(tokens.ids)
    return {name: arrays[name] for name in names}


def _logits(graph: ov.Model, texts: Sequence[Tokens]) -> list[Any]:
    """Logits of each text, (tokens, vocabulary)."""
    precisions = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"}
    compiled = ov.Core().compile_model(graph, "CPU", precisions | rounding_properties())
    request = compiled.create_infer_request()
    names = [port.any_name for port in graph.inputs]
    found = []
    for tokens in texts:
        request.reset_state()
        request.infer(_arrays(tokens, names))
        found.append(request.get_tensor("logits").data[0].copy())
    return found


def _distance(before: Sequence[Any], after: Sequence[Any]) -> float:
    """Mean Kullback-Leibler divergence in nats a token."""
    return float(np.concatenate([divergence(a, b) for a, b in zip(before, after, strict=True)]).mean())
