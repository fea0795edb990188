"""Several heads on one backbone, trained together: the losses of all heads added, in one pass over the text.

Every head reads what the backbone makes of the text (see mct.models.checkpoints.load_heads): one label or any number of
them from the first token, a tag from the first token of each word. What is shared is learned from all tasks at once.
The price is that one task's gain can be another's loss, so each head has its own score. A leaf.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from tokenizers import Tokenizer
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from mct import MctError
from mct.models.checkpoints.load_heads import Heads, save_heads
from mct.models.data.files import Row
from mct.models.progress import Report, silent
from mct.models.tasks import multi_head
from mct.models.tasks.table import Head
from mct.models.tasks.tokens import Tokenize, Tokens
from mct.models.training.classification import Classifier, padded_inputs, padding_id, save
from mct.models.training.loop import Training, by_length, learn, seeded

IGNORED = -100
"""cross_entropy's own mark for a token without a tag."""


@dataclass(frozen=True)
class MultiTask:
    """The backbone with its heads, and the tokenizer that feeds it."""

    model: Heads
    tokenizer: PreTrainedTokenizerFast


@dataclass(frozen=True)
class _Lesson:
    tokens: Tokens
    targets: Mapping[str, Any]


def with_heads(classifier: Classifier, heads: Sequence[Head], seed: int = 0) -> MultiTask:
    """The classifier's backbone under new heads drawn from `seed`; its own head goes."""
    backbone: PreTrainedModel = classifier.model.base_model  # type: ignore[assignment]
    with seeded(seed):
        layers = [torch.nn.Linear(int(backbone.config.hidden_size), len(head.labels)) for head in heads]
    return MultiTask(Heads(backbone, heads, layers), classifier.tokenizer)


def train_heads(multi: MultiTask, rows: Sequence[Row], training: Training, report: Report = silent) -> None:
    """Train backbone and heads in place on rows with `text` and a field for each head, by its name.

    MctError for a label that a head does not have.
    """
    tokenize = _tokenize(multi, training.max_tokens)
    lessons = [_lesson(tokenize, row, multi.model.heads) for row in rows]
    batches = list(by_length(lessons, lambda lesson: len(lesson.tokens.ids), training))
    words = multi.model.model.get_input_embeddings()
    words.requires_grad_(not training.frozen_embeddings)
    learn(
        multi.model, batches, lambda batch: _loss(multi, batch), training, report, "training all heads",
        cost=lambda batch: len(batch) * len(batch[-1].tokens.ids),
    )  # fmt: skip
    words.requires_grad_(True)


def head_scores(multi: MultiTask, rows: Sequence[Row], max_tokens: int = 128) -> dict[str, float]:
    """Each head's own metric on `rows`, and the share on which all are right: decoded and scored as everywhere."""
    tokenize, kind = _tokenize(multi, max_tokens), multi_head.KIND
    parts = []
    multi.model.train(False)
    for example in kind.read(rows):
        inputs = kind.encode(tokenize, example.scored)
        with torch.inference_mode():
            outputs = multi.model(**padded_inputs([inputs[0].ids], 0, torch.device("cpu")))
        found = {name: output.numpy() for name, output in outputs.items()}
        parts.append(kind.score(example.truth, kind.decode(found, inputs, multi.model.heads)))
    totals = {name: [sum(side) for side in zip(*(each[name] for each in parts), strict=True)] for name in parts[0]}
    return {name: round(got / of, 4) if of else 0.0 for name, (got, of) in totals.items()}


def save_multi_task(multi: MultiTask, folder: Path) -> None:
    """Write the backbone as AutoModel saves it, its tokenizer, heads.json and heads.safetensors."""
    model = multi.model
    save(Classifier(model.model, multi.tokenizer, ()), folder)
    named = zip(model.heads, model.layers, strict=True)
    save_heads(folder, model.heads, {head.name: cast(torch.nn.Linear, layer) for head, layer in named})


def _tokenize(multi: MultiTask, max_tokens: int) -> Tokenize:
    tokenizer = Tokenizer.from_str(multi.tokenizer.backend_tokenizer.to_str())
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return Tokenize(tokenizer)


def _lesson(tokenize: Tokenize, row: Row, heads: Sequence[Head]) -> _Lesson:
    tokens = tokenize.with_words(row["text"])
    return _Lesson(tokens, {head.name: _target(row[head.name], tokens, head) for head in heads})


def _target(value: Any, tokens: Tokens, head: Head) -> Any:
    """The label's number, a yes or no for each label, or for each token the number of its word's tag."""
    try:
        if head.kind == "label":
            return head.labels.index(str(value))
        if head.kind == "labels":
            return [float(name in value) for name in head.labels]
        of_token = [IGNORED] * len(tokens.ids)
        for place, tag in zip(tokens.words, value, strict=True):
            if place >= 0:
                of_token[place] = head.labels.index(tag)
        return of_token
    except ValueError as error:
        raise MctError(
            f"the head {head.name} cannot learn {value!r}", "each word has a tag, and the head every label"
        ) from error


def _loss(multi: MultiTask, batch: Sequence[_Lesson]) -> torch.Tensor:
    device = multi.model.model.device
    ids = [lesson.tokens.ids for lesson in batch]
    outputs = multi.model(**padded_inputs(ids, padding_id(multi.tokenizer), device))
    losses = [
        _head_loss(
            head, outputs[head.name + multi_head.SUFFIX].float(), [lesson.targets[head.name] for lesson in batch]
        )
        for head in multi.model.heads
    ]
    return torch.stack(losses).sum()


def _head_loss(head: Head, logits: torch.Tensor, targets: list[Any]) -> torch.Tensor:
    if head.kind == "label":
        return functional.cross_entropy(logits, torch.tensor(targets, device=logits.device))
    if head.kind == "labels":
        return functional.binary_cross_entropy_with_logits(logits, torch.tensor(targets, device=logits.device))
    longest = logits.shape[1]
    wanted = torch.tensor([each + [IGNORED] * (longest - len(each)) for each in targets], device=logits.device)
    return functional.cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=IGNORED)
