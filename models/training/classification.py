"""Fine-tune a sequence classifier on rows of text and label: AdamW, a linear warm-up and decay, and nothing hidden.

A leaf. The loop is written out rather than taken from transformers' Trainer: on two cores what counts is what is *not*
computed, so texts of like length share a batch (little padding), the word embeddings can be frozen (half of a MiniLM's
weights then need no optimiser step), and matrix products run in bfloat16 where the processor has instructions for it.
The price: only sequence classification with one label per text is trained here.

The same seed, machine, library versions and thread count give the same weights, bit for bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from mct.models.networks import shallow
from mct.models.progress import Report, silent
from mct.models.training.loop import Training as Training
from mct.models.training.loop import by_length, chunks, find_device, learn, move
from mct.models.training.loop import seeded as seeded

# Its loading bars and its report of the missing head would run through our own progress line.
logging.disable_progress_bar()  # type: ignore[no-untyped-call]
logging.set_verbosity_error()  # type: ignore[no-untyped-call]

shallow.register()

EVALUATION_BATCH = 128


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
    model = classifier.model
    batches = list(
        by_length(_encode(classifier, rows, training.max_tokens), lambda example: len(example.ids), training)
    )
    padding = padding_id(classifier.tokenizer)
    model.get_input_embeddings().requires_grad_(not training.frozen_embeddings)
    learn(
        model, batches, lambda batch: _loss(model, batch, padding), training, report, stage,
        cost=lambda batch: len(batch) * len(batch[-1].ids),
    )  # fmt: skip
    model.get_input_embeddings().requires_grad_(True)


def predict(classifier: Classifier, texts: Sequence[str], max_tokens: int = 128) -> list[str]:
    """The most probable label of each text, in fp32, in the order given."""
    return [classifier.labels[best] for best in logits_of(classifier, texts, max_tokens).argmax(-1).tolist()]


def logits_of(classifier: Classifier, texts: Sequence[str], max_tokens: int = 128) -> torch.Tensor:
    """The logits of each text, (texts, labels), in fp32 and in the order given."""
    model, device = classifier.model, find_device()
    ids = token_ids(classifier, texts, max_tokens)
    order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
    padding = padding_id(classifier.tokenizer)
    found = torch.empty(len(ids), len(classifier.labels))
    move(model, device).eval()
    with torch.inference_mode():
        for chunk in chunks(order, EVALUATION_BATCH):
            inputs = padded_inputs([ids[index] for index in chunk], padding, device)
            found[chunk] = model(**inputs).logits.float().cpu()
    move(model, torch.device("cpu"))
    return found


def accuracy(classifier: Classifier, rows: Sequence[Row], max_tokens: int = 128) -> float:
    """Share of `rows` whose label is the model's first answer, 0 to 1."""
    answers = predict(classifier, [row["text"] for row in rows], max_tokens)
    return sum(int(answer == row["label"]) for answer, row in zip(answers, rows, strict=True)) / len(rows)


def scores(classifier: Classifier, rows: Sequence[Row], max_tokens: int = 128) -> dict[str, Any]:
    """The accuracy on `rows`, and under "recall" that of each label which they have; all 0 to 1."""
    answers = predict(classifier, [row["text"] for row in rows], max_tokens)
    right = [(row["label"], answer == row["label"]) for row, answer in zip(rows, answers, strict=True)]
    by_label = {label: [is_right for each, is_right in right if each == label] for label in classifier.labels}
    return {
        "accuracy": _share([is_right for _, is_right in right]),
        "recall": {label: _share(some) for label, some in by_label.items() if some},
    }


def _share(right: Sequence[bool]) -> float:
    return round(sum(right) / len(right), 4)


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


def _encode(classifier: Classifier, rows: Sequence[Row], max_tokens: int) -> list[_Example]:
    index_of = {label: index for index, label in enumerate(classifier.labels)}
    strange = sorted({str(row["label"]) for row in rows} - set(index_of))
    if strange:
        raise MctError(f"a label that the model does not know: {strange[0]!r}", "load the base with every label")
    ids = token_ids(classifier, [row["text"] for row in rows], max_tokens)
    return [_Example(tokens, index_of[row["label"]]) for tokens, row in zip(ids, rows, strict=True)]


def token_ids(classifier: Classifier, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
    """The ids of each text, special tokens among them, cut to `max_tokens`."""
    encoded = classifier.tokenizer(list(texts), truncation=True, max_length=max_tokens, padding=False)
    ids: list[list[int]] = encoded["input_ids"]
    return ids


def padded_inputs(batch: Sequence[list[int]], padding: int, device: torch.device) -> dict[str, torch.Tensor]:
    """`input_ids` and `attention_mask`, both (texts, longest text), padded on the right."""
    longest = max(map(len, batch))
    padded = [ids + [padding] * (longest - len(ids)) for ids in batch]
    mask = [[1] * len(ids) + [0] * (longest - len(ids)) for ids in batch]
    return {"input_ids": torch.tensor(padded, device=device), "attention_mask": torch.tensor(mask, device=device)}


def padding_id(tokenizer: PreTrainedTokenizerFast) -> int:
    """The id that fills up a batch. MctError where the tokenizer has none."""
    if tokenizer.pad_token_id is None:
        raise MctError("the base model's tokenizer has no padding token", "set pad_token in its tokenizer_config.json")
    return int(tokenizer.pad_token_id)


def _loss(model: PreTrainedModel, batch: Sequence[_Example], padding: int) -> torch.Tensor:
    labels = torch.tensor([example.label for example in batch], device=model.device)
    logits = model(**padded_inputs([example.ids for example in batch], padding, model.device)).logits
    return torch.nn.functional.cross_entropy(logits.float(), labels)
