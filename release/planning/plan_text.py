"""The execution map for a person: as text, as a Mermaid graph that GitHub draws, and as a pipeline file."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator

from mct.models.command_line import one_line
from mct.models.scenarios.table import find_scenario
from mct.release.planning.plan import Plan, Planned, Row

SIGNS = {"there": "✓", "ready": "→", "waits": "·", "absent": "✗"}
MINUTE, HOUR = 60, 3600


def as_text(plan: Plan) -> str:
    """Every scenario with its steps; what is left, and how long it may take."""
    lines: list[str] = []
    for row in plan.rows:
        lines += [*_row_lines(row), ""]
    left, (low, likely, high) = plan.left, plan.seconds()
    if left:
        lines.append(f"left: {len(left)} steps, {span(low, high)}, most likely {duration(likely)}; one after the other")
    ready = [each for each in left if each.state == "ready"]
    if ready:
        lines.append(f"next: {shlex.join(ready[0].step.line)}")
    return "\n".join(lines).rstrip() + "\n"


def _row_lines(row: Row) -> Iterator[str]:
    scenario = find_scenario(row.place.scenario)
    yield f"{scenario.number} {scenario.name}: {scenario.technique}"
    yield f"   when: {'; '.join(row.place.symptoms)}"
    yield f"   why here: {row.place.why}"
    if row.place.after:
        yield f"   after: {', '.join(row.place.after)}"
    if row.place.is_stage:
        yield f"   is done for every other row, as its stage {' and '.join(row.place.is_stage)}"
    for each in row.steps:
        yield f"   {SIGNS[each.state]} {each.step.stage.name:<9}{_said(each)}"


def _said(each: Planned) -> str:
    if each.state == "there":
        judged = f", {each.outcome}" if each.outcome else ""
        return f"there: {one_line(each.found)}{judged}"
    if each.state == "absent":
        return "no such command in this version"
    assert each.expected is not None
    needs = ", ".join(need.split("/")[1] for need in each.step.needs)
    waits = "ready" if each.state == "ready" else f"needs {needs}"
    time = f"{span(each.expected.low, each.expected.high)} ({each.expected.source})"
    return f"{waits}; yields {each.step.stage.yields}; {time}"


def span(low: float, high: float) -> str:
    """A range of seconds, "40 s to 3 min"."""
    return f"{duration(low)} to {duration(high)}"


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < MINUTE:
        return f"{seconds:.0f} s"
    if seconds < HOUR:
        return f"{seconds / MINUTE:.0f} min"
    return f"{seconds / HOUR:.1f} h"


def as_mermaid(plan: Plan) -> str:
    """A graph: scenarios in the order of the work, the stages inside each, what is there already in green."""
    lines = ["flowchart LR"]
    shown = {row.place.scenario for row in plan.rows}
    for row in plan.rows:
        name = row.place.scenario
        title = f"{find_scenario(name).number} {name}"
        if not row.steps:
            lines.append(f'  {_id(name)}["{title}<br/>{" and ".join(row.place.is_stage)}"]')
            continue
        lines.append(f'  subgraph {_id(name)}["{title}"]')
        for each in row.steps:
            lines.append(f'    {_id(each.step.id)}["{each.step.stage.name}"]:::{each.state}')
        for each in row.steps:
            lines += [f"    {_id(need)} --> {_id(each.step.id)}" for need in each.step.needs]
        lines.append("  end")
    for row in plan.rows:
        lines += [f"  {_id(each)} -.-> {_id(row.place.scenario)}" for each in row.place.after if each in shown]
    lines += [
        "  classDef there fill:#cfe8cf,stroke:#2d6a2d,color:#000",
        "  classDef ready fill:#ffe9b3,stroke:#8a6d00,color:#000",
        "  classDef waits fill:#f2f2f2,stroke:#777,color:#000",
        "  classDef absent fill:#fff,stroke:#bbb,stroke-dasharray:4,color:#777",
    ]
    return "\n".join(lines) + "\n"


def as_pipeline(plan: Plan) -> str:
    """The steps that this version has as a pipeline file: what `mct pipeline run` takes and goes on with."""
    parts = ["# Made by mct plan --pipeline. Run it with: mct pipeline run FILE, from the folder that it speaks of."]
    for each in plan.steps:
        if each.state != "absent":
            name, run = each.step.id.replace("/", "."), shlex.join(each.step.line[1:])
            written = ", ".join(map(_quoted, each.step.writes))
            parts.append(f"[[steps]]\nname = {_quoted(name)}\nrun = {_quoted(run)}\nwrites = [{written}]")
    return "\n\n".join(parts) + "\n"


def _quoted(text: str) -> str:
    """A text in TOML, which quotes as JSON does."""
    return json.dumps(text, ensure_ascii=False)


def _id(name: str) -> str:
    return name.replace("-", "_").replace("/", "__")
