"""What `mct data check --json` found, as far as a decision reads it: which files, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from msgspec import Struct

from mct.models.data.declared import Digest, Index, Name, declared


class _File(Struct, frozen=True):
    name: Name
    sha256: Digest
    rows: Index


class _Check(Struct, frozen=True):
    kind: Literal["mct-data-check"]
    files: tuple[_File, ...]
    leaks: Index


@dataclass(frozen=True)
class Checked:
    """The digests of the files that were checked; what was found; what of it speaks against them."""

    digests: frozenset[str]
    facts: tuple[str, ...]
    faults: tuple[str, ...]


def read_check(found: Mapping[str, Any], place: str) -> Checked:
    """A report of `mct data check`. MctError where it is none."""
    check = declared(dict(found), _Check, place, "make it with: mct data check FILES… --json FILE")
    facts = [f"{each.name}: {each.rows:,} rows, {each.sha256[:12]}…" for each in check.files]
    facts.append(f"leaks between them: {check.leaks:,}")
    faults = (f"data without leaks: {check.leaks:,} were found",) if check.leaks else ()
    return Checked(frozenset(each.sha256 for each in check.files), tuple(facts), faults)
