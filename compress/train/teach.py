"""Teach a model lessons, texts with a teacher's answers, with labels or both, and keep what is best on the dev texts.

Works on any model with logits, in place: students below the transformer, some of a teacher's layers, layers whose
weights are rounded while they learn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from mct.compress.train.answers import answers_of
from mct.compress.train.curriculum import Lessons
from mct.compress.train.objectives import Objective
from mct.models.families.table import SHALLOW
from mct.models.training.loop import Training, by_length, find_device, move, steps
from mct.targets.runtimes.batches import padded
from mct.targets.runtimes.run_torch import input_names

LOOKS = 20
"""How often the dev texts are looked at."""
PATIENCE = 8
"""Looks without anything better, after which nothing is expected any more."""


@dataclass(frozen=True)
class Teaching:
    """How lessons are taught. `hard` is the share of labels; `learning_rate` 0 is what suits the model."""

    epochs: float
    learning_rate: float
    temperature: float
    hard: float
    seed: int

    def training(self, model: PreTrainedModel, lessons: int) -> Training:
        """The same for the loop: a network of look-ups takes larger steps, and larger batches where there are many."""
        is_shallow = model.config.model_type == SHALLOW
        rate = self.learning_rate or (2e-3 if is_shallow else 3e-4)
        batch = min(128, max(16, lessons // 100)) if is_shallow else 32
        return Training(ceil(self.epochs), rate, batch=batch, seed=self.seed)


def teach(
    module: torch.nn.Module, lessons: Lessons, dev: Lessons, objective: Objective, teaching: Teaching
) -> dict[str, Any]:
    """Train a loaded checkpoint in place, ending with its best weights on `dev`; what to note of it."""
    model = module.model
    assert isinstance(model, PreTrainedModel)
    names, padding, device = input_names(model), max(model.config.pad_token_id or 0, 0), find_device()

    def loss_of(batch: Sequence[int]) -> Tensor:
        arrays = padded([lessons.inputs[place] for place in batch], names, padding)
        inputs = {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
        (output,) = module(**inputs).values()
        places = torch.tensor(batch)
        loss = teaching.hard * objective.hard(output.float(), lessons.truths[places].to(device))
        if lessons.answers is not None:
            soft = objective.soft(output.float(), lessons.answers[places].to(device), teaching.temperature)
            loss = loss + (1 - teaching.hard) * soft
        return loss

    training = teaching.training(model, len(lessons.inputs))
    order = list(by_length(range(len(lessons.inputs)), lambda place: len(lessons.inputs[place].ids), training))
    batches = order[: max(1, round(len(order) * teaching.epochs / training.epochs))]
    every = max(1, len(batches) // LOOKS)
    best, kept, since, done = (-1.0, 0.0), dict[str, Tensor](), 0, 0
    for done in steps(module, batches, loss_of, training):
        if done % every and done != len(batches):
            continue
        score = _score(module, dev, objective, teaching, padding)
        since = 0 if score >= best else since + 1
        if not since:
            best, kept = score, {name: value.clone() for name, value in module.state_dict().items()}
        if since == PATIENCE:
            break
    module.load_state_dict(kept)
    move(module, torch.device("cpu")).eval()
    return {"steps": done, "of": len(batches), "dev_texts": len(dev.inputs), "dev_score": round(best[0], 4)}


def _score(
    module: torch.nn.Module, dev: Lessons, objective: Objective, teaching: Teaching, padding: int
) -> tuple[float, float]:
    """The task's own score on dev, by labels where any are said, else by the teacher's answers; then minus the loss."""
    logits, told = answers_of(module, dev.inputs, padding), objective.told(dev.truths)
    if dev.answers is None or teaching.hard == 1.0:
        loss = objective.hard(logits, dev.truths)
    else:
        loss = objective.soft(logits, dev.answers, teaching.temperature)
    if not told.any():  # and without a teacher either, the latest is as good as any
        return (0.0 if dev.answers is None else objective.right(logits, objective.decide(dev.answers))), -float(loss)
    return objective.right(logits[told], dev.truths[told]), -float(loss)
