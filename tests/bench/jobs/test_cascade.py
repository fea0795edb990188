"""The bench of a cascade says how much of it its second stage does, and notices texts that it was not made for."""

import json
from pathlib import Path

import numpy as np

from mct.bench.jobs.job import Job, run_job
from mct.bench.report.table import markdown_table
from mct.bench.store.store import read_result
from mct.bench.worker.predict import open_predictor
from mct.compress.plan.plan import make_plan
from mct.compress.plan.recipe import Recipe, Step
from mct.compress.run.artifact import executable, read_artifact
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.models.checkpoints.checkpoint import inspect
from mct.targets.budget import Budget
from mct.targets.runtimes.table import runtime_for
from mct.targets.target import find_target

WORDS = ("order", "return", "refund", "card", "hello", "volume", "where", "human", "shipping", "late", "price", "manga")
BUDGET = Budget("quick", "sequence-classification", assumed=True, p95_ms=1000.0)


def _made(checkpoint: Path, out: Path, *steps: Step) -> Path:
    plan = make_plan(inspect(checkpoint), [], [], recipe=Recipe((Step("drop-layers", options={"keep": [0]}), *steps)))
    resources, texts = gather(plan, None, None, {}, seed=0)
    (folder,) = execute(plan, resources, texts, out)
    return folder


def _sureness(folder: Path, texts: list[str]) -> list[float]:
    artifact = read_artifact(folder)
    opened = open_predictor(runtime_for("onnx"), executable(artifact, folder), (), threads=1)
    found = []
    for text in texts:
        (row,) = opened.scored.infer(opened.scored.encode(text))["logits"]
        shares = np.exp(row - row.max())
        found.append(float((shares / shares.sum()).max()))
    return found


def test_a_shifted_set_of_texts_is_noticed(tiny_bert: Path, tmp_path: Path) -> None:
    texts = [f"{first} {second} {third}" for first in WORDS for second in WORDS for third in ("now", "please")]
    first = _made(tiny_bert, tmp_path / "first", Step("export-onnx"))
    ranked = [text for _, text in sorted(zip(_sureness(first, texts), texts, strict=True))]
    unsure, sure = ranked[:100], ranked[100:]
    low, high = _sureness(first, [ranked[99], ranked[100]])
    joined = Step("cascade", "onnx-fp32", {"second": [{"pass": "export-onnx"}], "threshold": (low + high) / 2})
    cascade = _made(tiny_bert, tmp_path / "out", Step("export-onnx"), joined)
    said = {}
    for name, rows in {"usual": [*sure, unsure[0]], "shifted": [*unsure, *sure[:50]]}.items():
        data = tmp_path / f"{name}.jsonl"
        label = inspect(tiny_bert).labels[0]
        data.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text in rows))
        job = Job(
            (cascade,), data, find_target("cpu"), budget=BUDGET, results=tmp_path / "results", max_seconds=4.0,
            rounds=2, block_s=0.3,
        )  # fmt: skip
        result = run_job(job)
        assert read_result(tmp_path / "results" / f"{result['id']}.json") == result
        (entry,) = result["artifacts"]
        said[name] = entry["cascade"], markdown_table(result)
    usual, shifted = said["usual"][0], said["shifted"][0]
    assert (usual["deferred"], usual["of"]) == (1, len(sure) + 1) and usual["upper"] < 0.05
    assert (shifted["deferred"], shifted["of"]) == (100, 150) and shifted["most"] == 1.0
    assert "are these the texts that it was made for" not in said["usual"][1]
    assert "100 of 150 texts (66.7%, at most 73.0%) go to the second stage, **so that P95 may be" in said["shifted"][1]
