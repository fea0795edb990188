"""How long each candidate is taught: the same time for all that are still in it, not the same number of epochs.

A network of look-ups learns many times as many texts in a minute as layers do. The first lesson, one epoch, tells how
long one takes; each further lesson takes half of the time that is left, or all where nothing would be left for another,
shared among those that no test has shown to be worse than something as fast. So what stays gets the more, the fewer
there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mct.bench.search.space import Candidate

FIRST_EPOCHS = 1.0
LEAST_EPOCHS, MOST_EPOCHS = 0.5, 40.0
MOST_LESSONS = 5
SHARE = 0.5
"""Of the time that is left, for a lesson."""
THREADS = 1
"""The same whatever runs beside, so that the recipe makes the same again."""


@dataclass(frozen=True)
class Pupil:
    """A candidate that is taught: the epochs of each lesson that it had, and the seconds that one of them takes."""

    candidate: Candidate
    epochs: tuple[float, ...] = ()
    epoch_s: float = 0.0

    def after(self, epochs: float, seconds: float) -> Pupil:
        """Itself one lesson later, which took so long; a lesson found finished tells nothing about time."""
        took = seconds / epochs if seconds > 0 else self.epoch_s
        return replace(self, epochs=(*self.epochs, epochs), epoch_s=took)

    def options(self, next_epochs: float) -> list[dict[str, Any]]:
        """What its recipe tells each lesson, the next one too."""
        return [{"epochs": epochs, "threads": THREADS} for epochs in (*self.epochs, next_epochs)]


def next_lesson(pupils: Sequence[Pupil], left_s: float, workers: int, asking_s: float = 0.0) -> dict[str, float]:
    """The epochs of the next lesson by name; a pupil whose share of the time is too short for any is left out.

    `asking_s` is how long the teacher takes to answer the texts of a lesson, which all wait for.
    """
    left_s -= asking_s
    if not pupils or left_s <= 0:
        return {}
    if not any(pupil.epochs for pupil in pupils):
        return {pupil.candidate.name: FIRST_EPOCHS for pupil in pupils}
    share = SHARE if (1 - SHARE) * left_s > 2 * asking_s else 1.0  # where no further lesson would come to anything
    each_s = share * left_s * workers / len(pupils)
    found = {}
    for pupil in pupils:
        epochs = min(MOST_EPOCHS, int(each_s / pupil.epoch_s / LEAST_EPOCHS) * LEAST_EPOCHS) if pupil.epoch_s else 0.0
        if epochs >= LEAST_EPOCHS:
            found[pupil.candidate.name] = epochs
    return found


def in_order(pupils: Sequence[Pupil], p95_ms: Mapping[str, float]) -> tuple[list[Pupil], list[Pupil]]:
    """Who is taught first, alone, so that the teacher's answers are there for the others; these, the longest first."""
    ordered = sorted(pupils, key=lambda pupil: p95_ms[pupil.candidate.name])
    return ordered[:1], ordered[:0:-1]
