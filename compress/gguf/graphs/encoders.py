"""Encoders as GGUF: each tensor with its name and shape on both sides.

llama.cpp has one graph for most of them, "bert"; ModernBERT's stands in modern_bert.py. Where a checkpoint keeps each
tensor of the first is said by its family's row (mct.models.families.table). Shapes are worked out from config.json and
checked before anything is written, because llama.cpp itself reports a wrong one only as "failed to load".

This speaks of the backbone; what stands on it is in heads.py.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mct import MctError
from mct.models.families.table import Family, find_family, with_graph
from mct.models.tables import load

# llama.cpp computes GELU by its tanh approximation, whichever of these a checkpoint was trained with. That is most of
# what F32 differs by: the same change made in torch moves a fine-tuned MiniLM's logits by up to 0.0095.
ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh")


# llama.cpp's graphs of encoders, and what reads a configuration and a checkpoint for each.
GRAPH, MODERN = "bert", "modern-bert"
_READERS = {GRAPH: "mct.compress.gguf.graphs.encoders:read_bert", MODERN: "mct.compress.gguf.graphs.modern_bert:read"}

# Its names of the parts of the first.
PARTS = {
    "words": "token_embd",
    "positions": "position_embd",
    "segments": "token_types",
    "embedding_norm": "token_embd_norm",
    "query": "blk.{layer}.attn_q",
    "key": "blk.{layer}.attn_k",
    "value": "blk.{layer}.attn_v",
    "attention_output": "blk.{layer}.attn_output",
    "attention_norm": "blk.{layer}.attn_output_norm",
    "ffn_up": "blk.{layer}.ffn_up",
    "ffn_down": "blk.{layer}.ffn_down",
    "layer_norm": "blk.{layer}.layer_output_norm",
}


@dataclass(frozen=True)
class Sizes:
    """The model's dimensions. `positions` counts usable ones; `unused_positions` are rows in front that are dropped."""

    layers: int
    hidden: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    unused_positions: int
    token_types: int
    labels: int
    layer_norm_eps: float


@dataclass(frozen=True)
class Tensor:
    """One tensor to write. `shape` is the checkpoint's, in its own order; `skip_rows` leading rows are left out."""

    name: str
    source: str
    shape: tuple[int, ...]
    skip_rows: int = 0


@dataclass(frozen=True)
class Encoder:
    """A backbone in llama.cpp's terms: `keys` are GGUF's, without the graph's name in front."""

    graph: str
    sizes: Sizes
    keys: Mapping[str, int | float | str | Sequence[bool]]
    tensors: tuple[Tensor, ...]


# (rows, columns) of each weight by the names of Sizes; a linear layer has a bias of its rows, a norm two vectors.
_EMBEDDINGS = {"token_embd": "vocabulary", "position_embd": "positions", "token_types": "token_types"}
_LINEAR = {"ffn_up": ("feed_forward", "hidden"), "ffn_down": ("hidden", "feed_forward"), "output": ("labels", "hidden")}


def find_encoder(model_type: str) -> Family:
    """The row of that model_type; MctError saying why llama.cpp does not compute it, and naming those that it does."""
    family = find_family(model_type)
    if family is not None and family.graphs.get("gguf") in _READERS:
        return family
    raise _cannot(model_type, family)


def _cannot(model_type: str, family: Family | None) -> MctError:
    reason = family.refused.get("gguf") if family else None
    return MctError(
        f"a {model_type!r} model cannot be written as GGUF{f': {reason}' if reason else ''}",
        f"encoders that can: {', '.join(with_graph('gguf', _READERS))}; choose --format onnx or openvino for others",
    )


def read_encoder(family: Family, config: Mapping[str, Any], labels: int, prefix: str = "") -> Encoder:
    """An encoder's plan, from its config.json; `prefix` stands before the backbone's names in the checkpoint.

    MctError for what llama.cpp's graph does not compute.
    """
    try:
        encoder: Encoder = load(_READERS[family.graphs["gguf"]])(family, config, labels, prefix)
    except KeyError as error:
        raise MctError(
            f"config.json does not say {error}", "save it again with: model.save_pretrained(folder)"
        ) from error
    return encoder


