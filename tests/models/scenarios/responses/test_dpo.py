"""Scenario 10: policies and a reward model as they are left, told, compressed, and scored as trl scores them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mct.models.checkpoints.checkpoint import inspect
from mct.models.scenarios.responses.dpo import VARIANTS, build
from mct.models.training.language_model import load_writer
from mct.models.training.preference import BETA, likelihoods, preferences
from mct.models.writing.folders import sha256

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    room = tmp_path_factory.mktemp("dpo")
    return {variant: build("tiny", room / variant, variant=variant) for variant in VARIANTS}


@pytest.mark.parametrize(
    ("variant", "technique", "task", "formats"),
    [
        ("lora", "lora, dpo", "causal-lm", ("onnx", "gguf")),
        ("full", "dpo", "causal-lm", ("openvino",)),
        ("reward", "reward", "reward", ("onnx", "openvino", "gguf")),
    ],
)  # fmt: skip
def test_it_prefers_what_it_was_taught_to_and_is_told_and_compressed(
    variant: str, technique: str, task: str, formats: tuple[str, ...], built: dict[str, Path],
    compressed: Callable[..., Any],
) -> None:  # fmt: skip
    folder = built[variant]
    assert (inspect(folder).technique, inspect(folder).task) == (technique, task)
    scores = json.loads((folder / "recipe.json").read_text())["dev"]
    name = "preference_accuracy" if variant == "reward" else "reward_accuracy"
    assert scores["after"][name] >= 0.8 > 0.7 > scores["before"][name]
    for artifact in compressed(folder, formats).values():
        assert artifact.parity["agreement"] == 1.0 and artifact.technique == technique


def test_the_reference_of_a_full_policy_is_beside_it_and_was_not_trained(built: dict[str, Path]) -> None:
    reference, base = built["full"] / "reference", built["lora"] / "base"
    assert sha256(reference / "model.safetensors") == sha256(base / "model.safetensors")
    assert sha256(built["full"] / "model.safetensors") != sha256(reference / "model.safetensors")


def test_trl_finds_the_same_rewards_in_it(built: dict[str, Path], tmp_path: Path) -> None:
    trl, datasets = pytest.importorskip("trl"), pytest.importorskip("datasets")
    rows = [json.loads(line) for line in (built["full"] / "data" / "dev.jsonl").read_text().splitlines()][:24]
    policy, reference = load_writer(built["full"]), load_writer(built["full"] / "reference")
    ours = preferences(likelihoods(policy, rows, 256), likelihoods(reference, rows, 256))
    pairs = datasets.Dataset.from_list([{side: row[side] for side in ("prompt", "chosen", "rejected")} for row in rows])
    told = trl.DPOConfig(str(tmp_path), beta=BETA, report_to=[], use_cpu=True, per_device_eval_batch_size=8, bf16=False)
    trainer = trl.DPOTrainer(
        policy.model, reference.model, args=told, train_dataset=pairs, eval_dataset=pairs,
        processing_class=policy.tokenizer,
    )  # fmt: skip
    theirs = trainer.evaluate()
    assert theirs["eval_rewards/accuracies"] == pytest.approx(ours["reward_accuracy"], abs=1e-3)
    assert theirs["eval_rewards/margins"] == pytest.approx(ours["reward_margin"], abs=5e-3)
