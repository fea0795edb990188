"""The main job on the built-in default: the MangaAssist router, from training to a verdict, without a word typed.

What is built already is reused, as long as it is what this run would build: the router by its size, the artifacts by
the digest of the weights they were made from.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mct.bench.jobs.job import Job, run_job
from mct.compress.plan.plan import Plan, make_plan
from mct.compress.run.artifact import is_artifact, read_artifact
from mct.compress.run.execute import execute
from mct.compress.run.lineage import weights_digest
from mct.compress.run.resources import gather
from mct.models.checkpoints.checkpoint import Checkpoint, inspect
from mct.models.progress import Report, part, silent
from mct.models.scenarios.table import find_scenario
from mct.models.tables import load, unknown
from mct.targets.budget import find_budget
from mct.targets.target import find_target

SCENARIO = "intent-router"
FORMATS = ("onnx", "openvino", "gguf")
BUILT, COMPRESSED = 0.2, 0.35
"""Shares of the whole at which the router is built and the artifacts are made, as measured on two cores."""
ROUNDS = 3
"""Fresh processes of each: the fewest that say how processes differ. Who is not decided by then gets more."""


def run_demo(work: Path, size: str, report: Report = silent, seed: int = 0) -> dict[str, Any]:
    """Build, compress, bench and judge below `work`; gives the stored result. `seed` decides the order of the texts."""
    checkpoint = _router(work, size, part(report, 0.0, BUILT))
    folders = _artifacts(checkpoint, work / f"artifacts-{size}", part(report, BUILT, COMPRESSED))
    job = Job(
        paths=(checkpoint.path, *folders),
        data=checkpoint.path / "data" / "test.jsonl",
        target=find_target("cpu"),
        budget=find_budget(SCENARIO),
        baseline=checkpoint.path,
        results=work / "results",
        rounds=ROUNDS,
        seed=seed,
    )
    return run_job(job, part(report, COMPRESSED, 1.0))


def _router(work: Path, size: str, report: Report) -> Checkpoint:
    row = find_scenario(SCENARIO)
    if size not in row.sizes:
        raise unknown("size", size, row.sizes)
    folder = work / f"{SCENARIO}-{size}"
    if not folder.is_dir():
        load(row.build, "compress")(size, folder, report=report)
    return inspect(folder)


def _artifacts(checkpoint: Checkpoint, out: Path, report: Report) -> list[Path]:
    """INT8 in every format, and ONNX at fp32: what can be shipped where a slice is too small to excuse any flip."""
    full, smaller = make_plan(checkpoint, ["onnx"], ["fp32"]), make_plan(checkpoint, FORMATS, ["int8"])
    plan = Plan(checkpoint, (*full.routes, *smaller.routes))
    folders, digest = [out / route.name for route in plan.routes], weights_digest(checkpoint.path)
    if all(is_artifact(folder) and read_artifact(folder).lineage[0]["sha256"] == digest for folder in folders):
        return folders
    resources, texts = gather(plan, None, None, {}, seed=0)
    return execute(plan, resources, texts, out, report)
