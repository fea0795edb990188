"""Decoders as ONNX Runtime would like them: one node for attention with its cache and rotation, one for each residual
and norm, written straight from the weights.

Every family is the same walk (embed, then attend and feed in turn, each behind a norm) and differs in the steps, which
stand in llama, gemma, megatron and gpt2 beside this file. Inputs and outputs bear the names that
optimum, transformers.js and onnxruntime-genai look for. Padding may stand left or right: `attention_mask` hides it.

Source of the names: transformers.js and onnxruntime-genai, as they open a model.
"""

from typing import NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper
from transformers import PreTrainedModel

from mct.compress.onnx.graphs import gemma, gpt2, llama, megatron
from mct.compress.onnx.graphs.family import LOGITS, UNBOUND, Family, Sizes, add_masks, cache_names
from mct.compress.onnx.graphs.graph import GraphBuilder, assemble
from mct.models.families.experts import ROUTER_SCORES
from mct.models.families.table import find_family, graph_of

# By the graph that a family's row names (mct.models.families.table).
GRAPHS = {
    "gpt2": gpt2.FAMILY, "llama": llama.FAMILY, "gemma": gemma.FAMILY, "gpt_neox": megatron.NEOX,
    "bloom": megatron.BLOOM,
}  # fmt: skip

# How many of the last tokens get logits, 0 for all. An input with a default: programs that do not know it leave it out,
# and a long prompt need not cost (tokens x vocabulary) numbers of which all but the last row are thrown away.
KEEP = "num_logits_to_keep"

_END = np.iinfo(np.int64).max


class Stream(NamedTuple):
    """Where a walk through the layers stands: the residual stream, and the same normalised for the next step."""

    residual: str
    normed: str


def build_lm(model: PreTrainedModel) -> onnx.ModelProto:
    """A causal language model with its cache. Only for one that mct.compress.onnx.graphs.obstacles sees no obstacle to.

    int64 `input_ids` (batch, new tokens), `attention_mask` (batch, all tokens), and past_key_values.N.key and .value,
    float32 (batch, heads, earlier tokens, width of a head), to `logits`, float32 (batch, new tokens, vocabulary), and
    present.N.key and .value.
    """
    builder, family, sizes = _start(model, cached=True)
    stream = _embed(builder, family, sizes)
    for layer in range(sizes.layers):
        stream = _layer(builder, family, sizes, layer, stream)
    _add_logits(builder, family, sizes, _last_tokens(builder, stream.normed))
    vocabulary = builder.weights[family.table].shape[0]
    caches = [_cache(sizes, layer, "past_key_values", "past_sequence_length") for layer in range(sizes.layers)]
    presents = [_cache(sizes, layer, "present", "total_sequence_length") for layer in range(sizes.layers)]
    keep = helper.make_tensor_value_info(KEEP, TensorProto.INT64, [])
    logits = helper.make_tensor_value_info(
        "logits", TensorProto.FLOAT, ["batch_size", "logits_sequence_length", vocabulary]
    )
    inputs = [*_inputs("total_sequence_length"), *(value for pair in caches for value in pair), keep]
    outputs = [logits, *(value for pair in presents for value in pair), *_router_scores(builder)]
    return assemble(builder, "decoder", inputs, outputs)


def _router_scores(builder: GraphBuilder) -> list[onnx.ValueInfoProto]:
    """One output a layer of experts: which of them each token goes to is seen there, and nowhere else."""
    names = [name for node in builder.nodes for name in node.output if name.endswith(ROUTER_SCORES)]
    return [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["tokens", None]) for name in names]


def build_reward(model: PreTrainedModel) -> onnx.ModelProto:
    """A decoder that gives a score: `input_ids`, `attention_mask` (batch, tokens) to `logits`, float32 (batch, labels).

    The score is read at the last token that is not the padding token, as transformers has it. Nothing else reaches it:
    behind the last attention only that token is computed.
    """
    builder, family, sizes = _start(model, cached=False)
    stream, final = _embed(builder, family, sizes), sizes.layers - 1
    for layer in range(sizes.layers):
        stream = _layer(builder, family, sizes, layer, stream, _last_row(builder, model) if layer == final else "")
    score = builder.constant("score.weight", builder.weights["score.weight"].T)
    builder.add("MatMul", [stream.normed, score], "logits")
    labels = len(builder.weights["score.weight"])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch_size", labels])
    return assemble(builder, "reward", _inputs("sequence_length"), [logits])


def _start(model: PreTrainedModel, cached: bool) -> tuple[GraphBuilder, Family, Sizes]:
    """A builder with the masks in it, the steps of the model's family and its dimensions."""
    config = model.config
    row, family = find_family(config.model_type), GRAPHS[graph_of(config.model_type, "onnx")]
    weights = {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}
    if row is not None and row.traits.norms_add_one:
        weights |= {name: values + 1 for name, values in weights.items() if name.endswith("norm.weight")}
    builder, sizes = GraphBuilder(weights), family.sizes(model, cached)
    add_masks(builder, sizes)
    return builder, family, sizes


