"""The fourth criterion: a budget of latency and of cost, and what was measured within both.

The verdict is judged again from the raw samples, which lie beside the result; without them there is none. What counts
is the budget of that name as it is built in, or as a file of the evidence has it, never what a result says it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mct.release.decision.costs import Costs
from mct.release.decision.criterion import Criterion, Margin, absent, missing
from mct.release.decision.entries import (
    Entry,
    against_itself,
    asked_budget,
    find_entry,
    held_against_itself,
    measured_budget,
    p95_text,
    unjudged,
    verdict_of,
)
from mct.release.decision.evidence import Evidence
from mct.release.decision.inspected import read_inspected
from mct.release.decision.standing import Standing
from mct.targets.budget import Budget, looser_limits

NAME = "budget"


def judge_budget(evidence: Evidence, costs: Costs, standing: Standing) -> Criterion:
    """Whether the artifact met its latency and quality budget, and costs no more than it may."""
    named, metric = evidence.named, evidence.named.metric
    result = evidence.results.get(metric.result) if metric else None
    entry = find_entry(result, named.artifact)
    if metric is None or result is None or entry is None or not entry["verdict"] or not result["budget"]:
        return missing(NAME, absent(metric.result if metric else None, "a bench of it against a budget"))
    own = (named.budget.budgets if named.budget else None) or ""
    files = [metric.result, *([own] if own in evidence.digests else []), *costs.files]
    if own in evidence.absent:
        return missing(NAME, absent(own, "the limits that count"), files)
    measured, asked = measured_budget(evidence, metric.result), asked_budget(evidence, metric.result)
    budget = asked or measured
    if measured.p95_ms is None:
        return missing(NAME, f"a limit of P95 in the budget {budget.name}", files)
    if not evidence.has_samples(metric.result):
        return missing(NAME, unjudged(metric.result), files)
    outcome, lines = verdict_of(evidence, metric.result, entry, *([asked] if asked else []))
    lacks = [against_itself(metric.result)] if held_against_itself(result, entry) else []
    lacks += _loosened(measured, asked, own) if asked else []
    facts = [f"budget {budget.name} on {costs.measured_on or 'no target'}: {outcome}; P95 {p95_text(entry)}"]
    assumed = assumed_of(budget, costs)
    if asked is None:
        assumed = (f"the limits of {budget.name}, which is not built in: the result alone says them", *assumed)
    lacks += [f"{line['limit']}: {line['outcome']} ({line['measured']})" for line in lines if line["outcome"] != "pass"]
    lacks += [*costs.faults, *read_inspected(evidence, standing)[1]]
    money = costs.chosen
    if costs.limit is None or money is None:
        lack = "a limit of what it may cost a month" if costs.limit is None else "a price of the target it was timed on"
        return Criterion(NAME, "missing", tuple(facts), (*lacks, lack), tuple(files), assumed)
    facts.append(
        f"cost: {money.per_month:,.2f} USD a month on {money.target} at {costs.load_qps:g} requests a second, "
        f"of {costs.limit:,.2f}; {money.rests_on}"
    )
    if money.per_month > costs.limit:
        lacks.append(f"a cost within {costs.limit:,.2f} USD a month")
    return Criterion(
        NAME, "not met" if lacks else "met", tuple(facts), tuple(lacks), tuple(files), assumed,
        (*margins_of(budget, entry), Margin("cost a month", money.per_month, costs.limit, "lower", "USD")),
    )  # fmt: skip


def _loosened(measured: Budget, asked: Budget, own: str) -> list[str]:
    """What a result was measured for that asks for less than the budget of that name."""
    by = own or f"the built-in budget {asked.name}, or a file of other limits that the evidence names (budgets)"
    return [
        f"a bench against {by}: {name} was {_said(measured, name)}, and is to be {_said(asked, name)}"
        for name in looser_limits(measured, asked)
    ]


def _said(budget: Budget, name: str) -> str:
    value = getattr(budget, name)
    if value is None or value in ((), {}):
        return "not limited"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {limit:g}" for key, limit in value.items())
    return ", ".join(value) if isinstance(value, tuple) else f"{value:g}"


def assumed_of(budget: Budget, costs: Costs) -> tuple[str, ...]:
    """What of the budget nobody has confirmed."""
    found = [f"the limits of the budget {budget.name}"] if budget.assumed else []
    if costs.assumed:
        limit = f" and what it may cost ({costs.limit:,.2f} USD a month)" if costs.limit is not None else ""
        found.append(f"the load ({costs.load_qps:g} requests a second){limit}")
    return tuple(found)


def margins_of(budget: Budget, entry: Entry) -> Iterator[Margin]:
    """How far each limit is from the end of the interval that decides it. Drops are shares, as in the budget."""
    latency, quality = entry["latency"] or {}, entry["quality"] or {}
    if budget.p95_ms is not None and latency.get("p95_ci_ms"):
        yield Margin("P95", latency["p95_ci_ms"][1], budget.p95_ms, "lower", "ms")
    yield from _headline(budget, quality)
    scores = {each["name"]: each for each in quality.get("others", ())}
    for name, most in budget.metric_max_drop.items():
        yield from _drop(f"drop of {name}", scores.get(name), most)
    if budget.slice_max_drop is not None:
        for each in quality.get("slices", ()):
            if each["name"] in budget.slices or each["name"].partition("=")[0] in budget.slice_fields:
                yield from _drop(f"drop of {each['name']}", each, budget.slice_max_drop)
    sizes = (("size", entry["size_mb"], budget.size_mb), ("peak memory", entry["peak_rss_mb"], budget.peak_rss_mb))
    for name, value, limit in sizes:
        if limit is not None and value is not None:
            yield Margin(name, value, limit, "lower", "MB")


def _headline(budget: Budget, quality: Mapping[str, Any]) -> Iterator[Margin]:
    """Two ways to pass, where the budget has both: the one with more room."""
    ways = list(_drop("drop of quality", quality, budget.quality_max_drop))
    if budget.quality_at_least is not None and quality.get("value_ci"):
        ways.append(Margin(str(quality["metric"]), quality["value_ci"][0], budget.quality_at_least, "higher"))
    if ways:
        yield max(ways, key=lambda way: way.slack)


def _drop(what: str, score: Mapping[str, Any] | None, most: float | None) -> Iterator[Margin]:
    if most is not None and score and score.get("delta_ci"):
        yield Margin(what, 0 - score["delta_ci"][0], most, "lower")
