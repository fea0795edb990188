"""Distillation of what gives vectors, scores, tags or next tokens: its outputs are drawn to those of the teacher.

For whole outputs there is no room (a language model's are a row of its vocabulary for every token), so the teacher is
asked again for every batch, and texts are the user's alone. How far apart two outputs are, each task kind says itself
(mct.compress.train.losses): by the angle of vectors, the square of scores, the softened distribution of tags and next
tokens. With `match` a student with layers is drawn to the teacher's inside as well (mct.compress.train.inside). What
stands on the backbone of anything but a classifier (a pooling, a head) stays as it is. With `written` a language model
learns its teacher's own texts beside the user's (mct.compress.train.written).
"""

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from math import ceil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from mct import MctError
from mct.compress.plan.passes import Product, Resources
from mct.compress.run.folders import write_model
from mct.compress.train.curriculum import held_out_of
from mct.compress.train.inside import caught, distance
from mct.compress.train.lessons import Asked, Lesson, asked_of, lessons_from
from mct.compress.train.losses import to_teacher, to_truth
from mct.compress.train.rounds import read_rounds, write_rounds
from mct.compress.train.written import written_by
from mct.models.checkpoints.files import stop_ids
from mct.models.tasks.tokens import open_tokenizer
from mct.models.training.loop import Training, by_length, chunks, find_device, move, steps

RATE, BATCH = 1e-4, 32
LOOKS, PATIENCE = 20, 8


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write the checkpoint after learning. MctError without rows, or without labels where these alone count."""
    torch.set_num_threads(options["threads"] or resources.machine.usable_threads)
    teacher = (resources.teacher or resources.checkpoint) if options["hard"] < 1.0 else None
    taught_by = asked_of(teacher, resources.checkpoint) if teacher else None
    rounds = read_rounds(source.folder)
    lessons, written = lessons_from(resources, teacher), list[Lesson]()
    if most := options.get("written", 0):
        assert teacher is not None and taught_by is not None
        before = open_tokenizer(teacher.vocabulary, teacher.max_tokens).given
        longest = min(teacher.max_tokens, resources.checkpoint.max_tokens)
        written = written_by(taught_by, lessons, most, longest, stop_ids(teacher.sizes), before)
    drawn = random.Random(resources.seed)
    held = set(drawn.sample(range(len(lessons)), held_out_of(len(lessons))))
    taught, dev = (
        [lesson for place, lesson in enumerate(lessons) if (place in held) is side] for side in (False, True)
    )
    taught += written  # none of them is held out: they begin as texts that are learned do
    learner = asked_of(resources.checkpoint)
    _require_alike(options["match"], learner, taught_by)
    model = learner.module.model
    assert isinstance(model, PreTrainedModel)
    learner.module.requires_grad_(False)
    model.requires_grad_(True)
    found = _learn(learner, taught_by, taught, dev, options, resources)
    write_rounds(draft, rounds + 1)
    write_model(model, source.folder, draft)
    notes = {"written": len(written)} if written else {}
    return Product(draft, "", notes={"inputs": len(taught), "rounds": rounds + 1, **notes, **found})


def _require_alike(match: str, learner: Asked, teacher: Asked | None) -> None:
    """MctError where hidden states are to be drawn to each other that are of two widths."""
    models: list[Any] = [each.module.model for each in (learner, teacher) if each is not None]
    widths = sorted({int(model.config.hidden_size) for model in models})
    if match == "hidden" and len(widths) > 1:
        raise MctError(
            f'`match = "hidden"` needs states of one width, here they have {widths[0]} and {widths[1]}',
            'how tokens are related hangs on no width: match = "relations"',
        )


def _learn(
    learner: Asked,
    teacher: Asked | None,
    taught: Sequence[Lesson],
    dev: Sequence[Lesson],
    options: Mapping[str, Any],
    resources: Resources,
) -> dict[str, Any]:
    """Train in place, ending with the weights that lie nearest on `dev`; what to note of it."""
    network, labels = resources.checkpoint.network, resources.checkpoint.labels
    module, rate, match = learner.module, options["learning_rate"] or RATE, options["match"]
    training = Training(ceil(options["epochs"]), rate, batch=BATCH, seed=resources.seed)
    if teacher is not None:
        move(teacher.module, find_device()).eval()

    def loss_of(batch: Sequence[Lesson]) -> Tensor:
        inputs, loss = [lesson.tokens for lesson in batch], torch.zeros((), device=find_device())
        ours = learner.answers(inputs)
        if options["hard"]:
            truths = [lesson.truth for lesson in batch]
            loss = loss + options["hard"] * to_truth(network, ours, truths, inputs, labels)
        if teacher is not None:
            asked = [lesson.asked or lesson.tokens for lesson in batch]
            with torch.no_grad():
                theirs = teacher.answers(asked)
            loss = loss + (1 - options["hard"]) * to_teacher(network, ours, theirs, inputs, options["temperature"])
            if match:
                loss = loss + distance(match, inside[0], inside[1], inputs, asked)
        return loss

    order = list(by_length(taught, lambda lesson: len(lesson.tokens.ids), training))
    batches = order[: max(1, round(len(order) * options["epochs"] / training.epochs))]
    with ExitStack() as hooks:
        inside = [hooks.enter_context(caught(each, match)) for each in (learner, teacher) if each and match]
        found = _best(module, loss_of, batches, dev, training)
    move(module, torch.device("cpu")).eval()
    return {"dev": len(dev), **found}


def _best(
    module: torch.nn.Module,
    loss_of: Callable[[Sequence[Lesson]], Tensor],
    batches: Sequence[Sequence[Lesson]],
    dev: Sequence[Lesson],
    training: Training,
) -> dict[str, Any]:
    """Train in place, ending with the weights that lie nearest on `dev`; its steps, and the loss before and after."""
    every = max(1, len(batches) // LOOKS)
    first = best = _mean(loss_of, dev, module)
    kept, since, done = dict[str, Tensor](), 0, 0
    for done in steps(module, batches, loss_of, training):
        if done % every and done != len(batches):
            continue
        loss = _mean(loss_of, dev, module)
        since = 0 if loss <= best else since + 1
        if not since:
            best, kept = loss, {name: value.clone() for name, value in module.state_dict().items()}
        if since == PATIENCE:
            break
    if kept:
        module.load_state_dict(kept)
    return {"steps": done, "of": len(batches), "dev_loss": [round(first, 5), round(best, 5)]}


def _mean(loss_of: Callable[[Sequence[Lesson]], Tensor], dev: Sequence[Lesson], module: torch.nn.Module) -> float:
    """The mean loss of the inputs held out."""
    move(module, find_device()).eval()
    with torch.inference_mode():
        losses = [float(loss_of(batch)) * len(batch) for batch in chunks(list(dev), BATCH)]
    return sum(losses) / len(dev)
