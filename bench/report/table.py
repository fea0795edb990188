"""A result as Markdown for a terminal or a pull request: one row per artifact, then what did not pass.

Works on the plain values of a stored result alone. Marks are words with a sign before them, so that they read without
colour and in any font.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mct.compress.plan.plan import numbers_of
from mct.targets.arithmetic import made_elsewhere

MARKS = {"pass": "✓ pass", "fail": "✗ FAIL", "inconclusive": "? inconclusive"}
HEAD = (
    "artifact", "format", "P50 ms", "P95 ms (95 % interval)", "model-only P95", "quality", "worst slice", "size MB",
    "load ms", "peak MB", "verdict",
)  # fmt: skip
LEFT = 2

Entry = Mapping[str, Any]


def markdown_table(result: Mapping[str, Any]) -> str:
    """The table of one result, and below it the lines that did not pass, each with its reason."""
    rows = [_cells(entry) for entry in result["artifacts"]]
    parts = ["\n".join([_row(HEAD), _row(["---"] * LEFT + ["---:"] * (len(HEAD) - LEFT)), *map(_row, rows)])]
    entries = result["artifacts"]
    below = (
        _choice(entries), _elsewhere(entries), _further(entries), _reasons(entries), _limits(entries), _context(result),
    )  # fmt: skip
    parts += [text for text in below if text]
    return "\n\n".join(parts) + "\n"


def _choice(entries: Sequence[Entry]) -> str:
    """Which to ship: the fastest of those that are shown to meet the budget; "" where there was no budget."""
    if not any(entry["verdict"] for entry in entries):
        return ""
    met = [
        entry for entry in entries if entry["verdict"] and entry["verdict"]["outcome"] == "pass" and entry["latency"]
    ]
    if not met:
        return "None of these is shown to meet the whole budget."
    fastest = min(met, key=lambda entry: float(entry["latency"]["p95_ms"]))
    return f"The fastest that is shown to meet the whole budget: **{fastest['artifact']}**."


def _elsewhere(entries: Sequence[Entry]) -> str:
    """Which artifacts were made for other instruction sets than those they ran on, and what that means."""
    lines = [f"- **{entry['artifact']}** was {said}" for entry in entries if (said := _made_elsewhere(entry))]
    return "\n".join(["Made for another machine than this:", "", *lines]) if lines else ""


def _made_elsewhere(entry: Entry) -> str:
    here = entry["environment"]
    numbers = numbers_of(entry["format"], entry["precision"], entry["task"])
    return made_elsewhere(numbers, here["made_for"], here) if "made_for" in here else ""


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _cells(entry: Entry) -> tuple[str, ...]:
    latency, model_only = entry["latency"] or {}, entry["model_only"] or {}
    return (
        entry["artifact"],
        f"{entry['format']} {entry['precision']}",
        _number(latency.get("p50_ms"), 2),
        _with_interval(latency.get("p95_ms"), latency.get("p95_ci_ms")),
        _number(model_only.get("p95_ms"), 2),
        _quality(entry["quality"]),
        _worst_slice(entry["quality"]),
        _number(entry["size_mb"], 1),
        _number(entry["load_ms"], 0),
        _number(entry["peak_rss_mb"], 0),
        MARKS[entry["verdict"]["outcome"]] if entry["verdict"] else "-",
    )


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _with_interval(value: float | None, interval: Sequence[float] | None) -> str:
    if value is None or interval is None:
        return "-"
    return f"{value:.2f} ({interval[0]:.2f} to {interval[1]:.2f})"


def _quality(score: Mapping[str, Any] | None) -> str:
    """A score in per cent, and its change against the baseline in points."""
    if score is None or score["value"] is None:
        return "-"
    text = f"{score['value']:.2%}"
    if score["delta"] is None:
        return text
    text += f", {100 * score['delta']:+.2f}"
    if score["delta_ci"] is None:
        return text
    low, high = score["delta_ci"]
    return f"{text} ({100 * low:+.2f} to {100 * high:+.2f})"


def _worst_slice(quality: Mapping[str, Any] | None) -> str:
    """The slice that lost most against the baseline; without one, the slice of lowest recall."""
    slices = [] if quality is None else [each for each in quality["slices"] if each["value"] is not None]
    if not slices:
        return "-"
    worst = min(slices, key=lambda each: (each["delta"] or 0.0, each["value"]))
    change = "" if worst["delta"] is None else f", {100 * worst['delta']:+.2f}"
    return f"{worst['name']} {worst['value']:.2%}{change}"


def _further(entries: Sequence[Entry]) -> str:
    """What a task kind tells beyond its headline score: each head's own, recall, perplexity, speed of writing."""
    lines = [f"- **{entry['artifact']}**: {'; '.join(said)}" for entry in entries if (said := _further_of(entry))]
    return "\n".join(["Further figures (change against the baseline in points):", "", *lines]) if lines else ""


def _further_of(entry: Entry) -> list[str]:
    quality = entry["quality"] or {"others": (), "perplexity": None}
    said = [f"{score['name']} {_quality(score)}" for score in quality["others"]]
    if quality["perplexity"] is not None:
        said.append(f"perplexity {quality['perplexity']:.2f}")
    if entry["writing"]:
        said.append(f"{entry['writing']['tokens_per_s']:.1f} new tokens a second")
    return said


def _reasons(entries: Sequence[Entry]) -> str:
    lines = []
    for entry in entries:
        open_lines = [line for line in (entry["verdict"] or {}).get("lines", ()) if line["outcome"] != "pass"]
        for line in open_lines:
            mark = MARKS[line["outcome"]]
            seen = "" if line["measured"] == "-" else f" ({line['measured']})"
            lines.append(f"- **{entry['artifact']}**, {line['limit']}: {mark}{seen}. {line['reason']}")
        if entry["stability"] and not entry["stability"]["ok"]:
            lines.append(f"- **{entry['artifact']}**, unsteady run: {'; '.join(entry['stability']['reasons'])}.")
    return "\n".join(["What did not pass:", "", *lines]) if lines else ""


def _limits(entries: Sequence[Entry]) -> str:
    """How near each came to the machine's limit, where that is known."""
    lines = []
    for entry in entries:
        limit = entry.get("limit")
        if limit and limit["share"] is not None:
            work = f"{limit['multiply_adds'] / 1e6:.1f} M multiply-adds, {limit['weights_mb']:.1f} MB of weights"
            least = f"at least {limit['least_ms']:.3f} ms here ({limit['bound']})"
            lines.append(f"- **{entry['artifact']}**: {limit['share']:.0%}. A request is {work}: {least}.")
    return "\n".join(["Share of the machine's limit that model-only P50 reached:", "", *lines]) if lines else ""


def _context(result: Mapping[str, Any]) -> str:
    environment, data, plan = result["artifacts"][0]["environment"], result["data"], result["plan"]
    metric = next((entry["quality"]["metric"] for entry in result["artifacts"] if entry["quality"]), None)
    quality = f"; quality is {metric}" if metric else ""
    against = f"{quality}, against {result['baseline']} in points" if result["baseline"] else quality
    budget = f"budget {result['budget']['name']}" if result["budget"] else "no budget"
    if result["budget"] and result["budget"].get("assumed"):
        budget += " (assumed, not confirmed)"
    where = f"{environment['cpu']}, {plan['threads']} thread(s)"
    return f"{data['rows']:,} rows of {data['name']}, {budget}{against}. {where}; result {result['id']}."
