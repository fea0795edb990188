"""GPT-2 as llama.cpp's graph of that name: learned positions, one matrix for queries, keys and values.

OpenAI wrote its linear layers as one-dimensional convolutions, which keep their matrices the other way round (rows are
inputs): each is transposed. The embeddings are tied unless the configuration says otherwise.
"""

from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np

from mct.compress.gguf.graphs.decoders import Array, Config, Decoder, Keys, Weight, only, plain, require, with_bias


def check(config: Config) -> None:
    """MctError for an activation or attention that the graph does not have."""
    require(config, "activation_function", "gelu", "gelu_new", "gelu_pytorch_tanh")
    require(config, "scale_attn_weights", True)
    require(config, "scale_attn_by_inverse_layer_idx", False)
    require(config, "add_cross_attention", False)


def read_decoder(config: Config) -> Decoder:
    """The plan of a GPT-2 file."""
    hidden, vocabulary, positions = config["n_embd"], config["vocab_size"], config["n_positions"]
    inner = config.get("n_inner") or 4 * hidden
    keys: Keys = {
        "context_length": positions,
        "embedding_length": hidden,
        "feed_forward_length": inner,
        "block_count": config["n_layer"],
        "attention.head_count": config["n_head"],
        "attention.layer_norm_epsilon": config["layer_norm_epsilon"],
        "vocab_size": vocabulary,
    }
    tied = config["tie_word_embeddings"]
    weights = [
        plain("token_embd.weight", "transformer.wte.weight", (vocabulary, hidden), reads="lm_head" if tied else ""),
        plain("position_embd.weight", "transformer.wpe.weight", (positions, hidden)),
        *with_bias("output_norm", "transformer.ln_f", (hidden,)),
    ]
    if not tied:
        weights.append(plain("output.weight", "lm_head.weight", (vocabulary, hidden), reads="lm_head"))
    layers = chain.from_iterable(_layer(layer, hidden, inner) for layer in range(config["n_layer"]))
    return Decoder("gpt2", keys, (*weights, *layers), positions)


def _layer(layer: int, hidden: int, inner: int) -> Iterator[Weight]:
    name, source = f"blk.{layer}", f"transformer.h.{layer}"
    yield from with_bias(f"{name}.attn_norm", f"{source}.ln_1", (hidden,))
    yield from _convolution(f"{name}.attn_qkv", f"{source}.attn.c_attn", hidden, 3 * hidden)
    yield from _convolution(f"{name}.attn_output", f"{source}.attn.c_proj", hidden, hidden)
    yield from with_bias(f"{name}.ffn_norm", f"{source}.ln_2", (hidden,))
    yield from _convolution(f"{name}.ffn_up", f"{source}.mlp.c_fc", hidden, inner)
    yield from _convolution(f"{name}.ffn_down", f"{source}.mlp.c_proj", inner, hidden)


def _convolution(name: str, source: str, inputs: int, outputs: int) -> Iterator[Weight]:
    yield plain(f"{name}.weight", f"{source}.weight", (inputs, outputs), _transposed, reads=source)
    yield plain(f"{name}.bias", f"{source}.bias", (outputs,))


def _transposed(sources: Sequence[Array]) -> Array:
    return np.ascontiguousarray(only(sources).T)
