"""When two models agree on an input, by task kind. Pure functions on the outputs of both, input by input.

For most kinds it is the answer a user would get: the label, each label's yes or no, every word's tag, the next token,
which of two documents of one query comes first. A vector has no answer of its own, so embedders agree where the nearest
neighbour among the other inputs is the same.

How large a difference is depends on what is told apart by it: 0.03 is nothing to logits that range over ten, and much
to scores between 0 and 1. So differences and margins are measured in the spread of the original's own outputs.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from mct.compress.run.parity_inputs import ParityInputs
from mct.models.tasks.table import find_task

Floats = NDArray[np.float32]
Outputs = Mapping[str, Floats]

# A model that says nearly the same of every input is not asked to say it more exactly than to so much of its size.
LEAST_SPREAD = 0.01

# With two inputs the nearest other is the same whatever the vectors are.
FEWEST_VECTORS = 3


class Agreement(NamedTuple):
    """Share of decisions that are the same, how many there were, and how many differing ones were near ties.

    `share` is None where there was nothing to decide (one score, which no other is compared with). A near tie is a
    decision that the original takes by less than twice the tolerance.
    """

    share: float | None
    decisions: int
    near_ties: int


class Decisions(NamedTuple):
    """By how much the original decides, in spreads, and whether the other model decides alike; one entry each."""

    margins: NDArray[np.float64]
    same: NDArray[np.bool_]


def agreement(asked: ParityInputs, before: Sequence[Outputs], after: Sequence[Outputs], tolerance: float) -> Agreement:
    """How far two models agree. Both have one entry an input, arrays of shape (1, ...); `tolerance` is in spreads."""
    found = list(_DECIDE[find_task(asked.task).decides](asked, before, after))
    margins = np.concatenate([np.zeros(0), *(each.margins for each in found)])
    same = np.concatenate([np.zeros(0, np.bool_), *(each.same for each in found)])
    tied = int((~same & (margins <= 2 * tolerance)).sum())
    return Agreement(float(same.mean()) if len(same) else None, len(same), tied)


def kept_answers(asked: ParityInputs, before: Sequence[Outputs], after: Sequence[Outputs]) -> NDArray[np.bool_]:
    """Of each request that has something to decide: whether all of it is decided alike.

    A request's answer is all of a text's tags, all heads together, the whole order of a query's documents.
    """
    decided = list(_DECIDE[find_task(asked.task).decides](asked, before, after))
    if asked.task == "sentence-embedding":
        return np.concatenate([np.zeros(0, np.bool_), *(each.same for each in decided)])
    alike = [bool(each.same.all()) for each in decided if asked.heads or len(each.same)]
    by_head = np.array(alike, dtype=np.bool_).reshape(max(1, len(asked.heads)), -1)
    found: NDArray[np.bool_] = np.logical_and.reduce(by_head, axis=0)
    return found


def spread(values: Sequence[Floats]) -> float:
    """How much an output, (..., columns) for each input, differs from row to row: its distance from the columns' means.

    The root of the mean square. One row differs from nothing, so its size stands for it; 1 where everything is zero.
    """
    rows = [value.reshape(-1, value.shape[-1]) for value in values]
    count = sum(len(part) for part in rows)
    size = _root_mean_square(rows)
    if count < 2:
        return size or 1.0
    mean = sum(part.sum(axis=0, dtype=np.float64) for part in rows) / count
    return max(_root_mean_square([part - mean for part in rows]), LEAST_SPREAD * size) or 1.0


def _root_mean_square(parts: Sequence[NDArray[np.floating]]) -> float:
    squares = sum(float(np.square(part, dtype=np.float64).sum()) for part in parts)
    return float(np.sqrt(squares / sum(part.size for part in parts)))


def min_cosine(before: Sequence[Outputs], after: Sequence[Outputs]) -> float:
    """The smallest cosine between an input's two vectors."""
    a, b = _unit(before), _unit(after)
    return float((a * b).sum(axis=1).min())


def likeness(before: Sequence[Outputs], after: Sequence[Outputs]) -> dict[str, float]:
    """How alike two language models foresee the same texts, from their logits (1, tokens, vocabulary).

    "mean_kl" is the mean Kullback-Leibler divergence in nats a token, "same_top" the share of tokens with the same
    favourite. From two texts on each has its 95 % interval ("mean_kl_low", "mean_kl_high"): Student's t over texts,
    whose tokens belong together, by the delta method.
    """
    pairs = [(a["logits"][0], b["logits"][0]) for a, b in zip(before, after, strict=True)]
    tokens = np.array([len(a) for a, _ in pairs], dtype=np.float64)
    found = {}
    for name, most, parts in (
        ("mean_kl", np.inf, [divergence(a, b).sum() for a, b in pairs]),
        ("same_top", 1.0, [(a.argmax(axis=-1) == b.argmax(axis=-1)).sum() for a, b in pairs]),
    ):
        mean = float(np.sum(parts) / tokens.sum())
        found[name] = mean
        if len(pairs) > 1:
            influence = (np.asarray(parts, dtype=np.float64) - mean * tokens) / tokens.mean()
            error = float(np.std(influence, ddof=1)) / len(pairs) ** 0.5
            reach = float(special.stdtrit(len(pairs) - 1, 0.975)) * error
            found |= {f"{name}_low": max(0.0, mean - reach), f"{name}_high": min(most, mean + reach)}
    return found


