"""What techniques give on data that nobody here wrote, and what compression keeps of it.

Run from the repository root: `python results/real.py [--only NAME]`. Each set's checkpoint is trained by mct's own
loops (real_classifiers.py, real_writers.py), compressed, and held against itself by one `mct bench` under a budget of
real.toml. What is made and measured stays in `.cache/real/NAME` and is not done again. Writes real.json and real.md
beside this file; without ../shared/data there is nothing to do, and it says so.
"""

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from checkpoints import DATA
from forms import ROOT, Job, line, make, number, run_bench
from real_case import Case
from real_classifiers import CLASSIFIERS
from real_writers import LLAMA, WRITERS

from mct.models.data.declared import read_object
from mct.models.writing.folders import write_atomically, write_json
from mct.models.writing.replacing import appearing

HERE = Path(__file__).resolve().parent
WORK = Path(".cache/real")
BUDGETS = Path("results/real.toml")
FOUND = HERE / "real.json"
COLUMNS = ("limit", "measured", "outcome", "reason")
CASES = {**CLASSIFIERS, **WRITERS}
EXPLAINED = """\
Written by `python results/real.py`. Each line of a budget beside latency: what the original does, what the artifact
does, and what `mct bench` concludes from the paired difference. P95 is not the question here.
"""


def main() -> int:
    """Do what is not done yet, and write down all that is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=list(CASES))
    parser.add_argument("--max-seconds", type=int, default=30, help="of timing, for all forms of a set")
    parser.add_argument("--render", action="store_true", help="write the tables again, and do nothing else")
    told = parser.parse_args()
    for needed in (DATA, LLAMA):
        if not needed.is_dir():
            print(f"{needed} is not there, so there is nothing to do", file=sys.stderr)
            return 0
    for name in [] if told.render else [told.only] if told.only else CASES:
        started = time.monotonic()
        run(name, told.max_seconds)
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    write_found()
    return 0


def run(name: str, max_seconds: int) -> None:
    """One set from its rows to its bench."""
    case, checkpoint = CASES[name], WORK / name / "checkpoint"
    if not (ROOT / checkpoint).is_dir():
        with appearing(ROOT / checkpoint) as draft:
            write_json(draft / "recipe.json", case.build(draft))
    train, test = (checkpoint / "data" / f"{part}.jsonl" for part in ("train", "test"))
    job = Job(checkpoint, WORK / name, case.forms, train, test, case.budget, max_seconds, BUDGETS)
    refused = make(job)
    run_bench(job)
    write_json(ROOT / WORK / name / "found.json", {"refused": refused})


def write_found() -> None:
    """real.json and real.md from every set that was measured, here or before."""
    found = read_object(FOUND) if FOUND.is_file() else {}
    found |= {name: _found(ROOT / WORK / name) for name in CASES if (ROOT / WORK / name / "found.json").is_file()}
    if found:
        write_json(FOUND, {name: found[name] for name in CASES if name in found})
        write_atomically(HERE / "real.md", markdown(read_object(FOUND)))


def markdown(found: Mapping[str, Any]) -> str:
    """The page of these figures."""
    sections = (_section(CASES[name], each) for name, each in found.items())
    return "\n".join(["# Techniques on real data, before and after compression", "", EXPLAINED, *sections])


def _found(folder: Path) -> dict[str, Any]:
    """What was made and what the bench found, without what only matters on this machine."""
    bench = read_object(folder / "bench.json")
    artifacts = [
        {
            "form": "original (torch fp32)" if entry["artifact"] == bench["baseline"] else entry["artifact"],
            "size_mb": entry["size_mb"],
            "quality": entry["quality"],
            "lines": (entry["verdict"] or {}).get("lines", []),
            "failure": (entry["failure"] or {}).get("message"),
        }
        for entry in bench["artifacts"]
    ]
    return {"recipe": read_object(folder / "checkpoint" / "recipe.json"), "artifacts": artifacts} | read_object(
        folder / "found.json"
    )


def _section(case: Case, found: dict[str, Any]) -> str:
    """One data set: the original's scores, and every line of the budget for each artifact."""
    head = ("form", "size MB", "limit", "measured", "outcome", "why")
    rows = [
        line((each["form"], number(each["size_mb"], "{:.1f}"), *(told[name] for name in COLUMNS)))
        for each in found["artifacts"]
        for told in each["lines"]
        if "p95" not in told["limit"].lower()
    ]
    recipe = found["recipe"]
    learned = f"Learned from {recipe['rows']['train']:,} rows, tested on {recipe['rows']['test']:,}"
    told = [f"{learned}: {said(recipe['test'])}."]
    told += [f"{name.capitalize()}: {said(value)}." for name, value in recipe.items() if name not in {"rows", "test"}]
    table = [line(head), "|--" * len(head) + "|", *rows]
    missing = "\n".join(f"- {form}: {why}" for form, why in found["refused"].items())
    return "\n\n".join(part for part in (f"## {case.title}", "\n".join(told), "\n".join(table), missing) if part) + "\n"


def said(value: Any) -> str:
    """Scores in words: names with their numbers, groups of them apart."""
    if isinstance(value, Mapping):
        grouped = any(isinstance(each, Mapping) for each in value.values())
        return ("; " if grouped else ", ").join(f"{name} {said(each)}" for name, each in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
