import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest

import mct.bench.store
from mct import MctError
from mct.bench.measure.sampling import BenchPlan
from mct.bench.report.report import render
from mct.bench.samples.measurement import Failure, GpuUse, Measurement, to_record
from mct.bench.store import store
from mct.bench.store.reading import read_run
from mct.bench.store.result import Question
from mct.bench.store.samples_file import read_samples
from mct.models.tasks.datasets import Dataset
from mct.targets.budget import Budget
from mct.targets.target import Target

MakeMeasurement = Callable[..., Measurement]
SCHEMA = json.loads(Path(mct.bench.store.__file__).with_name("result.schema.json").read_text(encoding="utf-8"))
PLAN = BenchPlan(threads=2, affinity=(0, 1), seed=7, limit_ms=15.0)
BUDGET = Budget("router", "sequence-classification", p95_ms=15.0, quality_max_drop=0.005, slices=("order",))
TARGET = Target("cpu", "cpu", "", price_per_hour=0.36)


@pytest.fixture
def run(measured: MakeMeasurement, dataset: Dataset) -> tuple[Question, list[Measurement]]:
    """A baseline, an artifact, and one that crashed while it was loading."""
    truth = dataset.column("label")
    baseline = measured("router", truth, truth)
    good = measured("onnx-int8", truth, [*truth[:-1], "order"])
    broken = replace(
        measured("gguf", truth, None, blocks=(), failure=Failure("died", "hint", ("last words",))), starts=()
    )
    subjects = [each.subject for each in (baseline, good, broken)]
    question = store.make_question(subjects, dataset, PLAN, target=TARGET, budget=BUDGET, baseline="router")
    return question, [baseline, good, broken]


def _validate(result: Any) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(result, SCHEMA)


def test_the_example_is_valid() -> None:
    _validate(json.loads((Path(__file__).parents[1] / "result_example.json").read_text(encoding="utf-8")))


def test_what_ran_in_a_page_is_stored_and_read_again_from_its_samples(
    run: tuple[Question, list[Measurement]], dataset: Dataset, tmp_path: Path
) -> None:
    question, (baseline, good, broken) = run
    downloads = {"model": {"raw": 3_000_000_000, "gzip": 2, "brotli": 1}, "wasm": {"raw": 9, "gzip": 4}}
    starts = tuple(replace(start, stages_ms={"wasm": 9.5}, downloads=downloads) for start in good.starts)
    assert good.answers is not None
    answers = replace(good.answers, native=good.answers.values, unlike=(0,) * len(good.answers.values))
    good = replace(good, starts=starts, answers=answers)
    path = store.append(tmp_path, question, [baseline, good, broken], dataset)
    result = json.loads(path.read_text(encoding="utf-8"))
    _validate(result)
    entry = result["artifacts"][1]
    assert entry["runtime"] == "onnxruntime-web"
    assert entry["web"]["downloads"][1] == {"name": "wasm", "raw_mb": 0.0, "gzip_mb": 0.0, "brotli_mb": None}
    assert entry["web"]["native"]["flips"] == 0 and "web" not in result["artifacts"][0]
    assert store.read_result(path) == result == store.recompute(tmp_path / result["samples"])


def test_a_stored_result_is_valid_and_says_what_was_measured(
    run: tuple[Question, list[Measurement]], dataset: Dataset, tmp_path: Path
) -> None:
    path = store.append(tmp_path, *run, dataset)
    result = store.read_result(path)
    _validate(result)
    assert [entry["artifact"] for entry in result["artifacts"]] == ["router", "onnx-int8", "gguf"]
    _, good, broken = result["artifacts"]
    assert good["latency"]["n"] == 2400
    assert good["latency"]["p95_ci_ms"][0] < good["latency"]["p95_ms"] < good["latency"]["p95_ci_ms"][1]
    assert good["model_only"]["p95_ms"] == pytest.approx(0.9 * good["latency"]["p95_ms"], rel=1e-3)
    assert good["quality"]["delta"] == pytest.approx(-1 / 60, abs=1e-6)
    assert (good["load_ms"], good["load_cold_ms"], good["peak_rss_mb"]) == (81.5, None, 100.0)
    usd_per_second = 0.36 / 3600
    assert good["cost_per_1000"] == pytest.approx(usd_per_second * good["latency"]["mean_ms"], rel=1e-4)
    assert "energy_per_request_mj" not in good
    assert broken["latency"] is broken["quality"] is broken["load_ms"] is None
    assert broken["failure"] == {"message": "died", "hint": "hint", "stderr": ["last words"]}
    assert broken["verdict"]["outcome"] == "fail"
    assert good["environment"]["data_sha256"] == dataset.sha256
    assert good["environment"]["threads"] == 2


