"""What `mct explain` found of what is to be promoted, as far as a decision reads it: its lines, each judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from mct.bench.judge.line import Outcome
from mct.models.data.declared import Digest, Name, declared
from mct.release.decision.entries import basis_of
from mct.release.decision.evidence import Evidence
from mct.release.decision.standing import Standing
from mct.release.promotion.releases import is_ahead
from mct.release.promotion.reports import OF_MODEL, lacking, read_model_report
from mct.release.promotion.store import now


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


def read_inspected(evidence: Evidence, standing: Standing) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What an inspection of what is to be promoted says, and what of it speaks against that.

    It is believed where a gate would believe it: beside what the artifact was made of or what production was, on what
    the artifact is judged by, its columns read as the evidence says, and not dated in the future. MctError for a file
    that is no inspection, or belies its lines.
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
    basis = basis_of(evidence, standing.productions)
    if inspected.digest != basis.digest:
        other = f"{name} is about another artifact ({inspected.digest[:12]}…)"
        return (f"{other}: nothing is known of this one",), (f"an inspection of this artifact: {other}",)
    said = tuple(f"{each.limit}: {each.measured}, {each.outcome}" for each in inspected.lines)
    if why := basis.why_no_inspection(report):
        return said, (f"an inspection of it beside what it was made of, on what it is judged by: {name}: {why[1]}",)
    if is_ahead(report.created, now()):
        return said, (f"an inspection that was made: {name} is dated in the future ({report.created})",)
    if not inspected.lines:
        return said, (f"an inspection with limits: {name} judged nothing",)
    if metric.limits in evidence.absent:
        return said, (f"the limits of the inspection: {metric.limits} is named and not there",)
    if report.outcome == "pass" and (lack := lacking(report, evidence.path(metric.limits) if metric.limits else None)):
        return said, (f"an inspection by limits that count: {name}: {lack}",)
    return said, tuple(f"{name}: {each.limit}: {each.measured}" for each in inspected.lines if each.outcome != "pass")
