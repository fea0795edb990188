"""The search for the fastest artifact that meets a budget, on data that nobody here wrote.

Run from the repository root: `python results/auto.py [--only NAME] [--time 45m]`, on a machine that does nothing else;
`--build` makes the checkpoints alone, before. Each (auto_cases.py) has rows that it learned from, rows that the search
chooses by, and the set's own test rows, on which the winner is judged. `mct compress --auto` does the rest, as anyone
would type it. What was found stays in `.cache/auto/NAME`; the same command goes on where it was cut off. Writes
auto.json and auto.md beside this file.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from auto_cases import CASES
from checkpoints import DATA
from forms import MCT, ROOT, line

from mct.models.data.declared import read_object
from mct.models.writing.folders import write_atomically, write_json
from mct.models.writing.replacing import appearing

HERE = Path(__file__).resolve().parent
WORK = Path(".cache/auto")
FOUND = HERE / "auto.json"
CHECKPOINT = "the checkpoint"
BUDGETS = Path("results/auto.toml")
ENDED = (0, 1, 3)
SPENT = (
    "set",
    "candidates",
    "taught",
    "making, s each",
    "timing, s each",
    "teaching, s a student",
    "judging, s",
    "busy",
)
COLUMNS = ("set", "P95 ms, torch", "winner", "P95 ms", "times below", "drop, points", "MB", "searched, s")
EXPLAINED = """\
Written by `python results/auto.py`. *Drop*: of the set's test rows, which nothing was chosen by, paired, with its 95 %
interval; a winner is shown to drop by less than the budget's margin (results/auto.toml). Measured in turns in one run
with the checkpoint in torch, on {machines}.
"""
GROWS = """\
A candidate costs what it takes to make and to time it, so these two grow with their number. Only students fast enough
to win are taught, in rounds after which those shown to be worse stop; only the last few candidates are judged. *Busy*:
the share of the workers' time in which they worked.
"""


def main() -> int:
    """Search where that is not done yet, and write down all that is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=list(CASES))
    parser.add_argument("--time", default="45m", help="for each search")
    parser.add_argument("--build", action="store_true", help="make the checkpoints, and do nothing else")
    parser.add_argument("--render", action="store_true", help="write the tables again, and do nothing else")
    told = parser.parse_args()
    if not DATA.is_dir():
        print(f"{DATA} is not there, so there is nothing to do", file=sys.stderr)
        return 0
    for name in [] if told.render else [told.only] if told.only else CASES:
        build(name)
        if not told.build:
            search(name, told.time)
    write_found()
    return 0


def build(name: str) -> None:
    """The checkpoint of a set with its rows in three parts, where it is not there."""
    folder = ROOT / folder_of(name) / "checkpoint"
    if not folder.is_dir():
        make = CASES[name].build
        if make is None:
            raise SystemExit(f"{name} goes on from {CASES[name].of}: search that first")
        with appearing(folder) as draft:
            make(draft)


def search(name: str, allowed: str) -> None:
    """`mct compress --auto`, its progress shown; its front is kept from the next on the same checkpoint."""
    folder = folder_of(name)
    rows = {part: folder / "checkpoint" / "data" / f"{part}.jsonl" for part in ("train", "dev", "test")}
    command = [*MCT, "compress", folder / "checkpoint", "-o", folder / "out", "--auto", "--budget", CASES[name].budget]
    command += ["--budgets", BUDGETS, "--target", CASES[name].target, "--time", allowed]
    command += ["--data", rows["train"], "--dev", rows["dev"], "--eval", rows["test"]]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, check=False, stdout=subprocess.DEVNULL)
    if done.returncode not in ENDED:
        raise SystemExit(f"the search on {name} ended with exit code {done.returncode}")
    for page in ("front.json", "front.md"):
        (ROOT / WORK / name).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / folder / "out" / page, ROOT / WORK / name / page)


def folder_of(name: str) -> Path:
    """Where a case's checkpoint and its searches lie."""
    return WORK / (CASES[name].of or name)