def read_bert(family: Family, config: Mapping[str, Any], labels: int, prefix: str) -> Encoder:
    """The plan of an encoder of the "bert" graph."""
    sizes = read_sizes(family, config, labels)
    tensors = tuple(plan_tensors(backbone(family, prefix), sizes))
    return Encoder(GRAPH, sizes, keys(sizes), tensors)


def keys(sizes: Sizes) -> dict[str, int | float | str | Sequence[bool]]:
    """The dimensions as GGUF's keys."""
    return {
        "context_length": sizes.positions,
        "embedding_length": sizes.hidden,
        "feed_forward_length": sizes.feed_forward,
        "block_count": sizes.layers,
        "attention.head_count": sizes.heads,
        "attention.layer_norm_epsilon": sizes.layer_norm_eps,
        "attention.causal": False,
    }


def backbone(family: Family, prefix: str) -> dict[str, str]:
    """The modules of the graph by GGUF's names, each with its whole name in the checkpoint; "{layer}" counts layers."""
    layer = f"{family.layers}.{{layer}}"
    return {PARTS[part]: prefix + name.replace("{layer}", layer) for part, name in family.parts.items()}


def read_sizes(family: Family, config: Mapping[str, Any], labels: int) -> Sizes:
    """The dimensions in config.json, after refusing what the "bert" graph does not compute."""
    names = family.keys
    if names.embeddings and config[names.embeddings] != config[names.hidden]:
        raise _cannot(family.model_type, family)
    _refuse_variants(config, config[names.activation])
    unused = _rows_before_the_first(config) if family.positions_follow_padding else 0
    return Sizes(
        layers=config[names.layers],
        hidden=config[names.hidden],
        heads=config[names.heads],
        feed_forward=config[names.feed_forward],
        vocabulary=config["vocab_size"],
        positions=config["max_position_embeddings"] - unused,
        unused_positions=unused,
        token_types=config.get("type_vocab_size", 1),
        labels=labels,
        layer_norm_eps=config.get("layer_norm_eps", 1e-12),
    )


def _rows_before_the_first(config: Mapping[str, Any]) -> int:
    """Rows of the position table that no token uses, where they are counted from the padding id."""
    if config.get("pad_token_id") is None:
        raise MctError(
            "config.json has no pad_token_id, and this family counts its positions from there",
            "set it to the id of the tokenizer's padding token",
        )
    return int(config["pad_token_id"]) + 1


def plan_tensors(modules: Mapping[str, str], sizes: Sizes) -> Iterator[Tensor]:
    """Every tensor of `modules`, which map GGUF's names to the checkpoint's whole ones."""
    for module, source in modules.items():
        layers = range(sizes.layers) if "{layer}" in module else range(1)
        for layer in layers:
            yield from module_tensors(module.format(layer=layer), source.format(layer=layer), sizes)


def module_tensors(module: str, source: str, sizes: Sizes) -> Iterator[Tensor]:
    """The tensors of one module: an embedding's one, a norm's or a linear layer's weight and bias."""
    role = module.rpartition(".")[2]
    if role in _EMBEDDINGS:
        skip = sizes.unused_positions if role == "position_embd" else 0
        rows = getattr(sizes, _EMBEDDINGS[role]) + skip
        yield Tensor(f"{module}.weight", f"{source}.weight", (rows, sizes.hidden), skip)
        return
    if role.endswith("_norm"):
        weight: tuple[int, ...] = (sizes.hidden,)
    else:
        rows, columns = _LINEAR.get(role, ("hidden", "hidden"))
        weight = (getattr(sizes, rows), getattr(sizes, columns))
    yield Tensor(f"{module}.weight", f"{source}.weight", weight)
    yield Tensor(f"{module}.bias", f"{source}.bias", weight[:1])


def _refuse_variants(config: Mapping[str, Any], activation: str) -> None:
    if activation not in ACTIVATIONS:
        raise MctError(
            f"llama.cpp's encoder computes GELU; this checkpoint uses {activation!r}",
            "choose --format onnx or openvino for it",
        )
    positions = config.get("position_embedding_type", "absolute")
    if positions != "absolute":
        raise MctError(
            f"llama.cpp's encoder adds absolute positions; this checkpoint has {positions!r}",
            "choose --format onnx or openvino for it",
        )
