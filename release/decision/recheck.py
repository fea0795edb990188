"""Whether a decision still rests on the files that it was made of.

A decision names every file of its evidence with its SHA-256, the command line's own targets among them, and the load
that it was asked for. What changed afterwards, or is gone, makes it a decision about something else: it is named, one
by one, and the decision is to be made again. What the command line gave has to be given again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from msgspec import Struct

from mct import MctError
from mct.models.data.declared import Digest, Name, Positive, read_object
from mct.models.data.declared import declared as declare
from mct.models.writing.folders import sha256, write_atomically, write_json
from mct.release.decision.decision import KIND, LOAD, SCHEMA, TARGETS, Asked, Decision, digests_of
from mct.release.decision.decision_text import as_markdown
from mct.release.decision.evidence import Evidence
from mct.release.decision.standing import JOURNAL, LOOKS, read_standing

ASKED_NOTHING = Asked()


class _File(Struct, frozen=True):
    file: Name
    sha256: Digest
    command: str = ""


class _Asked(Struct, frozen=True):
    load_qps: Positive | None = None


class _Decided(Struct, frozen=True):
    schema: int
    kind: Literal["mct-decision"]
    scenario: Name
    outcome: Literal["promote", "hold", "roll back"]
    evidence: tuple[_File, ...]
    asked: _Asked = _Asked()


@dataclass(frozen=True)
class Changed:
    """A file of the evidence that is not as it was: what became of it."""

    file: str
    what: Literal["changed", "gone", "new"]


def write_decision(stem: Path, decision: Decision) -> None:
    """Write STEM.json and STEM.md."""
    write_json(stem.with_name(f"{stem.name}.json"), decision.as_json())
    write_atomically(stem.with_name(f"{stem.name}.md"), as_markdown(decision))


def read_decision(path: Path) -> tuple[str, str, dict[str, str]]:
    """The scenario and outcome of a stored decision, and what it rests on: digests, and the load that was asked for.

    MctError where it is none.
    """
    found = read_object(path)
    if found.get("kind") != KIND or found.get("schema") != SCHEMA:
        raise MctError(f"{path} is no decision of this mct", "decide again: mct decide SCENARIO")
    decided = declare(found, _Decided, str(path))
    rests_on = {each.file: each.sha256 for each in decided.evidence} | _load(decided.asked.load_qps)
    return decided.scenario, decided.outcome, rests_on


def _load(load_qps: float | None) -> dict[str, str]:
    return {} if load_qps is None else {LOAD: repr(float(load_qps))}


def changes(rests_on: dict[str, str], evidence: Evidence, asked: Asked = ASKED_NOTHING) -> list[Changed]:
    """What is not as it was when the decision was made, where it would be `asked` so now."""
    standing = read_standing(evidence, address=asked.store)
    now = {**evidence.digests} | standing.digests | digests_of(asked.targets) | _load(asked.load_qps)
    for name in rests_on.keys() - now.keys() - {JOURNAL, LOOKS, TARGETS, LOAD}:
        path = evidence.path(name)
        if os.path.lexists(path) and path.is_file():  # no longer named, and still there
            now[name] = sha256(path)
    found = [Changed(name, "gone") for name in rests_on if name not in now]
    found += [Changed(name, "changed") for name in rests_on if name in now and now[name] != rests_on[name]]
    found += [Changed(name, "new") for name in now if name not in rests_on]
    return sorted(found, key=lambda each: (each.file, each.what))
