"""One label for a text: sequence classification, and a linear head on an embedder (SetFit)."""

from collections.abc import Iterable, Mapping, Sequence
from math import exp, log
from typing import Any

from mct.models.tasks.examples import Answer, Example, Kind, Outputs, Part, Request, Row, Truth, column
from mct.models.tasks.ranking import significant
from mct.models.tasks.table import Head
from mct.models.tasks.tokens import Tokenize, Tokens


def read(rows: Sequence[Row]) -> tuple[Example, ...]:
    """`text` asks, `label` is right."""
    return tuple(Example(row["text"], str(row["label"]), row["text"], row["text"]) for row in rows)


def encode(tokenize: Tokenize, request: Request) -> list[Tokens]:
    """One text, one input."""
    return [tokenize(request)]


def decode(outputs: Outputs, inputs: Sequence[Tokens], heads: Sequence[Head]) -> Answer:
    """The label of the highest logit; `logits` is (1, labels)."""
    return heads[0].labels[int(outputs["logits"][0].argmax())]


def score(truth: Truth, answer: Answer) -> Mapping[str, Part]:
    """Accuracy."""
    return {"accuracy": Part(float(truth == answer), 1.0)}


def labels(truth: Truth) -> Iterable[str]:
    """The one label."""
    return (truth,)


def recall(truth: Truth, answer: Answer, label: str) -> Part:
    """Whether the text got it, where it should."""
    return Part(float(truth == answer == label), float(truth == label))


def confidence(outputs: Outputs, heads: Sequence[Head], label: str) -> float:
    """The log-odds of a label against all others, from the softmax over them."""
    return log_odds(outputs["logits"][0], heads[0].labels.index(label))


def log_odds(logits: Any, place: int) -> float:
    """Of one of several logits against the others: told apart however near to certain it is."""
    others = [float(logit) for at, logit in enumerate(logits) if at != place]
    top = max(others, default=0.0)
    return significant(float(logits[place]) - top - log(sum(exp(logit - top) for logit in others) or 1.0))


KIND = Kind(read, encode, decode, score, labels, column, str, str, recall, confidence)
