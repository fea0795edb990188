"""The demo again and again: how often each artifact passes, how long it takes, and the table that the README shows.

Run from the repository root on a machine that does nothing else: `python results/demo.py [--runs 5] [--fresh]`. The
first run is a whole `make demo` after its set-up: the router is trained, the artifacts are made, all are benched. The
others bench these artifacts again, on the same texts in another order; with `--fresh` they train and make them again.
Every run is written to demo.json as it comes. demo.md is the table, the first run's stands in the README too;
`--render` writes both again from demo.json, and measures nothing.
"""

import argparse
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mct.bench.jobs.demo import run_demo
from mct.bench.report.table import MARKS, markdown_table
from mct.models.data.declared import read_object
from mct.models.progress import shown
from mct.models.writing.folders import write_atomically, write_json

HERE = Path(__file__).resolve().parent
FOUND, TABLE, README = HERE / "demo.json", HERE / "demo.md", HERE.parent / "README.md"
WORK = HERE.parent / ".cache" / "demo"
BEGIN, END = "<!-- demo -->\n", "<!-- /demo -->"
KEPT = ("artifact", "format", "precision", "latency", "quality", "verdict", "stability", "failure")

Run = Mapping[str, Any]


def main() -> None:
    """Run what was asked for, then write the table and the README's copy of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--fresh", action="store_true", help="train and compress anew in every run")
    parser.add_argument("--render", action="store_true", help="write the tables again from demo.json")
    asked = parser.parse_args()
    if not asked.render:
        measure(asked.runs, asked.fresh)
    found = read_object(FOUND)
    write_atomically(TABLE, markdown(found))
    write_atomically(README, with_table(README.read_text(encoding="utf-8"), found))


def measure(runs: int, fresh: bool) -> None:
    """Run the demo so many times; the first result is kept whole, of the others what the verdicts were made from."""
    found: dict[str, Any] = {"fresh": fresh, "first": None, "runs": []}
    for number in range(runs):
        if number == 0 or fresh:
            shutil.rmtree(WORK, ignore_errors=True)
        began = time.monotonic()
        with shown() as report:
            result = run_demo(WORK, "small", report, seed=number)
        seconds = round(time.monotonic() - began, 1)
        entries = [{key: entry[key] for key in KEPT} for entry in result["artifacts"]]
        found["first"] = found["first"] or result
        found["runs"].append({"seed": number, "seconds": seconds, "id": result["id"], "artifacts": entries})
        write_json(FOUND, found)
        print(f"run {number + 1}: {seconds:.0f} s;", "; ".join(f"{each['artifact']} {_mark(each)}" for each in entries))


def markdown(found: Mapping[str, Any]) -> str:
    """The first run as the demo prints it, and every run's verdict on every artifact."""
    runs, first = found["runs"], found["first"]
    heads, took = [f"run {run['seed'] + 1}" for run in runs], [f"{run['seconds']:.0f}" for run in runs]
    every = "each trained and compressed anew" if found["fresh"] else "the others a bench of the same artifacts"
    return "\n".join(
        [
            "# The demo",
            "",
            f"{__doc__.splitlines()[0]} `python results/demo.py`: {len(runs)} runs, {every}.",
            "",
            f"The first took {took[0]} s after set-up, from training to the verdicts:",
            "",
            markdown_table(first),
            f"| artifact | {' | '.join(heads)} | passed |",
            f"| --- | {' | '.join('---' for _ in runs)} | ---: |",
            *(_row(entry["artifact"], runs) for entry in first["artifacts"]),
            "",
            f"Seconds a run: {', '.join(took)}.",
            "",
            *_open_lines(runs),
        ]
    )


def _row(artifact: str, runs: Sequence[Run]) -> str:
    entries = [_entry(run, artifact) for run in runs]
    passed = sum(entry["verdict"]["outcome"] == "pass" for entry in entries)
    return f"| {artifact} | {' | '.join(_cell(entry) for entry in entries)} | {passed} of {len(runs)} |"


def _cell(entry: Mapping[str, Any]) -> str:
    latency = entry["latency"]
    p95 = None if latency is None else latency["p95_ms"]
    return _mark(entry) if p95 is None else f"{_mark(entry)}, P95 {p95:.2f} ms"


def _mark(entry: Mapping[str, Any]) -> str:
    return MARKS[entry["verdict"]["outcome"]]


def _entry(run: Run, artifact: str) -> Mapping[str, Any]:
    return next(entry for entry in run["artifacts"] if entry["artifact"] == artifact)


def _open_lines(runs: Sequence[Run]) -> list[str]:
    """What was not passed, and in which runs."""
    seen: dict[str, list[int]] = {}
    for run in runs:
        for entry in run["artifacts"]:
            for line in entry["verdict"]["lines"]:
                if line["outcome"] != "pass":
                    said = f"**{entry['artifact']}**, {line['limit']}: {MARKS[line['outcome']]}"
                    seen.setdefault(said, []).append(run["seed"] + 1)
    if not seen:
        return ["Every limit was passed in every run.", ""]
    lines = [f"- {said} in run {', '.join(map(str, numbers))}" for said, numbers in seen.items()]
    return ["What was not passed:", "", *lines, ""]


def with_table(readme: str, found: Mapping[str, Any]) -> str:
    """The README with the first run's table between its two marks."""
    before, _, rest = readme.partition(BEGIN)
    return f"{before}{BEGIN}{markdown_table(found['first'])}{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    main()
