"""Running a plan: what is ready, one step after the other, by the very commands that it shows.

Each step is the click command of its stage, called with the words that `mct plan` prints, in this process: an interrupt
ends it as it ends that command, and nothing half-written is left. After each the disk is looked at again, so that a
step counts as done by what it left and by nothing else. The first gate that does not pass ends the run with its exit
code: what lies behind a gate is not reached by going round it, nor by a verdict of before, which is judged once more.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from mct import MctError
from mct.models.tables import load
from mct.models.writing.drafts import make_folder
from mct.release.planning.durations import Done, keep
from mct.release.planning.plan import Plan, Planned
from mct.release.planning.steps import Step
from mct.targets.machine import probe_machine

JUDGING = {"check", "bench", "gate", "explain", "release", "decide"}
"""Stages whose exit code 1 or 3 is a verdict: of a gate it ends the run, of the others it is only said."""
GATES = {"check", "gate"}
MAY_LEAVE_NOTHING = {"gate", "release", "decide"}
"""A decision may be about another artifact: the one that the evidence names, which a person may have written."""


@dataclass(frozen=True)
class Ran:
    """What a run did: the steps, each with its exit code, and how it ended."""

    steps: tuple[tuple[str, int], ...]
    stopped_at: str
    code: int


def run_plan(look: Callable[[], Plan], say: Callable[[str], None]) -> Ran:
    """Run every step that is ready, until none is, or a gate does not pass.

    `look` makes the plan anew from the disk. MctError where a command refuses, or leaves nothing that it was to make.
    """
    done: list[tuple[str, int]] = []
    while ready := _next(look(), {name for name, _ in done}):
        step = ready.step
        say(f"$ {shlex.join(step.line)}")
        began = monotonic()
        code = run_step(step)
        done.append((step.id, code))
        if code and step.stage.name in GATES:
            return Ran(tuple(done), step.id, code)
        if code and step.stage.name not in JUDGING:
            raise MctError(f"{step.id} ended with exit code {code}", f"see what it said: {shlex.join(step.line)}")
        _remember(look(), step, monotonic() - began)
    return Ran(tuple(done), "", 0)


def _next(plan: Plan, tried: set[str]) -> Planned | None:
    """The first step that is ready and was not tried. MctError where one was tried, and left nothing."""
    steps = {each.step.id: each for each in plan.steps}
    for each in plan.left:
        if each.state == "ready" and each.step.id in tried and each.step.stage.name not in MAY_LEAVE_NOTHING:
            raise MctError(f"{each.step.id} ran and left no {each.step.stage.yields}", "run its command by hand")
        if each.state == "ready" and each.step.id not in tried:
            gates = (steps[need] for need in each.step.needs if steps[need].step.stage.name == "gate")
            return next((gate for gate in gates if gate.step.id not in tried), each)
    return None


def run_step(step: Step) -> int:
    """Call a step's command; its exit code. What it prints goes to stderr, as stdout is for the plan."""
    command: Any = load(step.stage.command)
    with redirect_stdout(sys.stderr):
        code = command.main(args=list(step.arguments), prog_name=" ".join(step.line[:3]), standalone_mode=False)
    return code if isinstance(code, int) else 0


def _remember(plan: Plan, step: Step, seconds: float) -> None:
    folder: Path = plan.work.folder
    make_folder(folder)
    keep(folder, Done(step.scenario, step.stage.name, plan.work.size, round(seconds, 2), probe_machine().cpu))
