"""What each task kind is asked, what it decides, and which one number of its outputs is explained.

A decision is the answer with how sure the model is of it, and a `Target`: the evidence for that answer as one number,
whose change tells what a word was worth. Of a label that is its log-odds against all others, of one among several
labels its logit, of a score the score, of a language model the log-probability of the next token, of an embedder the
cosine of the query with the document that it puts first. Both models are asked for the evidence of the answer that the
*original* gave: only then do the two attributions speak of one thing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mct import MctError
from mct.models.tasks.examples import Example, Outputs, Truth
from mct.models.tasks.multi_head import SUFFIX
from mct.models.tasks.table import Head
from mct.models.tasks.tagging import OUTSIDE, is_tag
from mct.models.tasks.tokens import Tokenize
from mct.release.inspection.asking.words import Cut, cut_pair, cut_text

Measure = Literal["log-odds", "logit", "log-probability", "cosine"]


@dataclass(frozen=True)
class Target:
    """The number that is explained: `measure` of the value `index` in an output, at token `place` of those of tokens.

    `name` says in words what it is the evidence of. `input` is which of an example's inputs it is taken from.
    """

    output: str
    index: int
    measure: Measure
    name: str
    place: int | None = None
    input: int = 0


@dataclass(frozen=True)
class Decision:
    """An answer (a JSON value), how sure the model is of it, and the evidence for it.

    `confidence` is the answer's probability; where candidates are put in order, the lead of the first over the second.
    """

    answer: Any
    confidence: float
    target: Target


@dataclass(frozen=True)
class Manner:
    """A task kind as this room asks it.

    `right`: whether an answer is right, None where the data do not say. `named`: an answer as people read it.
    `labels`: answers are labels, or lists of them.
    """

    cut: Callable[[Tokenize, Example], list[Cut]]
    decide: Callable[[Sequence[Outputs], Example, Sequence[Cut], Sequence[Head]], Decision]
    right: Callable[[Truth, Any, Example, Sequence[Cut]], bool | None]
    labels: bool = False
    named: Callable[[Tokenize, Any], Any] = lambda tokenize, answer: answer


def manner_of(task: str) -> Manner:
    """MctError, with the reason, for a task whose single answers cannot be explained."""
    if task in _REFUSED:
        raise MctError(f"{task} cannot be explained: {_REFUSED[task]}", "give rows that have a text alone: a causal-lm")
    if task not in _MANNERS:
        raise MctError(f"{task} cannot be explained", f"tasks that can: {', '.join(_MANNERS)}")
    return _MANNERS[task]


def evidence(outputs: Outputs, target: Target, beside: Outputs | None = None) -> float:
    """The target's number in the outputs of its input; `beside` is the other vector of a cosine."""
    row = np.asarray(outputs[target.output][0], dtype=np.float64)
    if target.measure == "cosine":
        assert beside is not None
        other = np.asarray(beside[target.output][0], dtype=np.float64)
        return float(row @ other / ((np.linalg.norm(row) * np.linalg.norm(other)) or 1.0))
    row = row if target.place is None else row[target.place]
    if target.measure == "logit":
        return float(row[target.index])
    others = np.delete(row, target.index) if target.measure == "log-odds" else row
    return float(row[target.index] - (np.logaddexp.reduce(others) if len(others) else 0.0))


def shares(row: Any) -> Any:
    """The softmax of logits."""
    grown = np.exp(np.asarray(row, dtype=np.float64) - np.max(row))
    return grown / grown.sum()


# One text in


def _text(tokenize: Tokenize, example: Example) -> list[Cut]:
    return [cut_text(tokenize, example.scored)]


def _decide_label(found: Sequence[Outputs], example: Example, cuts: Sequence[Cut], heads: Sequence[Head]) -> Decision:
    return _label(found[0]["logits"][0], heads[0].labels, "logits")


