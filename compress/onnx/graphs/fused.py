"""The BERT family as ONNX Runtime would like it: one node for attention, one for each residual + LayerNorm, one for
each bias + GELU, written straight from the weights.

A traced graph spells these out in dozens of small nodes, which ONNX Runtime's own optimiser hardly recognises; at batch
1 their overhead is a good part of the latency. Two savings come on top, both exact: query, key and value are one matrix
product, and behind the last attention only the first token is computed where nothing else reaches a head.
The price is portability: the `com.microsoft` operators run in ONNX Runtime (also in browsers) and few other places.

Operators: onnxruntime's docs/ContribOperators.md. Architecture: Devlin et al. 2018, arXiv:1810.04805.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from transformers import PreTrainedModel

from mct.compress.onnx.graphs.graph import DISTANCE_BIAS, GraphBuilder, assemble
from mct.compress.onnx.graphs.heads import BATCH, SEQUENCE, arrays, first_token, head_of
from mct.models.families.table import Family, find_family, graph_of

GRAPH = "encoder"
PROJECTION = "embeddings_project"  # ELECTRA's, where its embeddings are narrower than its layers
RELATIVE = "encoder.relative_attention_bias.weight"  # MPNet's, shared by all layers


def obstacle(module: torch.nn.Module) -> str:
    """Why this model cannot be written with fused operators; empty where it can."""
    model = _model(module)
    config = model.config
    if graph_of(config.model_type, "onnx") != GRAPH or head_of(module) is None:
        return f"no fused graph for {type(model).__name__}"
    activation = getattr(config, "hidden_act", None) or getattr(config, "activation", None)
    if activation != "gelu":
        return f"the fused operators have no {activation}"
    if getattr(config, "position_embedding_type", None) not in (None, "absolute"):
        return f"the fused operators have no {config.position_embedding_type} positions"
    return "it is a decoder" if getattr(config, "is_decoder", False) else ""


def build(module: torch.nn.Module, inputs: list[str]) -> onnx.ModelProto:
    """The model's graph with the given inputs (int64, batch x sequence) and its task's outputs.

    Only for a model without an `obstacle`.
    """
    backbone, head = _model(module).base_model, head_of(module)
    assert isinstance(backbone, PreTrainedModel) and head is not None
    builder = GraphBuilder({**head.weights, **arrays(backbone)})
    hidden = _backbone(builder, backbone, inputs, head.first_only)
    outputs = head.write(builder, hidden)
    values = [helper.make_tensor_value_info(name, TensorProto.INT64, [BATCH, SEQUENCE]) for name in inputs]
    return assemble(builder, "encoder", values, outputs)


def _model(module: torch.nn.Module) -> PreTrainedModel:
    assert isinstance(module.model, PreTrainedModel)
    return module.model


@dataclass(frozen=True)
class _Backbone:
    """What every layer is written with."""

    builder: GraphBuilder
    family: Family
    heads: int
    epsilon: float
    mask: str
    bias: tuple[str, ...]


def _backbone(builder: GraphBuilder, model: PreTrainedModel, inputs: list[str], first_only: bool) -> str:
    """Token ids to the last layer's vectors: (batch, sequence, width), or (batch, width) of the first token."""
    config: Any = model.config
    mask = builder.add("Cast", ["attention_mask"], to=TensorProto.INT32)
    # The operator's fifth input is a cache: there is none.
    bias = ("", _relative_bias(builder, model)) if RELATIVE in builder.weights else ()
    # DistilBERT has no setting for it: its code says 1e-12.
    epsilon = float(getattr(config, "layer_norm_eps", 1e-12))
    family = find_family(config.model_type)
    assert family is not None
    backbone = _Backbone(builder, family, config.num_attention_heads, epsilon, mask, bias)
    hidden = _embed(backbone, inputs, config.pad_token_id if family.positions_follow_padding else None)
    for layer in range(config.num_hidden_layers):
        hidden = _layer(backbone, layer, hidden, first_only and layer == config.num_hidden_layers - 1)
    return hidden


def _embed(backbone: _Backbone, inputs: list[str], first_position: int | None) -> str:
    """LayerNorm of word + position + segment. A lone segment is folded into the positions."""
    builder, parts = backbone.builder, backbone.family.parts
    words = builder.add("Gather", [builder.weight(backbone.family.words), "input_ids"])
    places = f"{parts['positions']}.weight"
    table = builder.weights[places]
    segments = f"{parts.get('segments')}.weight"
    if "token_type_ids" in inputs:
        words = builder.add("Add", [words, builder.add("Gather", [builder.weight(segments), "token_type_ids"])])
    elif segments in builder.weights:
        table = table + builder.weights[segments][0]
    positions = builder.constant(places, table)
    skip = _count_up(builder, positions) if first_position is None else _count_words(builder, positions, first_position)
    hidden = _add_and_norm(backbone, parts["embedding_norm"], words, skip)
    if f"{PROJECTION}.weight" not in builder.weights:
        return hidden
    projected = builder.add("MatMul", [hidden, _transposed(builder, PROJECTION)])
    return builder.add("Add", [projected, _bias(builder, PROJECTION)])


