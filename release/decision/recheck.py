"""Whether a decision still rests on the files that it was made of.

A decision names every file of its evidence with its SHA-256. Evidence that changed afterwards, or is gone, makes it a
decision about something else: it is named, file by file, and the decision is to be made again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from msgspec import Struct

from mct import MctError
from mct.models.data.declared import Digest, Name, read_object
from mct.models.data.declared import declared as declare
from mct.models.writing.folders import sha256, write_atomically, write_json
from mct.release.decision.decision import KIND, SCHEMA, Decision
from mct.release.decision.decision_text import as_markdown
from mct.release.decision.evidence import Evidence
from mct.release.decision.standing import JOURNAL, read_standing


class _File(Struct, frozen=True):
    file: Name
    sha256: Digest
    command: str = ""


class _Decided(Struct, frozen=True):
    schema: int
    kind: Literal["mct-decision"]
    scenario: Name
    outcome: Literal["promote", "hold", "roll back"]
    evidence: tuple[_File, ...]


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
    """The scenario and outcome of a stored decision, and the digests it rests on. MctError where it is none."""
    found = read_object(path)
    if found.get("kind") != KIND or found.get("schema") != SCHEMA:
        raise MctError(f"{path} is no decision of this mct", "decide again: mct decide SCENARIO")
    decided = declare(found, _Decided, str(path))
    return decided.scenario, decided.outcome, {each.file: each.sha256 for each in decided.evidence}


def changes(rests_on: dict[str, str], evidence: Evidence, store: str | None = None) -> list[Changed]:
    """What of the evidence is not as it was when the decision was made; the releases lie in `store`, as there."""
    now = dict(evidence.digests)
    standing = read_standing(evidence, address=store)
    if standing.journal:
        now[JOURNAL] = standing.journal
    for name in rests_on.keys() - now.keys() - {JOURNAL}:
        path = evidence.path(name)
        if os.path.lexists(path) and path.is_file():  # no longer named, and still there
            now[name] = sha256(path)
    found = [Changed(name, "gone") for name in rests_on if name not in now]
    found += [Changed(name, "changed") for name in rests_on if name in now and now[name] != rests_on[name]]
    found += [Changed(name, "new") for name in now if name not in rests_on]
    return sorted(found, key=lambda each: (each.file, each.what))
