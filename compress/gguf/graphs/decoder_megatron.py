"""GPT-NeoX and BLOOM as llama.cpp's graphs of those names: layers as the Megatron code that trained both has them.

Queries, keys and values of a head stand together in one matrix, one head after the other; llama.cpp wants all queries,
all keys, all values. Both graphs compute GELU by its tanh approximation, whatever a checkpoint was trained with.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from mct.compress.gguf.graphs import decoder_blocks as blocks
from mct.compress.gguf.graphs.decoders import Array, Config, Decoder, Keys, Weight, only, plain, require, with_bias
from mct.models.families.rotations import rotations, share_of
from mct.models.families.table import graph_of

NEOX, BLOOM = "gptneox", "bloom"
UNSAID_LENGTH = 2048  # what BLOOM was trained on; its positions have no end


@dataclass(frozen=True)
class _Places:
    """What a family's checkpoints call things."""

    layers: str
    attention: str
    words: str
    last_norm: str
    output: str


PLACES = {
    NEOX: _Places("gpt_neox.layers", "attention", "gpt_neox.embed_in", "gpt_neox.final_layer_norm", "embed_out"),
    BLOOM: _Places("transformer.h", "self_attention", "transformer.word_embeddings", "transformer.ln_f", "lm_head"),
}


def check(config: Config) -> None:
    """MctError for an activation, a rotation or residuals that the graph does not have."""
    require(config, "apply_residual_connection_post_layernorm", False)
    if graph_of(config["model_type"], "gguf") == NEOX:
        require(config, "hidden_act", "gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh")
        require(config, "attention_bias", True)
        blocks.require_rope(config, "default", "linear", partial=True)


def read_decoder(config: Config) -> Decoder:
    """The plan of a GPT-NeoX or BLOOM file."""
    graph = graph_of(config["model_type"], "gguf")
    places, hidden = PLACES[graph], config["hidden_size"]
    heads, inner, context, special = _neox(config) if graph == NEOX else _bloom(config)
    layers = config["num_hidden_layers"] if graph == NEOX else config["n_layer"]
    keys: Keys = {
        "context_length": context,
        "embedding_length": hidden,
        "feed_forward_length": inner,
        "block_count": layers,
        "attention.head_count": heads,
        "vocab_size": config["vocab_size"],
        **special,
    }
    weights = [*_around(config, graph, places)]
    for layer in range(layers):
        weights += _layer(places, layer, heads, hidden, inner)
    return Decoder(graph, keys, tuple(weights), context, output=f"{places.output}.weight")


def _neox(config: Config) -> tuple[int, int, int, Keys]:
    """Heads, width of the feed-forward, longest input, and keys of its own."""
    heads = config["num_attention_heads"]
    (rotation,) = rotations(config)
    special: Keys = {
        "attention.layer_norm_epsilon": config["layer_norm_eps"],
        "use_parallel_residual": config["use_parallel_residual"],
        "rope.dimension_count": int(config["hidden_size"] // heads * share_of(config, rotation)),
        **blocks.rope_keys(config),
    }
    return heads, config["intermediate_size"], config["max_position_embeddings"], special


def _bloom(config: Config) -> tuple[int, int, int, Keys]:
    special: Keys = {"attention.layer_norm_epsilon": config["layer_norm_epsilon"]}
    return config["n_head"], 4 * config["hidden_size"], config.get("seq_length", UNSAID_LENGTH), special


def _around(config: Config, graph: str, places: _Places) -> Iterator[Weight]:
    """What stands before and behind the layers. GPT-NeoX's graph insists on an output matrix, tied or not."""
    shape, tied, insists = (config["vocab_size"], config["hidden_size"]), config["tie_word_embeddings"], graph == NEOX
    words = f"{places.words}.weight"
    yield plain("token_embd.weight", words, shape, reads=places.output if tied and not insists else "")
    if graph == BLOOM:
        yield from with_bias("token_embd_norm", f"{places.words}_layernorm", shape[1:])
    yield from with_bias("output_norm", places.last_norm, shape[1:])
    if insists or not tied:
        yield plain("output.weight", words if tied else f"{places.output}.weight", shape, reads=places.output)


def _layer(places: _Places, layer: int, heads: int, hidden: int, inner: int) -> Iterator[Weight]:
    name, source = f"blk.{layer}", f"{places.layers}.{layer}"
    yield from with_bias(f"{name}.attn_norm", f"{source}.input_layernorm", (hidden,))
    yield from with_bias(f"{name}.ffn_norm", f"{source}.post_attention_layernorm", (hidden,))
    for tensor, module, shape, arrange in (
        ("attn_qkv", f"{places.attention}.query_key_value", (3 * hidden, hidden), partial(_side_by_side, heads)),
        ("attn_output", f"{places.attention}.dense", (hidden, hidden), only),
        ("ffn_up", "mlp.dense_h_to_4h", (inner, hidden), only),
        ("ffn_down", "mlp.dense_4h_to_h", (hidden, inner), only),
    ):
        module = f"{source}.{module}"
        yield from with_bias(f"{name}.{tensor}", module, shape, arrange, reads=module)


def _side_by_side(heads: int, sources: Sequence[Array]) -> Array:
    """All queries, all keys, all values, from rows that have those of each head together."""
    values = only(sources)
    by_head = values.reshape(heads, 3, len(values) // (3 * heads), *values.shape[1:])
    return np.ascontiguousarray(np.swapaxes(by_head, 0, 1)).reshape(values.shape)