def divergence(before: Floats, after: Floats) -> NDArray[np.float64]:
    """KL(before || after) of each row of logits, (rows, vocabulary), in nats."""
    a, b = _log_softmax(before), _log_softmax(after)
    result: NDArray[np.float64] = (np.exp(a) * (a - b)).sum(axis=-1)
    return result


def _log_softmax(logits: Floats) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def _decide_head(
    asked: ParityInputs, before: Sequence[Outputs], after: Sequence[Outputs], name: str, kind: str
) -> Iterable[Decisions]:
    """The decisions of one head, by its kind."""
    a, b = ([each[name] for each in side] for side in (before, after))
    scale = spread(a)
    if kind == "tags":
        places = [[place for place in tokens.words if place >= 0] for tokens in asked.inputs]
        a, b = ([value[:, kept] for value, kept in zip(side, places, strict=True)] for side in (a, b))
    decide = _signs if kind == "labels" else _highest
    return [decide(x, y, scale) for x, y in zip(a, b, strict=True)]


def _highest(a: Floats, b: Floats, scale: float) -> Decisions:
    """The highest value of the last axis, in every row."""
    a, b = a.reshape(-1, a.shape[-1]), b.reshape(-1, b.shape[-1])
    two = np.sort(a, axis=1)[:, -2:].astype(np.float64)
    return Decisions((two[:, -1] - two[:, 0]) / scale, a.argmax(axis=1) == b.argmax(axis=1))


def _signs(a: Floats, b: Floats, scale: float) -> Decisions:
    """Each label's own yes or no."""
    return Decisions(np.abs(a.ravel().astype(np.float64)) / scale, (a > 0).ravel() == (b > 0).ravel())


def _of_one_head(asked: ParityInputs, before: Sequence[Outputs], after: Sequence[Outputs]) -> Iterable[Decisions]:
    return _decide_head(asked, before, after, "logits", asked.heads[0].kind)


def _of_every_head(asked: ParityInputs, before: Sequence[Outputs], after: Sequence[Outputs]) -> Iterable[Decisions]:
    for head in asked.heads:
        yield from _decide_head(asked, before, after, f"{head.name}_logits", head.kind)


def _next_tokens(asked: ParityInputs, before: Sequence[Outputs], after: Sequence[Outputs]) -> Iterable[Decisions]:
    return _decide_head(asked, before, after, "logits", "label")


def _order(asked: ParityInputs, before: Sequence[Outputs], after: Sequence[Outputs]) -> Iterable[Decisions]:
    """Which of two scores is higher, of every two that one request asked for."""
    a, b = (np.array([each["logits"].item() for each in side], dtype=np.float64) for side in (before, after))
    scale = spread([each["logits"] for each in before])
    for _, group in groupby(range(len(a)), key=asked.groups.__getitem__):
        places = list(group)
        first, second = (np.array(places)[side] for side in np.triu_indices(len(places), k=1))
        ahead, still = a[first] - a[second], b[first] - b[second]
        yield Decisions(np.abs(ahead) / scale, np.sign(ahead) == np.sign(still))


def _neighbours(asked: ParityInputs, before: Sequence[Outputs], after: Sequence[Outputs]) -> Iterable[Decisions]:
    """The nearest other input; its margin is measured in the spread of all inputs' cosines with one another."""
    if len(before) < FEWEST_VECTORS:
        return []
    cosines = [_unit(side) @ _unit(side).T for side in (before, after)]
    others = cosines[0][~np.eye(len(before), dtype=np.bool_)]
    for each in cosines:
        np.fill_diagonal(each, -2.0)
    return [_highest(cosines[0], cosines[1], float(others.std()) or 1.0)]


def _unit(side: Sequence[Outputs]) -> Floats:
    """Vectors of length 1; one of zeros, which has no direction, stays and is like none."""
    vectors = np.concatenate([each["sentence_embedding"] for each in side])
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    lengths[lengths == 0] = 1
    unit: Floats = vectors / lengths
    return unit


_DECIDE: Mapping[str, Callable[[ParityInputs, Sequence[Outputs], Sequence[Outputs]], Iterable[Decisions]]] = {
    "head": _of_one_head,
    "heads": _of_every_head,
    "order": _order,
    "neighbour": _neighbours,
    "next token": _next_tokens,
}
