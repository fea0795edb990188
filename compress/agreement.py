"""When two models agree on an input, by task kind. Pure functions on the outputs of both, input by input.

For most kinds it is the answer a user would get: the label, every tag, the next token, the order of two candidates. A
vector has no answer of its own, so embedders agree where the nearest neighbour among the other inputs is the same.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Outputs = Mapping[str, Floats]


class Agreement(NamedTuple):
    """Share of decisions that are the same, how many there were, and how many differing ones were near ties.

    A near tie is a decision that the original takes by less than twice the tolerance.
    """

    share: float
    decisions: int
    near_ties: int


def agreement(task: str, before: Sequence[Outputs], after: Sequence[Outputs], tolerance: float) -> Agreement:
    """How far two models agree. Both have one entry an input, arrays of shape (1, ...)."""
    decide = _DECIDE.get(task, _highest)
    margins, same = zip(*decide(before, after), strict=True)
    margin, kept = np.concatenate(margins), np.concatenate(same)
    tied = int((~kept & (margin <= 2 * tolerance)).sum())
    return Agreement(float(kept.mean()), len(kept), tied)


def min_cosine(before: Sequence[Outputs], after: Sequence[Outputs]) -> float:
    """The smallest cosine between an input's two vectors."""
    a, b = _unit(before), _unit(after)
    return float((a * b).sum(axis=1).min())


def mean_divergence(before: Sequence[Outputs], after: Sequence[Outputs]) -> float:
    """Mean Kullback-Leibler divergence, in nats a token, of the distributions that two rows of logits stand for."""
    return float(np.concatenate([divergence(a["logits"][0], b["logits"][0]) for a, b in _pairs(before, after)]).mean())


def divergence(before: Floats, after: Floats) -> NDArray[np.float64]:
    """KL(before || after) of each row of logits, (rows, vocabulary), in nats."""
    a, b = _log_softmax(before), _log_softmax(after)
    result: NDArray[np.float64] = (np.exp(a) * (a - b)).sum(axis=-1)
    return result


def _log_softmax(logits: Floats) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


Decisions = list[tuple[NDArray[np.float32], NDArray[np.bool_]]]


def _pairs(before: Sequence[Outputs], after: Sequence[Outputs]) -> list[tuple[Outputs, Outputs]]:
    return list(zip(before, after, strict=True))


def _highest(before: Sequence[Outputs], after: Sequence[Outputs]) -> Decisions:
    """The highest value of the last axis, in every row of every output."""
    return [_highest_of(a[name], b[name]) for a, b in _pairs(before, after) for name in a]


def _highest_of(a: Floats, b: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    a, b = a.reshape(-1, a.shape[-1]), b.reshape(-1, b.shape[-1])
    two = np.sort(a, axis=1)[:, -2:]
    return two[:, -1] - two[:, 0], a.argmax(axis=1) == b.argmax(axis=1)


def _signs(before: Sequence[Outputs], after: Sequence[Outputs]) -> Decisions:
    """Each label's own yes or no."""
    pairs = [(a["logits"].ravel(), b["logits"].ravel()) for a, b in _pairs(before, after)]
    return [(np.abs(a), (a > 0) == (b > 0)) for a, b in pairs]


def _order(before: Sequence[Outputs], after: Sequence[Outputs]) -> Decisions:
    """Which of two scores that follow one another is higher."""
    a, b = (np.diff(np.concatenate([each["logits"].ravel() for each in side])) for side in (before, after))
    return [(np.abs(a), (a > 0) == (b > 0))]


def _neighbours(before: Sequence[Outputs], after: Sequence[Outputs]) -> Decisions:
    """The nearest other input."""
    cosines = [_unit(side) @ _unit(side).T for side in (before, after)]
    for each in cosines:
        np.fill_diagonal(each, -2.0)
    return [_highest_of(*cosines)]


def _unit(side: Sequence[Outputs]) -> Floats:
    vectors = np.concatenate([each["sentence_embedding"] for each in side])
    unit: Floats = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


_DECIDE: dict[str, Callable[[Sequence[Outputs], Sequence[Outputs]], Decisions]] = {
    "multi-label-classification": _signs,
    "pair-scoring": _order,
    "reward": _order,
    "sentence-embedding": _neighbours,
}
