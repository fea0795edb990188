"""What other commands found out, as a gate reads it: `mct explain` and its behaviour tests, and `mct data check`.

A gate asks of a report of a model which artifact it is about, when it was made and what it came to. A data check is
about bytes, which do not age: a gate asks whether the test set that the release was measured on is among them, and
whether a row of one file stands in another. The rest is for people.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from msgspec import Struct

from mct import MctError
from mct.bench.judge.line import Outcome, worst
from mct.compress.run.artifact import read_artifact
from mct.models.data.declared import Digest, Index, Name, Share, declared, parse_json, read_bytes
from mct.release.curation.findings import NEAR

OF_MODEL = "make it with: mct explain ORIGINAL ARTIFACT -o FOLDER"
OF_DATA = "make it with: mct data check FILES… -o FOLDER"


class _Line(Struct, frozen=True):
    limit: Name
    outcome: Outcome
    measured: str = ""
    reason: str = ""


class _Original(Struct, frozen=True):
    digest: Digest


class _OfModel(Struct, frozen=True):
    kind: Literal["mct-explain", "mct-behave"]
    outcome: Outcome
    digest: Digest
    created: str = ""
    lines: tuple[_Line, ...] = ()
    original: _Original | None = None


class _File(Struct, frozen=True):
    name: Name
    sha256: Digest


class _Twin(Struct, frozen=True):
    file: Name
    row: Index


class _OfData(Struct, frozen=True):
    files: tuple[_File, ...]
    leaks: tuple[_Twin, ...]
    near: Share = 1.0


class _Data(Struct, frozen=True):
    sha256: Digest


class _Step(Struct, frozen=True):
    """An entry of an artifact's lineage."""

    data: _Data | None = None


@dataclass(frozen=True)
class ModelReport:
    """What an inspection of an artifact (its digest) came to; `open_lines` are the limits that it did not pass.

    `outcome` is what its lines come to, whatever else it says: without one nothing was judged. `original` is the digest
    of what it was held against.
    """

    content: bytes
    outcome: Outcome
    digest: str
    created: str
    open_lines: tuple[str, ...]
    original: str = ""


@dataclass(frozen=True)
class DataReport:
    """Which files were checked, by SHA-256; and how many of their rows stand in another one too.

    `near` is the share of words from which two texts counted as one, 1 where the report does not say.
    """

    content: bytes
    files: frozenset[str]
    leaks: int
    near: float

    @property
    def fault(self) -> str:
        """Why it could not have found a leak; "" where it could."""
        if len(self.files) < 2:
            return "It read one file alone, which nothing can stand in twice: check it with what was trained on."
        return f"It let pass texts alike by less than {self.near:.0%}." if self.near > NEAR else ""


def read_model_report(path: Path) -> ModelReport:
    """An explain.json or behave.json. MctError where it is missing, damaged, of another kind, or belies its lines."""
    content = read_bytes(path, OF_MODEL)
    found = parse_json(content, _OfModel, str(path), OF_MODEL)
    if found.outcome != (outcome := worst(each.outcome for each in found.lines)):
        raise MctError(f"{path} says {found.outcome}, and its lines come to {outcome}", OF_MODEL)
    lines = [f"{each.limit}: {each.reason or each.measured}" for each in found.lines if each.outcome != "pass"]
    original = found.original.digest if found.original else ""
    return ModelReport(content, found.outcome, found.digest, found.created, tuple(lines), original)


def read_data_report(path: Path) -> DataReport:
    """A check.json. MctError where it is missing, damaged or of another kind."""
    content = read_bytes(path, OF_DATA)
    found = parse_json(content, _OfData, str(path), OF_DATA)
    leaks = {(each.file, each.row) for each in found.leaks}
    return DataReport(content, frozenset(each.sha256 for each in found.files), len(leaks), found.near)


def taught_by(artifact: Path) -> frozenset[str]:
    """The SHA-256 of the data that an artifact's lineage names: what it was trained on or calibrated with."""
    lineage = [*map(dict, read_artifact(artifact, verify=False).lineage)]
    steps = declared(lineage, tuple[_Step, ...], f"{artifact} lineage", "compress the checkpoint again")
    return frozenset(step.data.sha256 for step in steps if step.data)
