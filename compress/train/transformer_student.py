"""A student that is a transformer of its own: of the sizes told, or a model that somebody pre-trained and gave a name.

Of told sizes it is of its teacher's kind, with its teacher's tokenizer; the vectors of its tokens are the principal
components of its teacher's, all else is drawn at random. A named model brings its weights and its own tokenizer, and
gets the labels of its teacher (Turc et al. 2019, arXiv:1908.08962: small models that were pre-trained learn more from a
teacher than such that were not). Both answer nothing until distil has taught them.
"""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from mct import MctError
from mct.compress.plan.passes import Product, Resources
from mct.compress.run.folders import copy_rest, write_model
from mct.compress.run.lineage import weights_digest
from mct.compress.train.shallow_student import narrowed
from mct.models.checkpoints.checkpoint import inspect
from mct.models.checkpoints.hub import find_folder
from mct.models.checkpoints.load import load_model
from mct.models.training.loop import seeded

LABELS = ("id2label", "label2id", "num_labels", "problem_type")


def of_sizes(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
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
    if ours.shape[1] <= theirs.shape[1]:
        vectors = narrowed(theirs, ours.shape[1])
        ours.copy_(vectors * (ours.norm(dim=1).mean() / vectors.norm(dim=1).mean()))
    write_model(student, source.folder, draft)
    weights = sum(weight.numel() for weight in student.parameters())
    return Product(draft, "", notes={"weights": weights, "vectors_from": resources.checkpoint.architecture})


def named(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write the model `options["model"]`, a folder or a name on the hub, with the labels of the checkpoint.

    MctError where it is no encoder.
    """
    folder = find_folder(Path(options["model"]))
    found, teacher = inspect(folder), resources.checkpoint
    told = {name: deepcopy(getattr(load_model(teacher).config, name)) for name in LABELS}
    try:
        with seeded(resources.seed):
            student = AutoModelForSequenceClassification.from_pretrained(
                folder, **told, ignore_mismatched_sizes=True, local_files_only=True
            )
    except ValueError as error:  # of transformers, for a kind of model that has no classifier
        raise MctError(f"{folder} is a {found.model_type} model, which cannot classify", "name an encoder") from error
    student.save_pretrained(draft)
    for weights in draft.glob("*.safetensors"):
        weights.chmod(0o644)
    copy_rest(found.vocabulary, draft)
    return Product(draft, "", notes={"model": options["model"], "sha256": weights_digest(folder)})


def _table(model: PreTrainedModel) -> torch.Tensor:
    """The vectors of its tokens, (vocabulary, width), to be read and written."""
    weights = model.get_input_embeddings().weight
    assert isinstance(weights, torch.Tensor)
    return weights.detach()
