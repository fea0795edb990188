"""Decoders as ONNX Runtime would like them: one node for attention with its cache and rotation, one for each residual
and norm, written straight from the weights.

Every family is the same walk (embed, then attend and feed in turn, each behind a norm) and differs in the steps, which
stand in mct.compress.onnx.graphs.llama and mct.compress.onnx.graphs.gpt2. Inputs and outputs bear the names that
optimum, transformers.js and onnxruntime-genai look for. Padding may stand left or right: `attention_mask` hides it.

Source of the names: transformers.js and onnxruntime-genai, as they open a model.
"""

from typing import NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper
from transformers import PreTrainedModel

from mct.compress.onnx.graphs import gpt2 as onnx_gpt2
from mct.compress.onnx.graphs import llama as onnx_llama
from mct.compress.onnx.graphs.family import Family, Sizes, add_masks, cache_names
from mct.compress.onnx.graphs.graph import Draft, assemble
from mct.models.families.table import graph_of

# By the graph that a family's row names (mct.models.families.table).
GRAPHS = {"gpt2": onnx_gpt2.FAMILY, "llama": onnx_llama.FAMILY}

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
    family, draft = GRAPHS[graph_of(model.config.model_type, "onnx")], _start(model)
    sizes = family.sizes(model, True)
    stream = _embed(draft, family, sizes)
    for layer in range(sizes.layers):
        stream = _attend(draft, family, sizes, layer, stream)
        stream = _feed(draft, family, sizes, layer, stream)
    _add_logits(draft, _last_tokens(draft, stream.normed), family.table)
    vocabulary = draft.weights[family.table].shape[0]
    caches = [_cache(sizes, layer, "past_key_values", "past_sequence_length") for layer in range(sizes.layers)]
    presents = [_cache(sizes, layer, "present", "total_sequence_length") for layer in range(sizes.layers)]
    keep = helper.make_tensor_value_info(KEEP, TensorProto.INT64, [])
    logits = helper.make_tensor_value_info(
        "logits", TensorProto.FLOAT, ["batch_size", "logits_sequence_length", vocabulary]
    )
    inputs = [*_inputs("total_sequence_length"), *(value for pair in caches for value in pair), keep]
    return assemble(draft, "decoder", inputs, [logits, *(value for pair in presents for value in pair)])


def build_reward(model: PreTrainedModel) -> onnx.ModelProto:
    """A decoder that gives a score: `input_ids`, `attention_mask` (batch, tokens) to `logits`, float32 (batch, labels).

    The score is read at the last token that is not the padding token, as transformers has it. Nothing else reaches it:
    behind the last attention only that token is computed.
    """
    family, draft = GRAPHS[graph_of(model.config.model_type, "onnx")], _start(model)
    sizes = family.sizes(model, False)
    stream, final = _embed(draft, family, sizes), sizes.layers - 1
    for layer in range(sizes.layers):
        stream = _attend(draft, family, sizes, layer, stream, _last_row(draft, model) if layer == final else "")
        stream = _feed(draft, family, sizes, layer, stream)
    score = draft.constant("score.weight", draft.weights["score.weight"].T)
    draft.add("MatMul", [stream.normed, score], "logits")
    labels = len(draft.weights["score.weight"])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch_size", labels])
    return assemble(draft, "reward", _inputs("sequence_length"), [logits])


def _start(model: PreTrainedModel) -> Draft:
    draft = Draft({name: tensor.detach().numpy() for name, tensor in model.state_dict().items()})
    add_masks(draft)
    return draft


def _embed(draft: Draft, family: Family, sizes: Sizes) -> Stream:
    residual = family.embed(draft, sizes)
    inputs = [residual, *_norm_weights(draft, family.norms[0].format(0))]
    return Stream(residual, draft.add(family.norm, inputs, axis=-1, epsilon=sizes.epsilon))


def _attend(draft: Draft, family: Family, sizes: Sizes, layer: int, stream: Stream, row: str = "") -> Stream:
    """`row` names the one token of each input that is gone on with, where that is enough."""
    mixed = family.attend(draft, sizes, layer, stream.normed)
    residual = stream.residual
    if row:
        mixed, residual = (draft.add("GatherND", [value, row], batch_dims=1) for value in (mixed, residual))
    return _add_and_norm(draft, family, sizes, family.norms[1].format(layer), Stream(residual, mixed))


def _feed(draft: Draft, family: Family, sizes: Sizes, layer: int, stream: Stream) -> Stream:
    """The norm behind it is that of the next layer's attention, or the last of all."""
    fed = family.feed(draft, sizes, layer, stream.normed)
    norm = family.norms[0].format(layer + 1) if layer + 1 < sizes.layers else family.norms[2]
    return _add_and_norm(draft, family, sizes, norm, Stream(stream.residual, fed))


def _add_and_norm(draft: Draft, family: Family, sizes: Sizes, norm: str, stream: Stream) -> Stream:
    """The sum of both, and the same normalised: one node."""
    total, normed = f"{norm}.sum", f"{norm}.normed"
    inputs = [stream.normed, stream.residual, *_norm_weights(draft, norm)]
    draft.fused(f"Skip{family.norm}", inputs, normed, "", "", total, epsilon=sizes.epsilon)
    return Stream(total, normed)


def _norm_weights(draft: Draft, norm: str) -> list[str]:
    return [draft.weight(name) for name in (f"{norm}.weight", f"{norm}.bias") if name in draft.weights]


def _last_tokens(draft: Draft, hidden: str) -> str:
    """The tokens that logits are asked for: from -n to the end, where -0 is the beginning."""
    keep = draft.constant(KEEP, np.array(0, np.int64))
    first = draft.add("Neg", [draft.add("Reshape", [keep, draft.integer(1)])])
    return draft.add("Slice", [hidden, first, draft.integer(_END), draft.integer(1)])


def _add_logits(draft: Draft, hidden: str, table: str) -> None:
    """The product with the output matrix; where that is the word embeddings, their one table serves both."""
    head = draft.weights["lm_head.weight"]
    if np.may_share_memory(head, draft.weights[table]):
        draft.fused("FusedMatMul", [hidden, draft.weight(table)], "logits", transB=1)
    else:
        draft.add("MatMul", [hidden, draft.constant("lm_head.weight", head.T)], "logits")


def _last_row(draft: Draft, model: PreTrainedModel) -> str:
    """(batch, 1): the place of the last token that is not padding."""
    length = draft.add("Shape", ["input_ids"], start=1, end=2)
    zero, one = draft.integer(0, scalar=True), draft.integer(1, scalar=True)
    places = draft.add("Range", [zero, draft.add("Squeeze", [length]), one])
    pad_id = model.config.pad_token_id
    if pad_id is None or pad_id < 0:
        real = "attention_mask"
    else:
        padding = draft.add("Equal", ["input_ids", draft.integer(pad_id)])
        real = draft.add("Cast", [draft.add("Not", [padding])], to=TensorProto.INT64)
    return draft.add("ReduceMax", [draft.add("Mul", [places, real]), draft.integer(1)], keepdims=1)


def _inputs(seen: str) -> list[onnx.ValueInfoProto]:
    return [
        helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch_size", "sequence_length"]),
        helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["batch_size", seen]),
    ]


def _cache(sizes: Sizes, layer: int, direction: str, length: str) -> list[onnx.ValueInfoProto]:
    shape: list[str | int | None] = ["batch_size", sizes.kv_heads, length, sizes.head_width]
    return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in cache_names(layer, direction)]
