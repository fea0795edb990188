"""What a closed loop hides: one artifact at rising rates of Poisson arrivals, the closed loop beside each.

Run from the repository root after `python results/banking77_checkpoints.py minilm`: `python results/open_loop.py`, in
three minutes. Writes open_loop.json and open_loop.md beside this file. First the highest load that keeps P95 below the
router's 15 ms is searched; then the artifact serves 30 %, 60 % and 130 % of what its closed loop gets through. Above
capacity P95 grows for as long as one watches; the closed loop, on the same processes in the same minute, sees nothing
of it.
"""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mct import MctError
from mct.bench.jobs.job import Job
from mct.bench.jobs.load import run_load
from mct.bench.jobs.max_load import find_max_load
from mct.bench.judge.load_result import LoadResult
from mct.bench.judge.max_load import MaxLoad
from mct.bench.report.table import load_table, max_load_table
from mct.compress.plan.plan import make_plan
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.models.checkpoints.checkpoint import inspect
from mct.models.progress import Report, part, shown
from mct.models.writing.folders import write_atomically, write_json
from mct.targets.machine import probe_machine
from mct.targets.target import find_target

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "shared" / "data" / "banking77"
CHECKPOINT = HERE.parent / ".cache" / "banking77" / "minilm"
ARTIFACTS = HERE.parent / ".cache" / "open_loop"
LIMIT_MS = 15.0
SHARES = (0.3, 0.6, 1.3)
"""Of what the closed loop gets through."""
SEARCH_S, LOAD_S = 90.0, 20.0


def main() -> None:
    """Search, serve, and write what was seen."""
    if not DATA.is_dir() or not CHECKPOINT.is_dir():
        raise MctError(f"{DATA} or {CHECKPOINT} is not here", "this evidence needs the Banking77 files and checkpoint")
    with tempfile.TemporaryDirectory() as store, shown() as report:
        path = artifact(part(report, 0.0, 0.1))
        target = find_target("cpu")
        job = Job((path,), DATA / "test.jsonl", target, results=Path(store), max_seconds=SEARCH_S)
        before = os.getloadavg()[0]
        (highest,) = find_max_load(job, LIMIT_MS, part(report, 0.1, 0.5)).results
        loads = serve(replace(job, max_seconds=LOAD_S), highest.capacity_qps, part(report, 0.5, 1.0))
    machine = {"cpu": probe_machine().cpu, "load_average": [before, os.getloadavg()[0]]}
    found = {"machine": machine, "max_load": highest.as_json(), "loads": [each.as_json() for each in loads]}
    write_json(HERE / "open_loop.json", found)
    write_atomically(HERE / "open_loop.md", markdown(highest, loads, machine["load_average"]))


def artifact(report: Report) -> Path:
    """The fine-tuned MiniLM as ONNX INT8, made once."""
    path = ARTIFACTS / "onnx-int8"
    if not path.is_dir():
        plan = make_plan(inspect(CHECKPOINT), ["onnx"], ["int8"])
        resources, texts = gather(plan, DATA / "train.jsonl", DATA / "test.jsonl", {}, seed=0)
        execute(plan, resources, texts, ARTIFACTS, report)
    return path


def serve(job: Job, capacity_qps: float, report: Report) -> list[LoadResult]:
    """One run at each share of capacity."""
    found: list[LoadResult] = []
    for place, share in enumerate(SHARES):
        here = part(report, place / len(SHARES), (place + 1) / len(SHARES))
        found += run_load(job, round(share * capacity_qps, 1), here).results
    return found


def markdown(highest: MaxLoad, loads: Sequence[LoadResult], load_average: Sequence[float]) -> str:
    """Both tables, and how P95 went from tenth to tenth of each run beside the closed loop's."""
    climbs = ["| load /s | " + " | ".join(f"tenth {number}" for number in range(1, 11)) + " | closed loop |"]
    climbs.append("| ---: " * 12 + "|")
    for each in loads:
        closed = "-" if each.closed is None else f"{each.closed.value:.1f}"
        climbs.append(f"| {each.offered_qps:g} | {' | '.join(f'{p95:.1f}' for p95 in each.climb)} | {closed} |")
    return "\n".join(
        [
            "# Under load: MiniLM, ONNX INT8, Banking77 test texts",
            "",
            f"{probe_machine().cpu}, load average {load_average[0]:.1f} before and {load_average[1]:.1f} after (other"
            " programs ran where that is far above what the runs themselves cause). Made by `results/open_loop.py`.",
            "",
            "## At 30 %, 60 % and 130 % of what the closed loop gets through",
            "",
            load_table(loads),
            "P95 in ms of each tenth of the run in turn, mean of the processes; the last column is the closed loop's:",
            "",
            *climbs,
            "",
            f"## The highest load with P95 below {LIMIT_MS:g} ms",
            "",
            max_load_table([highest]),
        ]
    )


if __name__ == "__main__":
    main()
