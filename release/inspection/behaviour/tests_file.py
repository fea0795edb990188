"""The file of behaviour tests that a person writes, in the manner of CheckList (Ribeiro, Wu, Guestrin & Singh 2020).

    [slots]
    title = ["One Piece", "Naruto", "Death Note"]
    order = ["48213", "7001945"]

    [[test]]
    name = "a return is a return, whatever the title"
    kind = "invariance"
    text = ["I want to return {title}", "can {title} go back? order {order}"]
    change = "title"
    most_failures = 0.02

Three kinds. `minimum`: every text must be answered with `label` (or must `never` be). `invariance`: `change` says what
is exchanged, a slot by its name, `typo`, `case`, `punctuation` or one of `added` put before the text, and the answer
must stay. `direction`: each text `becomes` another, and then must be answered with `label`, must `never` be, must be
answered otherwise (`must = "change"`), or the evidence for a label `rises` or `falls`. A model that puts candidates in
order (reranker, embedder, reward, language model) is given `candidates`, and its answer is the one that it puts first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from mct import MctError
from mct.models.data.declared import Name, Share, read_toml
from mct.models.tables import unknown

BUILT_IN = Path(__file__).parent
HINT = 'a file of tests has [[test]] tables, each with name, kind = "minimum", "invariance" or "direction", and text'
SLOT = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
CHANGES = ("typo", "case", "punctuation", "added")

Kind = Literal["minimum", "invariance", "direction"]
Cases = Annotated[int, Meta(ge=1, le=10_000)]
Texts = Annotated[list[Name], Meta(min_length=1, max_length=10_000)]


@dataclass(frozen=True)
class Test:
    """One test as it is run. `texts` are templates, each with what it becomes ("" where the test makes that itself).

    `most_failures` is the share of its cases that may fail; None where nobody says.
    """

    name: str
    kind: Kind
    capability: str
    texts: tuple[tuple[str, str], ...]
    candidates: tuple[str, ...] = ()
    label: str = ""
    never: str = ""
    must_change: bool = False
    rises: str = ""
    falls: str = ""
    change: str = ""
    added: tuple[str, ...] = ()
    cases: int = 50
    most_failures: float | None = None


@dataclass(frozen=True)
class Suite:
    """All tests of one file, the words of their slots, and its name."""

    name: str
    slots: Mapping[str, tuple[str, ...]]
    tests: tuple[Test, ...]


class _Test(Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    kind: Kind
    text: Texts
    capability: str = ""
    becomes: list[Name] = []
    candidates: list[Name] = []
    label: str = ""
    never: str = ""
    must: Literal["", "change"] = ""
    rises: str = ""
    falls: str = ""
    change: str = ""
    added: list[Name] = []
    cases: Cases = 50
    most_failures: Share | None = None


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    test: Annotated[list[_Test], Meta(min_length=1, max_length=1000)]
    slots: dict[Name, Texts] = {}


def built_in_suites() -> list[str]:
    """The names of those that come with mct."""
    return sorted(path.stem for path in BUILT_IN.glob("*.toml"))


def read_suite(given: str) -> Suite:
    """The tests of a file, or those that come with mct under a name. MctError for what cannot be run as written."""
    path = Path(given)
    if path.suffix != ".toml":
        if given not in built_in_suites():
            raise unknown("behaviour tests (a .toml file, or a name)", given, built_in_suites())
        path = BUILT_IN / f"{given}.toml"
    found = read_toml(path, _File, HINT)
    slots = {name: tuple(values) for name, values in found.slots.items()}
    tests = tuple(_test(f"{path}: test {each.name!r}", each, slots) for each in found.test)
    names = [test.name for test in tests]
    for name in names:
        if names.count(name) > 1:
            raise MctError(f"{path} has two tests named {name!r}", "give each a name of its own")
    return Suite(path.stem, slots, tests)


def _test(place: str, said: _Test, slots: Mapping[str, Sequence[str]]) -> Test:
    if reason := next(_reasons(said, slots), ""):
        raise MctError(f"{place} {reason}", HINT)
    pairs = zip(said.text, said.becomes or [""] * len(said.text), strict=True)
    return Test(
        said.name, said.kind, said.capability, tuple(pairs), tuple(said.candidates), said.label, said.never,
        said.must == "change", said.rises, said.falls, said.change, tuple(said.added), said.cases, said.most_failures,
    )  # fmt: skip


def _reasons(said: _Test, slots: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """What speaks against a test as it is written."""
    asked = [name for name in ("label", "never", "must", "rises", "falls") if getattr(said, name)]
    named = {name for text in (*said.text, *said.becomes, *said.candidates) for name in SLOT.findall(text)}
    yield from (f"has the slot {{{name}}}, which [slots] does not have" for name in sorted(named - set(slots)))
    if said.label and said.label == said.never:
        yield "says of one label that it must be answered and never be"
    if said.candidates and len(set(said.candidates)) < 2:
        yield "has one candidate, which is always the first"
    if said.candidates and said.label and said.label not in said.candidates:
        yield f"has the label {said.label!r}, which is none of its candidates"
    yield from _REASONS[said.kind](said, asked, slots)


def _of_minimum(said: _Test, asked: Sequence[str], slots: Mapping[str, Sequence[str]]) -> Iterator[str]:
    if not asked or set(asked) - {"label", "never"}:
        yield "is of the kind minimum, which has a label, or one that it never answers, and nothing else"
    if said.becomes or said.change or said.added:
        yield "is of the kind minimum, in which no text becomes another"


def _of_invariance(said: _Test, asked: Sequence[str], slots: Mapping[str, Sequence[str]]) -> Iterator[str]:
    if asked or said.becomes:
        yield "is of the kind invariance, which says what is exchanged (change), not what the answer is"
    if said.change not in (*slots, *CHANGES):
        yield f"exchanges {said.change!r}, which is no slot and none of {', '.join(CHANGES)}"
    elif said.change in slots and len(set(slots[said.change])) < 2:
        yield f"exchanges the slot {said.change!r}, which has one value"
    elif said.change in slots and not all(f"{{{said.change}}}" in text for text in said.text):
        yield f"exchanges the slot {said.change!r}, which a text of it does not have"
    if (said.change == "added") is not bool(said.added):
        yield 'has only one of change = "added" and what is added'


def _of_direction(said: _Test, asked: Sequence[str], slots: Mapping[str, Sequence[str]]) -> Iterator[str]:
    if len(said.becomes) != len(said.text):
        yield f"has {len(said.text)} texts and {len(said.becomes)} that they become"
    if len(asked) != 1:
        yield 'is of the kind direction, which asks one of label, never, must = "change", rises and falls'
    if said.change or said.added:
        yield "is of the kind direction, in which `becomes` says all that changes"


_REASONS = {"minimum": _of_minimum, "invariance": _of_invariance, "direction": _of_direction}
