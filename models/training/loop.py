"""What every training loop here shares: how to train, on which device, the optimiser and its rate. A leaf.

The same seed, machine, library versions and thread count give the same weights, bit for bit.
"""

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch

from mct.models.progress import Report, silent

_T = TypeVar("_T")

MAX_GRADIENT_NORM = 1.0
POOL_BATCHES = 40


@dataclass(frozen=True)
class Training:
    """How to train. `batch` in texts, `max_tokens` with special tokens, `warmup` the share of steps with a rising rate.

    `frozen_embeddings` keeps the word embeddings as they came; leave it off for a model that starts from scratch.
    """

    epochs: int = 2
    learning_rate: float = 3e-4
    batch: int = 32
    max_tokens: int = 128
    warmup: float = 0.1
    weight_decay: float = 0.01
    frozen_embeddings: bool = False
    seed: int = 0


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Torch's random state set by `seed` inside, and afterwards what it was before."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def learn(
    model: torch.nn.Module,
    batches: Sequence[_T],
    loss_of: Callable[[_T], torch.Tensor],
    training: Training,
    report: Report = silent,
    stage: str = "training",
    cost: Callable[[_T], int] = lambda batch: 1,
) -> None:
    """Train what requires gradients in `model`, in place, by one step a batch; it ends in evaluation mode on the CPU.

    `loss_of` finds the loss of a batch on the model's device, in bfloat16 where that is fast. `report` gets `stage` and
    the share of all batches' `cost` that is done.
    """
    done = list(itertools.accumulate(map(cost, batches)))
    for number in steps(model, batches, loss_of, training):
        report(stage, done[number - 1] / done[-1])
    move(model, torch.device("cpu")).eval()


def steps(
    model: torch.nn.Module, batches: Sequence[_T], loss_of: Callable[[_T], torch.Tensor], training: Training
) -> Iterator[int]:
    """The same step by step: how many are done, after each. Whoever asks may look at the model, or ask no more.

    The rate falls to nothing over all batches. The model is left on the device that it was trained on.
    """
    device = find_device()
    with seeded(training.seed):
        optimiser = adamw(move(model, device), training)
        schedule = linear_schedule(optimiser, len(batches), training.warmup)
        for number, batch in enumerate(batches, start=1):
            model.train()
            with torch.autocast(device.type, torch.bfloat16, enabled=has_fast_bfloat16(device)):
                loss = loss_of(batch)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
            optimiser.step()
            schedule.step()
            yield number


def find_device() -> torch.device:
    """A GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def move(model: torch.nn.Module, device: torch.device) -> torch.nn.Module:
    """The model on that device: `to` as type checkers understand it for every model."""
    return model.to(device)


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 products are done by the processor itself; emulated ones are slower than fp32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def by_length(items: Sequence[_T], length: Callable[[_T], int], training: Training) -> Iterator[Sequence[_T]]:
    """Every epoch's batches in random order, each of items of like length: sorted within pools, shuffled by batch."""
    shuffle = random.Random(training.seed)
    for _ in range(training.epochs):
        order = shuffle.sample(items, len(items))
        for pool in chunks(order, POOL_BATCHES * training.batch):
            batches = list(chunks(sorted(pool, key=length), training.batch))
            yield from shuffle.sample(batches, len(batches))


def chunks(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    """Consecutive parts of at most `size` items."""
    return (items[start : start + size] for start in range(0, len(items), size))


def adamw(model: torch.nn.Module, training: Training) -> torch.optim.AdamW:
    """AdamW; biases and normalisation weights (one dimension) are not decayed."""
    trained = [weights for weights in model.parameters() if weights.requires_grad]
    groups = [
        {"params": [weights for weights in trained if weights.ndim > 1], "weight_decay": training.weight_decay},
        {"params": [weights for weights in trained if weights.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=training.learning_rate, fused=True)


def linear_schedule(optimiser: torch.optim.Optimizer, steps: int, warmup: float) -> torch.optim.lr_scheduler.LambdaLR:
    """Rises linearly to the full rate over the `warmup` share of `steps`, then falls linearly to nothing."""
    rising = max(1, round(steps * warmup))

    def rate(step: int) -> float:
        return min((step + 1) / rising, (steps - step) / max(1, steps - rising))

    return torch.optim.lr_scheduler.LambdaLR(optimiser, rate)
