"""Several targets in one table: verdicts of each, what to ship where, and one that cannot be had among them."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mct import MctError
from mct.bench.jobs.job import Job
from mct.bench.matrix.report import render_matrix
from mct.bench.matrix.run import run_matrix
from mct.bench.matrix.stored import is_matrix, read_matrix
from mct.bench.matrix.table import matrix_table
from mct.bench.measure.sampling import BenchPlan
from mct.bench.samples.measurement import Failure
from mct.bench.store.store import append, make_question, read_result
from mct.models.progress import Report
from mct.models.tasks.datasets import Dataset
from mct.targets.budget import Budget
from mct.targets.target import find_targets

BUDGET = Budget(name="quick", task="sequence-classification", p95_ms=5.0)
SPEED_MS = {"cpu": 1.0, "cpu-1": 3.0, "edge-512mb": 30.0}


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job((tmp_path / "a",), tmp_path / "data.jsonl", find_targets("cpu")[0], BUDGET, results=tmp_path / "results")


@pytest.fixture
def bench(made_up: SimpleNamespace, measured: Any, dataset: Dataset) -> Any:
    """Stands for the bench of one target: stores what a made-up machine of that speed would have measured."""

    def run(job: Job, report: Report) -> dict[str, Any]:
        if job.target.name not in SPEED_MS:
            raise MctError("box does not answer within 10 s", "check that it is on")
        truth = tuple(dataset.column("label"))
        pair = []
        for place, name in enumerate(("onnx-fp32", "onnx-int8")):
            answers = list(truth)
            if job.target.name == "cpu-1" and place:
                answers[:3] = ["returns" if answer != "returns" else "order" for answer in answers[:3]]
            blocks = made_up.blocks(SPEED_MS[job.target.name] / (1 + place), rounds=8, size=400)
            if job.target.name == "edge-512mb" and place == 0:
                pair.append(measured(name, truth, answers, (), Failure("it needs more than the 512 MB of its target")))
            else:
                pair.append(measured(name, truth, answers, blocks))
        question = make_question(
            [each.subject for each in pair], dataset, BenchPlan(threads=1), target=job.target, budget=job.budget
        )
        return read_result(append(job.results, question, pair, dataset))

    return run


def test_a_target_that_cannot_be_had_is_a_row_and_the_others_go_on(job: Job, bench: Any, tmp_path: Path) -> None:
    run = run_matrix(job, find_targets("cpu,ssh:box,cpu-1,edge-512mb"), bench=bench)
    matrix = run.matrix
    assert [column.target for column in matrix.targets] == ["cpu", "ssh:box", "cpu-1", "edge-512mb"]
    assert matrix.targets[1].failure is not None and matrix.targets[1].result is None
    assert matrix.outcome == "fail", "the worst of all targets"
    fastest = [column.choice.fastest if column.choice else None for column in matrix.targets]
    assert fastest == ["onnx-int8", None, "onnx-int8", None]
    flips = {column.target: [cell.flips for cell in column.cells] for column in matrix.targets}
    assert flips == {"cpu": [0, 0], "ssh:box": [], "cpu-1": [0, 3], "edge-512mb": [0, 0]}
    assert matrix.targets[3].cells[0].failure == "it needs more than the 512 MB of its target"
    table = matrix_table(matrix)
    assert "- **ssh:box**: not measured: box does not answer within 10 s" in table
    assert "- **cpu-1**: **onnx-int8** (P95" in table and "3 of 60" in table
    assert read_matrix(run.path) == matrix and is_matrix(run.path)
    for column in matrix.targets:
        assert column.result is None or (tmp_path / "results" / column.result).is_file()


def test_a_target_with_a_runtime_for_none_of_them_ships_none(job: Job, bench: Any) -> None:
    cpu, small = find_targets("cpu,cpu-1")
    run = run_matrix(job, (cpu, replace(small, runtimes=("torch",))), bench=bench)
    last = read_matrix(run.path).targets[-1]
    assert last.choice is not None and (last.choice.fastest, last.choice.considered) == (None, 0)
    assert read_result(job.results / str(last.result))["choice"]["considered"] == 0, "it is read again"
    assert "- **cpu-1**: this target has a runtime for none of these" in matrix_table(run.matrix)


def test_where_no_target_can_be_had_it_is_an_error(job: Job, bench: Any) -> None:
    with pytest.raises(MctError, match="does not answer"):
        run_matrix(job, find_targets("ssh:box,ssh:other"), bench=bench)


def test_it_is_reported_in_each_format(job: Job, bench: Any) -> None:
    path = run_matrix(job, find_targets("cpu,ssh:box,cpu-1"), bench=bench).path
    page = str(render_matrix([path], "html"))
    assert page.count("<svg ") == 2 and "does not answer" in page and "What to ship where" in page
    assert "<script" not in page and "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")
    assert render_matrix([path], "png")[:4] == b"\x89PNG"
    assert json.loads(render_matrix([path], "json")) == json.loads(path.read_text())
    assert "### mct: 2 artifacts on 2 of 3 targets" in str(render_matrix([path], "markdown"))
    with pytest.raises(MctError, match="report format"):
        render_matrix([path], "csv")
    with pytest.raises(MctError, match="alone"):
        render_matrix([path, path], "html")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 2}, "no matrix of schema 1"),
        ({"targets": []}, "targets"),
        ({"outcome": "great"}, "outcome"),
        ({"more": 1}, "more"),
    ],
)
def test_a_damaged_matrix_is_refused(job: Job, bench: Any, change: dict[str, Any], message: str) -> None:
    path = run_matrix(job, find_targets("cpu,cpu-1"), bench=bench).path
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(MctError, match=message):
        read_matrix(path)


@pytest.mark.parametrize(
    ("place", "change", "message"),
    [
        ("choice", {"fastest": "onnx-int4"}, "cpu ships onnx-int4, which it has no cell of"),
        ("cell", {"compared": None}, "has only one of flips and compared"),
    ],
)
def test_a_matrix_that_does_not_hold_together_is_refused(
    job: Job, bench: Any, place: str, change: dict[str, Any], message: str
) -> None:
    path = run_matrix(job, find_targets("cpu,cpu-1"), bench=bench).path
    found = json.loads(path.read_text())
    column = found["targets"][0]
    (column["choice"] if place == "choice" else column["cells"][0]).update(change)
    path.write_text(json.dumps(found))
    with pytest.raises(MctError, match=message):
        read_matrix(path)


def test_times_of_any_size_can_be_drawn(job: Job, bench: Any) -> None:
    path = run_matrix(job, find_targets("cpu,cpu-1"), bench=bench).path
    found = json.loads(path.read_text())
    found["targets"][0]["cells"][0]["p95_ms"] = 1e300
    found["targets"][0]["cells"][1]["p95_ms"] = 1e-300
    path.write_text(json.dumps(found))
    assert render_matrix([path], "png")[:4] == b"\x89PNG"


def test_a_folder_that_takes_no_matrix_is_refused_before_anything_is_measured(job: Job, bench: Any) -> None:
    job.results.mkdir()
    (job.results / "matrix").write_text("in the way")
    with pytest.raises(MctError, match="no folder"):
        run_matrix(job, find_targets("cpu,cpu-1"), bench=bench)
    assert [path.name for path in job.results.iterdir()] == ["matrix"]


def test_a_strangers_names_do_nothing_in_a_page_or_a_comment(job: Job, bench: Any) -> None:
    path = run_matrix(job, find_targets("cpu,cpu-1"), bench=bench).path
    found = json.loads(path.read_text())
    found["targets"][0]["target"] = "<img src=x onerror=alert(1)> @all | #1"
    found["targets"][1]["cells"][0]["failure"] = "[x](javascript:y)"
    path.write_text(json.dumps(found))
    assert "<img" not in str(render_matrix([path], "html")).replace("&lt;img", "")
    comment = str(render_matrix([path], "markdown"))
    assert "<img" not in comment and "@all" not in comment and "[x](" not in comment
