"""One line of a verdict: a limit, what was measured, and what follows, each to be read by a person."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["pass", "fail", "inconclusive"]

OUTCOMES: tuple[Outcome, ...] = ("fail", "inconclusive", "pass")
"""The worst first."""


@dataclass(frozen=True)
class Line:
    """One limit: what it asks, what was measured, and why the outcome is what it is."""

    limit: str
    measured: str
    outcome: Outcome
    reason: str


def worst(outcomes: Iterable[str], of_none: Outcome = "inconclusive") -> Outcome:
    """One outcome of several: a fail is enough, then what is not decided; `of_none` where there are none."""
    found = set(outcomes)
    return next((outcome for outcome in OUTCOMES if outcome in found), of_none)
