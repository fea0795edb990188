"""What other commands found out, as a gate reads it: the reports of `mct explain` and of `mct data check`.

A gate asks of such a report what it is, when and of what it was made, and what it came to; the rest is for people.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from msgspec import Struct

from mct import MctError
from mct.bench.judge.line import Outcome
from mct.models.data.declared import Digest, Name, parse_json, read_bytes

Kind = Literal["explain", "check"]
MADE_BY: dict[Kind, str] = {"explain": "mct explain ORIGINAL ARTIFACT --json", "check": "mct data check FILE --json"}


class _Line(Struct, frozen=True):
    limit: Name
    outcome: Outcome
    measured: str = ""
    reason: str = ""


class _File(Struct, frozen=True):
    sha256: Digest
    name: str = ""


class _Report(Struct, frozen=True):
    kind: Literal["mct-explain", "mct-data-check"]
    outcome: Outcome
    created: str = ""
    digest: str = ""
    files: tuple[_File, ...] = ()
    lines: tuple[_Line, ...] = ()


@dataclass(frozen=True)
class Report:
    """A report: its bytes, what it came to, the artifact (digest) or the files (SHA-256) that it is about."""

    path: Path
    content: bytes
    outcome: Outcome
    created: str
    digest: str
    files: frozenset[str]
    lines: tuple[tuple[str, Outcome, str], ...]


def read_report(path: Path, kind: Kind) -> Report:
    """A report of this kind. MctError where it is missing, damaged or of another kind."""
    hint = f"make it with: {MADE_BY[kind]}"
    content = read_bytes(path, hint)
    found = parse_json(content, _Report, str(path), hint)
    if found.kind != {"explain": "mct-explain", "check": "mct-data-check"}[kind]:
        raise MctError(f"{path} is a report of {found.kind}", hint)
    files = frozenset(file.sha256 for file in found.files)
    lines = tuple((line.limit, line.outcome, line.reason or line.measured) for line in found.lines)
    return Report(path, content, found.outcome, found.created, found.digest, files, lines)