# -- the tables ---------------------------------------------------------------------------------------------------


def write_found() -> None:
    """auto.json and auto.md from every search that came to its end, here or before."""
    found = read_object(FOUND) if FOUND.is_file() else {}
    for name in CASES:
        front = ROOT / WORK / name / "front.json"
        if front.is_file():
            found[name] = kept(read_object(front), front.with_name("front.md").read_text(encoding="utf-8"))
    if found:
        write_json(FOUND, {name: found[name] for name in CASES if name in found})
        write_atomically(HERE / "auto.md", markdown(read_object(FOUND)))


def kept(front: Mapping[str, Any], page: str) -> dict[str, Any]:
    """A front without its raw result, and its page."""
    names = ("artifact", "latency", "size_mb", "speedup", "verdict")
    judged = []
    for entry in front["judged"]["result"]["artifacts"] if front["judged"] else []:
        quality = {key: value for key, value in (entry["quality"] or {}).items() if key != "slices"}
        told = {"name": front["judged"]["names"].get(entry["path"], CHECKPOINT), "quality": quality}
        judged.append(told | {key: entry[key] for key in names})
    return {**front, "judged": judged, "page": page.partition("\n")[2].strip()}


def markdown(found: Mapping[str, Any]) -> str:
    """The page of these fronts."""
    machines = sorted({f"{each['cpu']} ({', '.join(each['instruction_sets'])})" for each in found.values()})
    rows = [line(_row(name, each)) for name, each in found.items()]
    table = [line(COLUMNS), "|--|--:|--|--:|--:|--:|--:|--:|", *rows]
    sections = [f"## {CASES[name].title}\n\n{each['page']}" for name, each in found.items()]
    explained = EXPLAINED.format(machines="; ".join(machines))
    spent = [
        line(SPENT),
        "|--|" + "--:|" * (len(SPENT) - 1),
        *(line(_spent(name, each)) for name, each in found.items()),
    ]
    parts = [explained, "\n".join(table), "## Where the time went", GROWS, "\n".join(spent), *sections]
    return "\n\n".join(["# Say the budget, get the artifact", *parts]) + "\n"


def _spent(name: str, front: Mapping[str, Any]) -> tuple[str, ...]:
    """What each candidate cost. A student is what its forms have in common: its name up to the comma."""
    spent, timed = front["spent_s"], [each for each in front["candidates"] if each["p95_ms"] is not None]
    taught = {each["name"].partition(",")[0] for each in front["candidates"] if each["lessons"]}
    each = [f"{spent.get(on, 0.0) / max(1, len(timed)):.1f}" for on in ("making", "timing")]
    teaching = f"{spent.get('teaching', 0.0) / len(taught):.0f}" if taught else "-"
    judging, busy = f"{spent.get('judging', 0.0):.0f}", f"{front['busy_share']:.0%}"
    return (CASES[name].title, str(len(timed)), str(len(taught)), *each, teaching, judging, busy)


def _row(name: str, front: Mapping[str, Any]) -> tuple[str, ...]:
    title, took = CASES[name].title, f"{front['elapsed_s']:.0f}"
    judged = {entry["name"]: entry for entry in front["judged"]}
    if not front["winner"]:
        return (title, "-", f"none: {front['why']}", "-", "-", "-", "-", took)
    won, original = judged[front["winner"]], judged[CHECKPOINT]
    faster, quality = won["speedup"], won["quality"]
    low, high = quality["delta_ci"]
    return (
        title,
        f"{original['latency']['p95_ms']:.2f}",
        front["winner"],
        f"{won['latency']['p95_ms']:.3f}",
        f"{faster['p95']:.1f} ({faster['p95_ci'][0]:.1f} to {faster['p95_ci'][1]:.1f})",
        f"{-100 * quality['delta']:.2f} ({-100 * high:.2f} to {-100 * low:.2f})",
        f"{won['size_mb']:.1f}",
        took,
    )


if __name__ == "__main__":
    sys.exit(main())
