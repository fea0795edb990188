"""`release.toml`: what a release must show before it may go to a stage, one table a stage.

    [production]
    budgets = ["intent-router"]      # each met on every target that it was measured on
    results = [".mct/results"]       # stored results: folders, or files
    data = ["test.jsonl"]            # test sets that count; without it any does, and runs on all of them are tries.
                                     # A file with its documents beside it, or its SHA-256 as results have it
    # fields = {label = "intent"}    # how columns are renamed in them, checks and inspections; without it not at all
    targets = 2                      # on how many targets at least
    evidence_days = 30               # no result or report may be older
    behaviour = ["explain.json"]     # what mct explain wrote, or its behaviour tests alone, by the built-in limits
    limits = "limits.toml"           # or by those of this file in their place
    checks = ["check.json"]          # what mct data check wrote: of the test set and of the data that the artifact's
                                     # lineage names, no row stands in another file; at the default --near or below
    after = "canary"                 # it must have been there,
    after_days = 7                   # for so long: all its stays there together
    drill_days = 90                  # a rollback of this name was practised within so many days

Paths are relative to the file. What a stage does not name is not asked; a stage that asks nothing is refused. Each
target of `on` has to be measured, and one that has a built-in target's name has to be that one. A target that an
earlier look for the same stage saw a run on holds a release back while `results` have no whole one of it; a run that
another stage's look alone saw, in `results` of its own, is a try and no more. So is one that lies beside a file that
`results` name, or in the folder where mct bench leaves results beside this file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from mct import MctError
from mct.models.data.declared import Count, Digest, Name, Positive, is_declared, read_toml, require_file
from mct.release.promotion.releases import Stage

GATE_FILE = Path("release.toml")
HINT = 'one table a stage, like [production] with budgets = ["intent-router"] and results = [".mct/results"]'
Days = Annotated[float, Meta(gt=0, le=36_500)]


class Gate(Struct, frozen=True, forbid_unknown_fields=True):
    """What one stage asks. `on` names the targets that count; () all."""

    budgets: tuple[Name, ...] = ()
    results: tuple[Name, ...] = ()
    data: tuple[Name, ...] = ()
    fields: dict[Name, Name] = {}
    targets: Count = 1
    on: tuple[Name, ...] = ()
    budgets_file: str = ""
    evidence_days: Days | None = None
    behaviour: tuple[Name, ...] = ()
    limits: str = ""
    checks: tuple[Name, ...] = ()
    after: Literal["", "shadow", "canary"] = ""
    after_days: Positive | None = None
    drill_days: Days | None = None


def read_gate(path: Path, stage: Stage) -> Gate:
    """The gate of a stage. MctError where the file is missing, says something else, or asks nothing of the stage."""
    gates = read_toml(path, dict[Stage, Gate], HINT)
    if stage not in gates:
        raise MctError(f"{path} has no gate for {stage}", f"add a table [{stage}]: {HINT}")
    gate = gates[stage]
    if not (gate.budgets or gate.behaviour or gate.checks or gate.after):
        raise MctError(f"{path}: the gate for {stage} asks nothing", "name budgets, behaviour, checks or after")
    if bool(gate.budgets) is not bool(gate.results):
        raise MctError(f"{path}: [{stage}] has only one of budgets and results", HINT)
    if gate.after_days is not None and not gate.after:
        raise MctError(f"{path}: [{stage}] has after_days and no after", 'name the stage, like after = "canary"')
    if gate.after == stage:
        raise MctError(f"{path}: [{stage}] asks for {stage} itself", "name an earlier stage")
    if not gate.budgets and gate.targets > 1:
        raise MctError(f"{path}: [{stage}] counts targets and has no budgets", HINT)
    return gate


def pinned_data(gate: Gate, home: Path) -> frozenset[str]:
    """The SHA-256 of the test sets that a gate lets count, as a bench on them calls them; none where any does."""
    from mct.models.data.files import read_data_file
    from mct.models.tasks.datasets import digests_of

    found: set[str] = set()
    for name in gate.data:
        if is_declared(name, Digest):
            found.add(name)
            continue
        require_file(home / name, "correct `data` in the gate's file")
        found |= digests_of(home / name, read_data_file(home / name, {}))
    return frozenset(found)
