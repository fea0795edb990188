"""The next token, and so a whole text: the causal language model.

What is timed is a greedy continuation of a prompt; what is scored is each next token of a real text, given those
before it, which needs no sampling and no judge.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

from mct.models.tasks.examples import Answer, Example, Kind, Outputs, Part, Request, Row, Truth, column
from mct.models.tasks.table import Head
from mct.models.tasks.tokens import Tokenize, Tokens

PROMPT_SHARE = 2


class Foreseen(TypedDict):
    """How well a text was foreseen: see `decode`."""

    tokens: int
    right: int
    nll: float


def read(rows: Sequence[Row]) -> tuple[Example, ...]:
    """`text` is scored; its first half of words is the prompt that is timed, unless the row has a `prompt`."""
    return tuple(Example(row.get("prompt") or _first_half(row["text"]), None, row["text"], row["text"]) for row in rows)


def _first_half(text: str) -> str:
    words = text.split(" ")
    return " ".join(words[: max(1, len(words) // PROMPT_SHARE)])


def encode(tokenize: Tokenize, request: Request) -> list[Tokens]:
    """One text, one input."""
    return [tokenize(request)]


def decode(outputs: Outputs, inputs: Sequence[Tokens], heads: Sequence[Head]) -> Answer:
    """How well the text was foreseen: {"tokens", "right", "nll"}; `logits` is (1, tokens, vocabulary).

    `nll` is the negative log-likelihood in nats, summed over the tokens after the first.
    """
    import numpy as np

    ids = np.asarray(inputs[0].ids[1:])
    logits = outputs["logits"][0, : len(ids)].astype(np.float64)
    top = logits.max(axis=-1, keepdims=True)
    log_total = top[:, 0] + np.log(np.exp(logits - top).sum(axis=-1))
    likelihood = logits[np.arange(len(ids)), ids] - log_total
    right = int((logits.argmax(axis=-1) == ids).sum())
    return {"tokens": len(ids), "right": right, "nll": round(float(-likelihood.sum()), 4)}


def score(truth: Truth, answer: Mapping[str, Any]) -> Mapping[str, Part]:
    """The share of tokens that the model puts first."""
    return {"next_token_accuracy": Part(float(answer["right"]), float(answer["tokens"]))}


def labels(truth: Truth) -> Iterable[str]:
    """None."""
    return ()


KIND = Kind(read, encode, decode, score, labels, column, None, Foreseen)
