"""What a checkpoint learns from on the user's rows: inputs, what a teacher is asked for each, and what rows call right.

Every task kind says itself what its rows ask and how that becomes inputs, so there is one way for all of them. A leaf.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from mct import MctError
from mct.compress.plan.passes import LANGUAGE_MODELS, SCORERS, Resources
from mct.compress.run.inputs import encode_requests
from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.checkpoints.files import pad_id, pieces_of, read_tokenizer
from mct.models.tasks.examples import Row, find_kind
from mct.models.tasks.table import find_task
from mct.models.tasks.tokens import Tokens
from mct.targets.runtimes.batches import padded


@dataclass(frozen=True)
class Lesson:
    """One input as the learner reads it and as its teacher does (None without one); `truth` is what its row says."""

    tokens: Tokens
    asked: Tokens | None = None
    truth: Any = None


def lessons_from(resources: Resources, teacher: Checkpoint | None) -> list[Lesson]:
    """One for each input that the rows of --data ask. MctError without rows, or without labels and a teacher.

    A language model's own text is what it is asked, so a text that its teacher cuts into other pieces is no lesson.
    """
    if resources.calibration is None or not resources.calibration.rows:
        raise MctError(
            "training needs texts of yours, and none were given", "give texts like those in use: --data FILE"
        )
    rows, checkpoint = resources.calibration.rows, resources.checkpoint
    if teacher is None and checkpoint.network not in LANGUAGE_MODELS:
        return _labelled(checkpoint, rows)
    requests = find_kind(checkpoint.task).texts(rows)
    inputs = encode_requests(checkpoint, requests)
    if teacher is None:
        return [Lesson(tokens) for tokens in inputs]
    lessons = [Lesson(*each) for each in zip(inputs, encode_requests(teacher, requests), strict=True)]
    if kept := kept_tokens(checkpoint, teacher):
        lessons = [
            each for each in lessons if each.asked and [kept[token] for token in each.tokens.ids] == each.asked.ids
        ]
        if not lessons:
            raise MctError(
                "the student cuts every text into other pieces than its teacher",
                "trim the vocabulary by the texts that it is taught on",
            )
    return lessons


def kept_tokens(student: Checkpoint, teacher: Checkpoint) -> list[int] | None:
    """The teacher's ids of a language model's tokens, in the order of its own; None where both have the same.

    MctError where the teacher lacks one.
    """
    if student.network not in LANGUAGE_MODELS:
        return None
    ours, theirs = (pieces_of(read_tokenizer(each.vocabulary)) for each in (student, teacher))
    if ours == theirs:
        return None
    if unknown := sorted(ours.keys() - theirs.keys()):
        raise MctError(
            f"the student writes pieces that its teacher does not have, like {unknown[0]!r}",
            "a language model is taught by one of its own vocabulary, or of a larger one",
        )
    return [theirs[piece] for _, piece in sorted((number, piece) for piece, number in ours.items())]


def _labelled(checkpoint: Checkpoint, rows: Sequence[Row]) -> list[Lesson]:
    lacking = {field for row in rows for field in find_task(checkpoint.task).fields if row.get(field) is None}
    if lacking:
        raise MctError(
            f"learning from labels alone needs {', '.join(sorted(lacking))} in every row",
            "label the rows, or let the original teach: leave teach = false out",
        )
    examples = find_kind(checkpoint.task).read(rows)
    truths = [
        truth
        for example in examples
        for truth in (example.truth if checkpoint.network in SCORERS else [example.truth])
    ]  # fmt: skip
    inputs = encode_requests(checkpoint, [example.scored for example in examples])
    return [Lesson(tokens, truth=truth) for tokens, truth in zip(inputs, truths, strict=True)]


@dataclass(frozen=True)
class Asked:
    """A loaded checkpoint as lessons ask it: a module that names its outputs, the inputs it takes, its padding.

    `kept`: of the tokens that it could write those that its student has, in the student's order; all where it is None.
    """

    module: torch.nn.Module
    names: Sequence[str]
    pad_id: int
    kept: Sequence[int] | None = None

    def answers(self, inputs: Sequence[Tokens]) -> dict[str, torch.Tensor]:
        """The outputs of a batch, in fp32."""
        device = next(self.module.parameters()).device
        arrays = padded(inputs, self.names, self.pad_id)
        found = self.module(**{name: torch.from_numpy(array).to(device) for name, array in arrays.items()})
        kept = slice(None) if self.kept is None else self.kept
        return {name: value[..., kept].float() for name, value in found.items()}


def asked_of(checkpoint: Checkpoint, student: Checkpoint | None = None) -> Asked:
    """The checkpoint, loaded in fp32, in evaluation mode, asked for what a student of it could answer."""
    from mct.models.checkpoints.load import load_module
    from mct.targets.runtimes.run_torch import input_names

    module = load_module(checkpoint)
    model: Any = module.model
    kept = kept_tokens(student, checkpoint) if student else None
    return Asked(module, input_names(model), pad_id(checkpoint.sizes), kept)
