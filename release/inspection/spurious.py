"""Spurious words: a word's presence drives an answer beyond what the labels of the data say.

For each word and label the examples that hold the word are asked twice: how many of them *have* the label, how many are
*answered* with it. Where a model answers it on examples that lack it far more often than it misses it, the word drives
the answer against the label statistics (McNemar's mid-p, one sided, corrected over all words and labels of both models
by Holm). How much the word itself pushes is then measured: by how much the evidence for the label falls, on average,
when that word alone is left out of the examples so answered. A word that only stands beside the cause has no push.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mct.bench.statistics.levels import ERROR
from mct.bench.statistics.paired import holm, mcnemar_mid_p
from mct.release.inspection.asking.opened import Asked, decide, hidden, outputs_of
from mct.release.inspection.asking.questions import Target, evidence
from mct.release.inspection.flips import STRIPPED, Both, common_words, words_of

LEAST_TEXTS = 10
MOST_WORDS = 500
MOST_SHOWN = 12
ASKED = 8
"""Examples, of those so answered, that a word is left out of."""


@dataclass(frozen=True)
class Driven:
    """What one model does with a word: the share of its texts so answered, the corrected p-value, the word's push.

    `push` is in nats of log-odds, None where no text with the word was so answered.
    """

    answered: float
    p_value: float
    push: float | None


@dataclass(frozen=True)
class Spurious:
    """A word and a label, in `n` texts of which the share `labelled` has the label; both models."""

    word: str
    label: str
    n: int
    labelled: float
    original: Driven
    artifact: Driven

    @property
    def shown(self) -> bool:
        """The data show it, of one of the models at least."""
        return min(self.original.p_value, self.artifact.p_value) <= ERROR


@dataclass(frozen=True)
class _Counted:
    word: str
    label: str
    rows: tuple[int, ...]
    labelled: float
    answered: tuple[float, float]
    p_values: tuple[float, float]


def find_spurious(both: Both, models: tuple[Asked, Asked]) -> tuple[Spurious, ...]:
    """The most suspicious words, the surest first; those that nothing is shown of among them, to be seen as such."""
    truths = [_labels_of(example.truth) for example in both.examples]
    answers = [[_labels_of(told.decision.answer) for told in each] for each in (both.original, both.artifact)]
    counted = _count(both, truths, answers)
    if not counted:
        return ()
    corrected = np.array(holm([p for each in counted for p in each.p_values])).reshape(-1, 2)
    order = sorted(
        range(len(counted)), key=lambda at: (min(corrected[at]), min(counted[at].p_values), counted[at].word)
    )
    return tuple(_pushed(counted[at], corrected[at], both, answers, models) for at in order[:MOST_SHOWN])


def _labels_of(answer: Any) -> frozenset[str]:
    return frozenset(map(str, answer)) if isinstance(answer, list) else frozenset([str(answer)])


def _count(both: Both, truths: Sequence[frozenset[str]], answers: Sequence[Sequence[frozenset[str]]]) -> list[_Counted]:
    texts = [example.text for example in both.examples]
    common = [word for word, count in common_words(texts).most_common(MOST_WORDS) if count >= LEAST_TEXTS]
    held: dict[str, list[int]] = {word: [] for word in common}
    for row, text in enumerate(texts):
        for word in words_of(text) & held.keys():
            held[word].append(row)
    found = []
    for word, rows in held.items():
        for label in sorted({label for given in answers for row in rows for label in given[row]}):
            one = [_one_sided(rows, label, truths, given) for given in answers]
            if min(p for p, _ in one) < 1:
                labelled = sum(label in truths[row] for row in rows) / len(rows)
                shares, p_values = tuple(share for _, share in one), tuple(p for p, _ in one)
                found.append(_Counted(word, label, tuple(rows), labelled, shares, p_values))  # type: ignore[arg-type]
    return found


def _one_sided(
    rows: Sequence[int], label: str, truths: Sequence[frozenset[str]], given: Sequence[frozenset[str]]
) -> tuple[float, float]:
    """The p-value of "it is answered no more often than it is right", and the share so answered."""
    too_often = sum(label in given[row] and label not in truths[row] for row in rows)
    missed = sum(label not in given[row] and label in truths[row] for row in rows)
    share = sum(label in given[row] for row in rows) / len(rows)
    return (mcnemar_mid_p(too_often, missed) / 2 if too_often > missed else 1.0), share


def _pushed(
    counted: _Counted, p_values: Sequence[float], both: Both, answers: Sequence[Sequence[frozenset[str]]],
    models: tuple[Asked, Asked],
) -> Spurious:  # fmt: skip
    driven = []
    for at, asked in enumerate(models):
        rows = [row for row in counted.rows if counted.label in answers[at][row]][:ASKED]
        pushes = [push for row in rows if (push := _push(asked, both, row, counted)) is not None]
        mean = float(np.mean(pushes)) if pushes else None
        driven.append(Driven(counted.answered[at], float(p_values[at]), mean))
    return Spurious(counted.word, counted.label, len(counted.rows), counted.labelled, *driven)


def _push(asked: Asked, both: Both, row: int, counted: _Counted) -> float | None:
    """By how much the evidence for the label falls where the word is left out of a text."""
    told = decide(asked, both.examples[row], keep=True)
    cut, head = told.cuts[0], asked.model.subject.heads[0]
    place = next((at for at, word in enumerate(cut.words) if word.strip(STRIPPED).casefold() == counted.word), None)
    if place is None or counted.label not in head.labels:
        return None
    measure = "logit" if head.kind == "labels" else "log-odds"
    target = Target(told.decision.target.output, head.labels.index(counted.label), measure, counted.label)  # type: ignore[arg-type]
    (without,) = outputs_of(asked, [hidden(asked, cut, place, target)])
    return evidence(told.outputs[0], target) - evidence(without, target)
