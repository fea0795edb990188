"""The fixture in a stranger's project: a folder of its own, real artifacts, pytest as it is installed.

Nothing hangs on what else the machine does: requests are timed by the CPU's clock, nothing is cut off by time
(measuring ends once a generous budget is decided), and the stored run is told on paper to have been fifty times as
slow, or as fast, before anything is held against it.
"""

import configparser
import gzip
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from mct import MctError
from mct.bench.jobs.guard import BaselineStore, Watch, inspect
from mct.bench.store.reading import read_own_samples
from mct.bench.store.store import read_result
from mct.compress.run.artifact import read_artifact, seal

pytest.importorskip("pytest_benchmark", reason="the plugin's numbers live in it: pip install 'mangaassist-mct[pytest]'")

WORDS = ("where", "order", "return", "volume", "3", "damaged", "berserk", "card", "declined", "checkout", "human")
ROWS = 400

PROJECT = """
import pytest

@pytest.mark.benchmark(group="models")
@pytest.mark.parametrize("artifact", ["same", "slower", "mislabelled"])
def test_model(mct_bench, artifact):
    found = mct_bench(artifact, data="eval.jsonl", budget="fast", budgets="budgets.toml", max_seconds=200)
    assert found.entry["artifact"] == artifact

def test_in_one_job(mct_bench):
    budget = dict(budget="router", budgets="budgets.toml")
    mct_bench("slower", data="eval.jsonl", baseline="same", max_seconds=200, **budget)

def test_absent(mct_bench):
    mct_bench("nowhere", data="eval.jsonl")

def test_ordinary(benchmark):
    assert benchmark(sum, [1, 2]) == 3

def test_without_any_of_it():
    pass
"""
SHORTER = """
from dataclasses import replace
from mct.bench.jobs import guard

job_of = guard._job

def shorter(watch, results):
    rounds, block_s = (7, 0.05) if watch.baseline else (3, 0.25)
    return replace(job_of(watch, results), rounds=rounds, block_s=block_s)

guard._job = shorter
"""
BUDGETS = """
[fast]
task = "sequence-classification"
p95_ms = 1000

[router]
task = "sequence-classification"
p95_ms = 1000
quality_max_drop = 0.01
"""
WATCH = Watch(
    Path("absent"), Path("absent.jsonl"), budget=None, baseline=None, max_seconds=1.0, budgets=None, fields={}
)
CPU_CLOCK = Path(__file__).resolve().parents[2] / "cpu_clock"


