"""Reward model to OpenVINO: a decoder that reads a text once and gives its last token a score. No cache, no ONNX.

OpenVINO's ONNX reader does not take the fused attention that such a graph has without a cache, so the graph is
optimum-intel's, like that of language models. The score is read at the last token that is not padding, which is why
the checkpoint has to say what padding is.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mct import MctError
from mct.compress.export_openvino import MODEL, save
from mct.compress.export_openvino_lm import export
from mct.compress.length_buckets import buckets_for
from mct.compress.passes import Material, Product
from mct.models.checkpoint import Checkpoint
from mct.models.checkpoint_files import read_config
from mct.models.load import load_model

# Families that the exporter patches for classification.
FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "gpt2")
TASK = "text-classification"


def run(source: Product, draft: Path, settings: Mapping[str, Any], material: Material) -> Product:
    """Write `openvino_model.xml` and `.bin` in fp32: token ids and mask (batch, tokens) to `logits` (batch, 1).

    MctError for a family that the exporter does not know, and for a checkpoint without a padding token.
    """
    checkpoint = material.checkpoint
    pad_id = _pad_id(checkpoint)
    save(export(load_model(checkpoint), draft, TASK), draft / MODEL)
    return Product(draft, MODEL, {"pad_id": pad_id, "buckets": list(buckets_for(material))})


def _pad_id(checkpoint: Checkpoint) -> int:
    if checkpoint.model_type not in FAMILIES:
        raise MctError(
            f"openvino cannot hold a {checkpoint.model_type} reward model: its exporter does not know it",
            f"families that it knows: {', '.join(FAMILIES)}; or try --format onnx",
        )
    pad_id = read_config(checkpoint.path).pad_token_id
    if pad_id is None or pad_id < 0:
        raise MctError(
            f"{checkpoint.path} has no pad_token_id: where a padded text ends, and its score stands, is unknown",
            "set pad_token_id in its config.json to a token that no text ends with",
        )
    return pad_id
