"""What a student is taught: the user's texts and others made up of them, with the teacher's answers and with labels.

A part of the user's texts is held out, to keep the best of what training comes by. Made-up texts hang on the seed and
on how often the student was taught before, never on the student: the students of a search have the same, and ask the
teacher once.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from mct import MctError
from mct.compress.plan.passes import Resources
from mct.compress.run.inputs import encode_requests
from mct.compress.train.answers import Teacher
from mct.compress.train.made_up import Texts, made_up, near_words
from mct.compress.train.objectives import OBJECTIVES
from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.tasks.tokens import ANY_LENGTH, Tokens, open_tokenizer

# Of so many texts one is held out; of few texts more, so that these tell anything, and of many no more than they need.
DEV_SHARE, DEV_SHARE_OF_FEW = 20, 5
LEAST_DEV, MOST_DEV = 50, 1000
LEAST_TEXTS = 2


@dataclass(frozen=True)
class Lessons:
    """Inputs of the model that learns, with what each is to be answered: a truth, and the teacher's answer if asked."""

    inputs: Sequence[Tokens]
    truths: torch.Tensor
    answers: torch.Tensor | None


@dataclass(frozen=True)
class Wanted:
    """How lessons are made: `augment` made-up variants of each text, the share of labels (`hard`; 1.0: no teacher).

    `rounds` is how often the student was taught before.
    """

    augment: int
    hard: float
    threads: int
    rounds: int = 0


def gather_lessons(resources: Resources, wanted: Wanted) -> tuple[Lessons, Lessons]:
    """What is learned, and what is held out. MctError for labels that the model does not know, or where none is there.

    `Resources.teacher` answers; where there is none, the checkpoint that is to learn.
    """
    assert resources.calibration is not None
    student, rows = resources.checkpoint, resources.calibration.rows
    teacher = Teacher(resources.teacher or student, wanted.threads, resources.shared)
    if teacher.checkpoint.labels != student.labels:
        raise MctError("student and teacher have other labels", "make the student of the checkpoint that teaches it")
    objective = OBJECTIVES[student.network]
    truths = torch.stack([objective.truth(row, student.labels) for row in rows])
    if wanted.hard == 1.0 and not objective.told(truths).any():
        raise MctError(
            f"labels alone are to be learned (hard = 1.0), and no row of {resources.calibration.name} has any",
            f"give rows with {objective.field!r}, or let the teacher answer: hard = 0.1",
        )
    texts = [str(row["text"]) for row in rows]
    both = _Both(student, teacher, asks=wanted.hard < 1.0)
    own = both.lessons(texts, truths)
    held, taught = _split(texts, resources.seed)
    if not wanted.augment:
        return _at(own, taught), _at(own, held)
    decided = truths if own.answers is None else objective.decide(own.answers)
    of = Texts(
        [texts[place] for place in taught],
        [str(decided[place].tolist()) for place in taught],
        near_words(texts, teacher.table, open_tokenizer(teacher.checkpoint.vocabulary, ANY_LENGTH)),
    )
    seeds = (f"{resources.seed} {wanted.rounds} {variant}" for variant in range(wanted.augment))
    new = [both.lessons(made_up(of, seed), truths[taught]) for seed in seeds]
    return _joined([_at(own, taught), *new]), _at(own, held)


@dataclass(frozen=True)
class _Both:
    """Who learns and who answers, if `asks`: each has a tokenizer of its own."""

    student: Checkpoint
    teacher: Teacher
    asks: bool

    def lessons(self, texts: Sequence[str], truths: torch.Tensor) -> Lessons:
        """One for each text."""
        answers = self.teacher.answers(encode_requests(self.teacher.checkpoint, texts)) if self.asks else None
        return Lessons(encode_requests(self.student, texts), truths, answers)


def _split(texts: Sequence[str], seed: int) -> tuple[list[int], list[int]]:
    """Places of those that are held out, and of the others; the same text is on one side."""
    once = sorted(set(texts))
    held = set(random.Random(seed).sample(once, held_out_of(len(once))))
    sides: tuple[list[int], list[int]] = ([], [])
    for place, text in enumerate(texts):
        sides[text not in held].append(place)
    return sides


def held_out_of(texts: int) -> int:
    """How many of so many texts are held out. MctError for one alone, which cannot be learned and looked at too."""
    if texts < LEAST_TEXTS:
        raise MctError("there is one text to learn from, and none to see by what it came to", "give more: --data FILE")
    return min(MOST_DEV, max(texts // DEV_SHARE, min(LEAST_DEV, texts // DEV_SHARE_OF_FEW), 1))


def _at(lessons: Lessons, places: list[int]) -> Lessons:
    answers = None if lessons.answers is None else lessons.answers[places]
    return Lessons([lessons.inputs[place] for place in places], lessons.truths[places], answers)


def _joined(parts: Sequence[Lessons]) -> Lessons:
    answers = [part.answers for part in parts if part.answers is not None]
    inputs = [tokens for part in parts for tokens in part.inputs]
    return Lessons(inputs, torch.cat([part.truths for part in parts]), torch.cat(answers) if answers else None)
