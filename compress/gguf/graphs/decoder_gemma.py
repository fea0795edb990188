"""Gemma 2 and 3 (text) as llama.cpp's graphs of those names: a second norm behind each step, layers with a window.

Norms multiply by 1 + weight, and 1 is added here. llama.cpp works the scale of the scores out from a head's width;
where config.json says another, its share goes into the weights that make the queries. Words times the root of their
width, tanh bounds and the second rotation of Gemma 3 are in the graphs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain

import numpy as np

from mct import MctError
from mct.compress.gguf.graphs import decoder_blocks as blocks
from mct.compress.gguf.graphs.decoders import Array, Config, Decoder, Weight, only, plain, require
from mct.models.families.table import graph_of

# llama.cpp knows the largest model of each by its layers, and scales its scores by the width that all heads share.
LARGEST = {"gemma2": 46, "gemma3": 62}


def check(config: Config) -> None:
    """MctError for an activation, a rotation, or bounds that the graph does not have."""
    require(config, "hidden_activation", "gelu_pytorch_tanh", "gelu_new", "gelu", None)
    require(config, "use_bidirectional_attention", False, None)
    require(config, "attention_bias", False)
    blocks.require_rope(config, "default", "linear")
    if graph_of(config["model_type"], "gguf") == "gemma3":
        require(config, "attn_logit_softcapping", None)
        return
    require(config, "tie_word_embeddings", True)
    for key in ("attn_logit_softcapping", "final_logit_softcapping"):
        if not config.get(key, 1.0):
            raise MctError(f"llama.cpp's gemma2 bounds by {key}; this checkpoint does not", "choose another format")


def read_decoder(config: Config) -> Decoder:
    """The plan of a Gemma file."""
    graph, sizes = graph_of(config["model_type"], "gguf"), blocks.read_sizes(config)
    keys = blocks.keys(config, sizes, sizes.positions) | {
        "attention.sliding_window": config["sliding_window"],
        "attention.sliding_window_pattern": [kind == "sliding_attention" for kind in config["layer_types"]],
    }
    if windowed := config["rope_parameters"].get("sliding_attention"):
        keys["rope.freq_base_swa"] = float(windowed["rope_theta"])
    for key in ("attn_logit_softcapping", "final_logit_softcapping"):
        if config.get(key):
            keys[key] = float(config[key])
    scale = _scale(config, sizes, graph)
    layers = chain.from_iterable(_layer(sizes, layer, graph, scale) for layer in range(sizes.layers))
    weights = (_with_one(weight) for weight in (*blocks.embeddings(config, sizes, output_needed=False), *layers))
    return Decoder(graph, keys, tuple(weights), sizes.positions)


def _scale(config: Config, sizes: blocks.Sizes, graph: str) -> float:
    """What queries are multiplied by so that llama.cpp's scale becomes the checkpoint's."""
    width = sizes.hidden // sizes.heads if sizes.layers == LARGEST[graph] else sizes.head
    return float((width / config["query_pre_attn_scalar"]) ** 0.5)


def _layer(sizes: blocks.Sizes, layer: int, graph: str, scale: float) -> Iterator[Weight]:
    name, source, norm = f"blk.{layer}", f"model.layers.{layer}", (sizes.hidden,)
    scaled = "attn_q_norm" if graph == "gemma3" else "attn_q"  # behind a norm of the queries, or there is none
    for weight in blocks.attention(layer, sizes, ""):
        yield _times(scale, weight) if weight.name == f"{name}.{scaled}.weight" else weight
    for part in "qk" if graph == "gemma3" else "":
        weight = plain(f"{name}.attn_{part}_norm.weight", f"{source}.self_attn.{part}_norm.weight", (sizes.head,))
        yield _times(scale, _with_one(weight)) if part == "q" else weight
    yield plain(f"{name}.post_attention_norm.weight", f"{source}.post_attention_layernorm.weight", norm)
    yield plain(f"{name}.ffn_norm.weight", f"{source}.pre_feedforward_layernorm.weight", norm)
    yield plain(f"{name}.post_ffw_norm.weight", f"{source}.post_feedforward_layernorm.weight", norm)
    yield from blocks.gated(layer, sizes)


def _with_one(weight: Weight) -> Weight:
    """A norm's weight as llama.cpp multiplies by it; every other tensor as it is."""
    is_norm = weight.name.endswith("_norm.weight") and weight.arrange is only
    return replace(weight, arrange=_plus_one) if is_norm else weight


def _plus_one(sources: Sequence[Array]) -> Array:
    return only(sources) + 1


def _times(scale: float, weight: Weight) -> Weight:
    return weight if scale == 1.0 else replace(weight, arrange=partial(_scaled, scale, weight))


def _scaled(scale: float, weight: Weight, sources: Sequence[Array]) -> Array:
    return weight.arrange(sources) * np.float32(scale)
