"""What `mct explain` found of what is to be promoted, as far as a decision reads it: its lines, each judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from mct.bench.judge.line import Outcome
from mct.models.data.declared import Digest, Name, declared
from mct.release.decision.evidence import Evidence


class Line(Struct, frozen=True):
    """One limit of an inspection."""

    limit: Name
    measured: str
    outcome: Outcome


class Inspected(Struct, frozen=True):
    """As `mct.release.inspection` writes it."""

    kind: Literal["mct-explain"]
    digest: Digest
    outcome: Outcome
    lines: tuple[Line, ...]


def read_inspected(evidence: Evidence, digest: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What an inspection of the artifact with that digest says, and what of it speaks against it.

    MctError for a file that is no inspection. One of another artifact says nothing of this.
    """
    name = evidence.named.metric.explain if evidence.named.metric else None
    found: Mapping[str, Any] | None = evidence.objects.get(name or "")
    if name is None:
        return (), ()
    if found is None:
        return (), (f"an inspection: {name} is named and not there",)
    hint = "make it with: mct explain ORIGINAL ARTIFACT -o FOLDER"
    inspected = declared(dict(found), Inspected, str(evidence.path(name)), hint)
    if inspected.digest != digest:
        return (f"{name} is about another artifact ({inspected.digest[:12]}…): nothing is known of this one",), ()
    said = tuple(f"{each.limit}: {each.measured}, {each.outcome}" for each in inspected.lines)
    return said, tuple(f"{name}: {each.limit}: {each.measured}" for each in inspected.lines if each.outcome != "pass")
