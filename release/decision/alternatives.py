"""What else could be done: not fine-tuning, not compressing, every other artifact and what a search left on its front.

Each beside what is to be promoted, with the reason why it is not the one; what nobody measured is said to be so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from msgspec import Struct

from mct.models.data.declared import Name, Positive, declared
from mct.release.decision.costs import Costs, same_target_cost
from mct.release.decision.entries import Entry, between, find_entry, p95_text, share_text
from mct.release.decision.evidence import Evidence, Figure
from mct.targets.target import Target

UNTUNED = "not fine-tuning at all"
WHOLE = "not compressing at all"
OTHER = "another artifact"
FRONT = "on the front"


@dataclass(frozen=True)
class Alternative:
    """One of them, as a table has it; "-" for what nobody measured."""

    what: str
    name: str
    p95: str = "-"
    quality: str = "-"
    size: str = "-"
    cost: str = "-"
    verdict: str = "-"
    why_not: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def alternatives(evidence: Evidence, costs: Costs, targets: Mapping[str, Target]) -> tuple[Alternative, ...]:
    """All of them; the first two always, as missing where nobody measured them."""
    metric = evidence.named.metric
    result = evidence.results.get(metric.result) if metric else None
    chosen = find_entry(result, evidence.named.artifact)
    figure = evidence.figures.get(metric.untuned or "") if metric else None
    found = [_untuned(figure, chosen)]
    if not result:
        return (*found, Alternative(WHOLE, "the checkpoint", why_not="not measured"))
    for entry in result["artifacts"]:
        if entry is not chosen:
            what = WHOLE if entry["artifact"] == result["baseline"] else OTHER
            found.append(_artifact(what, entry, chosen, costs, targets))
    if not result["baseline"]:
        found.append(Alternative(WHOLE, "the checkpoint", why_not="not measured"))
    front = evidence.objects.get(metric.front or "") if metric else None
    if metric and front is not None:
        found += _front(front, str(evidence.path(metric.front or "")), {each.name for each in found})
    order = (UNTUNED, WHOLE, OTHER, FRONT)
    return tuple(sorted(found, key=lambda each: order.index(each.what)))


def _untuned(figure: Figure | None, chosen: Entry | None) -> Alternative:
    if figure is None:
        return Alternative(UNTUNED, "what there is today", why_not="not measured")
    quality = f"{figure.metric or figure.what} {figure.value:.4g} {between(figure.low, figure.high)}"
    score = chosen["quality"] if chosen else None
    if not score or not score["value_ci"] or score["metric"] != figure.metric:
        return Alternative(UNTUNED, figure.what, quality=quality, why_not="nothing to compare it with")
    gain = f"{100 * (score['value'] - figure.value):+.2f} points"
    shown = score["value_ci"][0] > figure.high
    return Alternative(
        UNTUNED, figure.what, quality=quality,
        why_not=f"fine-tuning gains {gain}" if shown else f"fine-tuning gains {gain}, not shown: the intervals overlap",
    )  # fmt: skip


def _artifact(
    what: str, entry: Entry, chosen: Entry | None, costs: Costs, targets: Mapping[str, Target]
) -> Alternative:
    quality, verdict = entry["quality"], entry["verdict"]
    cost = same_target_cost(costs, entry, targets)
    return Alternative(
        what,
        entry["artifact"],
        p95_text(entry),
        share_text(quality["value"], quality["value_ci"]) if quality and quality["value"] is not None else "-",
        f"{entry['size_mb']:.1f} MB",
        f"{cost.per_month:,.2f} USD" if cost and entry["latency"] else "-",
        verdict["outcome"] if verdict else "-",
        why_not(entry, chosen),
    )


def why_not(entry: Entry, chosen: Entry | None) -> str:
    """Why an artifact is not the one, by intervals: what it missed, or in what it is worse."""
    if entry["failure"]:
        return f"it could not be measured: {entry['failure']['message']}"
    lines = (entry["verdict"] or {"lines": ()})["lines"]
    open_lines = [line for line in lines if line["outcome"] != "pass"]
    if open_lines:
        first = min(open_lines, key=lambda line: line["outcome"] != "fail")
        return f"{first['outcome']}: {first['limit']} ({first['measured']})"
    if chosen is None:
        return "nothing to compare it with"
    mine, its = _ends(chosen), _ends(entry)
    if mine and its and its[0] > mine[1]:
        return f"slower: P95 {its[0]:.3g} ms at the least, where the chosen one takes {mine[1]:.3g} at the most"
    if mine and its and its[1] < mine[0]:
        return "it is faster and met the budget: nothing here speaks against it"
    if entry["size_mb"] > chosen["size_mb"]:
        return f"as fast, and {entry['size_mb'] - chosen['size_mb']:.1f} MB larger"
    return "as good: the intervals do not tell them apart"


def _ends(entry: Entry) -> tuple[float, float] | None:
    ends = (entry["latency"] or {}).get("p95_ci_ms")
    return (ends[0], ends[1]) if ends else None


class _Candidate(Struct, frozen=True):
    name: Name
    on_front: bool
    fate: str = ""
    quality: float | None = None
    p95_ms: Positive | None = None
    low_ms: Positive | None = None
    high_ms: Positive | None = None
    size_mb: Positive | None = None


class _Front(Struct, frozen=True):
    candidates: tuple[_Candidate, ...]
    winner: str | None = None


def _front(found: Mapping[str, Any], place: str, shown: set[str]) -> Iterator[Alternative]:
    """What a search left on its front and the result does not have."""
    front = declared(dict(found), _Front, place)
    for each in front.candidates:
        if each.on_front and each.name not in shown:
            p95 = "-" if each.p95_ms is None else f"{each.p95_ms:.3g} ms"
            if each.low_ms is not None and each.high_ms is not None:
                p95 += f" {between(each.low_ms, each.high_ms, '.3g')}"
            quality = "-" if each.quality is None else share_text(each.quality, None)
            size = "-" if each.size_mb is None else f"{each.size_mb:.1f} MB"
            fate = "the search's winner" if each.name == front.winner else each.fate or "on the front, not judged"
            yield Alternative(FRONT, each.name, p95, quality, size, why_not=fate)
