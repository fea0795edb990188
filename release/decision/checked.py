"""What `mct data check` found, as far as a decision reads it: which files, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import Struct

from mct.models.data.declared import Digest, Index, Name, Share, declared


class _File(Struct, frozen=True):
    name: Name
    rows: Index
    sha256: Digest
    against: bool = False


class _Twin(Struct, frozen=True):
    """A row of a file that says what a row of another file says."""

    file: Name
    row: Index
    other_file: str = ""
    other_row: Index = 0


class _Noise(Struct, frozen=True):
    judged: Index
    estimated_share: Share


class _Check(Struct, frozen=True):
    """As `mct.release.curation` writes it."""

    task: Name
    files: tuple[_File, ...]
    leaks: tuple[_Twin, ...]
    conflicts: tuple[Any, ...] = ()
    suspicions: tuple[Any, ...] = ()
    personal: tuple[Any, ...] = ()
    noise: _Noise | None = None
    fields: dict[Name, Name] = {}


@dataclass(frozen=True)
class Checked:
    """The files that were checked, by digest; what was found; for each file the share of its rows that leaked.

    `fields` says which column was read as which, `task` for what the files were read.
    """

    rows: Mapping[str, int]
    leaked: Mapping[str, float]
    facts: tuple[str, ...]
    fields: Mapping[str, str]
    task: str


def read_check(found: Mapping[str, Any], place: str) -> Checked:
    """A report of `mct data check`. MctError where it is none."""
    check = declared(dict(found), _Check, place, "make it with: mct data check FILES… -o FOLDER")
    facts = [f"{each.name}: {each.rows:,} rows, {each.sha256[:12]}…" for each in check.files]
    facts.append(
        f"leaks {len(check.leaks):,}, conflicting labels {len(check.conflicts):,}, "
        f"suspected labels {len(check.suspicions):,}, personal data {len(check.personal):,}"
    )
    if check.noise is not None:
        facts.append(f"label noise, estimated: {check.noise.estimated_share:.1%} of {check.noise.judged:,} rows")
    both = {side for twin in check.leaks for side in ((twin.file, twin.row), (twin.other_file, twin.other_row))}
    names = {each.name for each in check.files} | {""}  # a row of a file that is not listed may be any file's
    leaks = {each.sha256: sum(file == each.name or file not in names for file, _ in both) for each in check.files}
    leaked = {each.sha256: min(1.0, leaks[each.sha256] / max(1, each.rows)) for each in check.files}
    return Checked({each.sha256: each.rows for each in check.files}, leaked, tuple(facts), check.fields, check.task)
