"""New texts out of those that are there: fragments exchanged, rows of one label recombined, the scenario's generator.

Three ways to more examples without a model. Each yields candidates for ever (or until it knows no more), with the rows
they come from; what is kept of them is decided elsewhere (mct.release.synthesis.synthesise).
"""

import random
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from mct import MctError
from mct.models.data.leaks import normalised
from mct.models.tables import load, unknown

LONGEST_FRAGMENT = 3
LEAST_SHARED = 2
"""How many environments two fragments must share before one may stand for the other."""

MOST_TURNS = 200
"""Rounds without a candidate after which a way is said to know no more."""

# The scenarios whose generators give labelled texts: of a seed and a number of rows, all splits.
GENERATORS = {
    "intent-router": "mct.release.synthesis.making:router_rows",
    "sentiment": "mct.models.scenarios.shop.sentiment:generate",
    "multi-task": "mct.models.scenarios.shop.everything:generate",
    "continual-router": "mct.models.scenarios.shop.months:generate",
}


class Candidate(NamedTuple):
    """A text with the label it is meant to have, and the places of the rows that it was made of."""

    text: str
    label: str
    parents: tuple[int, ...]


def templates(texts: Sequence[str], labels: Sequence[str], draw: random.Random) -> Iterator[Candidate]:
    """Texts with one fragment exchanged for another that stands in the same places elsewhere.

    "Good-enough compositional data augmentation" (Andreas, ACL 2020): what is found between the same neighbours may be
    exchanged. A fragment is up to three words; two are exchanged where at least `LEAST_SHARED` pairs of neighbours have
    had both.
    """
    words = [text.split() for text in texts]
    exchanged = _exchangeable(words)
    places = [place for place, said in enumerate(words) if any(True for _ in _slots(said, exchanged))]
    for _ in range(10**9 if places else 0):
        place = draw.choice(places)
        start, end, others = draw.choice(list(_slots(words[place], exchanged)))
        fragment, of = draw.choice(others)
        said = [*words[place][:start], *fragment, *words[place][end:]]
        yield Candidate(" ".join(said), labels[place], (place, of))


def recombination(texts: Sequence[str], labels: Sequence[str], draw: random.Random) -> Iterator[Candidate]:
    """The beginning of one row and the end of another of the same label, joined at a word that both have.

    Where two have no word in common, one is said after the other.
    """
    by_label = defaultdict[str, list[int]](list)
    for place, label in enumerate(labels):
        by_label[label].append(place)
    several = [label for label in sorted(by_label) if len(by_label[label]) > 1]
    for turn in range(10**9 if several else 0):
        label = several[turn % len(several)]
        one, other = draw.sample(by_label[label], 2)
        yield Candidate(_spliced(texts[one].split(), texts[other].split(), draw), label, (one, other))


def scenario(name: str, labels: Sequence[str], seed: int, rows: int) -> Iterator[Candidate]:
    """Training rows of a built-in scenario's generator whose label is one of `labels`.

    MctError where the scenario has no generator of labelled texts, or none of its labels is one of these.
    """
    if name not in GENERATORS:
        raise unknown("scenario with a generator", name, GENERATORS)
    made: Mapping[str, Sequence[Mapping[str, Any]]] = load(GENERATORS[name])(seed, rows)
    known = set(labels)
    fitting = [row for row in made["train"] if str(row["label"]) in known and "clean_label" not in row]
    if not fitting:
        theirs = ", ".join(sorted({str(row["label"]) for row in made["train"]}))
        raise MctError(f"scenario {name} has none of the file's labels", f"its labels: {theirs}")
    for row in fitting:
        yield Candidate(row["text"], str(row["label"]), ())


def router_rows(seed: int, rows: int) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """The intent router's synthetic rows, which are clean and balanced."""
    from mct.models.scenarios.shop.intents import INTENTS, generate

    return generate(seed, 8 * len(INTENTS), rows).splits


def _exchangeable(words: Sequence[Sequence[str]]) -> dict[str, list[tuple[tuple[str, ...], int]]]:
    """Fragments by what may stand in their place, each with a row that says it; in an order of their own."""
    held = defaultdict[tuple[str, str], dict[str, tuple[tuple[str, ...], int]]](dict)
    for place, said in enumerate(words):
        bounded = ["<", *(_read(word) for word in said), ">"]
        for start, end in _spans(len(said)):
            fragment = " ".join(bounded[start + 1 : end + 1])
            held[bounded[start], bounded[end + 1]].setdefault(fragment, (tuple(said[start:end]), place))
    shared = defaultdict[tuple[str, str], int](int)
    said_by: dict[str, tuple[tuple[str, ...], int]] = {}
    for fragments in held.values():
        if len(fragments) > 40:  # neighbours that anything stands between say nothing
            continue
        said_by |= {each: found for each, found in fragments.items() if each not in said_by}
        for one in fragments:
            for other in fragments:
                if one != other:
                    shared[one, other] += 1
    found = defaultdict[str, list[tuple[tuple[str, ...], int]]](list)
    for (one, other), times in sorted(shared.items()):
        if times >= LEAST_SHARED:
            found[one].append(said_by[other])
    return dict(found)


def _slots(
    said: Sequence[str], exchanged: Mapping[str, list[tuple[tuple[str, ...], int]]]
) -> Iterator[tuple[int, int, list[tuple[tuple[str, ...], int]]]]:
    for start, end in _spans(len(said)):
        others = exchanged.get(" ".join(map(_read, said[start:end])))
        if others and end - start < len(said):
            yield start, end, others


def _spans(words: int) -> Iterator[tuple[int, int]]:
    for start in range(words):
        for end in range(start + 1, min(words, start + LONGEST_FRAGMENT) + 1):
            yield start, end


def _spliced(one: Sequence[str], other: Sequence[str], draw: random.Random) -> str:
    reads = [_read(word) for word in one], [_read(word) for word in other]
    joints = [
        (left, right)
        for left, word in enumerate(reads[0])
        for right, there in enumerate(reads[1])
        if word == there and word and left + len(reads[1]) - right > 0 and (left or right)
    ]
    if not joints:
        return f"{_ended(' '.join(one))} {' '.join(other)}"
    left, right = draw.choice(joints)
    return " ".join([*one[:left], *other[right:]])


def _ended(text: str) -> str:
    return text if re.search(r"[.!?]\s*$", text) else f"{text}."


def _read(word: str) -> str:
    return normalised(word) or word
