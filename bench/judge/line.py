"""One line of a verdict: a limit, what was measured, and what follows, each to be read by a person."""

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["pass", "fail", "inconclusive"]

ERROR = 0.05
"""The error that a line may make, either way."""


@dataclass(frozen=True)
class Line:
    """One limit: what it asks, what was measured, and why the outcome is what it is."""

    limit: str
    measured: str
    outcome: Outcome
    reason: str
