"""Is the hand-written, fused ONNX graph worth its code? INT8 of the same checkpoint with and without it, turn by turn.

Run from the repository root after `python results/banking77_checkpoints.py`: `python results/fused_onnx.py`. Both sides
are the fine-tuned Banking77 MiniLM through `mct compress`'s own passes to dynamic INT8; one starts from the fused
graph, the other from the graph that torch traces. They are compared as `mct compare` does it, in pairs of fresh
processes that take turns on the same test texts, with two threads and with one. Writes fused_onnx.json and
fused_onnx.md beside this file; a row says whether its claim was met.
"""

import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mct.bench.jobs.compare import CompareJob, run_compare
from mct.bench.judge.compare import Limits
from mct.bench.statistics.ratio import Ratio
from mct.compress.plan.plan import Plan, Route, make_plan
from mct.compress.run.artifact import read_artifact
from mct.compress.run.execute import execute
from mct.compress.run.material import gather
from mct.models.checkpoints.checkpoint import inspect
from mct.models.writing.folders import write_atomically, write_json
from mct.targets.machine import probe_machine
from mct.targets.target import find_target

HERE = Path(__file__).resolve().parent
CHECKPOINT = HERE.parent / ".cache" / "banking77" / "minilm"
DATA = HERE.parents[1] / "shared" / "data" / "banking77"
WORK = HERE.parent / ".cache" / "fused-onnx"
ROWS = 300
SECONDS = 120.0

# What the fused graph is to reach: P50 of the unfused graph over its own, at least.
LEAST_SPEED_UP = {2: 1.3, 1: 1.0}


def main() -> None:
    """Make both artifacts, compare them at each thread count, write what was seen."""
    unfused, fused = (made(graph) for graph in ("exported", "fused"))
    rows = [compared(unfused, fused, threads) for threads in LEAST_SPEED_UP]
    found = {"machine": probe_machine().cpu, "rows": rows}
    write_json(HERE / "fused_onnx.json", found)
    write_atomically(HERE / "fused_onnx.md", markdown(found))


def made(graph: str) -> Path:
    """The INT8 artifact that starts from that graph."""
    plan = make_plan(inspect(CHECKPOINT), ["onnx"], ["int8"])
    plan = Plan(plan.checkpoint, tuple(_starting_from(graph, route) for route in plan.routes))
    material, requests = gather(plan, DATA / "train.jsonl", DATA / "test.jsonl", {}, seed=0)
    (folder,) = execute(plan, material, requests, WORK / graph)
    return folder


def _starting_from(graph: str, route: Route) -> Route:
    export, *others = route.passes
    return replace(route, passes=(replace(export, settings={"graph": graph}), *others))


def compared(unfused: Path, fused: Path, threads: int) -> dict[str, Any]:
    """One comparison, the unfused graph as A."""
    target = replace(find_target("cpu"), threads=threads)
    rows, runs = _few_rows(), WORK / "runs"
    job = CompareJob(unfused, fused, rows, (target, target), Limits(), results=runs, max_seconds=SECONDS)
    load = os.getloadavg()[0]
    comparison, _ = run_compare(job)
    return {
        "threads": threads,
        "p50": _speed_up(comparison.p50),
        "p95": _speed_up(comparison.p95),
        "ratios": {"p50": asdict(comparison.p50), "p95": asdict(comparison.p95)},
        "quality": comparison.quality.outcome,
        "agreement": {side.parent.name: read_artifact(side).parity["agreement"] for side in (unfused, fused)},
        "asked": LEAST_SPEED_UP[threads],
        "met": 1 / comparison.p50.high >= LEAST_SPEED_UP[threads],
        "load_before": round(load, 2),
    }


def _speed_up(ratio: Ratio) -> dict[str, float]:
    """How many times faster the fused graph is: the ratio B over A turned round."""
    return {"value": round(1 / ratio.value, 3), "low": round(1 / ratio.high, 3), "high": round(1 / ratio.low, 3)}


def _few_rows() -> Path:
    path = WORK / "rows.jsonl"
    lines = (DATA / "test.jsonl").read_text(encoding="utf-8").split("\n")[:ROWS]
    write_atomically(path, "\n".join(lines) + "\n")
    return path


def markdown(found: dict[str, Any]) -> str:
    """The table."""
    lines = [
        "# Fused against traced ONNX graph, both in dynamic INT8",
        "",
        f"Banking77 MiniLM, {found['machine']}, end to end, real texts, in pairs of processes that take turns.",
        "",
        "| threads | P50: times faster | P95: times faster | asked for at P50 | met | same answers as the checkpoint: "
        "traced, fused | load before |",
        "|--:|--:|--:|--:|--|--|--:|",
    ]
    for row in found["rows"]:
        speeds = (
            f"{row[name]['value']:.2f} ({row[name]['low']:.2f} … {row[name]['high']:.2f})" for name in ("p50", "p95")
        )
        kept = ", ".join(f"{share:.1%}" for share in row["agreement"].values())
        met = "yes" if row["met"] else "no"
        cells = (row["threads"], *speeds, f"{row['asked']:g}", met, kept, row["load_before"])
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