def _count_up(builder: GraphBuilder, table: str) -> str:
    """Rows 0, 1, 2, … of the position table."""
    length = builder.add("Slice", [builder.add("Shape", ["input_ids"]), builder.integer(1), builder.integer(2)])
    rows = builder.add("Slice", [table, builder.integer(0), length, builder.integer(0)])
    return builder.add("Unsqueeze", [rows, builder.integer(0)])


def _count_words(builder: GraphBuilder, table: str, pad_id: int) -> str:
    """RoBERTa's rows: pad_id for padding, pad_id + 1, + 2, … for the rest."""
    pad = builder.integer(pad_id, scalar=True)
    word = builder.add("Cast", [builder.add("Not", [builder.add("Equal", ["input_ids", pad])])], to=TensorProto.INT64)
    counted = builder.add("CumSum", [word, builder.integer(1, scalar=True)])
    return builder.add("Gather", [table, builder.add("Add", [builder.add("Mul", [counted, word]), pad])])


def _relative_bias(builder: GraphBuilder, model: Any) -> str:
    """What MPNet adds to a score for the distance of its two tokens: (1, heads, sequence, sequence).

    The model sorts distances into buckets by a logarithm; here that is done beforehand for every distance there can be.
    """
    most = int(model.config.max_position_embeddings)
    buckets = model.encoder.relative_position_bucket(torch.arange(1 - most, most)).numpy()
    table = builder.constant(DISTANCE_BIAS, builder.weights[RELATIVE][buckets])
    length = builder.add("Squeeze", [builder.add("Shape", ["input_ids"], start=1, end=2)])
    zero, one = builder.integer(0, scalar=True), builder.integer(1, scalar=True)
    places = builder.add("Range", [zero, length, one])
    keys, queries = (builder.add("Unsqueeze", [places, builder.integer(axis)]) for axis in (0, 1))
    rows = builder.add("Add", [builder.add("Sub", [keys, queries]), builder.integer(most - 1, scalar=True)])
    by_head = builder.add("Transpose", [builder.add("Gather", [table, rows])], perm=[2, 0, 1])
    return builder.add("Unsqueeze", [by_head, builder.integer(0)])


def _layer(backbone: _Backbone, layer: int, hidden: str, first_only: bool) -> str:
    """One transformer layer, (batch, sequence, width) to the same, or to the first token's (batch, width)."""
    builder, family = backbone.builder, backbone.family
    names = {part: name.format(layer=family.layer(layer)) for part, name in family.parts.items()}
    mixed = _attend(backbone, [names[part] for part in ("query", "key", "value")], hidden)
    if first_only:
        mixed, hidden = first_token(builder, mixed), first_token(builder, hidden)
    hidden = _project_and_norm(backbone, names["attention_output"], names["attention_norm"], mixed, hidden)
    widen = names["ffn_up"]
    product = builder.add("MatMul", [hidden, _transposed(builder, widen)])
    wide = builder.fused("BiasGelu", [product, _bias(builder, widen)])
    return _project_and_norm(backbone, names["ffn_down"], names["layer_norm"], wide, hidden)


def _attend(backbone: _Backbone, parts: list[str], hidden: str) -> str:
    """Self-attention with query, key and value weights side by side: (width, 3 * width)."""
    builder = backbone.builder
    packed = np.concatenate([builder.weights[f"{part}.weight"].T for part in parts], axis=1)
    biases = np.concatenate([builder.weights[f"{part}.bias"] for part in parts])
    inputs = [
        hidden,
        builder.constant(f"{parts[0]}_key_value.weight", packed),
        builder.constant(f"{parts[0]}_key_value.bias", biases),
        backbone.mask,
        *backbone.bias,
    ]
    lowest = float(np.finfo(np.float32).min)
    return builder.fused("Attention", inputs, num_heads=backbone.heads, mask_filter_value=lowest)


def _project_and_norm(backbone: _Backbone, dense: str, norm: str, value: str, residual: str) -> str:
    builder = backbone.builder
    product = builder.add("MatMul", [value, _transposed(builder, dense)])
    return _add_and_norm(backbone, norm, product, residual, _bias(builder, dense))


def _add_and_norm(backbone: _Backbone, norm: str, value: str, residual: str, *bias: str) -> str:
    builder = backbone.builder
    inputs = [value, residual, builder.weight(f"{norm}.weight"), builder.weight(f"{norm}.bias"), *bias]
    return builder.fused("SkipLayerNormalization", inputs, epsilon=backbone.epsilon)


def _transposed(builder: GraphBuilder, name: str) -> str:
    return builder.constant(f"{name}.weight", builder.weights[f"{name}.weight"].T)


def _bias(builder: GraphBuilder, name: str) -> str:
    return builder.weight(f"{name}.bias")