@pytest.fixture(scope="module")
def project(tiny_onnx: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three artifacts and an evaluation set that the first answers without a mistake."""
    folder = tmp_path_factory.mktemp("stranger")
    texts = [" ".join(random.Random(row).choices(WORDS, k=3 + row % 12)) for row in range(ROWS)]
    copied(tiny_onnx / "onnx-fp32", folder / "same")
    mislabelled(folder / "same", folder / "mislabelled")
    slower(folder / "same", folder / "slower")
    write_rows(folder / "eval.jsonl", texts, answers(folder / "same", texts))
    (folder / "budgets.toml").write_text(BUDGETS, encoding="utf-8")
    (folder / "conftest.py").write_text(SHORTER, encoding="utf-8")
    return folder


def write_rows(path: Path, texts: Sequence[str], labels: Sequence[str]) -> None:
    rows = [json.dumps({"text": text, "label": label}) for text, label in zip(texts, labels, strict=True)]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def answers(artifact: Path, texts: Sequence[str]) -> list[str]:
    from mct.bench.worker.predict import open_predictor
    from mct.compress.run.artifact import executable
    from mct.targets.runtimes.table import runtime_for

    found = read_artifact(artifact)
    predict = open_predictor(runtime_for("onnx"), executable(found, artifact), found.heads, threads=1).timed
    return [predict(text) for text in texts]


def copied(source: Path, final: Path) -> Path:
    for path in source.rglob("*"):
        if path.is_file():
            (final / path.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
            (final / path.relative_to(source)).write_bytes(path.read_bytes())
    return final


def mislabelled(source: Path, final: Path) -> None:
    """The same network with its labels in another order: the mistake of an export that loses the label map."""
    artifact = read_artifact(copied(source, final))
    (head,) = artifact.heads
    labels = (*head.labels[1:], head.labels[0])
    seal(replace(artifact, labels=labels, heads=(replace(head, labels=labels),)), final)


def slower(source: Path, final: Path) -> None:
    """The same answers with work added: matrix products whose result, zero, is added to the logits."""
    import numpy as np
    import onnx
    from onnx import helper, numpy_helper

    artifact = read_artifact(copied(source, final))
    model = onnx.load(final / artifact.model)
    graph = model.graph
    producer = next(node for node in graph.node if "logits" in node.output)
    producer.output[list(producer.output).index("logits")] = "true_logits"
    width, layers, labels = 512, 80, len(artifact.labels)
    shapes = [(labels, width), *[(width, width)] * layers, (width, labels)]
    now = "true_logits"
    graph.initializer.append(numpy_helper.from_array(np.zeros((width, width), np.float32), "added"))
    for number, shape in enumerate(shapes):
        weight = "added"
        if shape != (width, width):
            weight = f"added_{number}"
            graph.initializer.append(numpy_helper.from_array(np.zeros(shape, np.float32), weight))
        graph.node.append(helper.make_node("MatMul", [now, weight], [f"work_{number}"]))
        now = f"work_{number}"
    graph.node.append(helper.make_node("Add", ["true_logits", now], ["logits"]))
    onnx.save(model, final / artifact.model)
    seal(artifact, final)


def run_tests(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    (project / "test_shop.py").write_text(PROJECT, encoding="utf-8")
    registered = any(point.value == "mct.bench.jobs.pytest_plugin" for point in entry_points(group="pytest11"))
    plugin = [] if registered else ["-p", "mct.bench.jobs.pytest_plugin"]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *plugin, *words]
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    clocked = ours | {"PYTHONPATH": str(CPU_CLOCK)}
    return subprocess.run(command, cwd=project, env=clocked, capture_output=True, text=True, timeout=900)


def outcomes(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """Each test of the project and what became of it, from `pytest -v`."""
    return dict(re.findall(r"^test_shop\.py::(\S+) (PASSED|FAILED|SKIPPED|ERROR)", done.stdout, re.MULTILINE))


@pytest.fixture(scope="module")
def store(project: Path) -> Path:
    """What `pytest --mct-store` keeps: a folder per test."""
    stored = run_tests(project, "-k", "same", "--mct-store", "--benchmark-autosave")
    assert stored.returncode == 0, stored.stdout + stored.stderr
    assert "MctWarning" not in stored.stdout
    return project / ".mct" / "baselines"


@pytest.fixture(scope="module")
def compared(project: Path, store: Path) -> subprocess.CompletedProcess[str]:
    """The next day's run. The good one, on paper, stands in for those of before the change."""
    (made,) = store.iterdir()
    before = project / "before"
    for name, factor in {"same": 50, "mislabelled": 50, "slower": 1 / 50}.items():
        slow_down(shutil.copytree(made, before / made.name.replace("same", name)), factor)
    return run_tests(project, "-v", "-k", "test_model", "--benchmark-autosave", "--mct-baseline", str(before))


def slow_down(stored: Path, factor: float) -> None:
    """Every latency of a stored run, multiplied."""
    (path,) = stored.glob("*.samples.jsonl.gz")
    records = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    for record in records:
        for field in ("end_to_end_ns", "model_ns"):
            if field in record:
                record[field] = [round(value * factor) for value in record[field]]
    path.write_bytes(gzip.compress("".join(json.dumps(record) + "\n" for record in records).encode()))


def test_the_stored_run_is_a_result_that_mct_reads(store: Path) -> None:
    (path,) = (store / "test_shop.py-test_model[same]").glob("*.json")
    result = read_result(path)
    assert [entry["artifact"] for entry in result["artifacts"]] == ["same"]
    (measured,) = read_own_samples(path, result).measurements
    assert measured.requests == result["artifacts"][0]["latency"]["n"]


def test_against_the_stored_run_regressions_fail_and_no_change_passes(
    compared: subprocess.CompletedProcess[str],
) -> None:
    assert compared.returncode == 1, compared.stdout + compared.stderr
    assert outcomes(compared) == {
        "test_model[same]": "PASSED", "test_model[slower]": "FAILED", "test_model[mislabelled]": "FAILED"
    }, compared.stdout  # fmt: skip


def test_a_failure_says_what_how_much_and_how_sure(compared: subprocess.CompletedProcess[str]) -> None:
    found = compared.stdout
    assert re.search(
        r"E  +fail  +P95 at most 25% slower than the stored run: \d+\.\d\dx \[\d+\.\d\d, \d+\.\d\d\]", found
    )
    assert re.search(r"E  +fail  +accuracy at most 1 point below the baseline: 0\.00% \(-100\.00 points\)", found)
    assert re.search(r"E  +lost: '[^']+' is \w+, now \w+", found)
    assert "guard.py" not in found, "the reader's own line is what should be shown, not the plugin's"


def test_pytest_benchmark_compares_what_was_measured(project: Path, compared: subprocess.CompletedProcess[str]) -> None:
    files = sorted((project / ".benchmarks").rglob("*.json"))
    stored, now = (json.loads(path.read_text(encoding="utf-8"))["benchmarks"] for path in files)
    assert [each["name"] for each in now] == ["test_model[same]", "test_model[slower]", "test_model[mislabelled]"]
    found = {each["name"]: each for each in now}
    assert found["test_model[slower]"]["stats"]["median"] > 2 * stored[0]["stats"]["median"]
    assert found["test_model[same]"]["group"] == "models"
    assert found["test_model[same]"]["options"]["timer"] == "mct_worker_clock"
    kept = found["test_model[slower]"]["extra_info"]["mct"]
    assert kept["outcome"] == "fail"
    assert kept["p95_ci_ms"][0] <= kept["p95_ms"] <= kept["p95_ci_ms"][1]
    command = [sys.executable, "-m", "pytest_benchmark", "compare", "--columns=median,rounds", "--group-by=name"]
    table = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=60)
    assert table.returncode == 0, table.stderr
    assert table.stdout.count("test_model[same]") >= 2


