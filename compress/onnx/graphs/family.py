"""What a decoder family has to say for its graph to be written, and the attention that all of them share.

Attention is one operator for the whole of it: rotation, cache, causality, window, heads that share keys. It takes the
mask of a batch as numbers added to the scores, so that padding may stand on either side; counting the ones of the mask
instead is faster by a few hundredths, and wrong for every prompt but the longest of a batch that is padded left.

Operator: GroupQueryAttention in onnxruntime's docs/ContribOperators.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto
from transformers import PreTrainedModel

from mct.compress.onnx.graphs.graph import GraphBuilder

BIAS = "attention_bias"
LAST = "last_positions"
TOTAL = "total_sequence_length"
PLACES = "rotated_places"
LOGITS, UNBOUND = "logits", "logits_unbound"  # the second: before a tanh bounds them
COSINES = "cos_cache"
SINES = "sin_cache"

Rotation = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True)
class Sizes:
    """The dimensions of one model. `windows`, `scales` and `rotated` are by layer: a window of -1 sees everything.

    `rotated` names a layer's rotation, "" where nothing is rotated; `rotations` are cosines and sines by position, each
    (positions, half of the channels that turn); with `switched_at`, texts of more tokens than that read a second table,
    which stands behind the first. `slopes` are by head: what a token of distance 1 loses in its score.
    `scores_cap` and `logits_cap` bound by a tanh, 0 where nothing does. `experts_used` is how many experts each token
    takes, 0 for a dense model; `experts_sum_to_1` whether their weights are made to. `cached`: keys and values of
    earlier tokens come in and go out. `parallel`: attention and feeding read the same stream. `activation` is an
    operator.
    """

    layers: int
    heads: int
    kv_heads: int
    head_width: int
    epsilon: float
    windows: tuple[int, ...]
    scales: tuple[float, ...]
    cached: bool
    activation: str
    rotated: tuple[str, ...] = ()
    rotations: Mapping[str, Rotation] = field(default_factory=dict)
    switched_at: int = 0
    slopes: NDArray[np.float32] | None = None
    scores_cap: float = 0.0
    logits_cap: float = 0.0
    experts_used: int = 0
    experts_sum_to_1: bool = True
    parallel: bool = False


@dataclass(frozen=True)
class Family:
    """The steps of one family, each adding its nodes and naming its result; `{}` is the layer's number.

    `embed`: ids to (batch, sequence, width). `attend`, `feed`: normalised hidden states to what is added to the stream.
    `norms`: before attention, before feeding, and the last; `norm` is their operator. `table`: the word embeddings,
    `output`: the matrix of the logits.
    """

    table: str
    norms: tuple[str, str, str]
    norm: str
    sizes: Callable[[PreTrainedModel, bool], Sizes]
    embed: Callable[[GraphBuilder, Sizes], str]
    attend: Callable[[GraphBuilder, Sizes, int, str], str]
    feed: Callable[[GraphBuilder, Sizes, int, str], str]
    output: str = "lm_head.weight"


def cache_names(layer: int, direction: str) -> tuple[str, str]:
    """Names of a layer's keys and values; `direction` is "past_key_values" (in) or "present" (out)."""
    return f"{direction}.{layer}.key", f"{direction}.{layer}.value"


def add_masks(builder: GraphBuilder, sizes: Sizes) -> None:
    """What every layer's attention reads: the bias that hides padding, and how long the sequences are by now.

    With slopes the bias has a row for each head and falls with a token's distance. What counts is the difference of two
    scores, so a token's place times the slope does the same as its distance (Press et al. 2022, arXiv:2108.12409).
    As few nodes as can be: for one new token each costs as much to start as a matrix of a small model to multiply.
    """
    whole = builder.add("Cast", [builder.add("Shape", ["attention_mask"], start=1, end=2)], to=TensorProto.INT32)
    builder.add("Squeeze", [whole], TOTAL)
    batch = builder.add("Shape", ["input_ids"], start=0, end=1)
    last = builder.add("Sub", [whole, builder.constant("int32_1", np.array([1], np.int32))])
    builder.add("Expand", [last, batch], LAST)
    zero, lowest = (builder.constant(name, np.array(value, np.float32)) for name, value in _MASK_CONSTANTS.items())
    seen = builder.add("Cast", ["attention_mask"], to=TensorProto.BOOL)
    hidden = builder.add("Where", [seen, zero, lowest])
    axes = builder.constant("axes_1_2", np.array([1, 2], np.int64))
    length = builder.add("Shape", ["input_ids"], start=1, end=2)
    shape = builder.add("Concat", [builder.integer(1), builder.integer(1), length, builder.integer(1)], axis=0)
    if sizes.switched_at:
        _add_places(builder, sizes, batch)
    if sizes.slopes is None:
        builder.add("Expand", [builder.add("Unsqueeze", [hidden, axes]), shape], BIAS)
        return
    whole = builder.add("Expand", [builder.add("Unsqueeze", [hidden, axes]), shape])
    slopes = builder.constant("slopes", sizes.slopes[:, None, None])
    places = builder.add("Unsqueeze", [builder.add("Cast", [seen_places(builder)], to=TensorProto.FLOAT), axes])
    builder.add("Add", [whole, builder.add("Mul", [places, slopes])], BIAS)


