"""Several heads on one backbone: each answers in its own way, from one pass over the text.

A head is named like the field of the data that it predicts ("label", "slots", "sentiment"); its output in every format
is "<name>_logits".
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mct.models.tasks import multi_label as task_labels
from mct.models.tasks import single_label as task_label
from mct.models.tasks import tagging as task_tags
from mct.models.tasks.examples import Answer, Example, Kind, Outputs, Part, Row, Truth, column
from mct.models.tasks.table import Head
from mct.models.tasks.tokens import Tokens

SUFFIX = "_logits"
NOT_HEADS = frozenset({"text"})


def read(rows: Sequence[Row]) -> tuple[Example, ...]:
    """`text` asks; every other field is what the head of that name should answer."""
    return tuple(Example(row["text"], _truth(row), row["text"], row["text"]) for row in rows)


def _truth(row: Row) -> dict[str, Any]:
    """As the heads name their labels: by text, where a file may have numbers."""
    return {name: _named(value) for name, value in row.items() if name not in NOT_HEADS}


def _named(value: Any) -> str | list[str]:
    return [str(each) for each in value] if isinstance(value, list) else str(value)


def decode(outputs: Outputs, inputs: Sequence[Tokens], heads: Sequence[Head]) -> Answer:
    """Each head's answer by its name."""
    return {head.name: _DECODE[head.kind](outputs[head.name + SUFFIX], inputs, head) for head in heads}


def _decode_label(logits: Any, inputs: Sequence[Tokens], head: Head) -> Answer:
    return head.labels[int(logits[0].argmax())]


def _decode_labels(logits: Any, inputs: Sequence[Tokens], head: Head) -> Answer:
    return task_labels.decode({"logits": logits}, inputs, (head,))


def _decode_tags(logits: Any, inputs: Sequence[Tokens], head: Head) -> Answer:
    return task_tags.decode({"logits": logits}, inputs, (head,))


_DECODE = {"label": _decode_label, "labels": _decode_labels, "tags": _decode_tags}


def score(truth: Truth, answer: Answer) -> Mapping[str, Part]:
    """The share of examples on which every head is right, then each head's own metric under "<head> <metric>"."""
    parts = {name: _score_one(name, truth[name], value) for name, value in answer.items()}
    right = all(_same(truth[name], value) for name, value in answer.items())
    return {"all_heads_right": Part(float(right), 1.0)} | dict(parts.values())


def _score_one(name: str, truth: Any, answer: Any) -> tuple[str, Part]:
    """A text is a label; a list of tags is as long as the truth's and in its order, a list of labels is sorted."""
    if isinstance(answer, str):
        return f"{name} accuracy", Part(float(str(truth) == answer), 1.0)
    if _are_tags(truth):
        return f"{name} f1_entities", task_tags.entity_part(task_tags.tags_of(truth), answer)
    return f"{name} f1_micro", task_labels.score(sorted(truth), answer)["f1_micro"]


def _same(truth: Any, answer: Any) -> bool:
    if isinstance(answer, str):
        return str(truth) == answer
    return bool(answer == (task_tags.tags_of(truth) if _are_tags(truth) else sorted(truth)))


def _are_tags(truth: Any) -> bool:
    """Tags, as one text or as a list; a list of labels has some that do not look like them."""
    tags = task_tags.tags_of(truth)
    return bool(tags) and all(map(task_tags.is_tag, tags))


def labels(truth: Truth) -> Iterable[str]:
    """Those of heads with one label an example: what a slice may be named after."""
    return tuple(value for value in truth.values() if isinstance(value, str) and not _are_tags(value))


def recall(truth: Truth, answer: Answer, label: str) -> Part:
    """Of the heads that should answer it, those that do: another head's label of the same name is no answer."""
    named = [name for name, value in truth.items() if value == label and isinstance(answer[name], str)]
    return Part(float(sum(answer[name] == label for name in named)), float(len(named)))


def confidence(outputs: Outputs, heads: Sequence[Head], label: str) -> float:
    """The log-odds of the label in the head of one label that has it."""
    head = next(head for head in heads if head.kind == "label" and label in head.labels)
    return task_label.log_odds(outputs[head.name + SUFFIX][0], head.labels.index(label))


# What a row says of its heads, and what they answer.
Right = dict[str, str | int | list[str | int]]
Given = dict[str, str | list[str]]

KIND = Kind(read, task_tags.encode, decode, score, labels, column, Right, Given, recall, confidence)
