"""The gate judges again from raw values, and refuses what it cannot judge."""

import gzip
import json
from array import array
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mct import MctError
from mct.bench.jobs.gate import describe, gate
from mct.bench.measure.sampling import BenchPlan
from mct.bench.samples.measurement import Failure, Measurement
from mct.bench.store.store import append, make_question
from mct.models.tasks.datasets import Dataset
from mct.targets.budget import Budget
from mct.targets.target import Target

TRUTH = ("order", "returns", "human") * 200
LOOSE = Budget("loose", "sequence-classification", p95_ms=100.0, quality_max_drop=0.05)
TIGHT = replace(LOOSE, name="tight", p95_ms=0.5)

MakeMeasurement = Callable[..., Measurement]


def slowed(measurement: Measurement, factor: float) -> Measurement:
    blocks = tuple(
        replace(block, end_to_end_ns=array("q", [round(value * factor) for value in block.end_to_end_ns]))
        for block in measurement.blocks
    )
    return replace(measurement, blocks=blocks)


def store(folder: Path, measurements: Sequence[Measurement], **question: Any) -> Path:
    dataset = Dataset("made-up.jsonl", tuple({"text": "t", "label": label} for label in TRUTH), "a" * 64)
    subjects = [each.subject for each in measurements]
    return append(folder, make_question(subjects, dataset, BenchPlan(threads=1), **question), measurements, dataset)


@pytest.fixture
def good(measured: MakeMeasurement) -> Measurement:
    """P95 of 1.4 ms, every answer right."""
    return measured("good", TRUTH, TRUTH)


@pytest.fixture
def path(tmp_path: Path, good: Measurement, measured: MakeMeasurement) -> Path:
    original = slowed(measured("original", TRUTH, TRUTH), 50.0)
    return store(tmp_path, [original, good], budget=replace(LOOSE, p95_ms=3.0), baseline="original")


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    result = json.loads(path.read_text(encoding="utf-8"))
    change(result)
    path.write_text(json.dumps(result), encoding="utf-8")


def samples(path: Path) -> Path:
    return path.with_suffix(".samples.jsonl.gz")


@pytest.mark.parametrize(("own_ms", "budget"), [(50.0, TIGHT), (0.5, LOOSE)])
def test_of_a_target_s_own_limits_those_that_ask_for_more_count(
    tmp_path: Path, good: Measurement, own_ms: float, budget: Budget
) -> None:
    target = Target("box", "cpu", "", budgets={budget.name: {"p95_ms": own_ms}})
    path = store(tmp_path, [good], target=target, budget=replace(budget, p95_ms=own_ms))
    (judged,) = gate([path], budget).judged
    assert [line.outcome for line in judged.verdict.lines if line.limit == "P95 < 0.5 ms"] == ["fail"]


def test_the_budget_of_the_run_is_the_default_and_the_slow_baseline_does_not_count(path: Path) -> None:
    found = gate([path])
    assert found.outcome == "pass"
    assert [each.artifact for each in found.judged] == ["good"]


def test_a_named_artifact_counts_even_where_it_is_the_baseline(path: Path) -> None:
    assert gate([path], artifacts=["original"]).outcome == "fail"
    assert gate([path], artifacts=["good"]).outcome == "pass"


def test_another_budget_judges_the_same_samples_anew(path: Path) -> None:
    assert gate([path], TIGHT).outcome == "fail"
    assert gate([path], LOOSE, ["original", "good"]).outcome == "pass"


def test_what_the_result_says_of_itself_does_not_count(path: Path) -> None:
    def boast(result: dict[str, Any]) -> None:
        result["budget"]["p95_ms"] = 1e9
        for entry in result["artifacts"]:
            entry["latency"] |= {"p95_ms": 0.001, "p95_ci_ms": [0.001, 0.002]}
            entry["verdict"] = {"outcome": "pass", "lines": []}

    edit(path, boast)
    assert gate([path], artifacts=["original"]).outcome == "fail"


