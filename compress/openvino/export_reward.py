"""Reward model to OpenVINO: a decoder that reads a text once and gives its last token a score. No cache, no ONNX.

OpenVINO's ONNX reader does not take the fused attention that such a graph has without a cache, so the graph is
optimum-intel's, like that of language models. The score is read at the last token that is not padding, which is why
the checkpoint has to say what padding is.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mct import MctError
from mct.compress.openvino.export import MODEL, save
from mct.compress.openvino.export_lm import export
from mct.compress.openvino.length_buckets import buckets_for
from mct.compress.openvino.obstacles import why_not_reward
from mct.compress.plan.passes import Product, Resources
from mct.models.checkpoints.files import pad_id
from mct.models.checkpoints.load import load_model

TASK = "text-classification"


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write `openvino_model.xml` and `.bin` in fp32: token ids and mask (batch, tokens) to `logits` (batch, 1).

    MctError for a family that the exporter does not know, and for a checkpoint without a padding token.
    """
    checkpoint = resources.checkpoint
    if reason := why_not_reward(checkpoint, options):
        raise MctError(f"openvino cannot hold this {checkpoint.architecture}: {reason}", "try --format onnx")
    save(export(load_model(checkpoint), draft, TASK), draft / MODEL)
    return Product(draft, MODEL, {"pad_id": pad_id(checkpoint.path), "buckets": list(buckets_for(resources))})
