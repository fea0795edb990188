"""From what is wanted to the passes that make it.

A pure function over the table of passes, so that a plan can be read before anything runs.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mct import MctError
from mct.compress.passes import ENCODERS, Pass
from mct.compress.table import PASSES, PRECISION_ALIASES
from mct.models.checkpoint import Checkpoint
from mct.models.tables import unknown

START = "checkpoint"

# Source: optimum-intel#1957, the mean cosine of an embedder's vectors with the original's.
LEAST_ENCODER_BITS = 8
FEW_BITS = "4-bit weights cost an encoder far more than 8-bit ones (0.85 similarity kept, against 0.97)"


@dataclass(frozen=True)
class Route:
    """One artifact to make: its form, and the passes that lead there from the checkpoint."""

    format: str
    precision: str
    passes: tuple[Pass, ...]

    @property
    def name(self) -> str:
        """The folder name of the artifact, "onnx-int8"."""
        return f"{self.format}-{self.precision}"

    @property
    def calibrated(self) -> bool:
        """True where a pass on the way cannot do without texts of the user's own."""
        return any(step.texts == "needed" for step in self.passes)


@dataclass(frozen=True)
class Plan:
    """What `mct compress` will do: one route per artifact. Routes that begin alike share those passes."""

    checkpoint: Checkpoint
    routes: tuple[Route, ...]

    def describe(self) -> str:
        """One line per artifact: the passes in order."""
        return "\n".join(f"{route.name}: {' -> '.join(step.name for step in route.passes)}" for route in self.routes)


def make_plan(checkpoint: Checkpoint, formats: Sequence[str], precisions: Sequence[str]) -> Plan:
    """One route per format and precision, duplicates dropped. MctError names the nearest combination that works."""
    wanted = dict.fromkeys((kind, _in_words_of(kind, precision)) for kind in formats for precision in precisions)
    return Plan(checkpoint, tuple(_route(kind, precision, checkpoint.task) for kind, precision in wanted))


def supported(task: str) -> dict[str, list[str]]:
    """Precisions by format that some chain of passes reaches for a task, in table order."""
    found: dict[str, list[str]] = {}
    for step in PASSES:
        if task in step.tasks and _chain(step.gives, task):
            kind, _, precision = step.gives.partition("-")
            found.setdefault(kind, []).append(precision)
    return found


def _in_words_of(kind: str, precision: str) -> str:
    return PRECISION_ALIASES.get(kind, {}).get(precision, precision)


def _route(kind: str, precision: str, task: str) -> Route:
    possible = supported(task)
    if kind not in possible:
        raise unknown("format", kind, possible)
    if precision not in possible[kind]:
        raise _no_way(kind, precision, task, possible[kind])
    return Route(kind, precision, _chain(f"{kind}-{precision}", task))


def _no_way(kind: str, precision: str, task: str, possible: Sequence[str]) -> MctError:
    """The error for a precision that no pass gives: why, where that is known, and the nearest in bits that works."""
    nearest = min(possible, key=lambda name: abs(_bits(name) - _bits(precision)))
    reason = f": {FEW_BITS}" if task in ENCODERS and _bits(precision) < LEAST_ENCODER_BITS else ""
    return MctError(
        f"{kind} cannot hold {precision} for {task}{reason}",
        f"the nearest that works is {nearest}; {kind} takes: {', '.join(possible)}",
    )


def _bits(precision: str) -> int:
    """Bits a weight, as the precision's name says it ("int8-static", "q4_k_m")."""
    found = re.search(r"\d+", precision)
    return int(found.group()) if found else 32


def _chain(form: str, task: str) -> tuple[Pass, ...]:
    """The passes from the checkpoint to `form`, walking the table backwards; empty where there is no way."""
    for step in PASSES:
        if step.gives != form or task not in step.tasks:
            continue
        if step.takes == START:
            return (step,)
        if before := _chain(step.takes, task):
            return (*before, step)
    return ()