def test_every_request_is_handed_over_unchanged(project: Path, store: Path) -> None:
    (path,) = (store / "test_shop.py-test_model[same]").glob("*.json")
    (measured,) = read_own_samples(path, read_result(path)).measurements
    first = json.loads(min((project / ".benchmarks").rglob("*.json")).read_text(encoding="utf-8"))["benchmarks"][0]
    timed = [nanoseconds / 1e9 for block in measured.blocks for nanoseconds in block.end_to_end_ns]
    assert first["stats"]["rounds"] == len(timed)
    assert first["stats"]["max"] == max(timed)
    assert first["stats"]["total"] == pytest.approx(sum(timed))


def test_in_one_job_the_interleaved_ratio_decides(project: Path) -> None:
    done = run_tests(project, "-v", "-k", "in_one_job")
    assert outcomes(done) == {"test_in_one_job": "FAILED"}, done.stdout
    assert re.search(r"fail  +P50 and P95 at most 10% slower than the base, in turns: P50 \d+\.\d\dx", done.stdout)
    assert re.search(r"pass  +accuracy at most 1 point below the baseline", done.stdout)


def test_a_stored_run_of_another_machine_decides_nothing_about_latency(project: Path, store: Path) -> None:
    moved = shutil.copytree(store / "test_shop.py-test_model[same]", project / "elsewhere")
    (samples,) = moved.glob("*.samples.jsonl.gz")
    first, rest = gzip.decompress(samples.read_bytes()).split(b"\n", 1)
    run = json.loads(first)
    run["environments"]["same"] |= {"fingerprint": "000000000000", "cpu": "another"}
    samples.write_bytes(gzip.compress(json.dumps(run).encode() + b"\n" + rest))
    words = ["-v", "-k", "same", "--mct-baseline", str(moved)]
    lenient, strict = run_tests(project, *words), run_tests(project, *words, "--mct-strict")
    assert outcomes(lenient) == {"test_model[same]": "PASSED"}, lenient.stdout
    assert "MctWarning: same: not decided" in lenient.stdout
    assert outcomes(strict) == {"test_model[same]": "FAILED"}, strict.stdout
    for done in (lenient, strict):
        assert re.search(r"inconclusive +P95 no slower than the stored run.*cpu another →", done.stdout)
        assert re.search(r"pass +accuracy at most 1 point below the baseline", done.stdout)


def test_what_the_user_can_mend_is_said_in_two_lines(project: Path) -> None:
    done = run_tests(project, "-v", "-k", "absent or ordinary or without")
    assert outcomes(done) == {
        "test_absent": "FAILED", "test_ordinary": "PASSED", "test_without_any_of_it": "PASSED"
    }  # fmt: skip
    assert "nowhere does not exist" in done.stdout
    assert "hint: " in done.stdout
    assert "Error" not in done.stdout, "no traceback of ours"


def test_a_baseline_that_was_named_must_exist(project: Path) -> None:
    done = run_tests(project, "-k", "model and same", "--mct-baseline", "nowhere")
    assert done.returncode == 1
    assert "the baseline" in done.stdout
    assert "pytest --mct-store" in done.stdout


def test_nothing_is_measured_where_benchmarks_are_disabled(project: Path) -> None:
    done = run_tests(project, "-v", "-k", "model", "--benchmark-disable")
    assert set(outcomes(done).values()) == {"SKIPPED"}


def test_without_pytest_benchmark_the_fixture_says_what_to_install(project: Path) -> None:
    done = run_tests(project, "-k", "absent", "-p", "no:benchmark")
    assert done.returncode == 1
    assert "pip install 'mangaassist-mct[pytest]'" in done.stdout


def test_the_plugin_costs_other_projects_nothing(project: Path) -> None:
    """It is loaded in every run of every project: pytest itself is all that it may import."""
    code = (
        "import pytest, sys; before = set(sys.modules); import mct.bench.jobs.pytest_plugin;"
        "print(*sorted(name for name in set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {"mct", "mct.bench", "mct.bench.jobs", "mct.bench.jobs.pytest_plugin"}


def test_it_is_registered_with_pytest() -> None:
    config = configparser.ConfigParser()
    config.read(Path(__file__).resolve().parents[3] / "setup.cfg")
    assert config["options.entry_points"]["pytest11"].split() == ["mct", "=", "mct.bench.jobs.pytest_plugin"]


@pytest.mark.parametrize("share", [-0.1, float("nan"), float("inf")])
def test_no_share_to_be_slower_by_is_refused_before_anything_is_measured(share: float, tmp_path: Path) -> None:
    watch = replace(WATCH, max_slowdown=share)
    with pytest.raises(MctError, match="max_slowdown"):
        inspect(watch, BaselineStore(tmp_path, "test", must_exist=False, keep_run=False))


def test_no_slow_down_at_all_may_be_asked_for() -> None:
    assert replace(WATCH, max_slowdown=0).tolerated(0.1) == 0
    assert WATCH.tolerated(0.1) == 0.1
