"""One criterion as a value: how it stands, what says so, and how far it is from standing otherwise."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from mct.release.decision.evidence import Figure

State = Literal["met", "not met", "missing"]
STATES: tuple[State, ...] = ("missing", "not met", "met")
"""The worst first."""

MOST_SLACK = 1e6
ASKS = {
    "pain": "measured user or business pain",
    "data": "labelled or preference data that matches it",
    "metric": "an offline metric tied to production behaviour",
    "budget": "a latency and cost budget",
    "rollback": "a rollback path",
}


@dataclass(frozen=True)
class Margin:
    """How far a number is from where it would change its criterion. `now` is the end of its interval that decides."""

    what: str
    now: float
    limit: float
    better: Literal["lower", "higher"]
    unit: str = ""

    @property
    def slack(self) -> float:
        """The distance as a share of the limit, negative beyond it; at most MOST_SLACK either way."""
        room = self.limit - self.now if self.better == "lower" else self.now - self.limit
        return max(-MOST_SLACK, min(MOST_SLACK, room / (abs(self.limit) or 1.0)))

    @property
    def flips_at(self) -> str:
        """The number that would change the criterion."""
        return f"{'above' if self.better == 'lower' else 'below'} {self.limit:.4g} {self.unit}".rstrip()


@dataclass(frozen=True)
class Criterion:
    """One criterion, or a part of it: what says so, what is missing, by which files, on what that was assumed."""

    name: str
    state: State
    facts: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    margins: tuple[Margin, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "name": self.name, "asks": ASKS[self.name], "state": self.state, "facts": list(self.facts),
            "lacks": list(self.lacks), "files": list(self.files), "assumed": list(self.assumed),
        }  # fmt: skip


def missing(name: str, lack: str, files: Iterable[str] = (), facts: Iterable[str] = ()) -> Criterion:
    """A criterion without its evidence."""
    return Criterion(name, "missing", tuple(facts), (lack,), tuple(files))


def together(name: str, parts: Iterable[Criterion]) -> Criterion:
    """One criterion of its parts: as good as the worst of them."""
    found = tuple(parts)
    states = {part.state for part in found}
    return Criterion(
        name,
        next(state for state in STATES if state in states),
        tuple(fact for part in found for fact in part.facts),
        tuple(lack for part in found for lack in part.lacks),
        tuple(dict.fromkeys(file for part in found for file in part.files)),
        tuple(dict.fromkeys(each for part in found for each in part.assumed)),
        tuple(margin for part in found for margin in part.margins),
    )


def absent(file: str | None, wanted: str) -> str:
    """What is missing: never named, or named and not there."""
    return f"{wanted}: {file} is not there" if file else wanted


def origin_of(figure: Figure) -> tuple[str, ...]:
    """What a reader has to know of where a figure was measured."""
    if figure.origin == "generated":
        return (f"the built-in shop's generated data stands for production: {figure.what}",)
    return ()
