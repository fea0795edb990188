"""What a student of each task kind is held to: the teacher's softened answers, labels, and what is counted on dev.

Soft losses are times the temperature squared, since their gradients shrink by that (Hinton, Vinyals and Dean 2015,
arXiv:1503.02531). An example without a label has no hard loss.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from mct import MctError
from mct.models.data.files import Row

NO_LABEL = -100
"""cross_entropy's own mark for an example that it leaves out."""


@dataclass(frozen=True)
class Objective:
    """One task kind. `truth` of a row is a tensor of one shape for all; `told` says which of these say anything.

    `soft` and `hard` are means over a batch: of logits, the teacher's answers and a temperature; of logits and truths.
    `decide` makes truths of a teacher's answers; `right` is the task's own score of logits against truths, 0 to 1.
    """

    field: str
    truth: Callable[[Row, Sequence[str]], Tensor]
    told: Callable[[Tensor], Tensor]
    soft: Callable[[Tensor, Tensor, float], Tensor]
    hard: Callable[[Tensor, Tensor], Tensor]
    decide: Callable[[Tensor], Tensor]
    right: Callable[[Tensor, Tensor], float]


def _one_label(row: Row, labels: Sequence[str]) -> Tensor:
    said = row.get("label")
    return torch.tensor(NO_LABEL if said in (None, "") else _place(said, labels))


def _soft_one(logits: Tensor, wanted: Tensor, temperature: float) -> Tensor:
    ours, theirs = functional.log_softmax(logits / temperature, -1), functional.softmax(wanted / temperature, -1)
    return temperature**2 * functional.kl_div(ours, theirs, reduction="batchmean")


def _hard_one(logits: Tensor, truths: Tensor) -> Tensor:
    return functional.cross_entropy(logits, truths, ignore_index=NO_LABEL, reduction="sum") / len(truths)


def _accuracy(logits: Tensor, truths: Tensor) -> float:
    return float((logits.argmax(-1) == truths).double().mean())


def _several_labels(row: Row, labels: Sequence[str]) -> Tensor:
    said = row.get("labels")
    if said in (None, ""):
        return torch.full((len(labels),), float("nan"))
    if not isinstance(said, list):
        raise MctError(f"labels are a list, and one is {str(said)[:60]!r}", "write them as JSON Lines have lists")
    found = torch.zeros(len(labels))
    found[[_place(label, labels) for label in said]] = 1.0
    return found


def _soft_several(logits: Tensor, wanted: Tensor, temperature: float) -> Tensor:
    ours, theirs = logits / temperature, torch.sigmoid(wanted / temperature)
    return temperature**2 * _summed(functional.binary_cross_entropy_with_logits(ours, theirs, reduction="none"))


def _hard_several(logits: Tensor, truths: Tensor) -> Tensor:
    unsaid = truths.isnan()
    loss = functional.binary_cross_entropy_with_logits(logits, truths.nan_to_num(0.0), reduction="none")
    return _summed(loss.masked_fill(unsaid, 0.0))


def _summed(by_label: Tensor) -> Tensor:
    return by_label.sum(-1).mean()


def _f1(logits: Tensor, truths: Tensor) -> float:
    """Over all decisions of all examples (micro)."""
    chosen, wanted = logits > 0, truths > 0
    return float(2 * (chosen & wanted).sum() / (chosen.sum() + wanted.sum()).clamp(min=1))


def _place(label: Any, labels: Sequence[str]) -> int:
    if str(label) not in labels:
        raise MctError(
            f"a label that the model does not know: {str(label)[:60]!r}",
            f"its labels: {', '.join(sorted(labels)[:5])}{', …' if len(labels) > 5 else ''}",
        )
    return labels.index(str(label))


OBJECTIVES: Mapping[str, Objective] = {
    "sequence-classification": Objective(
        "label", _one_label, lambda truths: truths != NO_LABEL, _soft_one, _hard_one,
        lambda answers: answers.argmax(-1), _accuracy,
    ),
    "multi-label-classification": Objective(
        "labels", _several_labels, lambda truths: ~truths.isnan().any(-1), _soft_several, _hard_several,
        lambda answers: (answers > 0).float(), _f1,
    ),
}  # fmt: skip
