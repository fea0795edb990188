"""Which encoders become GGUF: one row per Hugging Face model_type, each tensor with its name and shape on both sides.

llama.cpp has one graph for all of them, "bert". A row says where the checkpoint keeps each tensor of that graph; a new
family is one row. Shapes are worked out from config.json and checked before anything is written, because llama.cpp
itself reports a wrong one only as "failed to load".

A row speaks of the trunk and of the family's own classification head, which llama.cpp's converter leaves out in part.
What other kinds of models put on a trunk stands in gguf_heads.py.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mct import MctError

# llama.cpp computes GELU by its tanh approximation, whichever of these a checkpoint was trained with. That is most of
# what F32 differs by: the same change made in torch moves a fine-tuned MiniLM's logits by up to 0.0095.
ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh")


@dataclass(frozen=True)
class ConfigKeys:
    """What config.json calls each size."""

    hidden: str = "hidden_size"
    layers: str = "num_hidden_layers"
    heads: str = "num_attention_heads"
    feed_forward: str = "intermediate_size"
    activation: str = "hidden_act"


@dataclass(frozen=True)
class Classifier:
    """A family's head for labels: two linear layers with an activation between, by their names in the checkpoint.

    llama.cpp's graph has that with tanh (its "rank" pooling), which is BERT's pooler and classifier, and RoBERTa's
    head. With any other `activation` the head stays outside the GGUF file.
    """

    dense: str
    output: str
    activation: str = "tanh"


@dataclass(frozen=True)
class Architecture:
    """One row. `trunk` maps GGUF's names to the checkpoint's; "{layer}" counts layers.

    `prefix` stands before the trunk's names where a head was saved with it. `positions_follow_padding`: position ids
    begin at pad_token_id + 1, so that the rows before it are never used.
    """

    model_type: str
    prefix: str
    trunk: Mapping[str, str]
    classifier: Classifier
    keys: ConfigKeys = field(default_factory=ConfigKeys)
    positions_follow_padding: bool = False


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


_BERT = {
    "token_embd": "embeddings.word_embeddings",
    "position_embd": "embeddings.position_embeddings",
    "token_types": "embeddings.token_type_embeddings",
    "token_embd_norm": "embeddings.LayerNorm",
    "blk.{layer}.attn_q": "encoder.layer.{layer}.attention.self.query",
    "blk.{layer}.attn_k": "encoder.layer.{layer}.attention.self.key",
    "blk.{layer}.attn_v": "encoder.layer.{layer}.attention.self.value",
    "blk.{layer}.attn_output": "encoder.layer.{layer}.attention.output.dense",
    "blk.{layer}.attn_output_norm": "encoder.layer.{layer}.attention.output.LayerNorm",
    "blk.{layer}.ffn_up": "encoder.layer.{layer}.intermediate.dense",
    "blk.{layer}.ffn_down": "encoder.layer.{layer}.output.dense",
    "blk.{layer}.layer_output_norm": "encoder.layer.{layer}.output.LayerNorm",
}

_DISTILBERT = {
    "token_embd": "embeddings.word_embeddings",
    "position_embd": "embeddings.position_embeddings",
    "token_embd_norm": "embeddings.LayerNorm",
    "blk.{layer}.attn_q": "transformer.layer.{layer}.attention.q_lin",
    "blk.{layer}.attn_k": "transformer.layer.{layer}.attention.k_lin",
    "blk.{layer}.attn_v": "transformer.layer.{layer}.attention.v_lin",
    "blk.{layer}.attn_output": "transformer.layer.{layer}.attention.out_lin",
    "blk.{layer}.attn_output_norm": "transformer.layer.{layer}.sa_layer_norm",
    "blk.{layer}.ffn_up": "transformer.layer.{layer}.ffn.lin1",
    "blk.{layer}.ffn_down": "transformer.layer.{layer}.ffn.lin2",
    "blk.{layer}.layer_output_norm": "transformer.layer.{layer}.output_layer_norm",
}

_ROBERTA_HEAD = Classifier("classifier.dense", "classifier.out_proj")

ARCHITECTURES = (
    Architecture("bert", "bert.", _BERT, Classifier("bert.pooler.dense", "classifier")),
    Architecture("roberta", "roberta.", _BERT, _ROBERTA_HEAD, positions_follow_padding=True),
    Architecture("xlm-roberta", "roberta.", _BERT, _ROBERTA_HEAD, positions_follow_padding=True),
    Architecture(
        "distilbert", "distilbert.", _DISTILBERT, Classifier("pre_classifier", "classifier", "relu"),
        ConfigKeys("dim", "n_layers", "n_heads", "hidden_dim", "activation"),
    ),
)  # fmt: skip

# Encoders that llama.cpp has no graph for, and what in them it does not compute.
_REFUSED = {
    "mpnet": "its attention adds a learned bias for relative positions",
    "electra": "its embeddings may be narrower than its layers, and are projected",
    "albert": "its layers share their weights, and its embeddings are projected",
    "modernbert": "its layers rotate positions, and take turns in how far they look",
    "deberta": "its attention keeps content and position apart",
    "deberta-v2": "its attention keeps content and position apart",
}

# (rows, columns) of each weight by the names of Sizes; a linear layer has a bias of its rows, a norm two vectors.
_EMBEDDINGS = {"token_embd": "vocabulary", "position_embd": "positions", "token_types": "token_types"}
_LINEAR = {"ffn_up": ("feed_forward", "hidden"), "ffn_down": ("hidden", "feed_forward"), "output": ("labels", "hidden")}


def find_architecture(model_type: str) -> Architecture:
    """The row of that model_type; MctError saying why there is none, and naming those that there are."""
    for architecture in ARCHITECTURES:
        if architecture.model_type == model_type:
            return architecture
    known = ", ".join(architecture.model_type for architecture in ARCHITECTURES)
    reason = f": {_REFUSED[model_type]}" if model_type in _REFUSED else ""
    raise MctError(
        f"a {model_type!r} model cannot be written as GGUF{reason}",
        f"encoders that can: {known}; choose --format onnx or openvino for others",
    )


def read_sizes(architecture: Architecture, config: Mapping[str, Any], labels: int) -> Sizes:
    """The dimensions in config.json, after refusing what llama.cpp's graph does not compute."""
    keys = architecture.keys
    try:
        _refuse_variants(config, config[keys.activation])
        unused = _rows_before_the_first(config) if architecture.positions_follow_padding else 0
        return Sizes(
            layers=config[keys.layers],
            hidden=config[keys.hidden],
            heads=config[keys.heads],
            feed_forward=config[keys.feed_forward],
            vocabulary=config["vocab_size"],
            positions=config["max_position_embeddings"] - unused,
            unused_positions=unused,
            token_types=config.get("type_vocab_size", 1),
            labels=labels,
            layer_norm_eps=config.get("layer_norm_eps", 1e-12),
        )
    except KeyError as error:
        raise MctError(
            f"config.json does not say {error}", "save it again with: model.save_pretrained(folder)"
        ) from error


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
    kind = module.rpartition(".")[2]
    if kind in _EMBEDDINGS:
        skip = sizes.unused_positions if kind == "position_embd" else 0
        rows = getattr(sizes, _EMBEDDINGS[kind]) + skip
        yield Tensor(f"{module}.weight", f"{source}.weight", (rows, sizes.hidden), skip)
        return
    if kind.endswith("_norm"):
        weight: tuple[int, ...] = (sizes.hidden,)
    else:
        rows, columns = _LINEAR.get(kind, ("hidden", "hidden"))
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
