"""The third criterion: an offline metric that is better than not fine-tuning, and that production behaviour follows.

Both are asked, as either alone can be had by luck: the whole interval of the artifact's metric must lie above that of
not fine-tuning (on whatever rows each was taken), and the change must have gained something in production's own log,
or a part of it, at the smaller end of that gain's interval. Where offline says better and the
log does not, the metric is tied to nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mct.release.decision.criterion import Criterion, Margin, absent, missing, origin_of, together
from mct.release.decision.entries import (
    against_itself,
    figure_text,
    find_entry,
    held_against_itself,
    quality_text,
    unjudged,
)
from mct.release.decision.evidence import Evidence, Metric

NAME = "metric"


def judge_metric(evidence: Evidence) -> Criterion:
    """The criterion as a whole."""
    metric = evidence.named.metric
    result = evidence.results.get(metric.result) if metric else None
    if metric is None or result is None:
        return missing(NAME, absent(metric.result if metric else None, "a bench's result"))
    entry = find_entry(result, evidence.named.artifact)
    if entry is None or not entry["quality"] or entry["quality"]["value"] is None:
        lack = f"{metric.result} has no quality of {evidence.named.artifact or 'what is to be promoted'}"
        return missing(NAME, lack, [metric.result])
    if not evidence.has_samples(metric.result):
        return missing(NAME, unjudged(metric.result), [metric.result])
    if held_against_itself(result, entry):
        return missing(NAME, against_itself(metric.result), [metric.result])
    told = Criterion(NAME, "met", (f"offline: {quality_text(entry)}",), files=(metric.result,))
    return together(NAME, (told, over_untuned(evidence, metric, entry["quality"]), in_production(evidence, metric)))


def over_untuned(evidence: Evidence, metric: Metric, quality: Mapping[str, Any]) -> Criterion:
    """Whether the whole interval lies above that of not fine-tuning."""
    figure = evidence.figures.get(metric.untuned or "")
    if metric.untuned is None or figure is None:
        return missing(NAME, absent(metric.untuned, "the same metric of not fine-tuning at all"))
    fact = f"not fine-tuning: {figure_text(figure)}"
    if figure.metric != quality["metric"]:
        lack = f"{metric.untuned} is of {figure.metric or 'no metric'}, the result of {quality['metric']}"
        return missing(NAME, lack, [metric.untuned], [fact])
    if figure.origin == "assumed":
        return missing(NAME, f"a measurement: {metric.untuned} is assumed", [metric.untuned], [fact])
    ends = quality["value_ci"]
    if not ends:
        return missing(NAME, f"an interval of the artifact's {quality['metric']}", [metric.untuned], [fact])
    margin = Margin(f"{quality['metric']} against not fine-tuning", ends[0], figure.high, "higher")
    better = ends[0] > figure.high
    lack = f"a gain over not fine-tuning: {ends[0]:.4f} is not above {figure.high:.4f}"
    return Criterion(
        NAME, "met" if better else "not met", (fact,), () if better else (lack,), (metric.untuned,),
        origin_of(figure), (margin,),
    )  # fmt: skip


def in_production(evidence: Evidence, metric: Metric) -> Criterion:
    """Whether the change gains something in production's own log."""
    figure = evidence.figures.get(metric.tie or "")
    if metric.tie is None or figure is None:
        return missing(NAME, absent(metric.tie, "what the change gains in production's own log"))
    fact = f"tie to production: {figure_text(figure)}"
    if figure.origin == "assumed":
        return missing(NAME, f"a measurement: {metric.tie} is assumed", [metric.tie], [fact])
    margin = Margin("gain in production's log", figure.low, 0.0, "higher")
    tied = figure.low > 0
    lack = f"a gain in production's log: {figure.low:.4f} is not above 0"
    return Criterion(
        NAME,
        "met" if tied else "not met",
        (fact,),
        () if tied else (lack,),
        (metric.tie,),
        origin_of(figure),
        (margin,),
    )
