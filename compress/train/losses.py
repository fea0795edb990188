"""How far answers are from what they should be: a teacher's, or what the rows say. One number to make smaller. A leaf.

A teacher's labels are taken by their whole distribution, softened by a temperature (Hinton, Vinyals and Dean 2015,
arXiv:1503.02531); a score by its square, a text's vector by its angle.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.nn import functional

from mct.models.tasks.tokens import Tokens

Outputs = Mapping[str, torch.Tensor]

VECTOR = "sentence_embedding"
MULTI_LABEL = "multi-label-classification"
PER_TOKEN = 3  # axes of an output that has a row for every token
NOTHING = -100
"""cross_entropy's own mark for what is left out."""


def to_teacher(network: str, ours: Outputs, theirs: Outputs, inputs: Sequence[Tokens], softness: float) -> torch.Tensor:
    """The mean distance of a batch's outputs from the teacher's, over tokens where there is one for each."""
    losses = []
    for name, given in ours.items():
        wanted = theirs[name]
        if given.ndim == PER_TOKEN:
            given, wanted = (_real(each, inputs) for each in (given, wanted))
        losses.append(_distance(name, network, given, wanted, softness))
    return torch.stack(losses).sum()


def to_truth(
    network: str, ours: Outputs, truths: Sequence[Any], inputs: Sequence[Tokens], labels: Sequence[str]
) -> Any:
    """The mean loss of a batch against what its rows call right."""
    return _TRUTH[network](ours["logits"], truths, inputs, labels)


def _distance(name: str, network: str, given: torch.Tensor, wanted: torch.Tensor, softness: float) -> torch.Tensor:
    if name == VECTOR:
        return 1 - functional.cosine_similarity(given, wanted).mean()
    if network == MULTI_LABEL:
        return functional.binary_cross_entropy_with_logits(given, wanted.sigmoid())
    if given.shape[-1] == 1:
        return functional.mse_loss(given, wanted)
    soft, hard = functional.log_softmax(given / softness, -1), functional.softmax(wanted / softness, -1)
    return softness**2 * functional.kl_div(soft, hard, reduction="batchmean")


def _real(values: torch.Tensor, inputs: Sequence[Tokens]) -> torch.Tensor:
    """The rows of real tokens, (tokens, width): what stands on padding is nobody's answer."""
    return torch.cat([row[: len(tokens.ids)] for row, tokens in zip(values, inputs, strict=True)])


def _one_label(logits: torch.Tensor, truths: Sequence[Any], inputs: Any, labels: Sequence[str]) -> torch.Tensor:
    places = torch.tensor([labels.index(truth) for truth in truths], device=logits.device)
    return functional.cross_entropy(logits, places)


def _some_labels(logits: torch.Tensor, truths: Sequence[Any], inputs: Any, labels: Sequence[str]) -> torch.Tensor:
    wanted = torch.tensor([[float(label in truth) for label in labels] for truth in truths], device=logits.device)
    return functional.binary_cross_entropy_with_logits(logits, wanted)


def _grade(logits: torch.Tensor, truths: Sequence[Any], inputs: Any, labels: Sequence[str]) -> torch.Tensor:
    """Grades as shares of 1, which is what anything above it counts as."""
    wanted = torch.tensor([min(float(truth), 1.0) for truth in truths], device=logits.device)
    return functional.binary_cross_entropy_with_logits(logits.flatten(), wanted)


def _next_token(logits: torch.Tensor, truths: Any, inputs: Sequence[Tokens], labels: Sequence[str]) -> torch.Tensor:
    longest = logits.shape[1]
    rows = [[NOTHING] * tokens.given + tokens.ids[tokens.given :] for tokens in inputs]
    wanted = torch.tensor([row[1:] + [NOTHING] * (longest - len(row) + 1) for row in rows], device=logits.device)
    return functional.cross_entropy(logits.transpose(1, 2), wanted, ignore_index=NOTHING)


_TRUTH: Mapping[str, Callable[[torch.Tensor, Sequence[Any], Sequence[Tokens], Sequence[str]], torch.Tensor]] = {
    "sequence-classification": _one_label,
    "multi-label-classification": _some_labels,
    "pair-scoring": _grade,
    "causal-lm": _next_token,
}
