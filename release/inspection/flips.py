"""Where and why a compressed model answers otherwise: examples whose answers differ, and the groups they gather in.

A group is what examples share that can be said beforehand: the true label, a field of the row, the length, how sure the
original was, a word. Each group's rate of flips is held against that of all other examples, with an interval; since
many groups are asked at once, p-values are corrected for all of them (Holm). Most groups of a sound model come out
empty-handed, and that is the finding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mct.bench.statistics.levels import ERROR
from mct.bench.statistics.paired import holm, mcnemar_mid_p
from mct.models.tasks.examples import Example, Kind
from mct.release.inspection.asking.opened import Told
from mct.release.inspection.asking.questions import Manner
from mct.release.inspection.rates import Rate, difference_of, rate_of

BANDS = 5
LEAST_EXAMPLES = 10
MOST_WORDS = 200
MOST_LISTED = 200
STRIPPED = ".,;:!?\"'()[]{}…“”‘’«»。、！？「」"


@dataclass(frozen=True)
class Group:
    """Examples that share something; how many flipped, and how much more often than all others (95 % interval).

    `p_value` is corrected for all groups that were asked.
    """

    kind: str
    name: str
    flips: Rate
    rest: float
    more: float
    low: float
    high: float
    p_value: float

    @property
    def shown(self) -> bool:
        """The data show that it flips more often than the rest, or less."""
        return self.p_value <= ERROR


@dataclass(frozen=True)
class Flip:
    """One example that the two answer otherwise. `row` counts examples from 0 in file order."""

    row: int
    text: str
    truth: Any
    original: Any
    artifact: Any
    original_confidence: float
    artifact_confidence: float
    became: str


@dataclass(frozen=True)
class Flips:
    """All flips. `worse`: right before and wrong now; `better` the other way; `p_value` of "as often one as the other".

    `listed` are at most `MOST_LISTED`, those first on which the original was surest.
    """

    rate: Rate
    worse: int
    better: int
    p_value: float
    groups: tuple[Group, ...]
    listed: tuple[Flip, ...]


@dataclass(frozen=True)
class Both:
    """What both models told of all examples, and what the rows say beside what is asked."""

    examples: Sequence[Example]
    fields: Mapping[str, Sequence[str]]
    original: Sequence[Told]
    artifact: Sequence[Told]


def find_flips(both: Both, kind: Kind, manner: Manner, named: Callable[[Any], Any]) -> Flips:
    """Every flip, and the groups that they gather in. `named` gives an answer as people read it."""
    rows = range(len(both.examples))
    flipped = [both.original[row].decision.answer != both.artifact[row].decision.answer for row in rows]
    found = [_flip(both, row, manner, named) for row in rows if flipped[row]]
    worse, better = (sum(each.became == word for each in found) for word in ("worse", "better"))
    surest = sorted(found, key=lambda each: (each.became != "worse", -each.original_confidence, each.row))
    groups = tuple(
        sorted(_judged(_groups(both, kind), flipped), key=lambda group: (group.p_value, -group.more, group.name))
    )
    rate = rate_of(len(found), len(flipped))
    return Flips(rate, worse, better, mcnemar_mid_p(worse, better), groups, tuple(surest[:MOST_LISTED]))


def _flip(both: Both, row: int, manner: Manner, named: Callable[[Any], Any]) -> Flip:
    example, before, after = both.examples[row], both.original[row], both.artifact[row]
    then, now = (manner.right(example.truth, told.decision.answer, example, told.cuts) for told in (before, after))
    became = "other" if then is None or then == now else "worse" if then else "better"
    answers = (named(before.decision.answer), named(after.decision.answer))
    sure = (before.decision.confidence, after.decision.confidence)
    return Flip(row, example.text, example.truth, *answers, *sure, became)


def _judged(groups: Iterable[tuple[str, str, Sequence[int]]], flipped: Sequence[bool]) -> list[Group]:
    n, everything = len(flipped), sum(flipped)
    found, alone = [], []
    for kind, name, rows in groups:
        count, rest = sum(flipped[row] for row in rows), n - len(rows)
        change = difference_of((count, len(rows)), (everything - count, rest))
        share = (everything - count) / rest
        found.append(Group(kind, name, rate_of(count, len(rows)), share, change.value, change.low, change.high, 1.0))
        alone.append(change.p_value)
    corrected = holm(alone) if alone else []
    return [replace(group, p_value=p_value) for group, p_value in zip(found, corrected, strict=True)]


def _groups(both: Both, kind: Kind) -> list[tuple[str, str, Sequence[int]]]:
    """Kind of group, its name, its rows: those that have enough rows, and leave enough."""
    lengths = [sum(len(cut.tokens.ids) for cut in told.cuts[:1]) for told in both.original]
    sure = [told.decision.confidence for told in both.original]
    found = [("label", name, rows) for name, rows in _by(_labels(both, kind)).items()]
    for field, values in both.fields.items():
        found += [
            ("field", f"{field}={value}", rows)
            for value, rows in _by([[value] if value else [] for value in values]).items()
        ]
    found += [("length", f"{name} tokens", rows) for name, rows in _bands(lengths, "{:.0f}").items()]
    found += [("confidence", f"original sure by {name}", rows) for name, rows in _bands(sure, "{:.3g}").items()]
    words = _by([words_of(example.text) for example in both.examples])
    most = sorted(words, key=lambda word: (-len(words[word]), word))[:MOST_WORDS]
    found += [("word", word, words[word]) for word in most]
    n = len(both.examples)
    return [each for each in found if LEAST_EXAMPLES <= len(each[2]) <= n - LEAST_EXAMPLES]


def _labels(both: Both, kind: Kind) -> list[list[str]]:
    return [sorted({*kind.labels(each.truth)}) if each.truth is not None else [] for each in both.examples]


def words_of(text: str) -> set[str]:
    """The words of a text, in small letters, without the marks around them."""
    return {word.strip(STRIPPED).casefold() for word in text.split()} - {""}


def _by(names: Sequence[Iterable[str]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for row, each in enumerate(names):
        for name in each:
            found.setdefault(name, []).append(row)
    return found


def _bands(values: Sequence[float], written: str) -> dict[str, list[int]]:
    """Fifths of the examples, by a figure; fewer where many share one."""
    edges = sorted({float(edge) for edge in np.quantile(values, np.linspace(0, 1, BANDS + 1), method="inverted_cdf")})
    if len(edges) < 2:
        return {}
    places = np.searchsorted(edges[1:-1], values, side="left")
    found: dict[str, list[int]] = {}
    for band in range(len(edges) - 1):
        rows = np.flatnonzero(places == band).tolist()
        if rows:
            own = [values[row] for row in rows]
            found[f"{written.format(min(own))} to {written.format(max(own))}"] = rows
    return found


def common_words(texts: Sequence[str]) -> Counter[str]:
    """In how many texts each word stands."""
    return Counter(word for text in texts for word in words_of(text))