def test_the_worst_of_all_runs_decides(
    tmp_path: Path, path: Path, good: Measurement, measured: MakeMeasurement
) -> None:
    few = measured("few", TRUTH, TRUTH, blocks=good.blocks[:1])
    undecided = store(tmp_path, [replace(few, blocks=(_cut(few, 30),))], budget=replace(LOOSE, quality_max_drop=None))
    dead = store(tmp_path, [measured("dead", TRUTH, None, blocks=(), failure=Failure("it died"))], budget=LOOSE)
    assert gate([undecided]).outcome == "inconclusive"
    assert gate([path, undecided]).outcome == "inconclusive"
    assert gate([path, undecided, dead]).outcome == "fail"
    assert gate([path, undecided, dead], artifacts=["good"]).outcome == "pass"


def _cut(measurement: Measurement, requests: int) -> Any:
    block = measurement.blocks[0]
    return replace(block, end_to_end_ns=block.end_to_end_ns[:requests], model_ns=block.model_ns[:requests])


def test_a_drop_that_cannot_be_excluded_is_inconclusive(tmp_path: Path, good: Measurement) -> None:
    """Two of 600 lost: 0.33 points seen, more than 0.5 not excluded."""
    assert good.answers is not None
    wrong = ("returns", "order", *TRUTH[2:])
    worse = replace(good, subject=replace(good.subject, name="worse", digest="e" * 64),
                    answers=replace(good.answers, values=wrong))  # fmt: skip
    path = store(tmp_path, [good, worse], budget=replace(LOOSE, quality_max_drop=0.005), baseline="good")
    assert gate([path]).outcome == "inconclusive"


def test_it_tells_a_person_what_was_missed_and_why(path: Path) -> None:
    said = describe(gate([path], TIGHT))
    assert said.splitlines()[0] == "✗ FAIL: budget tight"
    assert "✗ FAIL  good" in said and "P95 < 0.5 ms" in said
    assert describe(gate([path])).splitlines()[1].startswith("  ✓ pass  good")


# What is refused


def test_missing_samples_are_refused(path: Path) -> None:
    samples(path).unlink()
    with pytest.raises(MctError, match="does not exist"):
        gate([path])


@pytest.mark.parametrize("where", [0.0, 0.3, 0.6, 0.999])
def test_a_changed_byte_in_the_samples_is_refused(path: Path, where: float) -> None:
    raw = bytearray(samples(path).read_bytes())
    raw[int(where * len(raw))] ^= 0x55
    samples(path).write_bytes(bytes(raw))
    with pytest.raises(MctError):
        gate([path])


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.99])
def test_samples_cut_short_are_refused(path: Path, kept: float) -> None:
    raw = samples(path).read_bytes()
    samples(path).write_bytes(raw[: int(kept * len(raw))])
    with pytest.raises(MctError):
        gate([path])


def test_samples_with_slow_requests_taken_out_are_refused(path: Path) -> None:
    lines = gzip.decompress(samples(path).read_bytes()).splitlines(keepends=True)
    without = [line for line in lines if not (b'"block"' in line and b'"position":7' in line)]
    assert len(without) < len(lines)
    samples(path).write_bytes(gzip.compress(b"".join(without)))
    with pytest.raises(MctError, match="does not hold the samples"):
        gate([path])


def test_the_samples_of_another_run_are_refused(tmp_path: Path, path: Path, good: Measurement) -> None:
    other = store(tmp_path, [good], budget=LOOSE)
    samples(path).write_bytes(samples(other).read_bytes())
    with pytest.raises(MctError, match="does not hold the samples"):
        gate([path])


def test_a_file_that_is_no_result_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "package.json"
    file.write_text("{}", encoding="utf-8")
    with pytest.raises(MctError, match="no result"):
        gate([file])


def test_an_unknown_artifact_is_refused_with_the_nearest_name(path: Path) -> None:
    with pytest.raises(MctError) as caught:
        gate([path], artifacts=["goood"])
    assert "good" in caught.value.hint


def test_no_results_no_budget_and_the_wrong_task_are_refused(tmp_path: Path, path: Path, good: Measurement) -> None:
    with pytest.raises(MctError, match="no results"):
        gate([])
    with pytest.raises(MctError, match="without a budget"):
        gate([store(tmp_path, [good])])
    with pytest.raises(MctError, match="is for causal-lm"):
        gate([path], Budget("chat", "causal-lm", p95_ms=1.0))