def _label(row: Any, labels: Sequence[str], output: str) -> Decision:
    best = int(row.argmax())
    return Decision(labels[best], float(shares(row)[best]), Target(output, best, "log-odds", labels[best]))


def _decide_labels(found: Sequence[Outputs], example: Example, cuts: Sequence[Cut], heads: Sequence[Head]) -> Decision:
    """Sure of the whole set by the least sure of its decisions; the evidence is that of the likeliest label."""
    return _labels(found[0]["logits"][0], heads[0].labels, "logits")


def _labels(row: Any, labels: Sequence[str], output: str) -> Decision:
    best, chosen = int(row.argmax()), sorted(label for label, logit in zip(labels, row, strict=True) if logit > 0)
    least = float(np.abs(row).min())
    return Decision(chosen, float(1 / (1 + np.exp(-least))), Target(output, best, "logit", labels[best]))


def _decide_tags(found: Sequence[Outputs], example: Example, cuts: Sequence[Cut], heads: Sequence[Head]) -> Decision:
    return _tags(found[0]["logits"][0], cuts[0], heads[0].labels, "logits")


def _tags(rows: Any, cut: Cut, labels: Sequence[str], output: str) -> Decision:
    """Sure by the least sure word; the evidence is that of the first word that is no `O`, the first where all are."""
    places = [place for place in cut.tokens.words if place >= 0]
    best = {place: int(rows[place].argmax()) for place in places}
    tags = [labels[best[place]] if place >= 0 else OUTSIDE for place in cut.tokens.words]
    if not places:
        return Decision(tags, 1.0, Target(output, 0, "log-odds", OUTSIDE, place=0))
    told = next((place for place in places if labels[best[place]] != OUTSIDE), places[0])
    least = min(float(shares(rows[place]).max()) for place in places)
    word = next((word for word, own in zip(cut.words, cut.places, strict=True) if told in own), "")
    name = f"{labels[best[told]]} of {word!r}"
    return Decision(tags, least, Target(output, best[told], "log-odds", name, place=told))


def _decide_heads(found: Sequence[Outputs], example: Example, cuts: Sequence[Cut], heads: Sequence[Head]) -> Decision:
    """All heads answer; the evidence, and how sure it is, are those of the first that gives one label."""
    each = {head.name: _HEADS[head.kind](found[0][head.name + SUFFIX][0], cuts[0], head) for head in heads}
    told = next((head.name for head in heads if head.kind == "label"), heads[0].name)
    answers = {name: decision.answer for name, decision in each.items()}
    return Decision(answers, each[told].confidence, each[told].target)


_HEADS: Mapping[str, Callable[[Any, Cut, Head], Decision]] = {
    "label": lambda row, cut, head: _label(row, head.labels, head.name + SUFFIX),
    "labels": lambda row, cut, head: _labels(row, head.labels, head.name + SUFFIX),
    "tags": lambda rows, cut, head: _tags(rows, cut, head.labels, head.name + SUFFIX),
}


def _same(truth: Truth, answer: Any, example: Example, cuts: Sequence[Cut]) -> bool | None:
    return None if truth is None else bool(truth == answer)


def _all_heads(truth: Truth, answer: Any, example: Example, cuts: Sequence[Cut]) -> bool | None:
    if truth is None:
        return None
    return all(_as_told(truth[name], value) == value for name, value in answer.items())


def _as_told(truth: Any, answer: Any) -> Any:
    """A row's field as a head answers it: tags as a list, several labels in order, a label as text."""
    if not isinstance(answer, list):
        return str(truth)
    told = truth.split() if isinstance(truth, str) else [str(each) for each in truth]
    return told if all(map(is_tag, told)) else sorted(told)


# Candidates in order


def _pairs(tokenize: Tokenize, example: Example) -> list[Cut]:
    return [cut_pair(tokenize, example.scored["query"], doc) for doc in example.scored["docs"]]


