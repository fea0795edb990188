"""Scans with real processes on a tiny artifact, and what cannot be scanned."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from mct import MctError
from mct.bench.commands import bench
from mct.bench.jobs.job import Job
from mct.bench.jobs.load import LoadRun
from mct.bench.jobs.scan import OFFLINE, Scan, _fitting, _require_possible, parse_scan, run_scan
from mct.bench.judge.scan_result import ScanRow, summarise_row
from mct.bench.report.scan_table import scan_table
from mct.bench.samples.measurement import Block, Start
from mct.bench.samples.subject import Subject, identify
from mct.bench.transport.site import Setting
from mct.bench.worker.predict import open_predictor
from mct.bench.worker.worker import in_batches, of_length
from mct.models.tasks.datasets import Dataset
from mct.targets.runtimes.table import runtime_for
from mct.targets.target import Target


def job_for(folder: Path, artifact: Path, dataset: Dataset) -> Job:
    data = folder / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in dataset.rows))
    return Job((artifact,), data, Target("cpu", "cpu", ""), results=folder, rounds=3, block_s=0.05, max_seconds=0.1)


def test_throughput_of_batches_is_counted_in_requests(tmp_path: Path, tiny_artifact: Path, dataset: Dataset) -> None:
    run = run_scan(job_for(tmp_path, tiny_artifact, dataset), Scan("batch", (1, 8)))
    one, eight = run.results
    assert [(row.batch, row.processes) for row in run.results] == [(1, 3), (8, 3)]
    assert eight.per_s > one.per_s, "eight texts by one call of so small a model"
    stored = json.loads(run.path.read_text())
    assert stored["kind"] == "mct-scan"
    assert stored["results"] == [row.as_json() for row in run.results]
    table = scan_table(run.results)
    assert table.startswith("| artifact | batch | requests /s |")
    assert "its answers may differ" in table


def test_clients_are_counted_together(
    tmp_path: Path, tiny_artifact: Path, dataset: Dataset, read_records: Callable[[Path], list[dict[str, Any]]]
) -> None:
    run = run_scan(job_for(tmp_path, tiny_artifact, dataset), Scan("clients", (1, 3)))
    assert [(row.value, row.clients, row.batch, row.processes) for row in run.results] == [(1, 1, 1, 3), (3, 3, 1, 3)]
    assert all(row.calls >= 2 * row.clients * row.processes for row in run.results)
    stored = json.loads(run.path.read_text())
    assert stored["results"][1]["clients"] == 3
    records = read_records(run.path.parent / stored["samples"])
    walls = [record["wall_s"] for record in records if str(record.get("subject")).endswith("=3")]
    assert run.results[1].per_s * sum(walls) >= 0.8 * run.results[1].calls, "by the clock, whatever the clients waited"
    assert "what it waits for the others" in scan_table(run.results)


def test_a_javascript_engine_has_no_clients_to_scan() -> None:
    with pytest.raises(MctError, match="one call at a time"):
        _require_possible(Scan("clients", (1, 3)), 2, "browser")


class Slower:
    """A runner on paper whose call takes as long as its setting says: `value` ms."""

    def __init__(self, made_up: SimpleNamespace, setting: Setting, number: int) -> None:
        self.made_up, self.number = made_up, number
        self.call_ms = float(setting.length or setting.threads)
        self.start: Start = made_up.start(number, typical_ms=self.call_ms)

    def run(self, count: int, cap_s: float, position: int) -> Block:
        block: Block = self.made_up.block([self.call_ms] * count, self.number, position)
        return block

    def close(self) -> None:
        pass


def test_every_value_has_its_own_processes_in_every_round(
    made_up: SimpleNamespace,
    tmp_path: Path,
    tiny_artifact: Path,
    dataset: Dataset,
    read_records: Callable[[Path], list[dict[str, Any]]],
) -> None:
    begun: list[tuple[int, int]] = []

    def launch(subject: Subject, setting: Setting, number: int) -> Slower:
        begun.append((number, setting.length))
        return Slower(made_up, setting, number)

    run: LoadRun[ScanRow] = run_scan(
        job_for(tmp_path, tiny_artifact, dataset), Scan("length", (4, 8, 16)), launch=launch
    )
    assert sorted(begun) == [(number, length) for number in range(3) for length in (4, 8, 16)]
    assert [row.per_s for row in run.results] == pytest.approx([250.0, 125.0, 62.5])
    assert [row.p50 and row.p50.value for row in run.results] == pytest.approx([4.0, 8.0, 16.0])
    records = read_records(run.path.parent / json.loads(run.path.read_text())["samples"])
    assert {record["subject"] for record in records} == {f"onnx-fp32 length={value}" for value in (4, 8, 16)}


def test_the_interval_of_a_rate_is_over_processes(made_up: SimpleNamespace) -> None:
    """Two processes at 1 and at 2 ms a call of 4: the geometric mean of 4,000 and 2,000 a second."""
    blocks = [made_up.block([1.0] * 100, 0, 0), made_up.block([2.0] * 100, 1, 1)]
    row = summarise_row("A", "batch", 4, 1, 4, blocks)
    assert row.per_s == pytest.approx(8e6**0.5)
    assert row.per_s_ci is not None and row.per_s_ci[0] < 2000 and row.per_s_ci[1] > 4000
    assert summarise_row("A", "batch", 4, 1, 4, blocks[:1]).per_s_ci is None
    several = [replace(block, wall_s=0.05 * (number + 1)) for number, block in enumerate(blocks)]
    assert summarise_row("A", "clients", 4, 1, 1, several, clients=4).per_s == pytest.approx((2000 * 1000) ** 0.5)


def test_a_batch_gives_each_request_its_own_answer(tiny_artifact: Path) -> None:
    subject = identify(tiny_artifact)
    opened = open_predictor(runtime_for("onnx"), subject.executable, subject.heads, threads=1)
    texts = ["where is my order", "human please", "returns returns order", "my order"]
    assert opened.together is not None
    assert opened.together(texts) == [opened.timed(text) for text in texts]  # type: ignore[arg-type]


def test_batches_hold_every_text_and_are_all_full() -> None:
    batches = in_batches([f"text {number}" for number in range(10)], 4, seed=1)
    assert [len(batch) for batch in batches] == [4, 4, 4]
    assert len({text for batch in batches for text in batch}) == 10
    assert batches == in_batches([f"text {number}" for number in range(10)], 4, seed=1)


def test_texts_are_strung_to_exactly_the_length_asked_for(tiny_artifact: Path, dataset: Dataset) -> None:
    subject = identify(tiny_artifact)
    executable, texts = of_length(subject.executable, list(dataset.column("text")), 12, 32)
    opened = open_predictor(runtime_for("onnx"), executable, subject.heads, threads=1)
    assert {len(tokens.ids) for text in texts for tokens in opened.timed.encode(text)} == {12}
    with pytest.raises(MctError, match="takes 32 tokens, not 33"):
        of_length(subject.executable, ["text"], 33, 32)
    with pytest.raises(MctError, match="only single texts"):
        of_length(subject.executable, [{"query": "a", "docs": ["b"]}], 12, 32)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("speed=1", "unknown parameter"),
        ("threads", "are no values"),
        ("threads=", "are no values"),
        ("threads=0,1", "are no values"),
        ("batch=1,two", "are no values"),
        ("length=99999", "are no values"),
        ("clients=65", "are no values"),
        ("batch=" + ",".join(map(str, range(1, 19))), "too many"),
    ],
)
def test_what_cannot_be_scanned_is_said(text: str, message: str) -> None:
    with pytest.raises(MctError, match=message):
        parse_scan(text)


def test_values_are_taken_once_and_in_order() -> None:
    assert parse_scan("threads=2,1,2") == Scan("threads", (2, 1))


def test_more_threads_than_there_are_are_refused_before_anything_runs(
    tmp_path: Path, tiny_artifact: Path, dataset: Dataset
) -> None:
    with pytest.raises(MctError, match=r"only .* can run at once"):
        run_scan(job_for(tmp_path, tiny_artifact, dataset), Scan("threads", (1, 4096)))


def test_a_language_model_has_a_throughput_of_single_texts_alone(made_up: SimpleNamespace) -> None:
    subject = made_up.subject()
    writer = replace(subject, executable=replace(subject.executable, task="causal-lm"))
    assert _fitting((writer,), OFFLINE) == Scan("batch", (1,))
    assert _fitting((subject,), OFFLINE) == OFFLINE
    with pytest.raises(MctError, match="writes one text at a time"):
        _fitting((subject, writer), Scan("batch", (1, 2)))
    with pytest.raises(MctError, match="writes one text at a time"):
        _fitting((writer,), Scan("clients", (1, 2)))


def test_longer_texts_than_a_model_takes_are_refused_before_anything_runs(
    tmp_path: Path, tiny_artifact: Path, dataset: Dataset
) -> None:
    with pytest.raises(MctError, match="takes 32 tokens at most, not 33"):
        run_scan(job_for(tmp_path, tiny_artifact, dataset), Scan("length", (8, 33)))


def test_two_jobs_at_once_are_refused(tiny_artifact: Path) -> None:
    with pytest.raises(MctError, match="four jobs"):
        CliRunner().invoke(bench, [str(tiny_artifact), "--load", "5", "--scan", "threads=1"], catch_exceptions=False)