def _embed(builder: GraphBuilder, family: Family, sizes: Sizes) -> Stream:
    residual = family.embed(builder, sizes)
    inputs = [residual, *_norm_weights(builder, family.norms[0].format(0))]
    return Stream(residual, builder.add(family.norm, inputs, axis=-1, epsilon=sizes.epsilon))


def _layer(builder: GraphBuilder, family: Family, sizes: Sizes, layer: int, stream: Stream, row: str = "") -> Stream:
    """Attend, then feed, or both from the same stream; `row` names the one token of each input that is gone on with.

    The norm behind it is that of the next layer's attention, or the last of all.
    """
    after = family.norms[0].format(layer + 1) if layer + 1 < sizes.layers else family.norms[2]
    between, residual = family.norms[1].format(layer), stream.residual
    mixed = family.attend(builder, sizes, layer, stream.normed)
    if row:
        mixed, residual = (builder.add("GatherND", [value, row], batch_dims=1) for value in (mixed, residual))
    if sizes.parallel:
        inputs = [residual, *_norm_weights(builder, between)]
        normed = builder.add(family.norm, inputs, axis=-1, epsilon=sizes.epsilon)
        both = builder.add("Add", [mixed, family.feed(builder, sizes, layer, normed)])
        return _add_and_norm(builder, family, sizes, after, Stream(residual, both))
    stream = _add_and_norm(builder, family, sizes, between, Stream(residual, mixed))
    fed = family.feed(builder, sizes, layer, stream.normed)
    return _add_and_norm(builder, family, sizes, after, Stream(stream.residual, fed))


def _add_and_norm(builder: GraphBuilder, family: Family, sizes: Sizes, norm: str, stream: Stream) -> Stream:
    """The sum of both, and the same normalised: one node."""
    total, normed = f"{norm}.sum", f"{norm}.normed"
    inputs = [stream.normed, stream.residual, *_norm_weights(builder, norm)]
    builder.fused(f"Skip{family.norm}", inputs, normed, "", "", total, epsilon=sizes.epsilon)
    return Stream(total, normed)


def _norm_weights(builder: GraphBuilder, norm: str) -> list[str]:
    return [builder.weight(name) for name in (f"{norm}.weight", f"{norm}.bias") if name in builder.weights]


def _last_tokens(builder: GraphBuilder, hidden: str) -> str:
    """The tokens that logits are asked for: from -n to the end, where -0 is the beginning."""
    keep = builder.constant(KEEP, np.array(0, np.int64))
    first = builder.add("Mul", [keep, builder.integer(-1)])  # of a scalar and a vector of one: a vector, as Slice wants
    return builder.add("Slice", [hidden, first, builder.integer(_END), builder.integer(1)])


def _add_logits(builder: GraphBuilder, family: Family, sizes: Sizes, hidden: str) -> None:
    """The product with the output matrix; where that is the word embeddings, their one table serves both."""
    head, logits = builder.weights[family.output], UNBOUND if sizes.logits_cap else LOGITS
    if np.may_share_memory(head, builder.weights[family.table]):
        builder.fused("FusedMatMul", [hidden, builder.weight(family.table)], logits, transB=1)
    else:
        builder.add("MatMul", [hidden, builder.constant(family.output, head.T)], logits)
    if sizes.logits_cap:
        cap = builder.constant("logits_cap", np.array(sizes.logits_cap, np.float32))
        builder.add("Mul", [builder.add("Tanh", [builder.add("Div", [UNBOUND, cap])]), cap], LOGITS)


def _last_row(builder: GraphBuilder, model: PreTrainedModel) -> str:
    """(batch, 1): the place of the last token that is not padding."""
    length = builder.add("Shape", ["input_ids"], start=1, end=2)
    zero, one = builder.integer(0, scalar=True), builder.integer(1, scalar=True)
    places = builder.add("Range", [zero, builder.add("Squeeze", [length]), one])
    pad_id = model.config.pad_token_id
    if pad_id is None or pad_id < 0:
        real = "attention_mask"
    else:
        padding = builder.add("Equal", ["input_ids", builder.integer(pad_id)])
        real = builder.add("Cast", [builder.add("Not", [padding])], to=TensorProto.INT64)
    return builder.add("ReduceMax", [builder.add("Mul", [places, real]), builder.integer(1)], keepdims=1)


def _inputs(seen: str) -> list[onnx.ValueInfoProto]:
    return [
        helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch_size", "sequence_length"]),
        helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["batch_size", seen]),
    ]


def _cache(sizes: Sizes, layer: int, direction: str, length: str) -> list[onnx.ValueInfoProto]:
    shape: list[str | int | None] = ["batch_size", sizes.kv_heads, length, sizes.head_width]
    return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in cache_names(layer, direction)]
