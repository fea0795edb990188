"""The report as Markdown for a comment on a pull request: what matters first, the rest folded away.

Its first line is a marker that nobody sees, by which the next run finds the comment and updates it. Names and texts of
a result may come from a stranger's fork, so each character that Markdown, HTML or GitHub would act on (a mention, a
reference to an issue, the end of a table cell) is written as an entity.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mct.bench.judge.regression import ACROSS_RUNS
from mct.bench.report.change import Changes
from mct.bench.report.report import Report, headline
from mct.bench.report.table import MARKS, markdown_table, section
from mct.bench.store.reading import StoredRun

SIGNS = {"faster": "▼ faster", "slower": "▲ SLOWER", "about the same": "= about the same", "undecided": "? undecided"}
MARKER = "<!-- mct-report -->"
ACTIVE = re.compile(r"[&<>|*`\[\]~@\\]|#(?=\d)|(?<![^\W_])_|_(?![^\W_])|^[-+=#]|^\d+(?=[.)]\s)")
"""What means something to Markdown or GitHub; an underscore inside a word does not."""
MOST_CHARACTERS = 65_536
"""GitHub refuses a longer comment."""
CUT = "\n\n*Cut here: the rest is longer than a comment may be. `mct report` on the results shows it all.*\n"
MOST_SAID = 12
"""Lines shown of what a worker that died said last: a comment has a limited size."""


def as_markdown(report: Report) -> str:
    """The comment. Several runs stand one below the other."""
    parts = [MARKER]
    for run, changes in zip(report.runs, report.changes, strict=True):
        parts += _of_run(run, changes)
    return _fitted("\n\n".join(part for part in parts if part) + "\n")


def _fitted(text: str) -> str:
    """At most what GitHub takes, cut at the end of a line, and what was left open there closed."""
    if len(text) <= MOST_CHARACTERS:
        return text
    end = "\n\n</details>"
    kept = text[: MOST_CHARACTERS - len(CUT) - len(end)].rpartition("\n")[0]
    opened = kept.count("<details>") > kept.count("</details>")
    return kept + (end if opened else "") + CUT


def escape(text: str) -> str:
    """Text that shows as it is, on one line, wherever in a Markdown document it stands."""

    def entities(found: re.Match[str]) -> str:
        return "".join(f"&#{ord(character)};" for character in found.group())

    return ACTIVE.sub(entities, " ".join(text.split()))


def escaped(value: Any) -> Any:
    """The same value with every text in it escaped."""
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, Mapping):
        return {key: escaped(item) for key, item in value.items()}
    return [escaped(item) for item in value] if isinstance(value, Sequence) else value


def _of_run(run: StoredRun, changes: Changes | None) -> list[str]:
    safe = StoredRun(
        escaped(run.result), run.latencies_ms, {escape(name): share for name, share in run.agreement.items()}
    )
    return [
        f"### mct: {headline(safe)}",
        markdown_table(safe.result).rstrip(),
        _since(changes) if changes else "",
        _details(safe),
    ]


def _since(changes: Changes) -> str:
    lines = [f"**P95 since run {escape(changes.since)}** (now / then, 95 % interval)", ""]
    for change in changes.changes:
        ratio = f"{change.ratio:.2f} ({change.low:.2f} to {change.high:.2f})"
        times = f"{change.before_ms:.2f} ms → {change.after_ms:.2f} ms"
        lines.append(f"- **{escape(change.artifact)}**: {SIGNS[change.outcome]}, {ratio}, {times}")
    lines += [f"- {escape(remark)}" for remark in changes.remarks]
    if changes.changes:
        lines += [
            "",
            f"The two runs did not take turns: less than {ACROSS_RUNS:.0%} either way is not called a change. "
            "`mct compare` decides a small one.",
        ]
    return "\n".join(lines)


def _details(run: StoredRun) -> str:
    """What few need to see, folded. The blank lines make GitHub read Markdown inside of it."""
    same = [f"- **{name}**: same answer on {share:.2%} of the examples" for name, share in run.agreement.items()]
    agreement = section(f"**Agreement with {run.baseline}, right or wrong**", same)
    parts = [
        _passed_lines(run), agreement, _lengths(run), _starts(run), _steadiness(run), _gpu_use(run), _failures(run),
        _environment(run),
    ]  # fmt: skip
    inside = "\n\n".join(part for part in parts if part)
    return f"<details>\n<summary>Limits met, agreement, noise, environment</summary>\n\n{inside}\n\n</details>"


def _passed_lines(run: StoredRun) -> str:
    """The limits that were met; those that were not stand unfolded below the table."""
    lines = [
        f"- **{entry['artifact']}**: {line['limit']}: {line['measured']}. {line['reason']}"
        for entry in run.entries
        for line in (entry["verdict"] or {"lines": ()})["lines"]
        if line["outcome"] == "pass"
    ]
    return section(f"**Limits met** ({MARKS['pass']})", lines)


def _lengths(run: StoredRun) -> str:
    """P50 and P95 of requests of like length, since length drives latency."""
    lines = []
    for entry in run.entries:
        groups = [
            f"{_range(group['tokens'])} {group['p50_ms']:.2f} / {_or_dash(group['p95_ms'])}"
            for group in entry.get("by_length", ())
        ]
        lines += [f"- **{entry['artifact']}**: {', '.join(groups)}"] if len(groups) > 1 else []
    return section("**P50 / P95 in ms by tokens of the request**", lines)


def _range(tokens: Sequence[int]) -> str:
    return f"{tokens[0]}" if tokens[0] == tokens[1] else f"{tokens[0]}–{tokens[1]}"


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _starts(run: StoredRun) -> str:
    """What a start takes, the import of libraries apart from the opening of the model."""
    lines = [
        f"- **{entry['artifact']}**: {entry['import_ms']:.0f} ms to import, {entry['load_ms'] - entry['import_ms']:.0f}"
        f" to open the model, {entry['first_call_ms']:.1f} for the first call"
        for entry in run.entries
        if None not in (entry["import_ms"], entry["load_ms"], entry["first_call_ms"])
    ]
    return section("**Start-up**", lines)


def _steadiness(run: StoredRun) -> str:
    lines = []
    for entry in run.entries:
        if entry["stability"]:
            found = entry["stability"]
            said = "steady" if found["ok"] else f"unsteady: {'; '.join(found['reasons'])}"
            own = found["floor_p95"]
            floor = "" if own is None else f"; against itself its P95 differs by {own:.1%}"
            stopped = entry.get("throttled_s")
            quota = "" if stopped is None else f"; stopped by its quota for {stopped:.2f} s"
            lines.append(
                f"- **{entry['artifact']}**: {said}; {found['stolen_share']:.2%} of the time stolen{quota}{floor}"
            )
    return section("**Noise**", lines)


def _gpu_use(run: StoredRun) -> str:
    """What a GPU used and was at; nothing of what its card does not tell."""
    lines = []
    for entry in run.entries:
        if not (used := entry.get("gpu")):
            continue
        said = [
            f"{used['energy_per_request_mj']:,.1f} mJ a request" if used["energy_per_request_mj"] is not None else "",
            f"{used['power_w']:.0f} W" if used["power_w"] is not None else "",
            f"{used['clock_mhz'][0]:,} to {used['clock_mhz'][1]:,} MHz" if used["clock_mhz"] else "",
            f"{used['memory_mb']:,.0f} MB held on the card" if used["memory_mb"] is not None else "",
            f"{used['temperature_c']} °C" if used["temperature_c"] is not None else "",
            f"slowed by {', '.join(used['slowed_by'])}" if used["slowed_by"] else "",
        ]
        lines.append(f"- **{entry['artifact']}**: {', '.join(filter(None, said)) or 'the card tells nothing'}")
    return section("**GPU** (the whole card, by NVML)", lines)


def _failures(run: StoredRun) -> str:
    parts = []
    for entry in run.entries:
        if entry["failure"]:
            said = [f"  - {line}" for line in entry["failure"]["stderr"][-MOST_SAID:]]
            hint = f" ({entry['failure']['hint']})" if entry["failure"]["hint"] else ""
            parts.append("\n".join([f"- **{entry['artifact']}**: {entry['failure']['message']}{hint}", *said]))
    return section("**Could not be measured**", parts)


def _conditions(environment: Mapping[str, Any]) -> list[str]:
    """One line of what is set on the machine; none for a run that is older than this was recorded."""
    if "smt" not in environment:
        return []
    said = [f"SMT {environment['smt']}", f"boost {environment['boost']}", f"governor {environment['governor']}"]
    said += [f"huge pages {environment['huge_pages']}"]
    said += [f"{name}={value}" for name, value in environment["threading"].items()]
    return [f"- {', '.join(said)}"]


def _environment(run: StoredRun) -> str:
    first, plan = run.entries[0]["environment"], run.result["plan"]
    libraries = sorted({pair for entry in run.entries for pair in entry["environment"]["libraries"].items()})
    prints = sorted({entry["environment"]["fingerprint"] for entry in run.entries})
    quota = "" if first["quota_cpus"] is None else f", quota {first['quota_cpus']:g}"
    lines = [
        f"- {first['cpu']} ({', '.join(first['instruction_sets'])}), {first['affinity_cpus']} CPUs{quota}",
        f"- {plan['threads']} threads pinned to CPU {', '.join(map(str, plan['affinity']))}; {first['system']}",
        *_conditions(first),
        f"- mct {run.result['mct_version']}, Python {first['python']}, "
        + ", ".join(f"{name} {version}" for name, version in libraries),
        f"- fingerprint {', '.join(prints)}; data {run.result['data']['sha256'][:12]}; seed {plan['seed']}",
    ]
    return section("**Environment**", lines)
