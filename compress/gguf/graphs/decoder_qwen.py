"""Qwen2 and Qwen3, dense and with experts: four graphs of llama.cpp that differ in biases, norms and routing.

Their rotation is Hugging Face's own, so no row moves. Qwen2 has biases on queries, keys and values; Qwen3 has a norm of
each head's queries and keys instead. Qwen2's router keeps the experts' shares as they are, Qwen3's makes them sum to
one: llama.cpp has each fixed in its graph, so a checkpoint that does otherwise is refused.
"""

from collections.abc import Iterator
from itertools import chain

from mct.compress.gguf.graphs import decoder_blocks as blocks
from mct.compress.gguf.graphs.decoders import Config, Decoder, Weight, require
from mct.compress.gguf.graphs.encoders import Tensor
from mct.models.families.table import graph_of

EXPERT_NAMES = {"gate": "gate_proj", "up": "up_proj", "down": "down_proj"}


def check(config: Config) -> None:
    """MctError for an activation, a rotation, windows, heads or a routing that the graph does not have."""
    require(config, "hidden_act", "silu")
    require(config, "use_sliding_window", False, None)
    blocks.require_rope(config, "default", "linear")
    if config["model_type"].startswith("qwen2"):
        blocks.require_square_heads(config)
    if config["model_type"].endswith("moe"):
        require(config, "mlp_only_layers", [], None)
        require(config, "decoder_sparse_step", 1)
        require(config, "norm_topk_prob", config["model_type"] == "qwen3_moe")


def read_decoder(config: Config) -> Decoder:
    """The plan of a Qwen file."""
    graph = graph_of(config["model_type"], "gguf")
    sizes = blocks.read_sizes(config)
    keys = blocks.keys(config, sizes, sizes.positions)
    if graph.endswith("moe"):
        keys |= _expert_keys(config)
    layers = chain.from_iterable(_layer(config, sizes, layer) for layer in range(sizes.layers))
    weights = (*blocks.embeddings(config, sizes, output_needed=graph == "qwen2moe"), *layers)
    return Decoder(graph, keys, weights, sizes.positions)


def _expert_keys(config: Config) -> dict[str, int]:
    found = {
        "expert_count": _expert_count(config),
        "expert_used_count": config["num_experts_per_tok"],
        "expert_feed_forward_length": config["moe_intermediate_size"],
    }
    if config["model_type"] == "qwen2_moe":
        found["expert_shared_feed_forward_length"] = config["shared_expert_intermediate_size"]
    return found


def _layer(config: Config, sizes: blocks.Sizes, layer: int) -> Iterator[Weight]:
    yield from blocks.attention(layer, sizes, _biased(config))
    if config["model_type"].startswith("qwen3"):
        for part in "qk":
            source = f"model.layers.{layer}.self_attn.{part}_norm.weight"
            yield Weight(f"blk.{layer}.attn_{part}_norm.weight", (Tensor(part, source, (sizes.head,)),))
    if not config["model_type"].endswith("moe"):
        yield from blocks.feed_forward(layer, sizes)
        return
    yield blocks.feed_forward_norm(layer, sizes)
    width = config["moe_intermediate_size"]
    yield from blocks.experts(layer, sizes, _expert_count(config), width, EXPERT_NAMES, "mlp")
    if config["model_type"] == "qwen2_moe":
        yield from blocks.shared_expert(layer, sizes, config["shared_expert_intermediate_size"])


def _expert_count(config: Config) -> int:
    """transformers calls it by Mixtral's name in some families."""
    return int(config.get("num_experts") or config["num_local_experts"])


def _biased(config: Config) -> str:
    if config["model_type"].startswith("qwen2"):
        return "qkv" if config.get("qkv_bias", True) else ""
    return "qkvo" if config.get("attention_bias") else ""
