"""Histories of runs that the store itself wrote."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from mct import MctError
from mct.bench.commands import history
from mct.bench.measure.sampling import BenchPlan
from mct.bench.report.history import history_table
from mct.bench.samples.measurement import Measurement
from mct.bench.store.history import read_history
from mct.bench.store.store import append, make_question
from mct.models.tasks.datasets import Dataset

MakeMeasurement = Callable[..., Measurement]
Store = Callable[[Sequence[float]], Path]


@pytest.fixture
def store(
    tmp_path: Path,
    measured: MakeMeasurement,
    made_up: SimpleNamespace,
    dataset: Dataset,
    monkeypatch: pytest.MonkeyPatch,
) -> Store:
    """A store of one run for each median given, of commits c0, c1 and so on, begun a second apart."""

    def make(medians_ms: Sequence[float]) -> Path:
        measurement = measured()
        question = make_question([measurement.subject], dataset, BenchPlan(threads=1))
        (name,) = question.environments
        for number, median_ms in enumerate(medians_ms):
            environment = {**question.environments[name], "commit": f"c{number}"}
            blocks = made_up.blocks(median_ms, seed=number, size=150)
            run = replace(question, environments={name: environment})
            path = append(tmp_path / "results", run, [replace(measurement, blocks=blocks)], dataset)
            _rename(path, number)
        return tmp_path / "results"

    return make


def _rename(path: Path, number: int) -> None:
    """Give a stored run the time it would have had: names are in order of time, and a second is too long to wait."""
    result = json.loads(path.read_text())
    name = f"20260101T00{number // 60:02}{number % 60:02}Z-{number:06x}"
    samples = path.with_name(result["samples"])
    renamed = path.read_text().replace(result["id"], name)
    path.with_name(f"{name}.json").write_text(renamed)
    samples.rename(path.with_name(f"{name}.samples.jsonl.gz"))
    path.unlink()


def test_a_slow_down_is_shown_at_the_commit_it_came_with(store: Store) -> None:
    folder = store([1.0] * 8 + [1.3] * 6)
    (series,) = read_history(folder)
    assert [point.commit for point in series.points] == [f"c{number}" for number in range(14)]
    (change,) = series.changes
    assert series.points[change.index].commit == "c8"
    assert change.ratio == pytest.approx(1.3, rel=0.05)
    row = next(line for line in history_table([series]).splitlines() if "| c8 |" in line)
    assert "▲ 1.3" in row and "x slower" in row


def test_runs_of_another_machine_are_another_series(store: Store) -> None:
    folder = store([1.0] * 6)
    for path in sorted(folder.glob("*.json"))[:2]:
        result = json.loads(path.read_text())
        result["artifacts"][0]["environment"] |= {"fingerprint": "f" * 12, "cpu": "Another"}
        path.write_text(json.dumps(result))
    assert [(len(each.points), each.fingerprint == "f" * 12) for each in read_history(folder)] == [
        (4, False),
        (2, True),
    ]


def test_what_is_asked_for_is_shown_and_nothing_else(store: Store) -> None:
    folder = store([1.0, 1.1])
    assert len(read_history(folder, ["onnx-int8"])) == 1
    for named in ({"artifacts": ["another"]}, {"budget": "another"}):
        with pytest.raises(MctError, match="holds no P95"):
            read_history(folder, **named)  # type: ignore[arg-type]
    with pytest.raises(MctError, match="holds no P95"):
        read_history(folder / "nowhere")


def test_a_damaged_result_is_passed_over(store: Store) -> None:
    folder = store([1.0, 1.1, 1.0])
    next(folder.glob("*.json")).write_text("{")
    assert len(read_history(folder)[0].points) == 2


def test_the_command_prints_a_table_or_json_and_draws(store: Store, tmp_path: Path) -> None:
    folder, plot = store([1.0] * 8 + [1.3] * 6), tmp_path / "history.png"
    asked: list[Any] = ["--results", str(folder)]
    shown = CliRunner().invoke(history, [*asked, "--png", str(plot)], catch_exceptions=False)
    assert shown.output.startswith("### onnx-int8")
    assert plot.read_bytes().startswith(b"\x89PNG")
    told = json.loads(CliRunner().invoke(history, [*asked, "--json"], catch_exceptions=False).output)
    assert [len(each["points"]) for each in told] == [14]
    assert told[0]["changes"][0]["index"] == 8
