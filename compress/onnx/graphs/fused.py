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

from mct.compress.onnx.graphs.graph import DISTANCE_BIAS, Draft, assemble
from mct.compress.onnx.graphs.heads import BATCH, SEQUENCE, arrays, first_token, top_of
from mct.models.families.table import Family, find_family, graph_of

GRAPH = "encoder"
PROJECTION = "embeddings_project"  # ELECTRA's, where its embeddings are narrower than its layers
RELATIVE = "encoder.relative_attention_bias.weight"  # MPNet's, shared by all layers


def obstacle(module: torch.nn.Module) -> str:
    """Why this model cannot be written with fused operators; empty where it can."""
    model = _model(module)
    config = model.config
    if graph_of(config.model_type, "onnx") != GRAPH or top_of(module) is None:
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
    trunk, top = _model(module).base_model, top_of(module)
    assert isinstance(trunk, PreTrainedModel) and top is not None
    draft = Draft({**top.weights, **arrays(trunk)})
    hidden = _trunk(draft, trunk, inputs, top.first_only)
    outputs = top.write(draft, hidden)
    values = [helper.make_tensor_value_info(name, TensorProto.INT64, [BATCH, SEQUENCE]) for name in inputs]
    return assemble(draft, "encoder", values, outputs)


def _model(module: torch.nn.Module) -> PreTrainedModel:
    assert isinstance(module.model, PreTrainedModel)
    return module.model


@dataclass(frozen=True)
class _Trunk:
    """What every layer is written with."""

    draft: Draft
    family: Family
    heads: int
    epsilon: float
    mask: str
    bias: tuple[str, ...]


def _trunk(draft: Draft, model: PreTrainedModel, inputs: list[str], first_only: bool) -> str:
    """Token ids to the last layer's vectors: (batch, sequence, width), or (batch, width) of the first token."""
    config: Any = model.config
    mask = draft.add("Cast", ["attention_mask"], to=TensorProto.INT32)
    # The operator's fifth input is a cache: there is none.
    bias = ("", _relative_bias(draft, model)) if RELATIVE in draft.weights else ()
    # DistilBERT has no setting for it: its code says 1e-12.
    epsilon = float(getattr(config, "layer_norm_eps", 1e-12))
    family = find_family(config.model_type)
    assert family is not None
    trunk = _Trunk(draft, family, config.num_attention_heads, epsilon, mask, bias)
    hidden = _embed(trunk, inputs, config.pad_token_id if family.positions_follow_padding else None)
    for layer in range(config.num_hidden_layers):
        hidden = _layer(trunk, layer, hidden, first_only and layer == config.num_hidden_layers - 1)
    return hidden


def _embed(trunk: _Trunk, inputs: list[str], first_position: int | None) -> str:
    """LayerNorm of word + position + segment. A lone segment is folded into the positions."""
    draft, parts = trunk.draft, trunk.family.parts
    words = draft.add("Gather", [draft.weight(trunk.family.words), "input_ids"])
    places = f"{parts['positions']}.weight"
    table = draft.weights[places]
    segments = f"{parts.get('segments')}.weight"
    if "token_type_ids" in inputs:
        words = draft.add("Add", [words, draft.add("Gather", [draft.weight(segments), "token_type_ids"])])
    elif segments in draft.weights:
        table = table + draft.weights[segments][0]
    positions = draft.constant(places, table)
    skip = _count_up(draft, positions) if first_position is None else _count_words(draft, positions, first_position)
    hidden = _add_and_norm(trunk, parts["embedding_norm"], words, skip)
    if f"{PROJECTION}.weight" not in draft.weights:
        return hidden
    return draft.add("Add", [draft.add("MatMul", [hidden, _transposed(draft, PROJECTION)]), _bias(draft, PROJECTION)])


def _count_up(draft: Draft, table: str) -> str:
    """Rows 0, 1, 2, … of the position table."""
    length = draft.add("Slice", [draft.add("Shape", ["input_ids"]), draft.integer(1), draft.integer(2)])
    rows = draft.add("Slice", [table, draft.integer(0), length, draft.integer(0)])
    return draft.add("Unsqueeze", [rows, draft.integer(0)])


