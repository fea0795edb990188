"""The cases of a test: its templates with their slots filled, drawn by a seed and each case once."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mct.release.inspection.behaviour.tests_file import SLOT, Suite, Test

TRIES = 20
_WORD = re.compile(r"[A-Za-z]{4,}")


@dataclass(frozen=True)
class Case:
    """A text, what it becomes ("" where the test has one text), and the candidates that are put in order."""

    text: str
    becomes: str = ""
    candidates: tuple[str, ...] = ()


def cases_of(suite: Suite, test: Test, seed: int) -> tuple[Case, ...]:
    """At most `test.cases` different ones, templates in turn. The same seed gives the same cases everywhere."""
    draw = random.Random(f"{seed} {test.name}")
    found: dict[Case, None] = {}
    for number in range(TRIES * test.cases):
        if len(found) == test.cases:
            break
        case = _drawn(suite, test, test.texts[number % len(test.texts)], draw)
        if case is not None:
            found[case] = None
    return tuple(found)


def _drawn(suite: Suite, test: Test, pair: tuple[str, str], draw: random.Random) -> Case | None:
    """None where a change leaves the text as it is."""
    template, other = pair
    chosen = {name: draw.choice(values) for name, values in suite.slots.items()}
    text = _filled(template, chosen)
    candidates = tuple(_filled(each, chosen) for each in test.candidates)
    if other:
        return Case(text, _filled(other, chosen), candidates)
    if test.kind == "minimum":
        return Case(text, "", candidates)
    changed = _changed(test, template, text, chosen, suite.slots, draw)
    return None if changed == text else Case(text, changed, candidates)


def _filled(template: str, chosen: Mapping[str, str]) -> str:
    return SLOT.sub(lambda found: chosen[found[1]], template)


def _changed(
    test: Test, template: str, text: str, chosen: Mapping[str, str], slots: Mapping[str, Sequence[str]],
    draw: random.Random,
) -> str:  # fmt: skip
    if test.change in slots:
        others = [value for value in slots[test.change] if value != chosen[test.change]]
        return _filled(template, {**chosen, test.change: draw.choice(others)})
    if test.change == "added":
        return f"{draw.choice(test.added)} {text}"
    if test.change == "case":
        return draw.choice((text.lower(), text.upper(), text.capitalize()))
    if test.change == "punctuation":
        return draw.choice((text.rstrip(".!?"), f"{text.rstrip('.!?')}!!", f"{text.rstrip('.!?')} ..."))
    return with_typo(text, draw)


def with_typo(text: str, draw: random.Random) -> str:
    """Two neighbouring letters inside one of the longer words change places, as quick fingers do it."""
    words = list(_WORD.finditer(text))
    if not words:
        return text
    word = draw.choice(words)
    at = word.start() + draw.randrange(1, len(word.group()) - 2)
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
