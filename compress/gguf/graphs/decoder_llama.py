"""Llama, Mistral and Mixtral as llama.cpp's "llama" graph, and SmolLM3 as its own.

Both rotate neighbouring channels, so rows of queries and keys are put side by side. They attend to everything before a
token: a sliding window is exact only up to its own length, which becomes the longest input. SmolLM3 does not rotate
every fourth layer; which ones those are is fixed in its graph.
"""

from collections.abc import Iterator
from itertools import chain

from mct import MctError
from mct.compress.gguf.graphs import decoder_blocks as blocks
from mct.compress.gguf.graphs.decoders import Config, Decoder, Weight, require
from mct.models.families.table import graph_of

EXPERT_NAMES = {"gate": "w1", "up": "w3", "down": "w2"}
UNROTATED_STEP = 4


def check(config: Config) -> None:
    """MctError for an activation, a rotation or windows that the graph does not have."""
    require(config, "hidden_act", "silu")
    if graph_of(config["model_type"], "gguf") == "llama":
        blocks.require_rope(config, "default", "linear", "llama3")
        return
    blocks.require_rope(config, "default", "linear")
    require(config, "use_sliding_window", False, None)
    _require_every_fourth(config)


def _require_every_fourth(config: Config) -> None:
    rotated = config.get("no_rope_layers")  # so it is called: 1 is a layer that rotates
    step = config.get("no_rope_layer_interval", UNROTATED_STEP)
    every_fourth = [int((layer + 1) % UNROTATED_STEP != 0) for layer in range(len(rotated or ()))]
    if rotated != every_fourth if rotated else step != UNROTATED_STEP:
        raise MctError(
            "llama.cpp's smollm3 rotates all layers but every fourth; this checkpoint has others",
            "choose --format onnx or openvino for it",
        )


def read_decoder(config: Config) -> Decoder:
    """The plan of a Llama, Mistral, Mixtral or SmolLM3 file."""
    sizes = blocks.read_sizes(config)
    context, notes = blocks.within_window(config, sizes.positions)
    keys = blocks.keys(config, sizes, context)
    if config["model_type"] == "mixtral":
        keys |= {"expert_count": config["num_local_experts"], "expert_used_count": config["num_experts_per_tok"]}
    layers = chain.from_iterable(_layer(config, sizes, layer) for layer in range(sizes.layers))
    stretched = config["rope_parameters"]["rope_type"] == "llama3"
    return Decoder(
        graph=graph_of(config["model_type"], "gguf"),
        keys=keys,
        weights=(*blocks.embeddings(config, sizes, output_needed=False), *layers),
        context=context,
        extra={"rope_freqs.weight": blocks.llama3_factors(config, sizes)} if stretched else {},
        notes=notes,
    )


def _layer(config: Config, sizes: blocks.Sizes, layer: int) -> Iterator[Weight]:
    biased = "qkvo" if config.get("attention_bias") else ""
    yield from blocks.attention(layer, sizes, biased, blocks.interleave)
    if config["model_type"] == "mixtral":
        count, width = config["num_local_experts"], sizes.feed_forward
        yield blocks.feed_forward_norm(layer, sizes)
        yield from blocks.experts(layer, sizes, count, width, EXPERT_NAMES, "block_sparse_moe")
    else:
        yield from blocks.feed_forward(layer, sizes, bool(config.get("mlp_bias")))
