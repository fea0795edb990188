"""Llama, Mistral and Mixtral as llama.cpp's "llama" graph.

That graph rotates neighbouring channels, so rows of queries and keys are put side by side. It attends to everything
before a token: a sliding window is exact only up to its own length, which becomes the longest input.
"""

from collections.abc import Iterator
from itertools import chain

from mct.compress.gguf.graphs import decoder_blocks as blocks
from mct.compress.gguf.graphs.decoders import Config, Decoder, Weight, require

EXPERT_NAMES = {"gate": "w1", "up": "w3", "down": "w2"}


def check(config: Config) -> None:
    """MctError for an activation or rotation that the graph does not have."""
    require(config, "hidden_act", "silu")
    blocks.require_rope(config, "default", "linear", "llama3")


def read_decoder(config: Config) -> Decoder:
    """The plan of a Llama, Mistral or Mixtral file."""
    sizes = blocks.read_sizes(config)
    context = min(sizes.positions, config.get("sliding_window") or sizes.positions)
    keys = blocks.keys(config, sizes, context)
    if config["model_type"] == "mixtral":
        keys |= {"expert_count": config["num_local_experts"], "expert_used_count": config["num_experts_per_tok"]}
    layers = chain.from_iterable(_layer(config, sizes, layer) for layer in range(sizes.layers))
    stretched = config["rope_parameters"]["rope_type"] == "llama3"
    return Decoder(
        graph="llama",
        keys=keys,
        weights=(*blocks.embeddings(config, sizes, output_needed=False), *layers),
        context=context,
        extra={"rope_freqs.weight": blocks.llama3_factors(config, sizes)} if stretched else {},
        notes=(f"inputs end at the sliding window of {context} tokens",) if context < sizes.positions else (),
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
