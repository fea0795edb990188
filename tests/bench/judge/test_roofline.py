"""The least time of a request, by hand; and the share reached, from the machine to the stored result and its table."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace
from typing import Any

import pytest

from mct.bench.judge.roofline import Encoder, Limit, limit_from_inputs, limit_inputs, limit_of
from mct.bench.measure.sampling import BenchPlan
from mct.bench.report.table import markdown_table
from mct.bench.samples.measurement import Measurement
from mct.bench.samples.subject import Subject
from mct.bench.store.store import append, list_results, make_question, read_result, recompute
from mct.models.tasks.datasets import Dataset
from mct.targets import limit as limits
from mct.targets.limit import MachineLimit

MACHINE = MachineLimit(2, 1000.0, 800.0, 200.0, 100.0, {"1": 100.0, "4": 80.0, "64": 20.0})
MINILM = Encoder(hidden=384, layers=6, intermediate=1536, labels=77)
CONFIG = {"model_type": "bert", "hidden_size": 384, "num_hidden_layers": 6, "intermediate_size": 1536}


@pytest.fixture
def minilm(made_up: SimpleNamespace, tmp_path: Path) -> Subject:
    """A subject that says it is MiniLM; only its config.json is read."""
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    subject: Subject = made_up.subject(labels=[str(number) for number in range(77)])
    return replace(subject, executable=replace(subject.executable, folder=tmp_path))


def test_the_weights_of_minilm() -> None:
    """Per layer 4 x 384^2 + 2 x 384 x 1536 = 1,769,472; the head 384^2 + 384 x 77 = 177,024."""
    assert MINILM.layer_weights == 6 * 1_769_472 == 10_616_832
    assert MINILM.head_weights == 177_024
    assert MINILM.attention(10.0) == 2 * 6 * 384 * 100


def test_the_weights_are_those_of_the_real_architecture() -> None:
    from transformers import BertConfig, BertForSequenceClassification

    sizes = {key: value for key, value in CONFIG.items() if key != "model_type"}
    model = BertForSequenceClassification(BertConfig(**sizes, num_attention_heads=12, vocab_size=50, num_labels=77))
    matrices = [value.numel() for name, value in model.named_parameters() if value.ndim == 2 and "embed" not in name]
    assert sum(matrices) == MINILM.layer_weights + MINILM.head_weights


def test_the_least_time_worked_by_hand() -> None:
    """10 tokens, INT8 at 1,000 GOP/s: (106,168,320 + 177,024) x 2 / 10^12 s, and attention 460,800 x 2 / 2x10^11 s.

    10,616,832 + 177,024 + 3,840 bytes are read at 80 GB/s, the rate for what is larger than 4 MB.
    """
    found = limit_of(MINILM, "int8", 10.0, MACHINE)
    assert found.multiply_adds == 106_168_320 + 177_024 + 460_800
    assert found.compute_ms == pytest.approx(0.212691 + 0.004608, abs=1e-6)
    assert found.weights_mb == pytest.approx(10.797696)
    assert found.memory_ms == pytest.approx(10.797696 / 80)
    assert (found.bound, found.least_ms) == ("compute", found.compute_ms)
    assert found.as_json(1.0)["share"] == pytest.approx(0.2173, abs=1e-4)
    assert found.as_json(None)["share"] is None


def test_at_full_precision_both_times_grow() -> None:
    whole, small = limit_of(MINILM, "fp32", 10.0, MACHINE), limit_of(MINILM, "int8", 10.0, MACHINE)
    assert whole.weights_mb == pytest.approx(4 * small.weights_mb)
    assert whole.compute_ms == pytest.approx(2 * whole.multiply_adds / 200e6)


def test_one_token_of_a_big_model_is_bound_by_memory() -> None:
    assert limit_of(Encoder(4096, 32, 11008, 2), "int4", 1.0, MACHINE).bound == "memory"


def of_task(subject: Subject, task: str, **changes: Any) -> Subject:
    return replace(subject, task=task, executable=replace(subject.executable, task=task), **changes)


def limit_for(subject: Subject, tokens: list[int], machine: MachineLimit) -> Limit | None:
    return limit_from_inputs(limit_inputs([subject], machine), subject, tokens)


def test_the_limit_of_a_subject_comes_from_its_config(minilm: Subject) -> None:
    assert limit_for(minilm, [8, 12], MACHINE) == limit_of(MINILM, "int8", 10.0, MACHINE)


@pytest.mark.parametrize("config", [None, {"model_type": "mystery"}, {**CONFIG, "model_type": "llama"}])
def test_an_unknown_architecture_has_no_limit(minilm: Subject, config: dict[str, object] | None) -> None:
    path = minilm.executable.folder / "config.json"
    path.unlink() if config is None else path.write_text(json.dumps(config))
    assert limit_for(minilm, [10], MACHINE) is None


def test_tags_are_a_product_for_every_token_and_other_kinds_have_no_limit(minilm: Subject) -> None:
    """9 tags: 6 x 1,769,472 + 384 x 9 weights, each multiplied with every one of 10 tokens, and no pooler."""
    found = limit_for(of_task(minilm, "token-classification", labels=("O",) * 9), [10], MACHINE)
    assert found is not None
    assert found.multiply_adds == 10 * (10_616_832 + 3_456) + 460_800
    for task in ("pair-scoring", "multi-head", "sentence-embedding", "causal-lm", "reward", "embedding-head"):
        assert limit_for(of_task(minilm, task), [10], MACHINE) is None


def test_a_stored_result_has_the_share_and_computes_it_again(
    minilm: Subject, measured: Callable[..., Measurement], dataset: Dataset, tmp_path: Path
) -> None:
    rows = tuple(row | {"label": minilm.labels[number]} for number, row in enumerate(dataset.rows))
    dataset = replace(dataset, rows=rows)
    truth = dataset.column("label")
    measurement = replace(measured(truth=truth, answers=truth), subject=minilm)
    question = make_question([minilm], dataset, BenchPlan(2), limit=limit_inputs([minilm], MACHINE))
    result = read_result(append(tmp_path / "store", question, [measurement], dataset))
    (entry,) = result["artifacts"]
    assert entry["limit"]["tokens"] == 5
    share = entry["limit"]["least_ms"] / entry["model_only"]["p50_ms"]
    assert entry["limit"]["share"] == pytest.approx(share, rel=1e-3)
    assert recompute(tmp_path / "store" / result["samples"]) == result
    assert f"- **{minilm.name}**: {entry['limit']['share']:.0%}." in markdown_table(result)
    older = {**result, "artifacts": [{key: value for key, value in entry.items() if key != "limit"}]}
    assert "machine's limit" not in markdown_table(older)


def test_bench_uses_a_known_limit_and_measures_none_unasked(
    run_mct: Callable[..., CompletedProcess[str]],
    tiny_artifact: Path,
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in dataset.rows))
    words = ("bench", tiny_artifact, "--data", tmp_path / "data.jsonl", "--max-seconds", 1, "--results", tmp_path / "s")
    assert run_mct(*words).returncode == 0
    assert not limits.cache_folder().exists()
    assert read_result(list_results(tmp_path / "s")[0])["limit"] is None