def _add_places(builder: GraphBuilder, sizes: Sizes, batch: str) -> None:
    """(batch, new tokens): the row of the tables for each new token, in the second one where the text is long."""
    rows = len(next(iter(sizes.rotations.values()))[0]) // 2
    total = builder.add("Cast", [TOTAL], to=TensorProto.INT64)
    length = builder.add("Squeeze", [builder.add("Shape", ["input_ids"], start=1, end=2)])
    new = builder.add("Range", [builder.add("Sub", [total, length]), total, builder.integer(1, scalar=True)])
    is_long = builder.add("Greater", [total, builder.integer(sizes.switched_at, scalar=True)])
    shift = builder.add("Mul", [builder.add("Cast", [is_long], to=TensorProto.INT64), builder.integer(rows)])
    shape = builder.add("Concat", [batch, builder.integer(1)], axis=0)
    builder.add("Expand", [builder.add("Add", [new, shift]), shape], PLACES)


def seen_places(builder: GraphBuilder) -> str:
    """(batch, all tokens): a token's place among those that are seen, so that padding on the left counts for none."""
    counted = builder.add("CumSum", ["attention_mask", builder.integer(1, scalar=True)])
    return builder.add("Max", [builder.add("Sub", [counted, builder.integer(1)]), builder.integer(0)])


# Finite, so that a padded token that may look at nothing gets a mean of the values rather than NaN.
_MASK_CONSTANTS = {"zero": 0.0, "lowest": float(np.finfo(np.float32).min)}


def add_attention(builder: GraphBuilder, sizes: Sizes, layer: int, query: str, key: str = "", value: str = "") -> str:
    """(batch, sequence, heads * width) of a layer's attention; `query` alone holds all three side by side."""
    past = cache_names(layer, "past_key_values") if sizes.cached else ("", "")
    present = cache_names(layer, "present") if sizes.cached else ()
    rotated = sizes.rotated[layer] if sizes.rotated else ""
    rotation = _tables(builder, rotated, sizes.rotations[rotated]) if rotated else ("", "")
    cap = {"softcap": sizes.scores_cap} if sizes.scores_cap else {}
    return builder.fused(
        "GroupQueryAttention",
        [query, key, value, *past, LAST, TOTAL, *rotation, PLACES if sizes.switched_at else "", BIAS],
        f"attention.{layer}",
        *present,
        num_heads=sizes.heads,
        kv_num_heads=sizes.kv_heads,
        do_rotary=int(bool(rotated)),
        local_window_size=sizes.windows[layer],
        scale=sizes.scales[layer],
        **cap,
    )


def _tables(builder: GraphBuilder, name: str, rotation: Rotation) -> tuple[str, str]:
    """The cosines and sines of a rotation, kept once under names of its own."""
    cosines, sines = rotation
    return builder.constant(f"{COSINES}.{name}", cosines), builder.constant(f"{SINES}.{name}", sines)


def side_by_side(builder: GraphBuilder, value: str, names: list[str], name: str) -> str:
    """`value` times the transposed weights of several linear layers in one product, and their biases if they have any.

    torch keeps a linear layer as (out, in); a product of row vectors wants (in, out).
    """
    packed = np.concatenate([builder.weights[f"{each}.weight"] for each in names]).T
    product = builder.add("MatMul", [value, builder.constant(f"{name}.weight", packed)])
    if f"{names[0]}.bias" not in builder.weights:
        return product
    bias = np.concatenate([builder.weights[f"{each}.bias"] for each in names])
    return builder.add("Add", [product, builder.constant(f"{name}.bias", bias)])


def linear(builder: GraphBuilder, value: str, name: str) -> str:
    """One linear layer of torch."""
    return side_by_side(builder, value, [name], name)
