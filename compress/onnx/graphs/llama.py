"""Llama and its relatives: Mistral, Mixtral, SmolLM, Phi-3, Qwen2, Qwen3 and their mixtures of experts.

They differ in what stands in their weights (biases, norms of queries and keys, matrices side by side, experts, a shared
expert), and that is where it is read from; only windows and rotations come from the configuration. Architecture:
Touvron et al. 2023, arXiv:2302.13971; Jiang et al. 2023 and 2024, arXiv:2310.06825 and 2401.04088; Abdin et al. 2024,
arXiv:2404.14219; Qwen, arXiv:2407.10671 and 2505.09388.
"""

from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from mct.compress.onnx.graphs.experts import add_experts
from mct.compress.onnx.graphs.family import Family, Rotation, Sizes, add_attention, linear, side_by_side
from mct.compress.onnx.graphs.graph import GraphBuilder
from mct.compress.onnx.graphs.obstacles import GATED_ACTIVATIONS, activation_of, head_width
from mct.models.families.table import find_family

_LAYER = "model.layers.{}"
TABLE = "model.embed_tokens.weight"
WHOLE = "whole"  # the name of a rotation that is every layer's
LONG = "longrope"


def sizes(model: PreTrainedModel, cached: bool) -> Sizes:
    """What its configuration says, and the layers of their windows, scales and rotations."""
    config, attentions = model.config, [layer.self_attn for layer in model.model.layers]
    return Sizes(
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        head_width=head_width(config.to_dict()),
        epsilon=config.rms_norm_eps,
        windows=tuple(_window(attention, config) for attention in attentions),
        scales=tuple(float(attention.scaling) for attention in attentions),
        cached=cached,
        activation=GATED_ACTIVATIONS[activation_of(config.to_dict())],
        rotated=tuple(_rotated(attention, config) for attention in attentions),
        rotations=_rotations(model.model.rotary_emb, config),
        switched_at=_switched_at(model.model.rotary_emb, config),
        scores_cap=getattr(config, "attn_logit_softcapping", None) or 0.0,
        logits_cap=getattr(config, "final_logit_softcapping", None) or 0.0,
        experts_used=getattr(config, "num_experts_per_tok", 0),
        experts_sum_to_1=getattr(config, "norm_topk_prob", True),
    )


def _window(attention: torch.nn.Module, config: Any) -> int:
    """A layer's own window, or that of all layers where the family has one for all."""
    family = find_family(config.model_type)
    whole = config.sliding_window if family is not None and family.traits.windowed_throughout else None
    return getattr(attention, "sliding_window", whole) or -1


def _rotated(attention: torch.nn.Module, config: Any) -> str:
    """Which rotation a layer has: its kind's own, every layer's, or none (SmolLM3's every fourth layer)."""
    if not getattr(attention, "use_rope", True):
        return ""
    return str(attention.layer_type) if _by_kind(config) else WHOLE


def _by_kind(config: Any) -> bool:
    """True where layers with a window turn otherwise than those without (Gemma 3)."""
    return "rope_type" not in config.rope_parameters


def _rotations(rotary: Any, config: Any) -> dict[str, Rotation]:
    if at := _switched_at(rotary, config):
        short, long = (ROPE_INIT_FUNCTIONS[LONG](config, None, seq_len=tokens) for tokens in (at, at + 1))
        tables = (rotation(*each, config) for each in (short, long))
        cosines, sines = (np.concatenate(each) for each in zip(*tables, strict=True))
        return {WHOLE: (cosines, sines)}
    if not _by_kind(config):
        return {WHOLE: rotation(rotary.inv_freq, rotary.attention_scaling, config)}
    return {
        kind: rotation(getattr(rotary, f"{kind}_inv_freq"), getattr(rotary, f"{kind}_attention_scaling"), config)
        for kind in sorted(set(config.layer_types))
    }


def _switched_at(rotary: Any, config: Any) -> int:
    """The longest text of the first of two tables of angles (Phi-3's long models); 0 where there is one table."""
    return int(config.rope_parameters["original_max_position_embeddings"]) if rotary.rope_type == LONG else 0


def rotation(frequencies: torch.Tensor, scaling: float, config: Any) -> Rotation:
    """Cosines and sines of every position, by the model's own frequencies, as it computes them: in float32."""
    positions = torch.arange(config.max_position_embeddings, dtype=torch.float32)
    angles = torch.outer(positions, frequencies.float())
    return (angles.cos() * scaling).numpy(), (angles.sin() * scaling).numpy()


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
    elif f"{prefix}.qkv_proj.weight" in builder.weights:
        mixed = add_attention(builder, sizes, layer, linear(builder, value, f"{prefix}.qkv_proj"))
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
    """activation(gate) * up, then down. QuickGelu with alpha 1 is x * sigmoid(x): silu in one node."""
    if f"{prefix}.gate_up_proj.weight" in builder.weights:
        both = linear(builder, value, f"{prefix}.gate_up_proj")
        gate, up = f"{prefix}.gate", f"{prefix}.up"
        builder.add("Split", [both], gate, up, axis=-1, num_outputs=2)
    else:
        gate, up = (linear(builder, value, f"{prefix}.{part}_proj") for part in ("gate", "up"))
    alpha = {"alpha": 1.0} if sizes.activation == "QuickGelu" else {}
    product = builder.add("Mul", [builder.fused(sizes.activation, [gate], **alpha), up])
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
