"""Teach a causal language model rows of text, or the answers in them: the plain next-token loss, and nothing hidden.

A leaf. `text` is learned whole, or from the end of its `prompt` on, and ends with the end-of-text token. Works on a
transformers model and on one with an adapter of peft's on it alike, whose base then stays as it is. The loop is our own
(mct.models.training.loop) rather than transformers' Trainer, which leaves files with times and paths in them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from transformers import AutoTokenizer, PreTrainedTokenizerFast, logging

from mct.models.checkpoints.checkpoint import inspect
from mct.models.checkpoints.load import load_model
from mct.models.data.files import Row
from mct.models.progress import Report, silent
from mct.models.training.loop import Training, by_length, chunks, find_device, learn, move

logging.disable_progress_bar()  # type: ignore[no-untyped-call]
logging.set_verbosity_error()  # type: ignore[no-untyped-call]

NOTHING = -100
"""The label of a token that is not learned, as transformers and torch have it."""

EVALUATION_BATCH = 32


@dataclass(frozen=True)
class Writer:
    """A language model, with or without an adapter on it, and the tokenizer that feeds it."""

    model: torch.nn.Module
    tokenizer: PreTrainedTokenizerFast


@dataclass(frozen=True)
class Text:
    """A text's token ids, and the first of them that is learned or scored."""

    ids: list[int]
    start: int


@dataclass(frozen=True)
class Batch:
    """Texts as tensors, (texts, longest): padded on the right; `targets` is NOTHING where nothing is to be foreseen."""

    ids: torch.Tensor
    mask: torch.Tensor
    targets: torch.Tensor


MoreLoss = Callable[[Any, Batch, Sequence[Row]], torch.Tensor]
"""A further loss: of the model's output, the batch, and the rows in it."""


def load_writer(folder: Path) -> Writer:
    """The language model of a folder, in fp32, packed weights decoded. MctError where it holds none."""
    model = load_model(inspect(folder))
    tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True, local_files_only=True, trust_remote_code=False)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return Writer(model, cast(PreTrainedTokenizerFast, tokenizer))


def finetune(
    writer: Writer,
    rows: Sequence[Row],
    training: Training,
    report: Report = silent,
    stage: str = "fine-tuning",
    more_loss: MoreLoss | None = None,
) -> None:
    """Train what requires gradients on rows of `text`; of one with a `prompt`, only what comes after it.

    `more_loss` is added to the loss of the next tokens.
    """
    texts = list(zip(encode(writer.tokenizer, rows, training.max_tokens), rows, strict=True))
    batches = list(by_length(texts, lambda pair: len(pair[0].ids), training))

    def loss_of(pairs: Sequence[tuple[Text, Row]]) -> torch.Tensor:
        batch = batch_of([text for text, _ in pairs], writer, find_device())
        output = writer.model(input_ids=batch.ids, attention_mask=batch.mask)
        loss = token_losses(output.logits, batch).sum() / (batch.targets != NOTHING).sum().clamp(min=1)
        return loss if more_loss is None else loss + more_loss(output, batch, [row for _, row in pairs])

    learn(writer.model, batches, loss_of, training, report, stage, cost=lambda pairs: sum(len(p[0].ids) for p in pairs))


def encode(tokenizer: PreTrainedTokenizerFast, rows: Sequence[Row], max_tokens: int) -> list[Text]:
    """Each row's text with the token that ends it, cut to `max_tokens`: of a prompt as long as that nothing follows."""
    whole: list[list[int]] = tokenizer([row["text"] for row in rows])["input_ids"]
    before: list[list[int]] = tokenizer([row.get("prompt", "") for row in rows])["input_ids"]
    end = cast(int, tokenizer.eos_token_id)
    cut = ([*ids, end][:max_tokens] for ids in whole)
    return [Text(ids, min(max(1, len(prompt)), len(ids))) for ids, prompt in zip(cut, before, strict=True)]


def batch_of(texts: Sequence[Text], writer: Writer, device: torch.device) -> Batch:
    """The texts as tensors on `device`; the targets are moved by one: what follows on each token."""
    longest = max(len(text.ids) for text in texts)
    padding = cast(int, writer.tokenizer.pad_token_id)
    ids = [text.ids + [padding] * (longest - len(text.ids)) for text in texts]
    mask = [[1] * len(text.ids) + [0] * (longest - len(text.ids)) for text in texts]
    learned = [[NOTHING] * text.start + text.ids[text.start :] for text in texts]
    targets = [row[1:] + [NOTHING] * (longest - len(row) + 1) for row in learned]
    return Batch(*(torch.tensor(rows, device=device) for rows in (ids, mask, targets)))


def token_losses(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """The negative log-likelihood of each token, (texts, longest), 0 where nothing is to be foreseen.

    A model with virtual tokens gives logits for these too; they come first.
    """
    own = logits[:, -batch.ids.shape[1] :].float()
    losses = torch.nn.functional.cross_entropy(
        own.transpose(1, 2), batch.targets, ignore_index=NOTHING, reduction="none"
    )
    return losses.masked_fill(batch.targets == NOTHING, 0.0)


def answer_loss(writer: Writer, rows: Sequence[Row], max_tokens: int = 512) -> float:
    """Nats per token that the model is surprised by: of the answers, where rows have a `prompt`. Lower is better."""
    losses = list(text_losses(writer, rows, max_tokens))
    return sum(loss for loss, _ in losses) / sum(count for _, count in losses)


def text_losses(writer: Writer, rows: Sequence[Row], max_tokens: int = 512) -> list[tuple[float, int]]:
    """The negative log-likelihood (nats) of each row's answer, or whole text, and its number of tokens; in fp32."""
    device = find_device()
    texts = encode(writer.tokenizer, rows, max_tokens)
    order = sorted(range(len(texts)), key=lambda index: len(texts[index].ids))
    found = [(0.0, 0)] * len(texts)
    move(writer.model, device).eval()
    with torch.inference_mode():
        for chunk in chunks(order, EVALUATION_BATCH):
            batch = batch_of([texts[index] for index in chunk], writer, device)
            losses = token_losses(writer.model(input_ids=batch.ids, attention_mask=batch.mask).logits, batch).sum(1)
            counts = (batch.targets != NOTHING).sum(1)
            for index, loss, count in zip(chunk, losses.tolist(), counts.tolist(), strict=True):
                found[index] = (loss, count)
    move(writer.model, torch.device("cpu"))
    return found


def write_on(writer: Writer, prompt: str, most: int) -> str:
    """What the model writes after `prompt`, the likeliest token each time, until it ends or has `most` tokens."""
    ids = torch.tensor([writer.tokenizer(prompt)["input_ids"]])
    with torch.inference_mode():
        found = cast(Any, writer.model).generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=most, do_sample=False,
            pad_token_id=writer.tokenizer.pad_token_id,
        )  # fmt: skip
    return str(writer.tokenizer.decode(found[0, ids.shape[1] :], skip_special_tokens=True))


def save_writer(writer: Writer, folder: Path) -> None:
    """Write the model, or its adapter alone, with its tokenizer, into `folder`."""
    cast(Any, writer.model).save_pretrained(folder)
    writer.tokenizer.save_pretrained(folder)
    for weights in folder.rglob("*.safetensors"):
        weights.chmod(0o644)  # written for the owner's eyes only, unlike every file beside it