def test_p99_is_null_where_n_is_too_small(
    made_up: SimpleNamespace, measured: MakeMeasurement, dataset: Dataset, tmp_path: Path
) -> None:
    truth = dataset.column("label")
    small = measured("small", truth, truth, blocks=made_up.blocks(1.0, rounds=3, size=50))
    question = store.make_question([small.subject], dataset, PLAN)
    result = store.read_result(store.append(tmp_path, question, [small], dataset))
    _validate(result)
    latency = result["artifacts"][0]["latency"]
    assert (latency["p99_ms"], latency["p99_ci_ms"]) == (None, None)
    assert latency["p95_ms"] is not None
    assert result["artifacts"][0]["verdict"] is None
    assert result["artifacts"][0]["cost_per_1000"] is None


def test_a_cold_start_and_energy_are_told_where_they_were_had(
    measured: MakeMeasurement, dataset: Dataset, tmp_path: Path
) -> None:
    truth = dataset.column("label")
    found = measured("a", truth, truth)
    starts = (replace(found.starts[0], read_mb=9.0, load_ms=500.0), *found.starts[1:])  # of 10 MB
    found = replace(found, starts=starts, blocks=tuple(replace(block, energy_uj=600_000) for block in found.blocks))
    question = store.make_question([found.subject], dataset, PLAN)
    result = store.read_result(store.append(tmp_path, question, [found], dataset))
    _validate(result)
    entry = result["artifacts"][0]
    assert (entry["load_cold_ms"], entry["load_ms"]) == (500.0, 82.0)
    assert entry["energy_per_request_mj"] == 2.0  # 0.6 J per 300 requests


def test_what_a_gpu_used_is_told_and_what_its_card_does_not_tell_is_absent(
    measured: MakeMeasurement, dataset: Dataset, tmp_path: Path
) -> None:
    truth = dataset.column("label")
    used = GpuUse(energy_mj=600, power_w=250.5, clock_mhz=1980, memory_mb=3000.0, temperature_c=51)
    slower = replace(used, clock_mhz=1410, slowed_by=("power cap",))
    silent = GpuUse(None, None, None, None, None)
    entries = []
    for first, rest in ((slower, used), (silent, silent)):
        found = measured("a", truth, truth)
        blocks = tuple(replace(block, gpu=rest if place else first) for place, block in enumerate(found.blocks))
        found = replace(found, blocks=blocks)
        question = store.make_question([found.subject], dataset, PLAN)
        path = store.append(tmp_path, question, [found], dataset)
        _validate(store.read_result(path))
        run = read_run(path)
        entries.append(run.entries[0]["gpu"])
        shown = render([run], "markdown", None, False)
        assert ("1,410 to 1,980 MHz" in str(shown)) is (first is slower) and "**GPU**" in str(shown)
    assert entries[0] == {
        "energy_per_request_mj": 2.0, "power_w": 250.5, "clock_mhz": [1410, 1980], "memory_mb": 3000.0,
        "temperature_c": 51, "slowed_by": ["power cap"],
    }  # fmt: skip
    assert {name: value for name, value in entries[1].items() if value} == {}
    assert entries[1]["energy_per_request_mj"] is None


def test_what_was_seen_after_the_timing_counts_too(
    run: tuple[Question, list[Measurement]], dataset: Dataset, tmp_path: Path
) -> None:
    """Memory that only the timed requests took, and the time for which a quota stopped them."""
    question, (found, *_) = run
    blocks = tuple(
        replace(block, peak_rss_mb=100.0 + number, throttled=number, throttled_s=0.25)
        for number, block in enumerate(found.blocks)
    )
    question = replace(question, environments={found.subject.name: question.environments[found.subject.name]})
    stored = store.append(tmp_path, question, [replace(found, blocks=blocks)], dataset)
    (entry,) = store.read_result(stored)["artifacts"]
    assert entry["peak_rss_mb"] == 100.0 + len(blocks) - 1
    assert entry["throttled_s"] == 0.25 * len(blocks)


def test_everything_is_recomputed_from_the_raw_samples(
    run: tuple[Question, list[Measurement]], dataset: Dataset, tmp_path: Path
) -> None:
    path = store.append(tmp_path, *run, dataset)
    result = store.read_result(path)
    samples = read_samples(tmp_path / result["samples"])
    assert samples.complete
    assert list(samples.measurements) == run[1]
    assert store.recompute(tmp_path / result["samples"]) == result


