"""The script for GPU machines, in small on the CPU: it needs what a bare one has, and a part that fails is a row."""

import importlib.util
import json
import math
import subprocess
import sys
from pathlib import Path
from time import monotonic
from types import ModuleType

import pytest
from scipy import stats

ROOT = Path(__file__).resolve().parents[3]
BARE = """
import sys, runpy
import torch, numpy, transformers
from transformers import BertModel, BertForSequenceClassification, DistilBertForSequenceClassification
from transformers import LlamaForCausalLM, StaticCache, BertConfig, DistilBertConfig, LlamaConfig
class Nothing:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in {"mct", "gpu_models", "torch", "transformers", "numpy", "pynvml"} | set(sys.stdlib_module_names):
            raise ModuleNotFoundError(f"a bare machine has no {name}")
sys.meta_path.insert(0, Nothing())
sys.argv = ["gpu.py", *sys.argv[2:]]
runpy.run_path("results/gpu.py", run_name="__main__")
"""


@pytest.fixture(scope="module")
def gpu() -> ModuleType:
    spec = importlib.util.spec_from_file_location("results_gpu", ROOT / "results" / "gpu.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["results_gpu"] = module  # its dataclasses look there
    spec.loader.exec_module(module)
    return module


def test_it_runs_in_small_where_only_torch_transformers_and_numpy_are(tmp_path: Path, gpu: ModuleType) -> None:
    """Every import of anything else is refused, mct's own dependencies too."""
    words = ("--small", "--device", "cpu", "--seconds", "3", "--out", str(tmp_path))
    done = subprocess.run([sys.executable, "-c", BARE, "-", *words], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    (stored,) = tmp_path.glob("gpu-*.json")
    found = json.loads(stored.read_text())
    assert stored.with_suffix(".md").read_text() == gpu.table(found) + "\n" == done.stdout
    rows = [gpu.Row(**row) for row in found["rows"]]
    assert [(row.part, row.way) for row in rows] == [
        (part, way) for part in gpu.SHARES for _, way in gpu.ways_of(part, "cpu")
    ]
    assert not [row.failure for row in rows if row.failure]
    for row in rows:
        assert row.requests >= 3 and row.p50[0] and row.weights_mb and row.same_answers is not None
        assert row.energy_per_request_mj is row.power_w is row.clock_mhz is None, "absent, never zero"
        assert (row.first_token_p50 is not None) is (row.part == "llama")
    whole = {row.part: row.weights_mb for row in rows if row.way == "fp32 eager"}
    assert all(row.weights_mb < 0.6 * whole["router"] for row in rows if row.part == "router" and "fp32" not in row.way)


def test_a_part_whose_time_is_over_is_ended_and_its_rows_say_so(gpu: ModuleType) -> None:
    import argparse

    asked = argparse.Namespace(device="cpu", small=True)
    rows = gpu.supervised("llama", asked, monotonic() + 0.2)
    assert [row.way for row in rows] == [way for _, way in gpu.ways_of("llama", "cpu")]
    assert {row.failure for row in rows} == {"its part's share of the time was over"}


def test_a_part_that_cannot_run_is_rows_with_the_reason(gpu: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "results")
    monkeypatch.setattr(gpu, "measure", lambda row, small, seconds: 1 / 0)
    rows = list(gpu.run_part("embedder", "cpu", monotonic() + 5, small=True))
    assert {row.failure for row in rows} == {"ZeroDivisionError: division by zero"}
    machine = {"device": "x"}
    assert "not measured: ZeroDivisionError" in gpu.table({"machine": machine, "seconds": 1.0, "rows": [vars(rows[0])]})


@pytest.mark.parametrize("share", [0.5, 0.95])
@pytest.mark.parametrize("count", [1, 5, 6, 71, 72, 73, 500, 2000])
def test_its_interval_is_that_of_order_statistics(gpu: ModuleType, share: float, count: int) -> None:
    """Against scipy's binomial: both ends leave 2.5 % at most, and one rank nearer would leave more."""
    point, low, high = gpu.estimate(range(1, count + 1), share)
    assert point == max(1, math.ceil(share * count))
    chance = stats.binom(count, share)
    if chance.cdf(0) > 0.025 or chance.sf(count - 1) > 0.025:
        assert (low, high) == (None, None)
        return
    assert chance.cdf(low - 1) <= 0.025 < chance.cdf(low)
    assert chance.sf(high - 1) <= 0.025 < chance.sf(high - 2)
    assert low <= point <= high


def test_p95_is_refused_an_interval_below_72_requests(gpu: ModuleType) -> None:
    assert gpu.estimate(range(71), 0.95)[2] is None and gpu.estimate(range(72), 0.95)[2] is not None


@pytest.mark.parametrize(
    ("p95", "limit", "outcome"),
    [
        ([4.0, 3.0, 5.0], 5.0, "pass"),
        ([4.0, 3.0, 5.1], 5.0, "inconclusive"),
        ([6.0, 5.1, 7.0], 5.0, "fail"),
        ([1.0, None, None], 5.0, "inconclusive"),
        ([1.0, 1.0, 1.0], None, ""),
    ],
)
def test_a_budget_is_judged_by_the_interval(
    gpu: ModuleType, p95: list[float | None], limit: float | None, outcome: str
) -> None:
    assert gpu.judge(p95, limit) == outcome


def test_it_judges_a_gpu_by_the_gpu_column(gpu: ModuleType) -> None:
    from mct.targets.budget import budget_on, find_budget
    from mct.targets.target import find_target

    for part, name in gpu.BUDGETS.items():
        assert gpu.budget_of(part, "cpu") == find_budget(name).p95_ms
        assert gpu.budget_of(part, "cuda:0") == budget_on(find_budget(name), find_target("gpu")).p95_ms


def test_without_a_gpu_it_says_so_in_one_line(gpu: ModuleType) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    assert "finds no GPU here" in gpu.no_gpu("cuda:0")
