"""GPT-NeoX and BLOOM: layers as the Megatron code that trained both has them.

Queries, keys and values of a head stand together, one head after the other; they are put side by side here, as the
attention operator wants them. Norms subtract the mean, and there are biases everywhere. GPT-NeoX rotates some channels
of a head and may feed from the same stream as it attends; BLOOM lowers scores by distance, and norms its words.
Architecture: Black et al. 2022, arXiv:2204.06745; BigScience 2022, arXiv:2211.05100.
"""

import math
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel

from mct.compress.onnx.graphs.family import Family, Sizes, add_attention, linear
from mct.compress.onnx.graphs.graph import GraphBuilder
from mct.compress.onnx.graphs.llama import WHOLE, rotation
from mct.compress.onnx.graphs.obstacles import GELUS

_NEOX = "gpt_neox.layers.{}"
_BLOOM = "transformer.h.{}"
_NEOX_WORDS, _BLOOM_WORDS = "gpt_neox.embed_in.weight", "transformer.word_embeddings.weight"


def _neox_sizes(model: PreTrainedModel, cached: bool) -> Sizes:
    config, backbone = model.config, model.base_model
    rotary: Any = backbone.rotary_emb
    layers, width = config.num_hidden_layers, config.hidden_size // config.num_attention_heads
    return Sizes(
        layers=layers,
        heads=config.num_attention_heads,
        kv_heads=config.num_attention_heads,
        head_width=width,
        epsilon=config.layer_norm_eps,
        windows=(-1,) * layers,
        scales=(width**-0.5,) * layers,
        cached=cached,
        activation=GELUS[config.hidden_act],
        rotated=(WHOLE,) * layers,
        rotations={WHOLE: rotation(rotary.inv_freq, rotary.attention_scaling, config)},
        parallel=config.use_parallel_residual,
    )


def _bloom_sizes(model: PreTrainedModel, cached: bool) -> Sizes:
    config = model.config
    width = config.hidden_size // config.n_head
    return Sizes(
        layers=config.n_layer,
        heads=config.n_head,
        kv_heads=config.n_head,
        head_width=width,
        epsilon=config.layer_norm_epsilon,
        windows=(-1,) * config.n_layer,
        scales=(width**-0.5,) * config.n_layer,
        cached=cached,
        activation="FastGelu",
        slopes=slopes(config.n_head),
    )


def slopes(heads: int) -> NDArray[np.float32]:
    """What each head's scores lose for a token of distance: a falling geometric series.

    Where heads are no power of 2, those beyond it stand between the first of the others (Press et al. 2022).
    """
    whole = 2 ** int(math.log2(heads))
    found = [2.0 ** (-8 * place / whole) for place in range(1, whole + 1)]
    between = [2.0 ** (-4 * place / whole) for place in range(1, 2 * (heads - whole), 2)]
    return np.array(found + between, np.float32)


def _embed_neox(builder: GraphBuilder, sizes: Sizes) -> str:
    return builder.add("Gather", [builder.weight(_NEOX_WORDS), "input_ids"])


def _embed_bloom(builder: GraphBuilder, sizes: Sizes) -> str:
    """The words, normalised before the first layer normalises them again."""
    words = builder.add("Gather", [builder.weight(_BLOOM_WORDS), "input_ids"])
    norm = [builder.weight(f"transformer.word_embeddings_layernorm.{part}") for part in ("weight", "bias")]
    return builder.add("LayerNormalization", [words, *norm], axis=-1, epsilon=sizes.epsilon)


def _attend(prefix: str, builder: GraphBuilder, sizes: Sizes, layer: int, value: str) -> str:
    """Self-attention with its output projection; `prefix` is where a layer keeps it."""
    name = prefix.format(layer)
    packed = f"{name}.query_key_value"
    matrix = _side_by_side(sizes, builder.weights[f"{packed}.weight"])
    product = builder.add("MatMul", [value, builder.constant(f"{packed}.weight", np.ascontiguousarray(matrix.T))])
    if f"{packed}.bias" in builder.weights:
        bias = builder.constant(f"{packed}.bias", _side_by_side(sizes, builder.weights[f"{packed}.bias"]))
        product = builder.add("Add", [product, bias])
    return linear(builder, add_attention(builder, sizes, layer, product), f"{name}.dense")


def _side_by_side(sizes: Sizes, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """All queries, all keys, all values, from a matrix or bias that has those of each head together."""
    by_head = values.reshape(sizes.heads, 3, sizes.head_width, *values.shape[1:])
    return np.swapaxes(by_head, 0, 1).reshape(values.shape)


def _feed(prefix: str, builder: GraphBuilder, sizes: Sizes, layer: int, value: str) -> str:
    """Widen, GELU, narrow."""
    name = prefix.format(layer)
    wide = builder.fused(sizes.activation, [linear(builder, value, f"{name}.dense_h_to_4h")])
    return linear(builder, wide, f"{name}.dense_4h_to_h")


NEOX = Family(
    table=_NEOX_WORDS,
    norms=(f"{_NEOX}.input_layernorm", f"{_NEOX}.post_attention_layernorm", "gpt_neox.final_layer_norm"),
    norm="LayerNormalization",
    sizes=_neox_sizes,
    embed=_embed_neox,
    attend=partial(_attend, f"{_NEOX}.attention"),
    feed=partial(_feed, f"{_NEOX}.mlp"),
    output="embed_out.weight",
)
BLOOM = Family(
    table=_BLOOM_WORDS,
    norms=(f"{_BLOOM}.input_layernorm", f"{_BLOOM}.post_attention_layernorm", "transformer.ln_f"),
    norm="LayerNormalization",
    sizes=_bloom_sizes,
    embed=_embed_bloom,
    attend=partial(_attend, f"{_BLOOM}.self_attention"),
    feed=partial(_feed, f"{_BLOOM}.mlp"),
)
