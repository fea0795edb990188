"""What `mct explain` found of what is to be promoted, as far as a decision reads it: its lines, each judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from mct.bench.judge.line import Outcome
from mct.models.data.declared import Digest, Name, declared
from mct.release.decision.evidence import Evidence
from mct.release.promotion.reports import OF_MODEL, lacking, read_model_report


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

    It is believed where a gate would believe it. MctError for a file that is no inspection, or belies its lines.
    """
    metric = evidence.named.metric
    name = metric.explain if metric else None
    found: Mapping[str, Any] | None = evidence.objects.get(name or "")
    if metric is None or name is None:
        return (), ()
    if found is None:
        return (), (f"an inspection: {name} is named and not there",)
    report = read_model_report(evidence.path(name))
    inspected = declared(dict(found), Inspected, str(evidence.path(name)), OF_MODEL)
    if inspected.digest != digest:
        other = f"{name} is about another artifact ({inspected.digest[:12]}…)"
        return (f"{other}: nothing is known of this one",), (f"an inspection of this artifact: {other}",)
    said = tuple(f"{each.limit}: {each.measured}, {each.outcome}" for each in inspected.lines)
    if report.original == report.digest:
        return said, (f"an inspection beside what it was made of: {name} is of it beside itself",)
    if not inspected.lines:
        return said, (f"an inspection with limits: {name} judged nothing",)
    if metric.limits in evidence.absent:
        return said, (f"the limits of the inspection: {metric.limits} is named and not there",)
    if report.outcome == "pass" and (lack := lacking(report, evidence.path(metric.limits) if metric.limits else None)):
        return said, (f"an inspection by limits that count: {name}: {lack}",)
    return said, tuple(f"{name}: {each.limit}: {each.measured}" for each in inspected.lines if each.outcome != "pass")
