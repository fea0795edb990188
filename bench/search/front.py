"""What a search ends with: the front as a table, a page and a file for programs, and a sentence why the winner won.

Quality in the table is that on the rows to choose by; what the verdict says is on rows that nothing was chosen by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mct.bench.search.choosing import Standing, front, summary
from mct.bench.search.course import Course
from mct.bench.search.finals import winner_of
from mct.bench.store.reading import StoredRun
from mct.models.progress import Report
from mct.models.writing.folders import write_atomically, write_json

JUDGED_HEAD = (
    "| | P95 | times below | quality | drop, points | MB | verdict |",
    "|--|--|--:|--:|--:|--:|--|",
)
COLUMNS = ("", "candidate", "quality", "P95 ms", "MB", "lessons", "what became of it")


def describe(course: Course, standings: Sequence[Standing], judged: Mapping[str, Any] | None) -> dict[str, Any]:
    """All that there is to say, as plain values: front.json."""
    question, journal = course.question, course.journal
    best = front(standings)
    by_name = {each.name: each for each in standings}
    rows = []
    for name in sorted(course.tried.keys() | course.fates.keys(), key=lambda name: _order(course, name)):
        tried, standing, timed = course.tried.get(name), by_name.get(name), course.timed.get(name)
        rows.append(
            {
                "name": name,
                "lessons": tried.lessons if tried else None,
                "recipe": tried.recipe.as_json() if tried else None,
                "on_front": name in best,
                "quality": None,
                **(timed.as_json() if timed else dict.fromkeys(("p50_ms", "p95_ms", "low_ms", "high_ms", "size_mb"))),
                **(summary(standing) if standing else {}),
                "fate": course.fates.get(name, ""),
            }
        )
    winner = winner_of(dict(judged)) if judged else None
    return {
        "schema": 1,
        "kind": "mct-front",
        "checkpoint": str(question.checkpoint.path),
        "budget": question.budget.name,
        "target": question.target.name,
        "cpu": question.machine.cpu,
        "instruction_sets": list(question.machine.instruction_sets),
        "workers": course.engine.workers,
        "asked_s": question.seconds,
        "elapsed_s": round(journal.elapsed, 1),
        "spent_s": {name: round(seconds, 1) for name, seconds in journal.spent.items()},
        "busy_share": round(course.busy_share, 3),
        "chosen_on_unseen_rows": course.splits.unseen,
        "candidates": rows,
        "judged": dict(judged) if judged else None,
        "winner": winner,
        "why": why(course, standings, judged, winner),
    }


def _order(course: Course, name: str) -> tuple[float, str]:
    timed = course.timed.get(name)
    return (timed.p95_ms if timed else float("inf"), name)


def why(course: Course, standings: Sequence[Standing], judged: Mapping[str, Any] | None, winner: str | None) -> str:
    """Why the winner won and what it costs; or what came closest, and which line stands in the way."""
    if judged is None:
        return _nothing_fits(course)
    entries = judged["result"]["artifacts"]
    named = {judged["names"].get(entry["path"], "the checkpoint"): entry for entry in entries}
    if winner is None:
        return _closest(named, judged["order"])
    won, original = named[winner], named["the checkpoint"]
    said = f"{winner} is the fastest of {len(entries) - 1} that was shown to meet the budget: {_figures(won)}"
    if won["speedup"]:
        low, high = won["speedup"]["p95_ci"]
        said += f", {won['speedup']['p95']:.1f} times [{low:.1f}, {high:.1f}] below the checkpoint's"
    quality = won["quality"]
    if quality and quality["delta"] is not None:
        said += f". It costs {-100 * quality['delta']:.2f} points of {quality['metric']}"
        if quality["delta_ci"]:
            said += f" (95 % interval {-100 * quality['delta_ci'][1]:.2f} to {-100 * quality['delta_ci'][0]:.2f})"
        said += f" on {quality['n']:,} rows that nothing was chosen by"
    return said + f", and takes {won['size_mb']:.1f} MB where the checkpoint takes {original['size_mb']:.1f}."


def _nothing_fits(course: Course) -> str:
    timed = sorted(course.timed.items(), key=lambda pair: pair[1].p95_ms)
    if not timed:
        return "Nothing could be timed: the reasons stand in the table."
    name, figures = timed[0]
    fate = course.fates.get(name, "").removeprefix("never taught: ")
    return (
        f"Nothing meets the budget whatever it learns. The fastest is {name}: {fate or f'P95 {figures.p95_ms:.3g} ms'}."
    )


def _closest(named: Mapping[str, Mapping[str, Any]], order: Sequence[str]) -> str:
    """Of those judged, the one with the fewest lines that did not pass."""
    judged = {name: entry for name, entry in named.items() if entry["verdict"] and name != "the checkpoint"}
    if not judged:
        return "None of the last few could be judged."
    name = min(
        judged, key=lambda each: (len(_open_lines(judged[each])), (judged[each]["latency"] or {}).get("p95_ms") or 0.0)
    )
    lines = _open_lines(judged[name])
    if not lines:
        first = f"but {order[0]}, which was to be shown first, does not"
        return f"{name} meets the budget by itself, {first}: measure it again alone, on rows that nobody looked at."
    in_the_way = "; ".join(f"{line['limit']} ({line['measured']}, {line['outcome']})" for line in lines)
    return f"Nothing was shown to meet the budget. Closest came {name}; in the way stands: {in_the_way}."


def _open_lines(entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [line for line in entry["verdict"]["lines"] if line["outcome"] != "pass"]


def _figures(entry: Mapping[str, Any]) -> str:
    latency = entry["latency"]
    if latency is None:
        return "could not be measured"
    if latency["p95_ms"] is None:
        return f"{latency['mean_ms']:.3f} ms on average, too few requests for a P95"
    low, high = latency["p95_ci_ms"] or (latency["p95_ms"], latency["p95_ms"])
    return f"P95 {latency['p95_ms']:.3f} ms [{low:.3f}, {high:.3f}]"


def as_markdown(found: Mapping[str, Any]) -> str:
    """The front as a table, the winner and the time that went into it."""
    lines = [
        f"# The fastest artifact for {found['budget']} on {found['target']}", "", found["why"], "",
        *(_judged(found["judged"]) if found["judged"] else []),
        f"| {' | '.join(COLUMNS)} |", "|--|--|--:|--:|--:|--:|--|",
    ]  # fmt: skip
    for row in found["candidates"]:
        mark = "🏆" if row["name"] == found["winner"] else "•" if row["on_front"] else ""
        quality = "-" if row["quality"] is None else f"{100 * row['quality']:.2f} %"
        p95 = "-" if row["p95_ms"] is None else f"{row['p95_ms']:.3f} [{row['low_ms']:.3f}, {row['high_ms']:.3f}]"
        size = "-" if row["size_mb"] is None else f"{row['size_mb']:.1f}"
        lessons = "-" if row["lessons"] is None else str(row["lessons"])
        lines.append(f"| {mark} | {row['name']} | {quality} | {p95} | {size} | {lessons} | {row['fate']} |")
    spent = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in found["spent_s"].items())
    rows = (
        "that the checkpoint never saw"
        if found["chosen_on_unseen_rows"]
        else "of --data, which the checkpoint may know"
    )
    workers = f"{found['workers']} worker{'s' if found['workers'] > 1 else ''}"
    lines += [
        "",
        f"• on the front: no other beats it in both. Quality is that on the rows to choose by ({rows}); P95 is",
        "that of all requests, in brackets of the quickest and the slowest process.",
        f"Took {found['elapsed_s']:.0f} s of {found['asked_s']:.0f}: {spent}; {workers}, busy for "
        f"{found['busy_share']:.0%} of the time that was theirs. {found['cpu']}.",
    ]
    return "\n".join(lines) + "\n"


def _judged(judged: Mapping[str, Any]) -> list[str]:
    """The last few beside the checkpoint, on the rows to judge by."""
    result = judged["result"]
    again = f", which were judged on {judged['looks']} times: each at 5 %" if judged["looks"] > 1 else ""
    lines = [f"Judged on the {result['data']['rows']:,} rows of {result['data']['name']}{again}:", "", *JUDGED_HEAD]
    for entry in result["artifacts"]:
        quality, verdict = entry["quality"], entry["verdict"]["outcome"] if entry["verdict"] else "-"
        value, drop, faster = "-", "-", "-"
        if quality and quality["value"] is not None:
            value = f"{100 * quality['value']:.2f} %"
        if quality and quality["delta_ci"]:
            low, high = (0 - 100 * end for end in reversed(quality["delta_ci"]))
            drop = f"{0 - 100 * quality['delta']:.2f} [{low:.2f}, {high:.2f}]"
        if entry["speedup"]:
            low, high = entry["speedup"]["p95_ci"]
            faster = f"{entry['speedup']['p95']:.1f} [{low:.1f}, {high:.1f}]"
        name = judged["names"].get(entry["path"], "the checkpoint (torch)")
        cells = (name, _figures(entry).removeprefix("P95 "), faster, value, drop, f"{entry['size_mb']:.1f}", verdict)
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def write_front(out: Path, found: Mapping[str, Any], report: Report) -> None:
    """front.json, front.md and front.html below `out`."""
    report("writing the front", 0.99)
    write_json(out / "front.json", found)
    write_atomically(out / "front.md", as_markdown(found))
    from mct.bench.search.page import as_page

    write_atomically(out / "front.html", as_page(found))


def as_run(found: Mapping[str, Any]) -> StoredRun:
    """The candidates that stand, as plots of results take them."""
    entries = [
        {
            "artifact": row["name"],
            "latency": {"p95_ms": row["p95_ms"], "p95_ci_ms": [row["low_ms"], row["high_ms"]]},
            "quality": {"metric": "quality", "value": row["quality"], "value_ci": None, "delta_ci": None},
        }
        for row in found["candidates"]
        if row["quality"] is not None and row["p95_ms"] is not None
    ]
    return StoredRun({"artifacts": entries, "baseline": None, "budget": {}})
