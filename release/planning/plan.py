"""The execution map as a value: which steps in which order, what is there already, and how long the rest will take.

Made by looking alone: nothing is loaded, nothing is run. The same disk gives the same plan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from mct.bench.judge.line import Outcome
from mct.models.scenarios.table import find_scenario
from mct.release.planning.durations import Done, Expected, expected, of_benches, read_journal
from mct.release.planning.found import Disk, digest_of, made_of, measured
from mct.release.planning.order import Place, in_order
from mct.release.planning.steps import Step, Work, check_work, steps_of
from mct.release.promotion.store import open_store

State = Literal["there", "ready", "waits", "absent"]
"""`there`: done already. `ready`: all that it needs is there. `absent`: this version has no such command."""


@dataclass(frozen=True)
class Planned:
    """One step: its state, where its yield was found and the outcome where that was judged, how long it may take."""

    step: Step
    state: State
    found: str = ""
    outcome: Outcome | None = None
    expected: Expected | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        expected = asdict(self.expected) | {"source": self.expected.source} if self.expected else None
        return {
            "id": self.step.id, "stage": self.step.stage.name, "why": self.step.stage.why,
            "needs": list(self.step.needs), "yields": self.step.stage.yields, "command": list(self.step.line),
            "state": self.state, "found": self.found, "outcome": self.outcome, "seconds": expected,
        }  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One scenario of the plan, with its steps; none for a row that is itself a stage of the others."""

    place: Place
    steps: tuple[Planned, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        scenario = find_scenario(self.place.scenario)
        return {
            "number": scenario.number, "scenario": scenario.name, "technique": scenario.technique,
            "symptoms": list(self.place.symptoms), "why": self.place.why, "after": list(self.place.after),
            "must_keep": scenario.must_keep, "is_stage": list(self.place.is_stage),
            "steps": [each.as_json() for each in self.steps],
        }  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """Rows in the order of the work."""

    work: Work
    rows: tuple[Row, ...]

    @property
    def steps(self) -> tuple[Planned, ...]:
        """Every step, in order."""
        return tuple(step for row in self.rows for step in row.steps)

    @property
    def left(self) -> tuple[Planned, ...]:
        """The steps that are still to be done."""
        return tuple(each for each in self.steps if each.state in ("ready", "waits"))

    def seconds(self) -> tuple[float, float, float]:
        """What is left, one after the other: shortest, likely and longest."""
        spans = [each.expected for each in self.left if each.expected]
        return sum(each.low for each in spans), sum(each.likely for each in spans), sum(each.high for each in spans)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        low, likely, high = self.seconds()
        return {
            "schema": 1, "kind": "mct-plan", "folder": str(self.work.folder), "size": self.work.size,
            "artifact": self.work.artifact, "rows": [row.as_json() for row in self.rows],
            "left": [each.step.id for each in self.left],
            "seconds": {"low": low, "likely": round(likely, 1), "high": high},
        }  # fmt: skip


def make_plan(names: Sequence[str], work: Work, disk: Disk) -> Plan:
    """The plan of these scenarios, of all where none is named. MctError for an unknown name, size or artifact."""
    places = in_order(tuple(names))
    for place in places:
        check_work(place, work)
    there = {place.scenario: look_for(place.scenario, work, disk) for place in places}
    journal = read_journal(work.folder)
    timed = {(each.scenario, each.size) for each in journal if each.stage == "bench"}
    history = journal + tuple(
        done
        for name, each in there.items()
        if (name, work.size) not in timed  # the whole of a bench is known: raw values tell its measured part alone
        for done in of_benches(name, work.size, each.samples)
    )
    rows = []
    for place in places:
        known = there[place.scenario]
        steps = steps_of(place, work, known.found)
        rows.append(Row(place, plan_steps(steps, known, history, work.size)))
    return Plan(work, tuple(rows))


@dataclass(frozen=True)
class There:
    """What of a scenario is there: where each stage's yield was found, the bench's verdict, and its samples."""

    found: Mapping[str, str]
    outcome: Outcome | None
    samples: tuple[tuple[Path, str], ...]


def look_for(scenario: str, work: Work, disk: Disk) -> There:
    """What of a scenario is there; the newest result of the artifact, as it is now, speaks for it."""
    home = work.of(scenario)
    files = {
        "check": home / "check" / "check.json",
        "explain": home / "explain" / "explain.json",
        "decide": home / "decision.json",
    }
    found = {stage: str(path) for stage, path in files.items() if path.is_file()}
    checkpoints = disk.checkpoints(scenario, work.size)
    if not checkpoints:
        return There(found, None, ())
    found["build"] = str(checkpoints[0])
    made = {artifact.name: folder for folder, artifact in made_of(disk, checkpoints[0])}
    if set(work.made) <= made.keys() and len({made[name].parent for name in work.made}) == 1:
        found["compress"] = str(made[work.artifact].parent)
    digest = digest_of(made[work.artifact]) if work.artifact in made else ""
    if digest and (released := release_of(digest, scenario, work.store)):
        found["release"] = released
    results = measured(disk, digest)
    if not results:
        return There(found, None, ())
    path, entry = results[-1]
    samples = dict.fromkeys((where, str(each["samples"])) for where, each in results)
    return There(found | {"bench": str(path)}, (entry["verdict"] or {}).get("outcome"), tuple(samples))


def release_of(digest: str, scenario: str, address: str) -> str:
    """The release that an artifact is in a store, and its state; "" where it is none."""
    track = open_store(address).track(scenario)
    same = [f"{each.ref}, {each.state}" for each in track.releases if each.digest == digest]
    return same[-1] if same else ""


def plan_steps(steps: Sequence[Step], there: There, history: Sequence[Done], size: str) -> tuple[Planned, ...]:
    """Each step with its state. A gate is passed when the newest bench of this very artifact says so."""
    planned: dict[str, Planned] = {}
    for step in steps:
        stage, found = step.stage.name, there.found
        if not is_available(step):
            planned[step.id] = Planned(step, "absent")
        elif stage in found:
            planned[step.id] = Planned(step, "there", found[stage], there.outcome if stage == "bench" else None)
        elif stage == "gate" and "bench" in found and there.outcome == "pass":
            planned[step.id] = Planned(step, "there", found["bench"], there.outcome)
        else:
            ready = all(planned[each].state == "there" for each in step.needs)
            span = expected(stage, step.scenario, size, history)
            planned[step.id] = Planned(step, "ready" if ready else "waits", expected=span)
    return tuple(planned.values())


def is_available(step: Step) -> bool:
    """Whether this version has the step's command."""
    module, _, name = step.stage.command.partition(":")
    try:
        return hasattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name and module.startswith(error.name):
            return False
        raise