def _answers(tokenize: Tokenize, example: Example) -> list[Cut]:
    return [cut_text(tokenize, example.scored["prompt"] + answer) for answer in example.scored["answers"]]


def candidates(example: Example) -> list[str]:
    """What an example's answers are put in order of."""
    return list(example.scored["docs"] if "docs" in example.scored else example.scored["answers"])


def _decide_scores(found: Sequence[Outputs], example: Example, cuts: Sequence[Cut], heads: Sequence[Head]) -> Decision:
    scores = np.array([float(each["logits"][0, 0]) for each in found])
    best, lead = _first(scores)
    name = "the score of what it puts first"
    return Decision(candidates(example)[best], lead, Target("logits", 0, "logit", name, input=best))


def _query(tokenize: Tokenize, example: Example) -> list[Cut]:
    if isinstance(example.scored, str):
        return [cut_text(tokenize, example.scored)]
    return [cut_text(tokenize, text) for text in (example.scored["query"], *example.scored["docs"])]


def _decide_nearest(found: Sequence[Outputs], example: Example, cuts: Sequence[Cut], heads: Sequence[Head]) -> Decision:
    target = Target("sentence_embedding", 0, "cosine", "the cosine with what it puts first")
    scores = np.array([evidence(found[0], target, doc) for doc in found[1:]])
    best, lead = _first(scores)
    return Decision(candidates(example)[best], lead, Target("sentence_embedding", best, "cosine", target.name))


def _first(scores: Any) -> tuple[int, float]:
    best = int(scores.argmax())
    return best, float(scores[best] - np.delete(scores, best).max()) if len(scores) > 1 else 0.0


def _graded(truth: Truth, answer: Any, example: Example, cuts: Sequence[Cut]) -> bool | None:
    if not isinstance(truth, list) or not any(truth):
        return None
    return bool(truth[candidates(example).index(answer)] == max(truth))


def _chosen(truth: Truth, answer: Any, example: Example, cuts: Sequence[Cut]) -> bool | None:
    return bool(answer == candidates(example)[0])


# The next token


def _foreseen(tokenize: Tokenize, example: Example) -> list[Cut]:
    cut = cut_text(tokenize, example.scored, keep_last=True)
    if len(cut.tokens.ids) < 2:
        raise MctError(f"{example.text[:60]!r} has no token that another stands before", "leave that row out")
    return [cut]


def _decide_next(found: Sequence[Outputs], example: Example, cuts: Sequence[Cut], heads: Sequence[Head]) -> Decision:
    """The last token of a text is foreseen from all before it; the answer is a token's number."""
    row = found[0]["logits"][0, -2]
    best = int(row.argmax())
    return Decision(
        best, float(shares(row)[best]), Target("logits", best, "log-probability", f"token {best}", place=-2)
    )


def _came(truth: Truth, answer: Any, example: Example, cuts: Sequence[Cut]) -> bool | None:
    return bool(answer == cuts[0].tokens.ids[-1])


_REFUSED = {
    "grounded-answers": "an answer that is written word by word has no one number that stands for it",
    "preference": "what it prefers is a sum over two whole answers, not one answer",
}

_MANNERS: Mapping[str, Manner] = {
    "sequence-classification": Manner(_text, _decide_label, _same, labels=True),
    "embedding-head": Manner(_text, _decide_label, _same, labels=True),
    "multi-label-classification": Manner(_text, _decide_labels, _same, labels=True),
    "token-classification": Manner(_text, _decide_tags, _same),
    "multi-head": Manner(_text, _decide_heads, _all_heads),
    "pair-scoring": Manner(_pairs, _decide_scores, _graded),
    "reward": Manner(_answers, _decide_scores, _chosen),
    "sentence-embedding": Manner(_query, _decide_nearest, _graded),
    "causal-lm": Manner(_foreseen, _decide_next, _came, named=lambda tokenize, answer: tokenize.text([answer])),
}
