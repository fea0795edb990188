"""Llama and its relatives: Mistral, Mixtral, Qwen2, Qwen3 and their mixtures of experts.

They differ in what stands in their weights (biases, norms of queries and keys, experts, a shared expert), and that is
where it is read from; only windows and rotations come from the configuration. Architecture: Touvron et al. 2023,
arXiv:2302.13971; Jiang et al. 2023 and 2024, arXiv:2310.06825 and 2401.04088; Qwen, arXiv:2407.10671 and 2505.09388.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from mct.compress.onnx.graphs.experts import add_experts
from mct.compress.onnx.graphs.family import Family, Sizes, add_attention, linear, side_by_side
from mct.compress.onnx.graphs.graph import GraphBuilder
from mct.compress.onnx.graphs.obstacles import head_width

_LAYER = "model.layers.{}"
TABLE = "model.embed_tokens.weight"

# Families whose attention modules do not say themselves which layers have a window: all of them.
_WINDOWED_THROUGHOUT = {"mistral", "mixtral"}


def sizes(model: PreTrainedModel, cached: bool) -> Sizes:
    """What its configuration says."""
    config = model.config
    width, layers = head_width(config.to_dict()), config.num_hidden_layers
    return Sizes(
        layers=layers,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        head_width=width,
        epsilon=config.rms_norm_eps,
        windows=tuple(_window(layer.self_attn, config) for layer in model.model.layers),
        scales=(width**-0.5,) * layers,
        cached=cached,
        activation="QuickGelu",
        rotation=_rotation(model),
        experts_used=getattr(config, "num_experts_per_tok", 0),
        experts_sum_to_1=getattr(config, "norm_topk_prob", True),
    )


def _window(attention: torch.nn.Module, config: Any) -> int:
    whole = config.sliding_window if config.model_type in _WINDOWED_THROUGHOUT else None
    return getattr(attention, "sliding_window", whole) or -1


def _rotation(model: PreTrainedModel) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cosines and sines of every position, by the model's own frequencies, as it computes them: in float32."""
    rotary = model.model.rotary_emb
    positions = torch.arange(model.config.max_position_embeddings, dtype=torch.float32)
    angles = torch.outer(positions, rotary.inv_freq.float())
    cosines, sines = angles.cos() * rotary.attention_scaling, angles.sin() * rotary.attention_scaling
    return cosines.numpy(), sines.numpy()


def embed(builder: GraphBuilder, sizes: Sizes) -> str:
    """The words alone: positions come in by rotation."""
    return builder.add("Gather", [builder.weight(TABLE), "input_ids"])


def attend(builder: GraphBuilder, sizes: Sizes, layer: int, value: str) -> str:
    """Self-attention with its output projection."""
    prefix = f"{_LAYER.format(layer)}.self_attn"
    parts = [f"{prefix}.{part}_proj" for part in "qkv"]
    if f"{prefix}.q_norm.weight" in builder.weights:
        query, key, last = (linear(builder, value, part) for part in parts)
        query = _norm_heads(builder, sizes, f"{prefix}.q_norm", query, sizes.heads)
        key = _norm_heads(builder, sizes, f"{prefix}.k_norm", key, sizes.kv_heads)
        mixed = add_attention(builder, sizes, layer, query, key, last)
    else:
        mixed = add_attention(builder, sizes, layer, side_by_side(builder, value, parts, f"{prefix}.qkv_proj"))
    return linear(builder, mixed, f"{prefix}.o_proj")


def _norm_heads(builder: GraphBuilder, sizes: Sizes, name: str, value: str, heads: int) -> str:
    """Every head's vector normalised by itself."""
    apart = builder.constant(f"apart_{heads}", np.array([0, -1, heads, sizes.head_width], np.int64))
    together = builder.constant(f"together_{heads}", np.array([0, -1, heads * sizes.head_width], np.int64))
    split = builder.add("Reshape", [value, apart])
    normed = builder.add(
        "SimplifiedLayerNormalization", [split, builder.weight(f"{name}.weight")], axis=-1, epsilon=sizes.epsilon
    )
    return builder.add("Reshape", [normed, together])


def feed(builder: GraphBuilder, sizes: Sizes, layer: int, value: str) -> str:
    """The gated feed-forward step, dense or by experts; a model may have both kinds of layer."""
    prefix = f"{_LAYER.format(layer)}.mlp"
    if f"{prefix}.experts.gate_up_proj" not in builder.weights:
        return _feed_gated(builder, sizes, value, prefix)
    mixed = add_experts(builder, sizes, prefix, value)
    shared = f"{prefix}.shared_expert"
    if f"{shared}_gate.weight" not in builder.weights:
        return mixed
    share = builder.add("Sigmoid", [linear(builder, value, f"{shared}_gate")])
    return builder.add("Add", [mixed, builder.add("Mul", [share, _feed_gated(builder, sizes, value, shared)])])


def _feed_gated(builder: GraphBuilder, sizes: Sizes, value: str, prefix: str) -> str:
    """silu(gate) * up, then down. QuickGelu with alpha 1 is x * sigmoid(x): silu in one node."""
    gate = builder.fused(sizes.activation, [linear(builder, value, f"{prefix}.gate_proj")], alpha=1.0)
    product = builder.add("Mul", [gate, linear(builder, value, f"{prefix}.up_proj")])
    return linear(builder, product, f"{prefix}.down_proj")


FAMILY = Family(
    table=TABLE,
    norms=(f"{_LAYER}.input_layernorm", f"{_LAYER}.post_attention_layernorm", "model.norm"),
    norm="SimplifiedLayerNormalization",
    sizes=sizes,
    embed=embed,
    attend=attend,
    feed=feed,
)
