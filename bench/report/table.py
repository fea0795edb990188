"""A result as Markdown for a terminal or a pull request: one row per artifact, then what did not pass.

Works on the plain values of a stored result alone. Marks are words with a sign before them, so that they read without
colour and in any font. Runs under load have tables of their own: what the queue adds beside what a closed loop sees,
and the highest load found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mct.bench.report.web import web_columns, web_rows, web_sentences, web_title
from mct.compress.plan.plan import numbers_of
from mct.models.command_line import one_line
from mct.targets.arithmetic import made_elsewhere

if TYPE_CHECKING:
    from mct.bench.judge.load_result import LoadResult
    from mct.bench.judge.max_load import MaxLoad
    from mct.bench.statistics.percentiles import Estimate

MARKS = {"pass": "✓ pass", "fail": "✗ FAIL", "inconclusive": "? inconclusive"}
COLUMNS = (
    "artifact", "format", "P50 ms", "P95 ms (95 % interval)", "times faster at P95", "model-only P95", "quality",
    "worst slice", "size MB", "load ms", "peak MB", "verdict",
)  # fmt: skip
NO_RUNTIME = "this target has a runtime for none of these"
LOAD_COLUMNS = (
    "artifact", "load /s", "served /s", "utilisation", "P50 ms", "P95 ms under load (95 % interval)", "P99 ms",
    "closed-loop P95 ms", "P95 of first and last tenth, ms", "steady state",
)  # fmt: skip
MAX_COLUMNS = ("artifact", "P95 limit ms", "highest load /s", "of single processes /s", "closed loop /s")
TAIL = 0.05
"""The share of requests that are slower than P95."""
AMOUNTS = {
    "nll": "nats a token", "kl_to_original": "KL from the baseline, nats a token", "reward_margin": "reward margin",
    "implicit_reward_margin": "reward margin beyond the reference", "expert_balance": "balance of experts (entropy)",
}  # fmt: skip
STATES = {"steady": "✓ yes", "above capacity": "✗ ABOVE CAPACITY", "undecided": "? undecided"}
LOAD_NOTE = (
    "Poisson arrivals to one server, latency from the scheduled arrival. The closed loop ran on the same processes and"
    " sends a request only when the last is answered, so it cannot see a queue."
)

Entry = Mapping[str, Any]


def markdown_table(result: Mapping[str, Any]) -> str:
    """The table of one result, and below it the lines that did not pass, each with its reason."""
    entries = result["artifacts"]
    parts = (
        figures_table(COLUMNS, [_cells(entry) for entry in entries], words=(0, 1)), _choice(result.get("choice")),
        _elsewhere(entries), further_figures(entries), _written(entries), _cascades(entries), _in_a_page(entries),
        _reasons(entries), _limits(entries), _context(result),
    )  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


def load_table(results: Sequence[LoadResult]) -> str:
    """One row per artifact under load, and below it why a row has no percentiles or cannot be trusted."""
    said = [
        f"- **{each.artifact} at {each.offered_qps:g}/s**: {reason}." for each in results for reason in each.reasons
    ]
    table = figures_table(LOAD_COLUMNS, [_load_cells(each) for each in results], words=(0, len(LOAD_COLUMNS) - 1))
    return "\n".join([table, "", *said, *([""] if said else []), LOAD_NOTE]) + "\n"


def max_load_table(results: Sequence[MaxLoad]) -> str:
    """One row per artifact, and below it every rate that was tried."""
    said = [f"- **{each.artifact}**: {reason}." for each in results for reason in each.reasons]
    table = figures_table(MAX_COLUMNS, [_max_cells(each) for each in results], words=(0,))
    return "\n".join([table, "", *said, *([""] if said else []), *map(_rates_tried, results)]) + "\n"


def section(title: str, lines: Sequence[str]) -> str:
    """The lines below their title; "" where there are none."""
    return "\n".join([title, "", *lines]) if lines else ""


def _choice(choice: Mapping[str, Any] | None) -> str:
    """Which to ship; "" where there was no budget."""
    if choice is None:
        return ""
    if not choice["considered"]:
        return NO_RUNTIME.capitalize() + "."
    among = f", chosen among {choice['considered']}" if choice["considered"] > 1 else ""
    said = "None of these is shown to meet the whole budget."
    if choice["fastest"] is not None:
        said = f"The fastest that is shown to meet the whole budget{among}: **{choice['fastest']}**."
    if choice["ties"]:
        said += f" Not shown to be slower: {_listed(choice['ties'])}."
    if choice["uncorrected"]:
        said += (
            f" Each by itself passes, but not as the best of {choice['considered']}: {_listed(choice['uncorrected'])}."
        )
    return said


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _elsewhere(entries: Sequence[Entry]) -> str:
    """Which artifacts were made for other instruction sets than those they ran on, and what that means."""
    lines = []
    for entry in entries:
        here, numbers = entry["environment"], numbers_of(entry["format"], entry["precision"], entry["task"])
        said = made_elsewhere(numbers, here["made_for"], here) if "made_for" in here else ""
        lines += [f"- **{entry['artifact']}** was {said}"] if said else []
    return section("Made for another machine than this:", lines)


def figures_table(columns: Sequence[str], rows: Sequence[Sequence[str]], words: Sequence[int]) -> str:
    """The columns `words` are of words and stand left, the others are of figures and stand right."""
    rule = ["---" if column in words else "---:" for column in range(len(columns))]
    return "\n".join(
        f"| {' | '.join(one_line(cell.replace('|', '/')) for cell in row)} |" for row in (columns, rule, *rows)
    )


def failure_in_words(failure: Mapping[str, Any]) -> str:
    """Why something could not be measured, and what mends it."""
    return f"{failure['message']} ({failure['hint']})" if failure["hint"] else str(failure["message"])


def _cells(entry: Entry) -> tuple[str, ...]:
    latency, model_only, speedup = entry["latency"] or {}, entry["model_only"] or {}, entry.get("speedup") or {}
    return (
        entry["artifact"],
        f"{entry['format']} {entry['precision']}",
        _number(latency.get("p50_ms"), 2),
        with_interval(latency.get("p95_ms"), latency.get("p95_ci_ms")),
        with_interval(speedup.get("p95"), speedup.get("p95_ci")),
        _number(model_only.get("p95_ms"), 2),
        _quality(entry["quality"]),
        _worst_slice(entry["quality"]),
        _number(entry["size_mb"], 1),
        _number(entry["load_ms"], 0),
        _number(entry["peak_rss_mb"], 0),
        MARKS[entry["verdict"]["outcome"]] if entry["verdict"] else "-",
    )


def in_words(found: Mapping[str, Any]) -> list[str]:
    """How fast a language model writes; prompt and further tokens apart where that was kept."""
    said = [f"{found['tokens_per_s']:.1f} new tokens a second"]
    for key, name in (("first_token", "first token after"), ("per_token", "each further one")):
        if spread := found.get(key):
            said.append(f"{name} {spread['p50_ms']:.2f} ms (P95 {_number(spread['p95_ms'], 2)})")
    if found.get("prefill_tokens_per_s") and found.get("decode_tokens_per_s"):
        read, wrote = found["prefill_tokens_per_s"], found["decode_tokens_per_s"]
        said.append(f"reads {read:,.0f} and writes {wrote:,.0f} tokens a second")
    return said


def _load_cells(result: LoadResult) -> tuple[str, ...]:
    low, high = result.utilisation_ci
    none = "none: above capacity" if result.state == "above capacity" else "not known"
    return (
        result.artifact,
        f"{result.offered_qps:g}",
        f"{result.achieved_qps:.1f}",
        f"{result.utilisation:.0%} ({low:.0%} to {high:.0%})",
        _number(None if result.p50 is None else result.p50.value, 2),
        none if result.p95 is None else _estimate(result.p95),
        _number(None if result.p99 is None else result.p99.value, 2),
        _estimate(result.closed),
        f"{result.climb[0]:.1f} → {result.climb[-1]:.1f}",
        STATES[result.state],
    )


def _max_cells(result: MaxLoad) -> tuple[str, ...]:
    return (
        result.artifact,
        f"{result.limit_ms:g}",
        _highest(result),
        f"{min(result.each_qps):.1f} to {max(result.each_qps):.1f}" if result.each_qps else "-",
        f"{result.capacity_qps:.1f}",
    )


def _highest(result: MaxLoad) -> str:
    """The rate with its interval, in the precision that the interval leaves."""
    if result.qps is None or result.misses_qps is None:
        return "?" if result.misses_qps is None else f"none, {result.misses_qps:.1f} misses it"
    return f"{result.qps:.1f} [{result.meets_qps:.1f}, {result.misses_qps:.1f}]"


def _rates_tried(result: MaxLoad) -> str:
    tried = sorted(result.tried, key=lambda each: each.qps)
    rates = ", ".join(f"{each.qps:.1f} {each.answer} ({each.requests:,} requests)" for each in tried)
    return f"- **{result.artifact}**, rates tried: {rates or 'none'}"


def _estimate(found: Estimate | None) -> str:
    return "-" if found is None else with_interval(found.value, (found.low, found.high))


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def with_interval(value: float | None, interval: Sequence[float] | None, digits: int = 2) -> str:
    """A value and its interval; "-" where either is unknown."""
    if value is None or interval is None:
        return "-"
    return f"{value:.{digits}f} ({interval[0]:.{digits}f} to {interval[1]:.{digits}f})"


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


def further_figures(entries: Sequence[Entry], said: str = "change against the baseline") -> str:
    """What a technique gave beyond the headline score, a row a figure, and what each artifact kept of it.

    Of an entry only its name and its quality are read. `said` stands in the title; "" where there is no figure.
    """
    told = [_figures(entry["quality"]) for entry in entries]
    names = list(dict.fromkeys(name for figures in told for name in figures))
    if not names:
        return ""
    rows = [[name, *(figures.get(name, "-") for figures in told)] for name in names]
    head = ["", *(entry["artifact"] for entry in entries)]
    return f"Further figures ({said}):\n\n{figures_table(head, rows, words=(0,))}"


def _figures(quality: Mapping[str, Any] | None) -> dict[str, str]:
    """Each head's own, recall, what of the original's answers was kept; nats and margins; perplexity."""
    if quality is None:
        return {}
    found = {score["name"]: _quality(score) for score in quality["others"]}
    if quality["perplexity"] is not None:
        found["perplexity"] = f"{quality['perplexity']:.2f}"
    return found | {AMOUNTS.get(each["name"], each["name"]): _amount(each) for each in quality.get("amounts", ())}


def _amount(score: Mapping[str, Any]) -> str:
    """A figure that is no share, and its change."""
    if score["value"] is None:
        return "-"
    text = f"{score['value']:.4g}"
    if score["delta_ci"] is None:
        return text
    low, high = score["delta_ci"]
    return f"{text}, {score['delta']:+.3g} ({low:+.3g} to {high:+.3g})"


def _written(entries: Sequence[Entry]) -> str:
    lines = [
        f"- **{entry['artifact']}**: {'; '.join(in_words(entry['writing']))}" for entry in entries if entry["writing"]
    ]
    return section("Writing:", lines)


def _in_a_page(entries: Sequence[Entry]) -> str:
    """Of what ran in JavaScript: its download, its first answer, and whether it answers as it does natively."""
    rows = web_rows(entries)
    if not rows:
        return ""
    said = [f"- **{name}**: {sentence}." for name, sentence in web_sentences(entries)]
    return "\n\n".join([web_title(entries), figures_table(web_columns(entries), rows, words=(0, 1)), "\n".join(said)])


def _cascades(entries: Sequence[Entry]) -> str:
    """How much the second stages do, and what P95 is if that share drifts."""
    found = [(entry["artifact"], entry["cascade"]) for entry in entries if entry.get("cascade")]
    return section("Cascades:", [f"- **{name}**: {_cascade(cascade)}." for name, cascade in found])


def _cascade(found: Mapping[str, Any]) -> str:
    shares = f"{found['deferred'] / found['of']:.1%}, at most {found['upper']:.1%}"
    said = f"{found['deferred']:,} of {found['of']:,} texts ({shares}) go to the second stage"
    if found["upper"] >= TAIL:
        said += ", **so that P95 may be that stage's: are these the texts that it was made for?**"
    if found["p95_ms"]:
        said += "; P95 by that share: " + ", ".join(f"{at:.0%} {p95:.3g} ms" for at, p95 in found["p95_ms"])
    if found["most"] is not None:
        said += f"; the budget's P95 is kept up to {found['most']:.1%}"
    return said


def _reasons(entries: Sequence[Entry]) -> str:
    lines = []
    for entry in entries:
        if entry["failure"] and not entry["verdict"]:  # a verdict would say so
            lines.append(f"- **{entry['artifact']}** could not be measured: {failure_in_words(entry['failure'])}")
        open_lines = [line for line in (entry["verdict"] or {}).get("lines", ()) if line["outcome"] != "pass"]
        for line in open_lines:
            mark = MARKS[line["outcome"]]
            seen = "" if line["measured"] == "-" else f" ({line['measured']})"
            lines.append(f"- **{entry['artifact']}**, {line['limit']}: {mark}{seen}. {line['reason']}")
        for each in entry.get("lost", ()):
            lines.append(f"- **{entry['artifact']}**, round {each['round'] + 1} ended early: {each['message']}.")
        if entry["stability"] and not entry["stability"]["ok"]:
            lines.append(f"- **{entry['artifact']}**, unsteady run: {'; '.join(entry['stability']['reasons'])}.")
    return section("What did not pass:", lines)


def _limits(entries: Sequence[Entry]) -> str:
    """How near each came to the machine's limit, where that is known."""
    lines = []
    for entry in entries:
        limit = entry.get("limit")
        if limit and limit["share"] is not None:
            work = f"{limit['multiply_adds'] / 1e6:.1f} M multiply-adds, {limit['weights_mb']:.1f} MB of weights"
            least = f"at least {limit['least_ms']:.3f} ms here ({limit['bound']})"
            lines.append(f"- **{entry['artifact']}**: {limit['share']:.0%}. A request is {work}: {least}.")
    return section("Share of the machine's limit that model-only P50 reached:", lines)


def _context(result: Mapping[str, Any]) -> str:
    environment, data, plan = result["artifacts"][0]["environment"], result["data"], result["plan"]
    metric = next((entry["quality"]["metric"] for entry in result["artifacts"] if entry["quality"]), None)
    quality = f"; quality is {metric}" if metric else ""
    against = f"{quality}, against {result['baseline']} in points" if result["baseline"] else quality
    budget = f"budget {result['budget']['name']}" if result["budget"] else "no budget"
    if result["budget"] and result["budget"].get("assumed"):
        budget += " (assumed, not confirmed)"
    where = f"{environment['cpu']}, {plan['threads']} thread(s)"
    if gpu := environment.get("gpu"):
        where = f"{gpu['name']} (driver {gpu.get('driver', 'unknown')}), fed by {where}"
    if plan.get("memory_mb"):
        where += f", {plan['memory_mb']:,} MB at most ({plan['memory_by']})"
    return f"{data['rows']:,} rows of {data['name']}, {budget}{against}. {where}; result {result['id']}."
