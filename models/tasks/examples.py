"""What every task kind has to say about itself: the functions between a data row, a request, an answer and a score.

The values are plain: a request and an answer go to a worker process and into a result file as JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mct.models.tables import load
from mct.models.tasks.table import Head, find_task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mct.models.tasks.tokens import Tokenize, Tokens

Row = Mapping[str, Any]
Request = Any
Answer = Any
Truth = Any
Outputs = Mapping[str, "NDArray[np.float32]"]
Sketch = Mapping[str, "NDArray[np.generic]"]


@dataclass(frozen=True)
class Example:
    """One thing to ask and what is right. `request` is what a user sends and what is timed.

    `scored` is what the answer for the score is asked with, where that is more than the request (an embedder's query
    together with the documents it is to find); the request itself otherwise. `text` stands for it in reports.
    """

    request: Request
    truth: Truth
    scored: Request
    text: str


NLL, KL, MARGIN, IMPLICIT_MARGIN = "nll", "kl_to_original", "reward_margin", "implicit_reward_margin"
BALANCE = "expert_balance"
"""Amounts by name: nats a token that a text costs, and by which it is foreseen otherwise than by the original; how much
more an answer gets that was chosen than one that was rejected, and how much more beyond what the reference gives it."""


class Part(NamedTuple):
    """One example's share of a metric: the metric is the sum of `got` over the sum of `of`."""

    got: float
    of: float


def no_parts(*asked: Any) -> Mapping[str, Part]:
    """Of a kind that has none of these figures."""
    return {}


def no_recall(truth: Truth, answer: Answer, label: str) -> Part:
    """Of a kind that has no labels."""
    return Part(0.0, 0.0)


@dataclass(frozen=True)
class Kind:
    """A task kind as functions.

    `read`: rows to examples, in file order. `encode`: a request to one or more inputs of the model. `decode`: the
    outputs of those inputs (row i belongs to input i) to the answer. `score`: each metric's part of one example, the
    headline metric first. `labels`: the names in a truth that the model must know and a slice may be named after.
    `texts`: what rows hold to calibrate on and to check parity with, as requests that `encode` takes; texts that are
    compared with one another (a query's documents, a prompt's answers) are one request.
    `truth` and `answer`: the types of these, as a result file holds them. `recall`: of the places where the truth has a
    label, those where the answer has it too. `confidence`: how much the outputs of one request speak for a label, as
    its log-odds; None where there are no labels.

    `beside`: what of the original's answer another model's kept, as further metrics: 1 for the same. `amounts`: figures
    that are no shares (nats a token), a mean each. `condense`: what is kept of the outputs of one input, beside what
    `sketch` kept of the original's; both where all outputs of all inputs are too many to be at hand together.

    `wrote`: the answer in a text that a language model of a folder wrote, of `most_written` tokens at most; `decode` is
    not asked then.
    """

    read: Callable[[Sequence[Row]], tuple[Example, ...]]
    encode: Callable[[Tokenize, Request], list[Tokens]]
    decode: Callable[[Outputs, Sequence[Tokens], Sequence[Head]], Answer]
    score: Callable[[Truth, Answer], Mapping[str, Part]]
    labels: Callable[[Truth], Iterable[str]]
    texts: Callable[[Sequence[Row]], list[Request]]
    truth: Any
    answer: Any
    recall: Callable[[Truth, Answer, str], Part] = no_recall
    confidence: Callable[[Outputs, Sequence[Head], str], float] | None = None
    beside: Callable[[Answer, Answer], Mapping[str, Part]] = no_parts
    amounts: Callable[[Truth, Answer], Mapping[str, Part]] = no_parts
    condense: Callable[[Outputs, Tokens, Sketch | None], Outputs] | None = None
    sketch: Callable[[Outputs, Tokens], Sketch] | None = None
    wrote: Callable[[Path, str], Answer] | None = None
    most_written: int = 0


def find_kind(task: str) -> Kind:
    """The functions of a task kind. MctError for an unknown one."""
    kind: Any = load(find_task(task).kind)
    assert isinstance(kind, Kind)
    return kind


def column(rows: Sequence[Row], field: str = "text") -> list[Any]:
    """One field of every row, in order."""
    return [row[field] for row in rows]
