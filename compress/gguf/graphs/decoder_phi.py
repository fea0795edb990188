"""Phi-3 as llama.cpp's graph of that name: queries, keys and values in one matrix, gate and up in another.

The graph knows no sliding window (llama.cpp has it switched off), so the window is the longest input. The long models
rotate by one of two tables, by how long a text is; llama.cpp chooses by the size of its context, which is once and for
all. So both tables are written, and the longest input here is what the shorter one is for.
"""

import math
from collections.abc import Iterator
from itertools import chain

import numpy as np

from mct.compress.gguf.graphs import decoder_blocks as blocks
from mct.compress.gguf.graphs.decoders import Array, Config, Decoder, Weight, plain, require

LONG = ("longrope", "su", "yarn")  # what one and the same is called in configurations
CONTEXT_STEP = 256  # llama.cpp rounds a context up to this, and a larger one takes the other table


def check(config: Config) -> None:
    """MctError for an activation, a rotation or heads that the graph does not have."""
    require(config, "hidden_act", "silu")
    blocks.require_rope(config, "default", *LONG, partial=True)
    blocks.require_square_heads(config)


def read_decoder(config: Config) -> Decoder:
    """The plan of a Phi-3 file."""
    sizes = blocks.read_sizes(config)
    context, notes = blocks.within_window(config, sizes.positions)
    keys, factors = blocks.keys(config, sizes, sizes.positions), {}
    if config["rope_parameters"]["rope_type"] in LONG:
        trained = config["original_max_position_embeddings"]
        keys |= {
            "rope.scaling.original_context_length": trained,
            "rope.scaling.attn_factor": _attention_factor(config, trained),
        }
        factors = {f"rope_factors_{length}.weight": _factors(config, length) for length in ("short", "long")}
        if (most := trained // CONTEXT_STEP * CONTEXT_STEP) < context:
            context, notes = most, (f"inputs end at {most} tokens: beyond, all positions rotate otherwise",)
    layers = chain.from_iterable(_layer(sizes, layer) for layer in range(sizes.layers))
    weights = (*blocks.embeddings(config, sizes, output_needed=False), *layers)
    return Decoder("phi3", keys, weights, context, factors, notes)


def _factors(config: Config, length: str) -> Array:
    return np.array(config["rope_parameters"][f"{length}_factor"], np.float32)


def _attention_factor(config: Config, trained: int) -> float:
    """How much larger scores are for the stretch, as transformers' `_compute_longrope_parameters` has it."""
    rope = config["rope_parameters"]
    if said := rope.get("attention_factor"):
        return float(said)
    stretch = config["max_position_embeddings"] / trained
    return 1.0 if stretch <= 1.0 else math.sqrt(1 + math.log(stretch) / math.log(trained))


def _layer(sizes: blocks.Sizes, layer: int) -> Iterator[Weight]:
    name, source, hidden = f"blk.{layer}", f"model.layers.{layer}", sizes.hidden
    rows = (sizes.heads + 2 * sizes.kv_heads) * sizes.head
    yield plain(f"{name}.attn_norm.weight", f"{source}.input_layernorm.weight", (hidden,))
    yield blocks.feed_forward_norm(layer, sizes)
    for tensor, module, shape in (
        ("attn_qkv", "self_attn.qkv_proj", (rows, hidden)),
        ("attn_output", "self_attn.o_proj", (hidden, sizes.heads * sizes.head)),
        ("ffn_up", "mlp.gate_up_proj", (2 * sizes.feed_forward, hidden)),
        ("ffn_down", "mlp.down_proj", (hidden, sizes.feed_forward)),
    ):
        yield plain(f"{name}.{tensor}.weight", f"{source}.{module}.weight", shape, reads=f"{source}.{module}")
