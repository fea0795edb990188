"""One whole comparison with real processes: one tiny artifact against itself, slowed.

Requests are timed by the CPU's clock, so that the answer does not hang on what else the machine does.
"""

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from mct.bench.commands import compare
from mct.bench.jobs.compare import CompareJob, run_compare
from mct.bench.judge.compare import Limits, markdown
from mct.bench.statistics.ratio import FEWEST_ROUNDS
from mct.bench.store.samples_file import read_samples
from mct.models.tasks.datasets import Dataset
from mct.targets.target import find_target

CPU_CLOCK = Path(__file__).resolve().parents[2] / "cpu_clock"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_a_slowed_artifact_is_found_and_the_raw_values_are_stored(
    tiny_artifact: Path, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mct.bench.measure.pairs.PAIRS", FEWEST_ROUNDS)
    monkeypatch.setattr("mct.bench.measure.pairs.FEWEST_CYCLES", 1)
    monkeypatch.syspath_prepend(CPU_CLOCK)  # the workers' PYTHONPATH is this process's
    data, results = tmp_path / "rows.jsonl", tmp_path / "results"
    data.write_text("".join(json.dumps(row) + "\n" for row in dataset.rows))
    cpu = find_target("cpu")
    job = CompareJob(
        tiny_artifact, tiny_artifact, data, (cpu, cpu), Limits(), results=results, max_seconds=60, slow_down_b=4.0
    )
    comparison, texts = run_compare(job)
    assert comparison.latency == "slower" and "P50" in comparison.latency_shown
    assert comparison.p50.value > 1.2 and not comparison.lost and not comparison.gained
    assert texts == dataset.column("text")
    assert "slower at P50" in markdown(comparison, texts)
    stored = read_samples(next(results.glob("*.samples.jsonl.gz")))
    a, b = stored.measurements
    assert stored.complete and len(a.blocks) == len(b.blocks)
    assert a.rounds == b.rounds == comparison.p50.rounds == FEWEST_ROUNDS


def test_examples_may_belong_together(tiny_artifact: Path, dataset: Dataset, tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in dataset.rows))
    words = [str(tiny_artifact), str(tiny_artifact), "--data", str(data), "--group", "conversation"]
    done = CliRunner().invoke(compare, [*words, "--results", str(tmp_path / "results")])
    assert "has nothing in 'conversation' to group by" in str(done.exception)


@pytest.mark.parametrize(
    "words", [["--max-seconds", "0"], ["--max-seconds", "nan"], ["--slow-down-b", "inf"], ["--margin", "-1"]]
)
def test_numbers_that_mean_nothing_are_refused(words: list[str]) -> None:
    done = CliRunner().invoke(compare, ["a", "b", *words])
    assert done.exit_code == 2 and ("is not in the range" in done.output or "is not a finite number" in done.output)
