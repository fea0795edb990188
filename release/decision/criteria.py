"""The five criteria in their order, and the two that need no more than a file: pain, and data that matches it.

An interval decides, never a point: what hurts must hurt at its gentler end. What is assumed is nobody's measurement, so
an assumed figure is as good as none; an assumed limit is a limit, and said to be assumed. Nothing is read here.
"""

from __future__ import annotations

from typing import Literal

from mct.models.tasks.table import asks_alike
from mct.release.decision.checked import read_check
from mct.release.decision.costs import Costs
from mct.release.decision.criteria_budget import judge_budget
from mct.release.decision.criteria_metric import judge_metric
from mct.release.decision.criterion import Criterion, Margin, absent, missing, origin_of
from mct.release.decision.entries import basis_of, figure_text, find_entry, read_otherwise, unlike_its_origin
from mct.release.decision.evidence import Evidence
from mct.release.decision.standing import Standing, judge_rollback, subject_digest
from mct.release.promotion.reports import read_data_report


def judge_criteria(evidence: Evidence, costs: Costs, standing: Standing) -> tuple[Criterion, ...]:
    """All five. Where a release is decided about that is not what was measured, nothing is known of that one."""
    metric, budget = judge_metric(evidence), judge_budget(evidence, costs, standing)
    subject = standing.subject
    if subject is not None and subject.digest != subject_digest(evidence):
        lack = f"a bench of {subject.ref} ({subject.digest[:12]}…): another artifact was measured"
        metric, budget = missing("metric", lack, metric.files), missing("budget", lack, budget.files)
    if lack := _unfit(evidence, standing):
        metric, budget = missing("metric", lack, metric.files), missing("budget", lack, budget.files)
    return judge_pain(evidence), judge_data(evidence, standing), metric, budget, judge_rollback(evidence, standing)


def _unfit(evidence: Evidence, standing: Standing) -> str:
    """Why the result by which is judged shows nothing of the artifact: what it read, or what it was held against."""
    data, metric = evidence.named.data, evidence.named.metric
    result = evidence.results.get(metric.result) if metric else None
    entry = find_entry(result, evidence.named.artifact)
    if metric is None or result is None or entry is None:
        return ""
    fields = result["data"].get("fields", {})
    return read_otherwise(f"a bench ({metric.result})", fields, data.fields if data else {}) or unlike_its_origin(
        result, entry, basis_of(evidence, standing.productions)
    )


def judge_pain(evidence: Evidence) -> Criterion:
    """Whether it was measured to hurt more than may be borne."""
    pain = evidence.named.pain
    figure = evidence.figures.get(pain.figure) if pain else None
    if pain is None or figure is None:
        return missing("pain", absent(pain.figure if pain else None, "a figure of what hurts, where it hurts"))
    fact = f"{figure_text(figure)}; {pain.better} is better, {pain.tolerated:g} can be borne"
    if figure.origin == "assumed":
        return missing("pain", f"a measurement: {pain.figure} is assumed", [pain.figure], [fact])
    worse: Literal["lower", "higher"] = "higher" if pain.better == "lower" else "lower"
    margin = Margin("pain, at its gentler end", figure.low if worse == "higher" else figure.high, pain.tolerated, worse)
    hurts = margin.slack > 0
    lack = f"pain beyond what can be borne: {margin.now:.4g} is not {'above' if worse == 'higher' else 'below'} it"
    return Criterion(
        "pain", "met" if hurts else "not met", (fact,), () if hurts else (lack,), (pain.figure,),
        (*origin_of(figure), f"what can be borne: {pain.tolerated:g}"), (margin,),
    )  # fmt: skip


def judge_data(evidence: Evidence, standing: Standing) -> Criterion:
    """Whether the data was checked, hardly leaks, and is what the metric was taken on and, if known, what taught it."""
    data, metric = evidence.named.data, evidence.named.metric
    found = evidence.objects.get(data.check) if data else None
    if data is None or found is None:
        return missing("data", absent(data.check if data else None, "a check of the data that teaches and judges"))
    checked = read_check(found, str(evidence.path(data.check)))
    result = evidence.results.get(metric.result) if metric else None
    if result is None:
        return missing("data", "a result that was taken on it", [data.check], checked.facts)
    judged, digest = result["data"], result["data"]["sha256"]
    facts = (*checked.facts, f"judged by {judged['name']}: {judged['rows']:,} rows, {digest[:12]}…")
    if digest not in checked.rows:
        lack = f"a check of the data that it was judged by ({digest[:12]}…)"
        return Criterion("data", "not met", facts, (lack,), (data.check,))
    if digest in standing.taught:
        lack = "data to judge by that did not teach it: its lineage names this very file"
        return Criterion("data", "not met", facts, (lack,), (data.check,))
    if len(checked.rows) < 2:
        return missing(
            "data", "a check of it beside the data that taught: one file alone leaks nowhere", [data.check], facts
        )
    if unknown := sorted(each[:12] for each in standing.taught - checked.rows.keys()):
        lack = f"a check of the data that taught it ({', '.join(unknown)}…)"
        return missing("data", lack, [data.check], facts)
    if lack := read_otherwise("a check", checked.fields, data.fields):
        return missing("data", lack, [data.check], facts)
    tasks = {entry["task"] for entry in result["artifacts"]}
    if not all(asks_alike(task, checked.task) for task in tasks):
        lack = f"a check of what a {' or '.join(sorted(tasks))} is asked: this one is of what a {checked.task} is"
        return missing("data", lack, [data.check], facts)
    if fault := read_data_report(evidence.path(data.check)).fault:
        return missing("data", f"a check that could find a leak: {fault}", [data.check], facts)
    untold = () if standing.taught else ("among the files that were checked is what taught the artifact",)
    leaked, borne = checked.leaked[digest], data.leaks_tolerated
    lack = f"data to judge by that does not leak: {leaked:.2%} of its rows do, {borne:.2%} can be borne"
    return Criterion(
        "data", "met" if leaked <= borne else "not met", facts, () if leaked <= borne else (lack,), (data.check,),
        (*untold, *([f"the share of leaks that can be borne: {borne:.2%}"] if borne else ())),
        (Margin("leaked share of the rows to judge by", leaked, borne, "lower"),) if borne else (),
    )  # fmt: skip
