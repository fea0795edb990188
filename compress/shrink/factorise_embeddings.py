"""A table of token vectors in two factors: narrow vectors, and one matrix that widens them.

What comes out is an ALBERT whose layers share nothing: the one common kind whose configuration says how wide its
vectors are, and whose layers and heads compute what BERT's do. BERT normalises a token's vector before its layers,
ALBERT the narrow one before it is widened. Both come to the same where the narrow vectors are the wide ones'
coordinates, less their mean, along axes at right angles to each other and to the vector of ones: lengths are kept then,
and the coordinates' mean is 0. So nothing changes at the full width. Below it the axes are those that hold most of the
vectors, as the user's texts have them and as the vocabulary has, each of its pieces counted once.

The factors: Lan et al. 2020, arXiv:1909.11942. Nothing is trained here: distillation makes up for what is lost.
"""

from collections.abc import Mapping, Sequence
from math import sqrt
from pathlib import Path
from typing import Any

import torch
import transformers
from scipy.linalg import helmert
from transformers import AlbertConfig, PreTrainedModel

from mct.compress.plan.passes import Product, Resources
from mct.compress.run.folders import write_model
from mct.compress.run.inputs import encode_requests
from mct.models.checkpoints.load import load_model
from mct.models.tasks.tokens import Tokens

TABLES = ("word_embeddings", "position_embeddings", "token_type_embeddings")
SHARED = (
    "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act",
    "hidden_dropout_prob", "attention_probs_dropout_prob", "max_position_embeddings", "type_vocab_size",
    "initializer_range", "layer_norm_eps", "pad_token_id", "id2label", "label2id", "problem_type",
)  # fmt: skip
"""What both kinds' configurations call alike."""
RENAMED = (
    ("attention.self.", "attention."),
    ("attention.output.", "attention."),
    ("intermediate.dense.", "ffn."),
    ("output.dense.", "ffn_output."),
    ("output.LayerNorm.", "full_layer_layer_norm."),
)
"""How the tensors of a layer begin in BERT, and in ALBERT."""


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write the checkpoint with token vectors of `options["width"]`."""
    model, narrow = load_model(resources.checkpoint), options["width"]
    kind = getattr(transformers, resources.checkpoint.architecture.replace("Bert", "Albert", 1))
    found: PreTrainedModel = kind(AlbertConfig(**_sizes(model.config.to_dict(), narrow)))
    weights = model.state_dict()
    (words,) = (name for name in weights if name.endswith("word_embeddings.weight"))
    prefix = words.removesuffix("embeddings.word_embeddings.weight")
    tables = [weights[f"{prefix}embeddings.{name}.weight"] for name in TABLES]
    tables = [table - table.mean(dim=1, keepdim=True) for table in tables]
    axes, held = _axes(tables, encode_requests(resources.checkpoint, resources.calibration_requests()), narrow)
    level = axes @ torch.tensor(helmert(narrow), dtype=axes.dtype)
    gain, shift = (weights[f"{prefix}embeddings.LayerNorm.{name}"] for name in ("weight", "bias"))
    own = {f"embeddings.{name}.weight": table @ level for name, table in zip(TABLES, tables, strict=True)} | {
        "embeddings.LayerNorm.weight": torch.ones(narrow),
        "embeddings.LayerNorm.bias": torch.zeros(narrow),
        "encoder.embedding_hidden_mapping_in.weight": gain[:, None] * level * sqrt(len(level) / narrow),
        "encoder.embedding_hidden_mapping_in.bias": shift,
    }
    rest = {_renamed(name): tensor for name, tensor in weights.items() if "embeddings." not in name}
    found.load_state_dict(rest | {prefix.replace("bert", "albert") + name: tensor for name, tensor in own.items()})
    write_model(found, source.folder, draft)
    return Product(draft, "", notes={"width": narrow, "of": len(axes), "vectors_kept": held})


def _sizes(bert: Mapping[str, Any], narrow: int) -> dict[str, Any]:
    """What ALBERT's configuration says, of what BERT's says."""
    dropout = bert.get("classifier_dropout")
    return {name: bert[name] for name in SHARED if name in bert} | {
        "embedding_size": narrow,
        "num_hidden_groups": bert["num_hidden_layers"],
        "classifier_dropout_prob": bert["hidden_dropout_prob"] if dropout is None else dropout,
    }


def _axes(tables: Sequence[torch.Tensor], texts: Sequence[Tokens], narrow: int) -> tuple[torch.Tensor, float]:
    """`narrow` - 1 axes at right angles, (width, narrow - 1), and the share of the vectors' squares that they hold."""
    words, positions, segments = tables
    every = words + segments[0]
    moment = every.T @ every
    for text in texts:
        vectors = words[text.ids] + positions[: len(text.ids)] + segments[text.type_ids]
        moment += vectors.T @ vectors
    squares, axes = torch.linalg.eigh(moment.double())
    kept = squares[1 - narrow :].sum() / squares.sum()
    return axes[:, 1 - narrow :].to(words.dtype), float(kept)


def _renamed(name: str) -> str:
    """ALBERT's name of a tensor of BERT's."""
    head, layers, rest = name.removeprefix("bert.").rpartition("encoder.layer.")
    prefix = "albert." if name.startswith("bert.") else ""
    if not layers:
        return prefix + rest.replace("pooler.dense.", "pooler.")
    layer, _, part = rest.partition(".")
    for ours, theirs in RENAMED:
        if part.startswith(ours):
            part = theirs + part.removeprefix(ours)
            break
    return f"{prefix}{head}encoder.albert_layer_groups.{layer}.albert_layers.0.{part}"
