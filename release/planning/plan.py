"""The execution map as a value: which steps in which order, what is there already, and how long the rest will take.

Made by looking alone: nothing is loaded, nothing is run. The same disk gives the same plan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from mct.bench.judge.line import Outcome
from mct.models.scenarios.table import find_scenario
from mct.release.planning.durations import Done, Expected, expected, of_benches, read_journal
from mct.release.planning.found import Disk, checked, digest_of, explained, is_decided, made_of, measured
from mct.release.planning.order import Place, in_order
from mct.release.planning.steps import CHECK, DECISION, EXPLAIN, Step, Work, check_work, data_of, steps_of
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
    """What of a scenario is there: where each stage's yield was found, the verdicts of those that judge, raw values."""

    found: Mapping[str, str]
    outcomes: Mapping[str, Outcome | None] = field(default_factory=dict)
    samples: tuple[Path, ...] = ()


def look_for(scenario: str, work: Work, disk: Disk) -> There:
    """What of a scenario is there, told by what it holds; the newest result of the artifact speaks for it.

    A check that failed is not done; a gate is, where that result met this scenario's budget and its samples are there.
    """
    checkpoints = disk.checkpoints(scenario, work.size)
    if not checkpoints:
        return There({})
    home, checkpoint = work.of(scenario), checkpoints[0]
    made = {artifact.name: folder for folder, artifact in made_of(disk, checkpoint)}
    digest = digest_of(made[work.artifact]) if work.artifact in made else ""
    results = measured(disk, digest) if digest else []
    newest = results[-1] if results else None
    outcomes: dict[str, Outcome | None] = {
        "check": checked(home / CHECK, data_of(checkpoint)),
        "bench": newest.outcome if newest else None,
        "explain": explained(home / EXPLAIN, digest),
        "gate": "pass",
    }
    passed = newest and newest.outcome == "pass" and newest.budget == scenario and newest.samples.is_file()
    found = {
        "build": checkpoint,
        "check": home / CHECK if outcomes["check"] == "pass" else None,
        "compress": made[work.artifact].parent if digest and _lie_together(work, made) else None,
        "bench": newest.path if newest else None,
        "explain": home / EXPLAIN if outcomes["explain"] else None,
        "gate": newest.path if newest and passed else None,
        "release": release_of(digest, scenario, work.store) if digest else None,
        "decide": home / DECISION if digest and is_decided(home / DECISION, scenario, digest) else None,
    }
    samples = tuple(dict.fromkeys(each.samples for each in results))
    return There({stage: str(each) for stage, each in found.items() if each}, outcomes, samples)


def _lie_together(work: Work, made: Mapping[str, Path]) -> bool:
    return set(work.made) <= made.keys() and len({made[name].parent for name in work.made}) == 1


def release_of(digest: str, scenario: str, address: str) -> str:
    """The release that an artifact is in a store, and its state; "" where it is none."""
    track = open_store(address).track(scenario)
    same = [f"{each.ref}, {each.state}" for each in track.releases if each.digest == digest]
    return same[-1] if same else ""


def plan_steps(steps: Sequence[Step], there: There, history: Sequence[Done], size: str) -> tuple[Planned, ...]:
    """Each step with its state."""
    planned: dict[str, Planned] = {}
    for step in steps:
        stage, found = step.stage.name, there.found
        if not is_available(step):
            planned[step.id] = Planned(step, "absent")
        elif stage in found:
            planned[step.id] = Planned(step, "there", found[stage], there.outcomes.get(stage))
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
