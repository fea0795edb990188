"""A student that is a transformer of its own, of the sizes told.

It is of its teacher's kind, with its teacher's tokenizer; the vectors of its tokens are the principal components of its
teacher's, all else is drawn at random. It answers nothing until distil has taught it.
"""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from mct.compress.plan.passes import Product, Resources
from mct.compress.run.folders import write_model
from mct.compress.students.shallow import narrowed
from mct.models.checkpoints.load import load_model
from mct.models.training.loop import seeded


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write a student of `options["layers"]`, "width", "heads" and "ffn"; its longest input is its teacher's."""
    teacher = load_model(resources.checkpoint)
    config = deepcopy(teacher.config)
    sizes = {
        "num_hidden_layers": options["layers"], "hidden_size": options["width"],
        "num_attention_heads": options["heads"], "intermediate_size": options["ffn"],
    }  # fmt: skip
    for name, size in sizes.items():
        setattr(config, "hidden_dim" if name == "intermediate_size" and hasattr(config, "hidden_dim") else name, size)
    with seeded(resources.seed):
        student: PreTrainedModel = AutoModelForSequenceClassification.from_config(config)  # type: ignore[no-untyped-call]
    ours, theirs = (_table(model) for model in (student, teacher))
    narrower = ours.shape[1] <= theirs.shape[1]
    if narrower:
        vectors = narrowed(theirs, ours.shape[1])
        ours.copy_(vectors * (ours.norm(dim=1).mean() / vectors.norm(dim=1).mean()))
    write_model(student, source.folder, draft)
    weights = sum(weight.numel() for weight in student.parameters())
    notes = {"vectors_from": resources.checkpoint.architecture} if narrower else {}
    return Product(draft, "", notes={"weights": weights, **notes})


def _table(model: PreTrainedModel) -> torch.Tensor:
    """The vectors of its tokens, (vocabulary, width), to be read and written."""
    weights = model.get_input_embeddings().weight
    assert isinstance(weights, torch.Tensor)
    return weights.detach()
