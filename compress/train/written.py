"""What the teacher of a language model writes after the beginnings of the user's texts: more lessons for its student.

Learning the teacher's own texts in place of people's is distillation at the level of sequences (Kim and Rush 2016,
arXiv:1606.07947): the student spends itself on what the teacher would say, and on no other way of saying it. The
teacher's next tokens, softened, are learned on these texts as on the others.
"""

from collections.abc import Collection, Sequence
from typing import Any

import torch
from transformers import GenerationConfig

from mct import MctError
from mct.compress.train.lessons import Asked, Lesson
from mct.models.tasks.tokens import Tokens
from mct.models.training.loop import chunks

BATCH = 32


def written_by(
    teacher: Asked, lessons: Sequence[Lesson], most: int, longest: int, stop: Collection[int], before: int = 1
) -> list[Lesson]:
    """A lesson for each that has room for it: its prompt, or the first half of a text, and what the teacher goes on by.

    The likeliest token each time (greedy), `most` at most, up to and with a token of `stop`; no text is longer than
    `longest`. So many tokens stand `before` every text, and are no prompt.

    MctError where the student reads other tokens than its teacher.
    """
    if any(lesson.asked is not None and lesson.asked.ids != lesson.tokens.ids for lesson in lessons):
        raise MctError(
            "the student cuts texts into other pieces than its teacher writes", "trim the vocabulary after `written`"
        )
    prompts = sorted((_beginning(lesson.tokens, max(1, before)) for lesson in lessons), key=len)
    model: Any = teacher.module.model
    plain = GenerationConfig(do_sample=False, eos_token_id=sorted(stop) or None, pad_token_id=teacher.pad_id)  # type: ignore[no-untyped-call]
    model.generation_config = plain  # what its own leaves unsaid would be filled in by it: penalties, beams
    found = []
    for length in sorted({len(prompt) for prompt in prompts}):
        count = min(most, longest - length)
        alike = [prompt for prompt in prompts if len(prompt) == length]
        for batch in chunks(alike, BATCH) if count > 0 else ():
            asked = torch.tensor(batch, device=next(model.parameters()).device)
            with torch.inference_mode():
                texts = model.generate(asked, attention_mask=torch.ones_like(asked), max_new_tokens=count)
            found += [_lesson(text.tolist(), length, stop) for text in texts]
    return found


def _beginning(tokens: Tokens, before: int) -> list[int]:
    """The prompt where a row has one, else the first half of its text."""
    return tokens.ids[: tokens.given if tokens.given > before else max(before, len(tokens.ids) // 2)]


def _lesson(ids: list[int], given: int, stop: Collection[int]) -> Lesson:
    """The text without what was filled up behind its end."""
    ended = next((place + 1 for place in range(given, len(ids)) if ids[place] in stop), len(ids))
    tokens = Tokens(ids[:ended], [0] * ended, given=given)
    return Lesson(tokens, tokens)
