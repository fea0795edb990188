"""Gemma 2 and 3 (text): Llama's layers with a second norm behind each step, and words times the root of their width.

Norms multiply by 1 + weight, which is added to the weights before anything is written. Gemma 2 bounds its scores and
logits by a tanh, Gemma 3 norms queries and keys instead; both take turns in how far a layer looks, and Gemma 3's two
kinds of layer rotate at their own speed. Architecture: Gemma Team 2024 and 2025, arXiv:2408.00118 and 2503.19786.
"""

from dataclasses import replace

import numpy as np

from mct.compress.onnx.graphs import llama
from mct.compress.onnx.graphs.family import Sizes
from mct.compress.onnx.graphs.graph import GraphBuilder

_LAYER = "model.layers.{}"


def embed(builder: GraphBuilder, sizes: Sizes) -> str:
    """Words times the root of their width: the table itself may be the output matrix, and stays as it is."""
    width = builder.weights[llama.TABLE].shape[1]
    scale = builder.constant("words_scale", np.array(width**0.5, np.float32))
    return builder.add("Mul", [llama.embed(builder, sizes), scale])


def attend(builder: GraphBuilder, sizes: Sizes, layer: int, value: str) -> str:
    """Self-attention, and the norm of what it gives."""
    name = f"{_LAYER.format(layer)}.post_attention_layernorm"
    return _norm(builder, sizes, llama.attend(builder, sizes, layer, value), name)


def feed(builder: GraphBuilder, sizes: Sizes, layer: int, value: str) -> str:
    """The feed-forward step, and the norm of what it gives."""
    name = f"{_LAYER.format(layer)}.post_feedforward_layernorm"
    return _norm(builder, sizes, llama.feed(builder, sizes, layer, value), name)


def _norm(builder: GraphBuilder, sizes: Sizes, value: str, name: str) -> str:
    return builder.add(llama.FAMILY.norm, [value, builder.weight(f"{name}.weight")], axis=-1, epsilon=sizes.epsilon)


FAMILY = replace(
    llama.FAMILY,
    norms=(f"{_LAYER}.input_layernorm", f"{_LAYER}.pre_feedforward_layernorm", "model.norm"),
    embed=embed,
    attend=attend,
    feed=feed,
)
