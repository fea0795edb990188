"""The product's scenario table, whole: what was built, compressed, measured and decided for each of its systems.

Run from the repository root: `python results/scenarios.py`. Nothing is measured here: models come from techniques.json
(`python results/techniques.py`), decisions from decisions/*.json (`python results/decisions.py`), and what rows
without a model were shown to do from results of their own. Writes scenarios.md beside this file; every row links what
it rests on.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forms import line
from techniques import fastest

from mct.models.data.declared import read_object
from mct.models.scenarios.table import SCENARIOS, Scenario
from mct.models.writing.folders import write_atomically
from mct.release.planning.order import find_place

HERE = Path(__file__).resolve().parent
PAGE = HERE / "scenarios.md"
COLUMNS = ("#", "system", "built", "compressed", "measured", "decided")
EXPLAINED = """\
Written by `python results/scenarios.py` from the results that the rows link. *Built*: by `mct models build` at the size
{size}, and what `mct models inspect` tells of the folder alone. *Compressed*: the forms that gave the original's
answers, and the fastest of those whose verdict is not a fail. *Measured*: its P95 with its 95 % interval, how many
times faster that is than the checkpoint as torch runs it, its headline score against the checkpoint's, the verdict over
all lines of its budget. *Decided*: by the five criteria, on the built-in data ({promote} promote, {hold} hold, {back}
roll back). Models at this size are small and their data is short: what that leaves undecided is said to be so.
"""
# What a row without a model is, and where what it was shown to do is written.
WORK: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "mlops": (
        "`mct release`, `mct watch`, a pipeline as one file", "promotion through gates, rollback in one step, drills",
        ("releases.md", "watch.md", "pipeline.md"),
    ),
    "data-curation": (
        "`mct data check`, `clean`, `synthesise`", "leaks, duplicates, wrong labels, personal data, provenance",
        ("curation.md", "data.md"),
    ),
    "interpretability": (
        "`mct explain`, `mct behave`", "flips, attribution and its drift, layers, behaviour tests", ("explain.md",),
    ),
    "capstone": ("`mct decide`", "five criteria, alternatives, cost, what would change it", ()),
    "execution-map": ("`mct plan`", "order, needs, what is there, how long it takes", ()),
}  # fmt: skip


def main() -> int:
    """Write the table."""
    found = read_object(HERE / "techniques.json")
    decisions = {row.name: decision_of(row.name) for row in SCENARIOS}
    outcomes = [each["outcome"] for each in decisions.values() if each]
    rows = [cells(row, found["rows"].get(f"{row.number} {row.name}"), decisions[row.name]) for row in in_order()]
    counted = {
        name: outcomes.count(outcome) for name, outcome in (("promote",) * 2, ("hold",) * 2, ("back", "roll back"))
    }
    told = EXPLAINED.format(size=found["size"], **counted)
    table = [line(COLUMNS), "|--" * len(COLUMNS) + "|", *map(line, rows)]
    write_atomically(PAGE, "\n".join(["# Every system", "", told, *table]) + "\n")
    return 0


def in_order() -> list[Scenario]:
    """The rows by their number, the map of all last."""
    return sorted(SCENARIOS, key=lambda row: (row.number == "00", row.number))


def decision_of(name: str) -> dict[str, Any] | None:
    """The decision about a scenario; None where none was written."""
    path = HERE / "decisions" / f"{name}.json"
    return read_object(path) if path.is_file() else None


def cells(row: Scenario, measured: Mapping[str, Any] | None, decision: Mapping[str, Any] | None) -> tuple[str, ...]:
    """One row."""
    if measured is None:
        built, compressed, told = without_model(row)
    else:
        built, compressed, told = of_model(row, measured)
    return row.number, row.name, built, compressed, told, decided(row, decision)


def of_model(row: Scenario, found: Mapping[str, Any]) -> tuple[str, str, str]:
    """What was built, compressed and measured of a model."""
    entries = {entry["artifact"]: entry for entry in found["artifacts"]}
    original = entries.pop("checkpoint")
    best = fastest(entries)
    built = f"{row.technique}; told to be {found['technique']} ({found['task']}, {original['size_mb']:.1f} MB)"
    if best is None:
        return built, "nothing", "nothing"
    compressed = f"{', '.join(found['made'])}; fastest: {best['artifact']}, {best['size_mb']:.1f} MB"
    latency, faster, quality = best["latency"], best["speedup"], best["quality"]
    parts = [f"P95 {latency['p95_ms']:.2f} ms{_between(latency['p95_ci_ms'], '{:.2f}')}"]
    if faster:
        parts.append(f"{faster['p95']:.1f} times faster{_between(faster['p95_ci'], '{:.1f}')}")
    if quality and quality["value"] is not None:
        change = f", {100 * quality['delta']:+.2f} points" if quality["delta"] is not None else ""
        ends = [100 * end for end in quality["delta_ci"] or ()]
        parts.append(f"{quality['metric']} {quality['value']:.1%}{change}{_between(ends, '{:+.2f}')}")
    verdict = best["verdict"]["outcome"] if best["verdict"] else "no verdict"
    return built, compressed, f"{'; '.join(parts)}; [{verdict}](techniques.md)"


def without_model(row: Scenario) -> tuple[str, str, str]:
    """What a row is that has no model: work around the others."""
    if row.name not in WORK:
        return row.technique, "-", "not measured"
    built, what, files = WORK[row.name]
    there = [f"[{name}]({name})" for name in files if (HERE / name).is_file()]
    stages = " and ".join(find_place(row.name).is_stage)
    return built, f"no model: {what}; stage {stages} of every other row", ", ".join(there) or row.must_keep


def decided(row: Scenario, decision: Mapping[str, Any] | None) -> str:
    """The outcome, how many criteria are met, and the first reason."""
    if decision is None:
        return "not decided"
    met = sum(each["state"] == "met" for each in decision["criteria"])
    why = decision["why"][0] if decision["why"] else ""
    return f"**[{decision['outcome']}](decisions/{row.name}.md)**, {met} of 5 criteria met: {why}"


def _between(ends: Any, shape: str) -> str:
    return f" ({shape.format(ends[0])} to {shape.format(ends[1])})" if ends else ""


if __name__ == "__main__":
    sys.exit(main())
