"""What results and figures say, in the words of a decision: one number, its 95 % interval, how many it was taken of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mct.bench.judge.line import Outcome, worst
from mct.models.data.declared import declared
from mct.models.scenarios.shop.high_risk import HIGH_RISK_INTENTS
from mct.models.tasks.datasets import told_renames
from mct.release.decision.evidence import Evidence, Figure
from mct.release.promotion.reports import Basis
from mct.targets.budget import Budget, load_budgets, stricter_on
from mct.targets.target import Target

Entry = Mapping[str, Any]
Lines = list[Mapping[str, Any]]


def unjudged(name: str) -> str:
    """What is missing where a result's raw values do not lie beside it."""
    return f"the samples of {name}: they are not there to judge it again"


def against_itself(name: str) -> str:
    """What is missing where an artifact was its own baseline."""
    return f"a comparison: in {name} it was held against itself; bench it beside what it was made of"


def find_entry(result: Mapping[str, Any] | None, artifact: str) -> Entry | None:
    """The entry of an artifact in a result; None where there is no such result or entry."""
    entries = result["artifacts"] if result else ()
    return next((entry for entry in entries if entry["artifact"] == artifact), None)


def held_against_itself(result: Mapping[str, Any], entry: Entry) -> bool:
    """Whether an artifact was its own baseline, by its name or as a copy of it."""
    baseline = find_entry(result, result["baseline"] or "")
    return baseline is not None and baseline["digest"] == entry["digest"]


def basis_of(evidence: Evidence, productions: frozenset[str]) -> Basis:
    """What evidence about the artifact has to rest on: what its result says it was made of, and was judged by.

    `productions` are the digests of what is or was in production.
    """
    metric, data = evidence.named.metric, evidence.named.data
    result = evidence.results.get(metric.result) if metric else None
    entry = find_entry(result, evidence.named.artifact) or {}
    judged = frozenset([result["data"]["sha256"]] if result else [])
    roots = frozenset((entry.get("origin") or {}).get("weights", ()))
    return Basis(str(entry.get("digest", "")), roots, productions, judged, data.fields if data else {})


def unlike_its_origin(result: Mapping[str, Any], entry: Entry, basis: Basis) -> str:
    """Why the baseline of a result is none for an artifact; "" where it is what that was made of, or production.

    A result that does not say what things are made of shows nothing, as at a gate.
    """
    baseline = find_entry(result, result["baseline"] or "")
    if baseline is None or baseline is entry or baseline["digest"] == entry["digest"]:
        return ""  # said elsewhere
    origin = baseline.get("origin")
    if not (why := basis.unfit(baseline["digest"], origin["equals"] if origin else None)):
        return ""
    if origin is None or "origin" not in entry:
        return f"a bench that says what {baseline['artifact']} is: {why}"
    return f"a comparison with what it was made of, unchanged, or with production: {baseline['artifact']}: {why}"


def read_otherwise(name: str, fields: Mapping[str, str], asked: Mapping[str, str]) -> str:
    """What is missing where columns were renamed in another way than the evidence says; "" where they were not."""
    if told_renames(fields) == told_renames(asked):
        return ""
    told = ", ".join(f"{theirs} as {ours}" for ours, theirs in told_renames(fields).items()) or "no column as another"
    return f"{name} by the columns that the evidence names: it read {told} (name it: fields of [data])"


def between(low: float, high: float, shape: str = ".4g") -> str:
    """An interval, "[0.31, 0.42]"."""
    return f"[{low:{shape}}, {high:{shape}}]"


def figure_text(figure: Figure) -> str:
    """A figure with all that makes it one."""
    measured = f"{figure.value:.4g} {between(figure.low, figure.high)} of n = {figure.n:,}"
    return f"{figure.what}: {measured} ({figure.source}, {figure.date}, {figure.origin})"


def p95_text(entry: Entry) -> str:
    """P95 with its interval."""
    latency = entry["latency"]
    if not latency or latency["p95_ms"] is None:
        return "-"
    ends = latency["p95_ci_ms"]
    return f"{latency['p95_ms']:.3g} ms" + (f" {between(ends[0], ends[1], '.3g')}" if ends else "")


def quality_text(entry: Entry) -> str:
    """The headline score with its interval, and the change against the baseline with its own."""
    quality = entry["quality"]
    if not quality or quality["value"] is None:
        return "-"
    said = f"{quality['metric']} {share_text(quality['value'], quality['value_ci'])}"
    if quality["delta"] is not None:
        said += f", {points_text(quality['delta'], quality['delta_ci'])} against the baseline"
    return f"{said}, n = {quality['n']:,}"


def share_text(value: float, ends: list[float] | None) -> str:
    """A share in per cent, with its interval."""
    return f"{100 * value:.2f} %" + (f" {between(100 * ends[0], 100 * ends[1], '.2f')}" if ends else "")


def points_text(delta: float, ends: list[float] | None) -> str:
    """A change in points, with its interval."""
    return f"{100 * delta:+.2f} points" + (f" {between(100 * ends[0], 100 * ends[1], '+.2f')}" if ends else "")


def high_risk_slices(entry: Entry | None) -> dict[str, Mapping[str, Any] | None]:
    """The recall of each high-risk flow; None where the evaluation does not tell it."""
    quality = (entry or {}).get("quality") or {"slices": []}
    slices = {each["name"]: each for each in quality["slices"] if each["value"] is not None}
    return {name: slices.get(name) for name in HIGH_RISK_INTENTS}


def measured_budget(evidence: Evidence, name: str) -> Budget:
    """The budget that a result says it was measured for."""
    return declared(evidence.results[name]["budget"], Budget, str(evidence.path(name)))


def asked_budget(evidence: Evidence, name: str) -> Budget | None:
    """What the budget of that name asks: by the file that the evidence names, else as it is built in; None for neither.

    With those limits of the result's target that ask for more.
    """
    result, named = evidence.results[name], evidence.named.budget
    own = evidence.path(named.budgets) if named and named.budgets and named.budgets in evidence.digests else None
    found = load_budgets(own).get(result["budget"]["name"])
    if found is None or not result["target"]:
        return found
    return stricter_on(found, declared(result["target"], Target, str(evidence.path(name))))


def verdict_of(evidence: Evidence, name: str, entry: Entry, *asked: Budget) -> tuple[Outcome, Lines]:
    """The outcome and lines of an artifact by the samples beside its result. MctError where they are damaged.

    It is judged by the budget that it was measured for, and by those that are `asked` beside it.
    """
    from mct.bench.jobs.gate import gate

    budgets = [None, *(each for each in asked if each != measured_budget(evidence, name))]
    found = [gate([evidence.path(name)], each, [entry["artifact"]]).judged[0].verdict.as_json() for each in budgets]
    lines = [line for number, each in enumerate(found) for line in each["lines"]
             if not any(line in before["lines"] for before in found[:number])]  # fmt: skip
    return worst(each["outcome"] for each in found), lines
