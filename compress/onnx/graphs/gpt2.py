"""GPT-2: learned positions, norms that subtract the mean, biases everywhere, weights kept as (in, out).

Positions count the tokens that are seen, so that a prompt padded left begins at 0 like any other.
Architecture: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners".
"""

from typing import Any

import numpy as np
from transformers import PreTrainedModel

from mct.compress.onnx.graphs.family import Family, Sizes, add_attention, seen_places
from mct.compress.onnx.graphs.graph import GraphBuilder
from mct.compress.onnx.graphs.obstacles import GELUS

_LAYER = "transformer.h.{}"
TABLE = "transformer.wte.weight"


def sizes(model: PreTrainedModel, cached: bool) -> Sizes:
    """What its configuration says; the scale of the scores may shrink layer by layer."""
    config, layers = model.config, model.config.n_layer
    return Sizes(
        layers=layers,
        heads=config.n_head,
        kv_heads=config.n_head,
        head_width=config.n_embd // config.n_head,
        epsilon=config.layer_norm_epsilon,
        windows=(-1,) * layers,
        scales=tuple(_scale(config, layer) for layer in range(layers)),
        cached=cached,
        activation=GELUS[config.activation_function],
    )


def _scale(config: Any, layer: int) -> float:
    scale = (config.n_embd // config.n_head) ** -0.5 if config.scale_attn_weights else 1.0
    return float(scale / (layer + 1) if config.scale_attn_by_inverse_layer_idx else scale)


def embed(builder: GraphBuilder, sizes: Sizes) -> str:
    """Words + positions."""
    words = builder.add("Gather", [builder.weight(TABLE), "input_ids"])
    places = seen_places(builder)
    length = builder.add("Shape", ["input_ids"], start=1, end=2)
    new = builder.add(
        "Slice", [places, builder.add("Neg", [length]), builder.integer(np.iinfo(np.int64).max), builder.integer(1)]
    )
    return builder.add("Add", [words, builder.add("Gather", [builder.weight("transformer.wpe.weight"), new])])


def attend(builder: GraphBuilder, sizes: Sizes, layer: int, value: str) -> str:
    """Self-attention with its output projection; query, key and value are one matrix in the checkpoint already."""
    prefix = f"{_LAYER.format(layer)}.attn"
    return _linear(
        builder, add_attention(builder, sizes, layer, _linear(builder, value, f"{prefix}.c_attn")), f"{prefix}.c_proj"
    )


def feed(builder: GraphBuilder, sizes: Sizes, layer: int, value: str) -> str:
    """Widen, GELU, narrow."""
    prefix = f"{_LAYER.format(layer)}.mlp"
    wide = _linear(builder, value, f"{prefix}.c_fc")
    activated = builder.fused(sizes.activation, [wide])
    return _linear(builder, activated, f"{prefix}.c_proj")


def _linear(builder: GraphBuilder, value: str, name: str) -> str:
    product = builder.add("MatMul", [value, builder.weight(f"{name}.weight")])
    return builder.add("Add", [product, builder.weight(f"{name}.bias")])


FAMILY = Family(
    table=TABLE,
    norms=(f"{_LAYER}.ln_1", f"{_LAYER}.ln_2", "transformer.ln_f"),
    norm="LayerNormalization",
    sizes=sizes,
    embed=embed,
    attend=attend,
    feed=feed,
)
