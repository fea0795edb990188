"""The decision as a value: promote, hold or roll back, with its reasons. Nothing in it comes from the clock.

roll back   what is in production was shown to misbehave, and there is a whole version to return to
promote     it does not, all five criteria are met, and nothing in the store holds the release
hold        anything else: a criterion that is not met, or has no evidence; a release that is retired, damaged, or that
            its own gate did not let pass
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mct.models.scenarios.table import find_scenario
from mct.models.writing.folders import sha256
from mct.release.decision.alternatives import Alternative, alternatives
from mct.release.decision.costs import Costs, costs_of
from mct.release.decision.criteria import judge_criteria
from mct.release.decision.criterion import Criterion, Margin
from mct.release.decision.entries import find_entry, high_risk_slices, points_text, share_text
from mct.release.decision.evidence import Evidence
from mct.release.decision.inspected import read_inspected
from mct.release.decision.standing import Standing, misbehaving, read_standing, subject_digest
from mct.targets.target import load_targets

SCHEMA = 1
KIND = "mct-decision"
DEFAULT_QPS = 20.0
TARGETS, LOAD = "--targets", "--load"
"""What the command line gives, among what a decision rests on."""

Outcome = Literal["promote", "hold", "roll back"]
EXIT_CODES: dict[Outcome, int] = {"promote": 0, "roll back": 1, "hold": 3}


@dataclass(frozen=True)
class Decision:
    """What is decided, why, and all that it rests on.

    `date` is that of the newest evidence. `margins` are sorted, the nearest to turning first. `files` are those of the
    evidence by name: SHA-256 and what re-makes them. `asked_qps` is the load it was asked for, None where the
    evidence's own was taken; `named_qps` is that.
    """

    scenario: str
    artifact: str
    digest: str
    outcome: Outcome
    why: tuple[str, ...]
    criteria: tuple[Criterion, ...]
    trouble: tuple[str, ...]
    alternatives: tuple[Alternative, ...]
    costs: Costs
    margins: tuple[Margin, ...]
    risks: tuple[str, ...]
    files: tuple[tuple[str, str, str], ...]
    date: str
    standing: Standing
    signed_by: str | None = None
    asked_qps: float | None = None
    named_qps: float | None = None

    @property
    def assumed(self) -> tuple[str, ...]:
        """Everything that nobody confirmed, each once."""
        asked, named = self.asked_qps, self.named_qps
        load = f"the load ({asked:g} requests a second) is what was asked for (--load)" if asked is not None else ""
        if load and named is not None and asked != named:
            load += f"; the evidence says {named:g}"
        found = dict.fromkeys(each for criterion in self.criteria for each in criterion.assumed)
        return (*found, load) if load else (*found,)

    def as_json(self) -> dict[str, Any]:
        """Plain values, in the order of the page."""
        row = find_scenario(self.scenario)
        return {
            "schema": SCHEMA, "kind": KIND, "scenario": self.scenario, "number": row.number,
            "technique": row.technique, "outcome": self.outcome, "artifact": self.artifact or None,
            "digest": self.digest or None, "date": self.date or None, "signed_by": self.signed_by,
            "asked": {"load_qps": self.asked_qps},
            "why": list(self.why), "criteria": [each.as_json() for each in self.criteria],
            "production": {
                "release": self.standing.production.ref if self.standing.production else None,
                "way_back": self.standing.back.ref if self.standing.back else None,
                "trouble": list(self.trouble),
            },
            "alternatives": [each.as_json() for each in self.alternatives],
            "cost": self.costs.as_json(),
            "would_change_it": [
                {"what": each.what, "now": each.now, "limit": each.limit, "better": each.better, "unit": each.unit,
                 "slack": round(each.slack, 4)}
                for each in self.margins
            ],
            "risks": list(self.risks),
            "assumed": list(self.assumed),
            "evidence": [{"file": file, "sha256": sha256, "command": command} for file, sha256, command in self.files],
        }  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """What a decision is asked with, beside its evidence.

    `load_qps` None takes the evidence's own, else DEFAULT_QPS; `version` the release that is decided about, None what
    was measured; `targets` a file of more targets or other prices; `store` the releases, None those of the evidence.
    """

    load_qps: float | None = None
    version: int | None = None
    targets: Path | None = None
    signed_by: str | None = None
    store: str | None = None


def decide(evidence: Evidence, asked: Asked) -> Decision:
    """Decide by the evidence alone. MctError for evidence that cannot be read as what it is named for."""
    named = evidence.named
    own = evidence.path(named.budget.targets) if named.budget and named.budget.targets else None
    table = asked.targets or own
    costs = costs_of(evidence, asked.load_qps or (named.budget.load_qps if named.budget else DEFAULT_QPS), table)
    standing = read_standing(evidence, asked.version, asked.store)
    criteria = judge_criteria(evidence, costs, standing)
    trouble = tuple(misbehaving(evidence, standing))
    outcome, why = conclude(criteria, trouble, standing)
    return Decision(
        scenario=named.scenario,
        artifact=named.artifact,
        digest=subject_digest(evidence),
        outcome=outcome,
        why=why,
        criteria=criteria,
        trouble=trouble,
        alternatives=alternatives(evidence, costs, load_targets(table)),
        costs=costs,
        margins=tuple(sorted((m for each in criteria for m in each.margins), key=lambda m: (m.slack, m.what))),
        risks=tuple(risks_of(evidence, standing)),
        files=tuple(_files(evidence, standing, asked.targets)),
        date=_newest(evidence, standing),
        standing=standing,
        signed_by=asked.signed_by,
        asked_qps=asked.load_qps,
        named_qps=named.budget.load_qps if named.budget else None,
    )


def conclude(
    criteria: tuple[Criterion, ...], trouble: tuple[str, ...], standing: Standing
) -> tuple[Outcome, tuple[str, ...]]:
    """The outcome, and why."""
    back = way_back(standing)
    if trouble and back:
        return "roll back", (*trouble, f"{back} lies in the store whole: return to it")
    open_criteria = tuple(
        f"{each.name}: {each.state}: {lack}" for each in criteria if each.state != "met" for lack in each.lacks
    )
    if trouble:
        cannot_wait = "there is no whole version to return to: this cannot wait"
        return "hold", (*trouble, cannot_wait, *standing.held, *open_criteria)
    if standing.held or any(each.state != "met" for each in criteria):
        return "hold", (*standing.held, *open_criteria)
    return "promote", ("all five criteria are met", "nothing says that what is in production misbehaves")


def way_back(standing: Standing) -> str:
    """Where a rollback from production leads now, "" where it does not."""
    if standing.earlier is None or standing.earlier_fault:
        return ""
    return standing.earlier.ref


def risks_of(evidence: Evidence, standing: Standing) -> list[str]:
    """The high-risk flows, each with what was measured of it; what was not measured is the greater risk."""
    metric = evidence.named.metric
    entry = find_entry(evidence.results.get(metric.result) if metric else None, evidence.named.artifact)
    found = []
    for name, part in high_risk_slices(entry).items():
        if part is None:
            found.append(f"{name}: not told by this evaluation")
            continue
        change = f", {points_text(part['delta'], part['delta_ci'])}" if part["delta"] is not None else ""
        found.append(f"{name}: recall {share_text(part['value'], part.get('value_ci'))}{change}, n = {part['n']:,}")
    inspected, _ = read_inspected(evidence, standing)
    return [*found, *inspected]


def _files(evidence: Evidence, standing: Standing, targets: Path | None) -> list[tuple[str, str, str]]:
    """The evidence, what the store says, and the targets that were asked with."""
    found = {**evidence.digests} | standing.digests | digests_of(targets)
    return [(name, digest, evidence.command(name)) for name, digest in found.items()]


def digests_of(targets: Path | None) -> dict[str, str]:
    """The SHA-256 of a file of targets that the command line gives, by the name of its option: its path is no part."""
    return {} if targets is None else {TARGETS: sha256(targets)}


def _newest(evidence: Evidence, standing: Standing) -> str:
    days = [figure.date for figure in evidence.figures.values()]
    days += [str(result["created"])[:10] for result in evidence.results.values()]
    return max([*days, standing.at[:10]], default="")
