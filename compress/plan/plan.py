"""From what is wanted to the passes that make it.

A function over the table of passes, so that a plan can be read before anything runs: what a format, a checkpoint or a
machine cannot do is refused here, with the nearest that works, and what gains nothing is warned of.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mct import MctError
from mct.compress.plan.passes import ENCODERS, Pass
from mct.compress.plan.table import PASSES, PRECISION_ALIASES
from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.tables import load, unknown
from mct.targets.arithmetic import Numbers, no_gain, why_not
from mct.targets.machine import Machine, probe_machine

START = "checkpoint"

# Source: optimum-intel#1957, the mean cosine of an embedder's vectors with the original's.
LEAST_ENCODER_BITS = 8
FEW_BITS = "4-bit weights cost an encoder far more than 8-bit ones (0.85 similarity kept, against 0.97)"


@dataclass(frozen=True)
class Route:
    """One artifact to make: its form, and the passes that lead there from the checkpoint.

    `warnings` say why it gains nothing on the machine it is meant for.
    """

    format: str
    precision: str
    passes: tuple[Pass, ...]
    warnings: tuple[str, ...] = ()

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

    def as_json(self) -> list[dict[str, Any]]:
        """Plain values, for --json: one entry per artifact."""
        return [
            {"name": route.name, "passes": [step.name for step in route.passes], "warnings": list(route.warnings)}
            for route in self.routes
        ]


def make_plan(
    checkpoint: Checkpoint, formats: Sequence[str], precisions: Sequence[str], machine: Machine | None = None
) -> Plan:
    """One route per format and precision, duplicates dropped, for `machine`, this one if None.

    MctError names the nearest combination that works.
    """
    meant = machine or probe_machine()
    wanted = dict.fromkeys((kind, _in_words_of(kind, precision)) for kind in formats for precision in precisions)
    routes = tuple(_route(kind, precision, checkpoint.task, meant) for kind, precision in wanted)
    for route in routes:
        if reason := _obstacle(route, checkpoint, meant):
            raise MctError(f"{route.name}: {reason}", _nearest(route, checkpoint, meant))
    return Plan(checkpoint, routes)


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


def numbers_of(format_name: str, precision: str, task: str) -> Numbers:
    """What an artifact computes in, where that depends on the machine."""
    passes = _chain(f"{format_name}-{precision}", task)
    return passes[-1].numbers if passes else ""


def _route(kind: str, precision: str, task: str, machine: Machine) -> Route:
    possible = supported(task)
    if kind not in possible:
        raise unknown("format", kind, possible)
    if precision not in possible[kind]:
        raise _no_way(kind, precision, task, possible[kind])
    passes = _chain(f"{kind}-{precision}", task)
    warning = no_gain(kind, passes[-1].numbers, machine)
    return Route(kind, precision, passes, (f"{kind}-{precision}: {warning}",) if warning else ())


def _obstacle(route: Route, checkpoint: Checkpoint, machine: Machine) -> str:
    """Why this route cannot be gone with this checkpoint for this machine; "" where it can."""
    asked = (load(step.why_not, step.extra)(checkpoint) for step in route.passes if step.why_not)
    reason: str = next(filter(None, asked), "")
    return reason or why_not(route.passes[-1].numbers, machine)


def _nearest(refused: Route, checkpoint: Checkpoint, machine: Machine) -> str:
    """A hint: the precision of the same format, else the formats, that are nearest to what was refused and work."""
    open_ways: dict[str, list[str]] = {}
    for kind, precisions in supported(checkpoint.task).items():
        for precision in sorted(precisions, key=lambda name: abs(_bits(name) - _bits(refused.precision))):
            if not _obstacle(_route(kind, precision, checkpoint.task, machine), checkpoint, machine):
                open_ways.setdefault(kind, []).append(precision)
    if refused.format in open_ways:
        return f"the nearest that works is {open_ways[refused.format][0]}"
    if open_ways:
        return f"these formats can hold it: --format {','.join(open_ways)}"
    return "no format can hold it yet"


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