def test_a_score_that_was_stored_under_another_metrics_name_is_read_under_its_own(tmp_path: Path) -> None:
    example = json.loads((Path(__file__).parents[1] / "result_example.json").read_text(encoding="utf-8"))
    recall = {
        "name": "recall_at_10", "n": 135, "value": 0.5, "value_ci": [0.4, 0.6], "baseline": 0.5, "delta": 0.0,
        "delta_ci": [-0.1, 0.1], "worse": 0, "better": 0, "p_value": 1.0,
    }  # fmt: skip
    example["artifacts"][0]["quality"]["others"] = [recall]
    (tmp_path / "result.json").write_text(json.dumps(example))
    (score,) = store.read_result(tmp_path / "result.json")["artifacts"][0]["quality"]["others"]
    assert (score["name"], score["value"]) == ("recall_cap_at_10", 0.5)


def test_nothing_is_overwritten(run: tuple[Question, list[Measurement]], dataset: Dataset, tmp_path: Path) -> None:
    first = store.append(tmp_path, *run, dataset)
    before = first.read_bytes()
    second = store.append(tmp_path, *run, dataset)
    assert sorted([first, second]) == store.list_results(tmp_path)
    assert first.read_bytes() == before
    assert sorted(path.name.partition(".")[2] for path in tmp_path.iterdir()) == ["json"] * 2 + ["samples.jsonl.gz"] * 2


def test_what_a_killed_run_left_can_be_read(
    run: tuple[Question, list[Measurement]], dataset: Dataset, tmp_path: Path
) -> None:
    question, measurements = run
    good = measurements[1]
    recording = store.begin(tmp_path, question, [each.subject for each in measurements], dataset)
    for value in (good.starts[0], good.blocks[0], good.blocks[1]):
        recording.keep(to_record(good.subject.name, value))
    with recording.draft.open("ab") as file:
        file.write(b'{"subject":"onnx-int8","kind":"blo')  # cut short
    samples = read_samples(recording.draft)
    assert not samples.complete
    assert samples.measurements[1].blocks == good.blocks[:2]
    assert store.list_results(tmp_path) == []
    _validate(store.recompute(recording.draft))


def test_a_run_killed_when_all_was_measured_is_finished_by_the_next(
    run: tuple[Question, list[Measurement]], dataset: Dataset, tmp_path: Path
) -> None:
    path = store.append(tmp_path, *run, dataset)
    found, draft = path.read_bytes(), tmp_path / f"{path.stem}{store.PARTIAL}"
    for left in ((), (path,)):  # killed after the result was written, and before
        draft.write_text("all of it")
        for file in left:
            file.unlink()
        store.append(tmp_path, *run, dataset)
        assert path.read_bytes() == found
        assert not draft.exists()


def test_what_was_damaged_since_does_not_stop_the_next_run(
    run: tuple[Question, list[Measurement]], dataset: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "x.samples.jsonl.gz").write_bytes(b"\x1f\x8b\x08cut")
    (tmp_path / f"x{store.PARTIAL}").write_text("all of it")
    store.append(tmp_path, *run, dataset)
    assert (tmp_path / f"x{store.PARTIAL}").read_text() == "all of it"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not readable as JSON"),
        ("{}", "no result of mct bench"),
        ('{"kind": "mct-bench", "schema": 9}', "schema 9"),
    ],
)
def test_what_is_no_result_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(MctError, match=message):
        store.read_result(tmp_path / "x.json")


def test_damaged_or_missing_samples_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MctError, match="does not exist"):
        read_samples(tmp_path / "none.samples.jsonl.gz")
    (tmp_path / "x.samples.jsonl.gz").write_bytes(b"\x1f\x8b\x08cut")
    with pytest.raises(MctError, match="not a complete gzip file"):
        read_samples(tmp_path / "x.samples.jsonl.gz")


WRITER = """
import sys
from pathlib import Path
from mct.bench.report.report import render
from mct.bench.store import store
from mct.bench.store.reading import read_run
from mct.bench.store.samples_file import read_samples
samples = read_samples(Path(sys.argv[1]))
from mct.models.tasks.datasets import Dataset
data = samples.question.data
rows = tuple({"text": "", "label": label} for label in samples.measurements[0].truth)
dataset = Dataset(data.name, rows, data.sha256)
print("ready", flush=True)
while True:
    store.append(Path(sys.argv[2]), samples.question, samples.measurements, dataset)
"""


def test_killed_at_any_moment_every_result_stays_readable(
    run: tuple[Question, list[Measurement]], dataset: Dataset, tmp_path: Path
) -> None:
    first = store.append(tmp_path / "source", *run, dataset)
    source, target = first.parent / store.read_result(first)["samples"], tmp_path / "results"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    for attempt in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(source), str(target)], stdout=subprocess.PIPE, env=environment
        )
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(0.1 + 0.037 * attempt)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
    store.append(target, *run, dataset)
    assert not list(target.glob(".*")), "what dead runs left"
    for path in store.list_results(target):
        result = store.read_result(path)
        assert store.recompute(target / result["samples"]) == result
    for draft in target.glob(f"[!.]*{store.PARTIAL}"):
        if draft.stat().st_size:
            read_samples(draft)
