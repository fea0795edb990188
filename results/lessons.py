"""The training loop of checkpoints.py: one for every kind of encoder.

What differs between kinds is how rows become lessons, which outputs a model names, and the loss on them; the loop knows
none of it. Inputs of like length share a batch, the word embeddings stay as they came (half of a MiniLM's weights then
need no optimiser step), and products run in bfloat16 where the processor has instructions for it.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from mct.models.progress import shown
from mct.models.tasks.tokens import Tokens
from mct.targets.machine import probe_machine
from mct.targets.runtimes.batches import padded

Outputs = dict[str, torch.Tensor]
Answer = Callable[..., Outputs]
Loss = Callable[[Outputs, list[Any]], torch.Tensor]

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
POOL_BATCHES = 40


@dataclass(frozen=True)
class Course:
    """How to train: `batch` in lessons, `max_tokens` with special tokens."""

    epochs: int
    learning_rate: float = 3e-4
    batch: int = 32
    max_tokens: int = 64
    seed: int = 0


@dataclass(frozen=True)
class Lesson:
    """One input, and what the loss compares the outputs for it with."""

    tokens: Tokens
    target: Any


def learn(model: torch.nn.Module, answer: Answer, lessons: Sequence[Lesson], loss: Loss, course: Course) -> None:
    """Train `model` in place with AdamW, rising and falling linearly; it ends in evaluation mode."""
    for name, weights in model.named_parameters():
        weights.requires_grad_("word_embeddings" not in name)
    learning = [weights for weights in model.parameters() if weights.requires_grad]
    batches = [batch for epoch in range(course.epochs) for batch in shuffled(lessons, course, epoch)]
    optimiser = torch.optim.AdamW(learning, lr=course.learning_rate, weight_decay=0.01)
    rate = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, course.learning_rate, len(batches), pct_start=0.1, anneal_strategy="linear", cycle_momentum=False
    )
    bfloat16 = "avx512_bf16" in probe_machine().instruction_sets
    torch.manual_seed(course.seed)
    model.train()
    with shown() as report:
        for done, batch in enumerate(batches):
            report(f"learning, tenth {1 + 10 * done // len(batches)}", done / len(batches))
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                outputs = answer(**tensors([lesson.tokens for lesson in batch]))
            optimiser.zero_grad()
            found = {name: output.float() for name, output in outputs.items()}
            torch.autograd.backward(loss(found, [lesson.target for lesson in batch]))
            torch.nn.utils.clip_grad_norm_(learning, 1.0)
            optimiser.step()
            rate.step()
    model.eval()


def shuffled(lessons: Sequence[Lesson], course: Course, epoch: int) -> Iterator[list[Lesson]]:
    """An epoch's batches in random order, each of inputs of like length, which need little padding."""
    order = random.Random(course.seed * 1000 + epoch)
    mixed = order.sample(lessons, len(lessons))
    for pool in chunks(mixed, POOL_BATCHES * course.batch):
        batches = list(chunks(sorted(pool, key=lambda lesson: len(lesson.tokens.ids)), course.batch))
        yield from order.sample(batches, len(batches))


def chunks(items: list[Any], size: int) -> Iterator[list[Any]]:
    """Consecutive parts of at most `size` items."""
    return (items[start : start + size] for start in range(0, len(items), size))


def tensors(inputs: Sequence[Tokens]) -> dict[str, torch.Tensor]:
    """The model's inputs by name, (inputs, longest input), padded right."""
    return {name: torch.from_numpy(array) for name, array in padded(inputs, INPUTS, pad_id=0).items()}
