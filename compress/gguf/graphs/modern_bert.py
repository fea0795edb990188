"""ModernBERT as llama.cpp's graph of that name: norms first, rotated positions, layers that look far or near in turn.

Its first layer has no norm before its attention, and no norm or layer has a bias. Configurations as they stand on the
hub are older than the library that is here, and say windows and rotations in other words: both are read.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from mct import MctError
from mct.compress.gguf.graphs.encoders import ACTIVATIONS, MODERN, Encoder, Sizes, Tensor, keys
from mct.models.families.rotations import kind_of, rotations
from mct.models.families.table import Family

FULL, WINDOWED = "full_attention", "sliding_attention"
THETAS = {FULL: ("global_rope_theta", 160_000.0), WINDOWED: ("local_rope_theta", 10_000.0)}
UNBIASED = ("norm_bias", "attention_bias", "mlp_bias", "classifier_bias")


def read(family: Family, config: Mapping[str, Any], labels: int, prefix: str) -> Encoder:
    """The plan of a ModernBERT file. MctError for biases, an activation or a rotation that the graph does not have."""
    _refuse_variants(config)
    sizes = Sizes(
        layers=config["num_hidden_layers"],
        hidden=config["hidden_size"],
        heads=config["num_attention_heads"],
        feed_forward=config["intermediate_size"],
        vocabulary=config["vocab_size"],
        positions=config["max_position_embeddings"],
        unused_positions=0,
        token_types=1,
        labels=labels,
        layer_norm_eps=config.get("norm_eps", 1e-5),
    )
    own = {
        "vocab_size": sizes.vocabulary,
        "attention.sliding_window": config.get("local_attention", 128),
        "attention.sliding_window_pattern": [kind == WINDOWED for kind in _layer_kinds(config)],
        "rope.freq_base": _theta(config, FULL),
        "rope.freq_base_swa": _theta(config, WINDOWED),
        "rope.scaling.type": "none",
    }
    return Encoder(MODERN, sizes, keys(sizes) | own, tuple(_tensors(sizes, prefix)))


def _refuse_variants(config: Mapping[str, Any]) -> None:
    said = [key for key in UNBIASED if config.get(key)]
    for key in ("hidden_activation", "classifier_activation"):
        said += [key] if config.get(key, "gelu") not in ACTIVATIONS else []
    said += [kind for kind in map(kind_of, rotations(config)) if kind != "default"]
    if said:
        raise MctError(
            f"llama.cpp's modern-bert has no {said[0]} as this checkpoint has it",
            "choose --format onnx or openvino for it",
        )


def _layer_kinds(config: Mapping[str, Any]) -> list[str]:
    every = config.get("global_attn_every_n_layers", 3)
    kinds = [WINDOWED if layer % every else FULL for layer in range(config["num_hidden_layers"])]
    return list(config.get("layer_types") or kinds)


def _theta(config: Mapping[str, Any], kind: str) -> float:
    name, usual = THETAS[kind]
    said = (config.get("rope_parameters") or {}).get(kind) or {}
    return float(said.get("rope_theta") or config.get(name) or usual)


def _tensors(sizes: Sizes, prefix: str) -> Iterator[Tensor]:
    hidden, inner = sizes.hidden, sizes.feed_forward
    yield _weight("token_embd", f"{prefix}embeddings.tok_embeddings", sizes.vocabulary, hidden)
    yield _weight("token_embd_norm", f"{prefix}embeddings.norm", hidden)
    yield _weight("output_norm", f"{prefix}final_norm", hidden)
    for layer in range(sizes.layers):
        name, source = f"blk.{layer}", f"{prefix}layers.{layer}"
        if layer:
            yield _weight(f"{name}.attn_norm", f"{source}.attn_norm", hidden)
        yield _weight(f"{name}.attn_qkv", f"{source}.attn.Wqkv", 3 * hidden, hidden)
        yield _weight(f"{name}.attn_output", f"{source}.attn.Wo", hidden, hidden)
        yield _weight(f"{name}.ffn_norm", f"{source}.mlp_norm", hidden)
        yield _weight(f"{name}.ffn_up", f"{source}.mlp.Wi", 2 * inner, hidden)
        yield _weight(f"{name}.ffn_down", f"{source}.mlp.Wo", hidden, inner)


def _weight(name: str, source: str, *shape: int) -> Tensor:
    return Tensor(f"{name}.weight", f"{source}.weight", shape)
