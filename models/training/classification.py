"""Fine-tune a sequence classifier on rows of text and label: AdamW, a linear warm-up and decay, and nothing hidden.

A leaf. The loop is written out rather than taken from transformers' Trainer: on two cores what counts is what is *not*
computed, so texts of like length share a batch (little padding), the word embeddings can be frozen (half of a MiniLM's
weights then need no optimiser step), and matrix products run in bfloat16 where the processor has instructions for it.
The price: only sequence classification with one label per text is trained here.

The same seed, machine, library versions and thread count give the same weights, bit for bit.
"""

import itertools
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    logging,
)

from mct import MctError
from mct.models.data.files import Row
from mct.models.progress import Report, silent

# Its loading bars and its report of the missing head would run through our own progress line.
logging.disable_progress_bar()  # type: ignore[no-untyped-call]
logging.set_verbosity_error()  # type: ignore[no-untyped-call]

_T = TypeVar("_T")

POOL_BATCHES = 40
EVALUATION_BATCH = 128
MAX_GRADIENT_NORM = 1.0


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


@dataclass(frozen=True)
class Classifier:
    """A model, the tokenizer that feeds it, and its labels in the order of its outputs."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    labels: tuple[str, ...]


@dataclass(frozen=True)
class _Example:
    ids: list[int]
    label: int


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Torch's random state set by `seed` inside, and afterwards what it was before."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def load_base(base: str, labels: Sequence[str], seed: int = 0) -> Classifier:
    """A pretrained encoder (folder or hub name) with a head for `labels`. MctError where it cannot be had.

    The head is drawn from `seed`, unless the base is a classifier of as many labels, whose head then goes on learning.
    """
    try:
        with seeded(seed):
            model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
                base,
                **label_names(labels),
                dtype=torch.float32,
                use_safetensors=True,
                ignore_mismatched_sizes=True,
                trust_remote_code=False,
            )
        tokenizer: PreTrainedTokenizerFast = AutoTokenizer.from_pretrained(base, trust_remote_code=False, use_fast=True)  # type: ignore[assignment]
    except (OSError, ValueError, RuntimeError) as error:  # off line, the hub's client ends in a RuntimeError
        raise MctError(
            f"the base model {base!r} cannot be loaded: {str(error).splitlines()[0]}",
            "give a folder with config.json, model.safetensors and tokenizer.json, or a hub name when on line",
        ) from error
    return Classifier(model, tokenizer, tuple(labels))


def label_names(labels: Sequence[str]) -> dict[str, Any]:
    """What a transformers config needs to know about `labels`: their names, both ways round."""
    return {"id2label": dict(enumerate(labels)), "label2id": {label: index for index, label in enumerate(labels)}}


def finetune(
    classifier: Classifier, rows: Sequence[Row], training: Training, report: Report = silent, stage: str = "fine-tuning"
) -> None:
    """Train `classifier.model` in place on rows with `text` and `label`; it ends in evaluation mode on the CPU.

    `report` gets `stage` and the share of tokens done. MctError for a label the model does not have.
    """
    model, device = classifier.model, _device()
    examples = _encode(classifier, rows, training.max_tokens)
    with seeded(training.seed):
        _move(model, device).train()
        model.get_input_embeddings().requires_grad_(not training.frozen_embeddings)
        batches = list(_batches(examples, training))
        optimiser = _optimiser(model, training)
        schedule = _linear_schedule(optimiser, len(batches), training.warmup)
        padding = _padding_id(classifier.tokenizer)
        done = list(itertools.accumulate(len(batch) * len(batch[-1].ids) for batch in batches))
        for batch, tokens_done in zip(batches, done, strict=True):
            _step(model, batch, padding, optimiser)
            schedule.step()
            report(stage, tokens_done / done[-1])
    model.get_input_embeddings().requires_grad_(True)
    _move(model, torch.device("cpu")).eval()


def predict(classifier: Classifier, texts: Sequence[str], max_tokens: int = 128) -> list[str]:
    """The most probable label of each text, in fp32, in the order given."""
    model, device = classifier.model, _device()
    examples = [_Example(ids, 0) for ids in _token_ids(classifier, texts, max_tokens)]
    order = sorted(range(len(examples)), key=lambda index: len(examples[index].ids))
    padding = _padding_id(classifier.tokenizer)
    answers = [""] * len(examples)
    _move(model, device).eval()
    with torch.inference_mode():
        for chunk in _chunks(order, EVALUATION_BATCH):
            inputs = _inputs([examples[index] for index in chunk], padding, device)
            best = model(**inputs).logits.argmax(-1).tolist()
            for index, label in zip(chunk, best, strict=True):
                answers[index] = classifier.labels[label]
    _move(model, torch.device("cpu"))
    return answers


def accuracy(classifier: Classifier, rows: Sequence[Row], max_tokens: int = 128) -> float:
    """Share of `rows` whose label is the model's first answer, 0 to 1."""
    answers = predict(classifier, [row["text"] for row in rows], max_tokens)
    return sum(int(answer == row["label"]) for answer, row in zip(answers, rows, strict=True)) / len(rows)


