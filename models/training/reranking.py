"""Fine-tune a cross-encoder: one score for a query and a page, taught how likely who looks at the page clicks on it.

A target is a share between 0 and 1. From clicks it is their rate divided by how likely the page's place is looked at;
binary cross-entropy with that target is the loss in which each click has the weight of its inverse propensity (Joachims
et al., "Unbiased learning-to-rank with biased feedback", WSDM 2017), a share above 1 cut off to keep the variance down.
The model and its files are sentence-transformers' own; the loop is ours, since a trainer of the library's would want
two packages more. A leaf.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import CrossEncoder
from sentence_transformers.util import batch_to_device
from torch.nn import functional

from mct import MctError
from mct.models.progress import Report, silent
from mct.models.training.loop import Training, by_length, learn, seeded

EVALUATION_BATCH = 64


@dataclass(frozen=True)
class Judged:
    """A query, a page, and the share of those looking at it who would click."""

    query: str
    doc: str
    target: float


def load_reranker(base: str, max_tokens: int, seed: int) -> CrossEncoder:
    """A pretrained encoder (folder or hub name) with one logit on top, drawn from `seed` unless the base has it.

    MctError where it cannot be had.
    """
    try:
        with seeded(seed):
            reranker: CrossEncoder = CrossEncoder(base, num_labels=1, max_length=max_tokens, device="cpu")
    except (OSError, ValueError, RuntimeError) as error:  # off line, the hub's client ends in a RuntimeError
        raise MctError(
            f"the base model {base!r} cannot be loaded: {str(error).splitlines()[0]}",
            "give a folder with config.json, model.safetensors and tokenizer.json, or a hub name when on line",
        ) from error
    return reranker


def finetune(
    reranker: CrossEncoder,
    judged: Sequence[Judged],
    training: Training,
    report: Report = silent,
    stage: str = "fine-tuning",
) -> None:
    """Train `reranker` in place; it ends in evaluation mode on the CPU."""

    def loss_of(batch: Sequence[Judged]) -> torch.Tensor:
        pairs = [(each.query, each.doc) for each in batch]
        scores = reranker(batch_to_device(reranker.preprocess(pairs), reranker.device))["scores"]
        targets = torch.tensor([each.target for each in batch], device=reranker.device)
        return functional.binary_cross_entropy_with_logits(scores.float().flatten(), targets)

    batches = list(by_length(judged, lambda each: len(each.query) + len(each.doc), training))
    model: Any = reranker.transformers_model
    embeddings = model.get_input_embeddings()
    embeddings.requires_grad_(not training.frozen_embeddings)
    learn(reranker, batches, loss_of, training, report, stage)
    embeddings.requires_grad_(True)


def scores(reranker: CrossEncoder, pairs: Sequence[tuple[str, str]]) -> list[float]:
    """The score of each query with its page."""
    found = reranker.predict(list(pairs), batch_size=EVALUATION_BATCH, show_progress_bar=False)
    return [float(score) for score in found]


def save(reranker: CrossEncoder, folder: Path) -> None:
    """Write what sentence-transformers writes."""
    reranker.save_pretrained(str(folder), create_model_card=False)
    for weights in folder.glob("*.safetensors"):
        weights.chmod(0o644)  # written for the owner's eyes only, unlike every file beside it
