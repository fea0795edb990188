"""Folders that trl's own trainers wrote: told for what they are, and compressed with their answers kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mct.models.checkpoints.adapted import NOTHING, Told
from mct.models.checkpoints.checkpoint import inspect
from mct.models.scenarios.responses.llama import shared_llama
from mct.models.scenarios.shop.preferences import generate

trl = pytest.importorskip("trl", reason="trl is not installed: pip install 'mangaassist-mct[dev]'")
datasets = pytest.importorskip("datasets", reason="trl's datasets are not installed")

pytestmark = pytest.mark.filterwarnings("ignore")

PAIRS = [{side: row[side] for side in ("prompt", "chosen", "rejected")} for row in generate(0, 64)["train"]][:16]
TOLD: dict[str, Any] = {"max_steps": 2, "per_device_train_batch_size": 4, "learning_rate": 1e-3, "use_cpu": True,
                        "report_to": [], "save_steps": 2, "bf16": False, "logging_steps": 100}  # fmt: skip


def policy(folder: Path, peft_config: Any = None) -> Any:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = shared_llama("tiny")
    return trl.DPOTrainer(
        AutoModelForCausalLM.from_pretrained(base), args=trl.DPOConfig(str(folder), **TOLD),
        train_dataset=datasets.Dataset.from_list(PAIRS), processing_class=AutoTokenizer.from_pretrained(base),
        peft_config=peft_config,
    )  # fmt: skip


def adapter(folder: Path) -> Any:
    from peft import LoraConfig

    return policy(folder, LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["q_proj", "v_proj"]))


def reward(folder: Path) -> Any:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    base = shared_llama("tiny")
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
    return trl.RewardTrainer(
        model, args=trl.RewardConfig(str(folder), **TOLD), train_dataset=datasets.Dataset.from_list(PAIRS),
        processing_class=AutoTokenizer.from_pretrained(base),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("trainer", "technique", "task", "formats"),
    [
        (policy, {"dpo"}, "causal-lm", ("gguf",)),
        (adapter, {"lora", "dpo"}, "causal-lm", ("onnx",)),
        (reward, {"reward"}, "reward", ("gguf",)),
    ],
)  # fmt: skip
def test_what_trl_wrote_is_told_and_compressed(
    trainer: Callable[[Path], Any], technique: set[str], task: str, formats: tuple[str, ...], tmp_path: Path,
    compressed: Callable[..., Any],
) -> None:  # fmt: skip
    folder = tmp_path / "made"
    made = trainer(folder)
    made.train()
    made.save_model(str(folder))
    told = Told(base=shared_llama("tiny")) if "lora" in technique else NOTHING
    found = inspect(folder, told)
    assert (set(found.technique.split(", ")), found.task) == (technique, task)
    rows = [pair | {"text": pair["prompt"] + pair["chosen"]} for pair in PAIRS[:4]]
    for artifact in compressed(folder, formats, rows, told).values():
        assert artifact.parity["agreement"] == 1.0 and artifact.technique == found.technique
        assert not [file for file in artifact.files if file.endswith(".bin")], "what training pickled stays behind"