def save(classifier: Classifier, folder: Path) -> None:
    """Write config.json, model.safetensors, tokenizer.json and tokenizer_config.json into `folder`.

    Padding and truncation that a base may have left in its tokenizer.json go: they belong to whoever runs it.
    """
    classifier.tokenizer.backend_tokenizer.no_padding()
    classifier.tokenizer.backend_tokenizer.no_truncation()
    classifier.model.save_pretrained(folder)
    classifier.tokenizer.save_pretrained(folder)
    for weights in folder.glob("*.safetensors"):
        weights.chmod(0o644)  # written for the owner's eyes only, unlike every file beside it


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _move(model: torch.nn.Module, device: torch.device) -> torch.nn.Module:
    return model.to(device)


def _has_fast_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 products are done by the processor itself; emulated ones are slower than fp32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def _encode(classifier: Classifier, rows: Sequence[Row], max_tokens: int) -> list[_Example]:
    index_of = {label: index for index, label in enumerate(classifier.labels)}
    strange = sorted({str(row["label"]) for row in rows} - set(index_of))
    if strange:
        raise MctError(f"a label that the model does not know: {strange[0]!r}", "load the base with every label")
    ids = _token_ids(classifier, [row["text"] for row in rows], max_tokens)
    return [_Example(tokens, index_of[row["label"]]) for tokens, row in zip(ids, rows, strict=True)]


def _token_ids(classifier: Classifier, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
    encoded = classifier.tokenizer(list(texts), truncation=True, max_length=max_tokens, padding=False)
    ids: list[list[int]] = encoded["input_ids"]
    return ids


def _chunks(items: list[_T], size: int) -> Iterator[list[_T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _batches(examples: list[_Example], training: Training) -> Iterator[list[_Example]]:
    """Every epoch's batches in random order, each of texts of like length: sorted within pools, shuffled by batch."""
    shuffle = random.Random(training.seed)
    for _ in range(training.epochs):
        order = shuffle.sample(examples, len(examples))
        for pool in _chunks(order, POOL_BATCHES * training.batch):
            by_length = sorted(pool, key=lambda example: len(example.ids))
            batches = list(_chunks(by_length, training.batch))
            yield from shuffle.sample(batches, len(batches))


def _inputs(batch: list[_Example], padding: int, device: torch.device) -> dict[str, torch.Tensor]:
    """`input_ids` and `attention_mask`, both (texts, longest text), padded on the right."""
    longest = max(len(example.ids) for example in batch)
    ids = [example.ids + [padding] * (longest - len(example.ids)) for example in batch]
    mask = [[1] * len(example.ids) + [0] * (longest - len(example.ids)) for example in batch]
    return {
        "input_ids": torch.tensor(ids, device=device),
        "attention_mask": torch.tensor(mask, device=device),
    }


def _padding_id(tokenizer: PreTrainedTokenizerFast) -> int:
    if tokenizer.pad_token_id is None:
        raise MctError("the base model's tokenizer has no padding token", "set pad_token in its tokenizer_config.json")
    return int(tokenizer.pad_token_id)


def _optimiser(model: PreTrainedModel, training: Training) -> torch.optim.AdamW:
    """AdamW; biases and normalisation weights (one dimension) are not decayed."""
    trained = [weights for weights in model.parameters() if weights.requires_grad]
    groups = [
        {"params": [weights for weights in trained if weights.ndim > 1], "weight_decay": training.weight_decay},
        {"params": [weights for weights in trained if weights.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=training.learning_rate, fused=True)


def _linear_schedule(optimiser: torch.optim.Optimizer, steps: int, warmup: float) -> torch.optim.lr_scheduler.LambdaLR:
    """Rises linearly to the full rate over the `warmup` share of `steps`, then falls linearly to nothing."""
    rising = max(1, round(steps * warmup))

    def rate(step: int) -> float:
        return min((step + 1) / rising, (steps - step) / max(1, steps - rising))

    return torch.optim.lr_scheduler.LambdaLR(optimiser, rate)


def _step(model: PreTrainedModel, batch: list[_Example], padding: int, optimiser: torch.optim.Optimizer) -> None:
    device = model.device
    labels = torch.tensor([example.label for example in batch], device=device)
    with torch.autocast(device.type, torch.bfloat16, enabled=_has_fast_bfloat16(device)):
        logits = model(**_inputs(batch, padding, device)).logits
    loss = torch.nn.functional.cross_entropy(logits.float(), labels)
    optimiser.zero_grad()
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
    optimiser.step()
