"""A smaller classifier taught by a bigger one: some of its layers, trained on its logits for texts without labels.

The student is held to the teacher's whole answer, softened by a temperature (Hinton, Vinyals and Dean 2015,
arXiv:1503.02531), and a little to the label where a text has one. What it costs: the teacher answers every text once.
What it gains is always to be shown beside the same student taught by labels alone. A leaf.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from mct import MctError
from mct.models.data.files import Row
from mct.models.families.table import find_family
from mct.models.progress import Report, silent
from mct.models.training.classification import Classifier, logits_of, padded_inputs, padding_id, token_ids
from mct.models.training.loop import Training, by_length, learn

NO_LABEL = -100
"""cross_entropy's own mark for an example that it leaves out."""


@dataclass(frozen=True)
class Softness:
    """How the teacher's answer is weighed: its `temperature`, and the share of the loss that labels have (`hard`)."""

    temperature: float = 2.0
    hard: float = 0.1


@dataclass(frozen=True)
class _Lesson:
    ids: list[int]
    answer: torch.Tensor
    label: int


def with_layers(classifier: Classifier, kept: Sequence[int]) -> Classifier:
    """A copy with those layers alone (Sun et al. 2019, arXiv:1908.09355). MctError for an unknown family."""
    model = copy.deepcopy(classifier.model)
    family = find_family(model.config.model_type)
    if family is None:
        raise MctError(f"which layers a {model.config.model_type} has is not known", "give a model of a known family")
    stack, _, name = f"{family.prefix}{family.layers}".rpartition(".")
    layers = model.get_submodule(f"{stack}.{name}")
    assert isinstance(layers, torch.nn.ModuleList)
    setattr(model.get_submodule(stack), name, torch.nn.ModuleList([layers[place] for place in kept]))
    setattr(model.config, family.keys.layers, len(kept))
    return Classifier(model, classifier.tokenizer, classifier.labels)


def distil(
    student: Classifier,
    teacher: Classifier,
    rows: Sequence[Row],
    training: Training,
    softness: Softness = Softness(),
    report: Report = silent,
) -> None:
    """Train `student` in place on the teacher's logits for the `text` of each row, and on `label` where it has one."""
    if student.labels != teacher.labels:
        raise MctError("student and teacher must have the same labels", "make the student of the teacher's layers")
    texts = [row["text"] for row in rows]
    report("asking the teacher", 0.0)
    answers = logits_of(teacher, texts, training.max_tokens)
    ids = token_ids(student, texts, training.max_tokens)
    labels = [student.labels.index(row["label"]) if "label" in row else NO_LABEL for row in rows]
    lessons = [_Lesson(*lesson) for lesson in zip(ids, answers, labels, strict=True)]
    batches = list(by_length(lessons, lambda lesson: len(lesson.ids), training))
    student.model.get_input_embeddings().requires_grad_(not training.frozen_embeddings)
    learn(
        student.model, batches, lambda batch: _loss(student, batch, softness), training, report, "distilling",
        cost=lambda batch: len(batch) * len(batch[-1].ids),
    )  # fmt: skip
    student.model.get_input_embeddings().requires_grad_(True)


def _loss(student: Classifier, batch: Sequence[_Lesson], softness: Softness) -> torch.Tensor:
    """Means over the batch; the soft one times the temperature squared, since its gradients shrink by that."""
    device = student.model.device
    inputs = padded_inputs([lesson.ids for lesson in batch], padding_id(student.tokenizer), device)
    logits = student.model(**inputs).logits.float()
    wanted = torch.stack([lesson.answer for lesson in batch]).to(device)
    soft = functional.kl_div(
        functional.log_softmax(logits / softness.temperature, -1),
        functional.softmax(wanted / softness.temperature, -1),
        reduction="batchmean",
    )
    labels = torch.tensor([lesson.label for lesson in batch], device=device)
    hard = functional.cross_entropy(logits, labels, ignore_index=NO_LABEL, reduction="sum") / len(batch)
    return (1 - softness.hard) * softness.temperature**2 * soft + softness.hard * hard