def _count_words(draft: Draft, table: str, pad_id: int) -> str:
    """RoBERTa's rows: pad_id for padding, pad_id + 1, + 2, … for the rest."""
    pad = draft.integer(pad_id, scalar=True)
    word = draft.add("Cast", [draft.add("Not", [draft.add("Equal", ["input_ids", pad])])], to=TensorProto.INT64)
    counted = draft.add("CumSum", [word, draft.integer(1, scalar=True)])
    return draft.add("Gather", [table, draft.add("Add", [draft.add("Mul", [counted, word]), pad])])


def _relative_bias(draft: Draft, model: Any) -> str:
    """What MPNet adds to a score for the distance of its two tokens: (1, heads, sequence, sequence).

    The model sorts distances into buckets by a logarithm; here that is done beforehand for every distance there can be.
    """
    most = int(model.config.max_position_embeddings)
    buckets = model.encoder.relative_position_bucket(torch.arange(1 - most, most)).numpy()
    table = draft.constant(DISTANCE_BIAS, draft.weights[RELATIVE][buckets])
    length = draft.add("Squeeze", [draft.add("Shape", ["input_ids"], start=1, end=2)])
    zero, one = draft.integer(0, scalar=True), draft.integer(1, scalar=True)
    places = draft.add("Range", [zero, length, one])
    keys, queries = (draft.add("Unsqueeze", [places, draft.integer(axis)]) for axis in (0, 1))
    rows = draft.add("Add", [draft.add("Sub", [keys, queries]), draft.integer(most - 1, scalar=True)])
    by_head = draft.add("Transpose", [draft.add("Gather", [table, rows])], perm=[2, 0, 1])
    return draft.add("Unsqueeze", [by_head, draft.integer(0)])


def _layer(trunk: _Trunk, layer: int, hidden: str, first_only: bool) -> str:
    """One transformer layer, (batch, sequence, width) to the same, or to the first token's (batch, width)."""
    draft, family = trunk.draft, trunk.family
    names = {part: name.format(layer=family.layer(layer)) for part, name in family.parts.items()}
    mixed = _attend(trunk, [names[part] for part in ("query", "key", "value")], hidden)
    if first_only:
        mixed, hidden = first_token(draft, mixed), first_token(draft, hidden)
    hidden = _project_and_norm(trunk, names["attention_output"], names["attention_norm"], mixed, hidden)
    widen = names["ffn_up"]
    wide = draft.fused("BiasGelu", [draft.add("MatMul", [hidden, _transposed(draft, widen)]), _bias(draft, widen)])
    return _project_and_norm(trunk, names["ffn_down"], names["layer_norm"], wide, hidden)


def _attend(trunk: _Trunk, parts: list[str], hidden: str) -> str:
    """Self-attention with query, key and value weights side by side: (width, 3 * width)."""
    draft = trunk.draft
    packed = np.concatenate([draft.weights[f"{part}.weight"].T for part in parts], axis=1)
    biases = np.concatenate([draft.weights[f"{part}.bias"] for part in parts])
    inputs = [
        hidden,
        draft.constant(f"{parts[0]}_key_value.weight", packed),
        draft.constant(f"{parts[0]}_key_value.bias", biases),
        trunk.mask,
        *trunk.bias,
    ]
    lowest = float(np.finfo(np.float32).min)
    return draft.fused("Attention", inputs, num_heads=trunk.heads, mask_filter_value=lowest)


def _project_and_norm(trunk: _Trunk, dense: str, norm: str, value: str, residual: str) -> str:
    draft = trunk.draft
    product = draft.add("MatMul", [value, _transposed(draft, dense)])
    return _add_and_norm(trunk, norm, product, residual, _bias(draft, dense))


def _add_and_norm(trunk: _Trunk, norm: str, value: str, residual: str, *bias: str) -> str:
    draft = trunk.draft
    inputs = [value, residual, draft.weight(f"{norm}.weight"), draft.weight(f"{norm}.bias"), *bias]
    return draft.fused("SkipLayerNormalization", inputs, epsilon=trunk.epsilon)


def _transposed(draft: Draft, name: str) -> str:
    return draft.constant(f"{name}.weight", draft.weights[f"{name}.weight"].T)


def _bias(draft: Draft, name: str) -> str:
    return draft.weight(f"{name}.bias")
