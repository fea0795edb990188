"""A student that somebody pretrained: an encoder of the user's choice, with a head for the checkpoint's labels.

It reads texts by its own tokenizer. What it answers means nothing until distil has taught it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mct.compress.plan.passes import Product, Resources
from mct.models.checkpoints.hub import find_pinned
from mct.models.training.classification import load_base, save


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write the encoder `options["model"]` as a classifier of the checkpoint's labels."""
    student = load_base(str(find_pinned(options["model"])), resources.checkpoint.labels, resources.seed)
    if resources.checkpoint.network == "multi-label-classification":
        student.model.config.problem_type = "multi_label_classification"
    save(student, draft)
    return Product(draft, "")
