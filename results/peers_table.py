"""The table of `make peers`: what was measured and answered, held against others, as values and as Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from forms import line, number
from peers_rounds import Contender, Round
from peers_systems import EAGER, OURS

from mct.bench.statistics.paired import difference, non_inferior
from mct.bench.statistics.percentiles import Floats, estimate_percentile, percentile
from mct.bench.statistics.ratio import compare_percentile
from mct.bench.statistics.ratio_metric import RatioMetric
from mct.models.tasks.examples import Example, find_kind

MARGIN = 0.01
EXPLAINED = """\
Written by `make peers`. One text at a time, from text to label (a language model: from prompt to 32 greedy tokens, as
text), tokenising included; all systems took turns in one run, each in fresh processes of its own environment. In
brackets: 95 % intervals. "Times shorter" is the P95 of PyTorch eager, or of the best peer, over the system's own, by
the rounds in which both ran. Quality is on the same texts, with its paired difference to PyTorch eager in points;
"within a point": shown not to be worse by a point (one-sided, 95 %). The best peer is the one with the shortest P95 of
those that are within a point. Size is that of all files that are needed to run.
"""

Times = Mapping[str, Sequence[Floats]]


def rows(
    contenders: Sequence[Contender], rounds: Sequence[Round], examples: Sequence[Example], task: str
) -> list[dict[str, Any]]:
    """One row each; those that could not be had with their reason alone."""
    able = [each for each in contenders if not each.failure]
    metric, got = qualities(able, examples, task)
    times = {
        each.system.name: [np.asarray(found[each.system.name], dtype=np.float64) / 1e6 for found in rounds]
        for each in able
    }
    found = [
        {"name": each.system.name, "ours": each.system.environment == OURS, "failure": each.failure}
        | ({} if each.failure else _figures(each, metric, got, times))
        for each in contenders
    ]
    best = best_peer(found)
    for row in found:
        if best is not None and row["ours"] and not row["failure"]:
            row["to_best_peer"] = _times_shorter(times[row["name"]], times[best["name"]])
    return found


def best_peer(found: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Of the peers that are within a point of eager, the one with the shortest P95."""
    able = [row for row in found if not row["failure"] and not row["ours"]]
    within = [row for row in able if row["quality"]["within"] == "non-inferior"]
    return min(within, key=lambda row: float(row["p95_ms"]), default=None)


def _figures(each: Contender, metric: str, got: Mapping[str, RatioMetric], times: Times) -> dict[str, Any]:
    name = each.system.name
    return {
        "libraries": each.libraries,
        "size_mb": each.size_mb,
        "n": sum(map(len, times[name])),
        **_percentile("p50_ms", times[name], 0.50),
        **_percentile("p95_ms", times[name], 0.95),
        "to_eager": _times_shorter(times[name], times[EAGER]) if EAGER in times else None,
        "quality": {"metric": metric, "value": got[name].value, **_beside(got.get(EAGER), got[name])},
    }


def _percentile(name: str, processes: Sequence[Floats], share: float) -> dict[str, Any]:
    """With its interval where there are processes enough for one."""
    known = estimate_percentile(processes, share)
    value = known.value if known else percentile(np.concatenate(processes), share)
    return {name: value, f"{name}_ci": [known.low, known.high] if known else None}


def _times_shorter(own: Sequence[Floats], other: Sequence[Floats]) -> dict[str, float] | None:
    """How many times the P95 of the other is one's own; None of fewer than two rounds."""
    if len(own) < 2:
        return None
    ratio = compare_percentile(own, other, 0.95)
    return {"value": ratio.value, "low": ratio.low, "high": ratio.high}


def _beside(eager: RatioMetric | None, own: RatioMetric) -> dict[str, Any]:
    """The paired difference to eager, and whether it is shown to be less than a point."""
    if eager is None:
        return {"delta": None, "delta_ci": None, "within": "inconclusive"}
    change, test = difference(eager, own), non_inferior(eager, own, MARGIN)
    return {"delta": change.value, "delta_ci": [change.low, change.high], "within": test.outcome}


def qualities(
    contenders: Iterable[Contender], examples: Sequence[Example], task: str
) -> tuple[str, dict[str, RatioMetric]]:
    """The headline metric of the task, and what each contender got of it, example by example."""
    score, found, metric = find_kind(task).score, {}, ""
    for each in contenders:
        parts = []
        for example, answer in zip(examples, each.answers, strict=True):
            metric, part = next(iter(score(example.truth, answer).items()))
            parts.append(part)
        got, of = (np.array(side, dtype=np.float64) for side in zip(*parts, strict=True))
        found[each.system.name] = RatioMetric(got, of)
    return metric, found


# -- Markdown -----------------------------------------------------------------------------------------------------


def markdown(found: Mapping[str, Mapping[str, Any]]) -> str:
    """A table each."""
    return "\n\n".join(["# What a user would pick instead", EXPLAINED.strip(), *map(_table, found.values())]) + "\n"


def _table(table: Mapping[str, Any]) -> str:
    head = ("system", "P50 ms", "P95 ms", "times shorter than eager", "than the best peer", "quality", "within a point",
            "MB", "libraries")  # fmt: skip
    able, failed = ([row for row in table["rows"] if bool(row["failure"]) == side] for side in (False, True))
    where = f"{table['cpu']} ({', '.join(table['instruction_sets'])}), {table['threads']} threads"
    best = best_peer(able)
    parts = [
        f"## {table['title']}",
        f"{where}; {table['texts']:,} texts, {table['rounds']} rounds. The best peer: {best['name'] if best else '-'}.",
        "\n".join([line(head), "|--|" + "--:|" * 4 + "--|--|--:|--|", *(line(_cells(row)) for row in able)]),
        "\n".join(f"- **{row['name']}** {row['failure']}" for row in failed),
    ]
    return "\n\n".join(part for part in parts if part)


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        f"**{row['name']}**" if row["ours"] else row["name"],
        _with_interval(row["p50_ms"], row["p50_ms_ci"], "{:.3f}"),
        _with_interval(row["p95_ms"], row["p95_ms_ci"], "{:.3f}"),
        _ratio_cell(row["to_eager"]),
        _ratio_cell(row.get("to_best_peer")),
        _quality_cell(row["quality"]),
        row["quality"]["within"],
        number(row["size_mb"], "{:.1f}"),
        ", ".join(f"{name} {version}" for name, version in row["libraries"].items()),
    )


def _ratio_cell(found: Mapping[str, float] | None) -> str:
    return _with_interval(found["value"], [found["low"], found["high"]], "{:.2f}") if found else "-"


def _quality_cell(found: Mapping[str, Any]) -> str:
    if found["delta"] is None:
        return f"{found['value']:.2%}"
    ends = [end and 100 * end for end in found["delta_ci"]]
    return f"{found['value']:.2%}, {_with_interval(100 * found['delta'], ends, '{:+.2f}')}"


def _with_interval(value: float, ends: Sequence[float | None] | None, shape: str) -> str:
    if not ends or None in ends:
        return shape.format(value)
    return f"{shape.format(value)} ({shape.format(ends[0])} to {shape.format(ends[1])})"
