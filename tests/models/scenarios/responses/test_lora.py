"""Scenario 04: the adapter and its base as peft leaves them, trained, told, and merged into every format."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peft import PeftModel
from transformers import AutoModelForCausalLM

from mct import MctError
from mct.models.checkpoints.checkpoint import inspect
from mct.models.scenarios.responses.llama import shared_llama
from mct.models.scenarios.responses.lora import build
from mct.models.writing.folders import sha256

pytestmark = pytest.mark.filterwarnings("ignore")


def hashes(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): sha256(file) for file in sorted(folder.rglob("*")) if file.is_file()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    room = tmp_path_factory.mktemp("lora")
    return {variant: build("tiny", room / variant, variant=variant) for variant in ("lora", "qlora")}


def test_same_arguments_same_bytes(built: dict[str, Path], tmp_path: Path) -> None:
    assert hashes(build("tiny", tmp_path / "again")) == hashes(built["lora"])


@pytest.mark.parametrize("variant", ["lora", "qlora"])
def test_it_learned_is_told_for_what_it_is_and_keeps_its_answers(
    variant: str, built: dict[str, Path], compressed: Callable[..., Any]
) -> None:
    folder = built[variant]
    found = inspect(folder)
    assert (found.technique, found.task) == (variant, "causal-lm")
    losses = json.loads((folder / "recipe.json").read_text())["dev_answer_loss"]
    assert losses["after"] < losses["before"] - 0.2
    for artifact in compressed(folder).values():
        assert [entry["step"] for entry in artifact.lineage][1] == "merge-adapter"
        assert artifact.parity["root"]["agreement"] == 1.0 and artifact.technique == variant


def test_peft_opens_it_as_it_stands(built: dict[str, Path]) -> None:
    base = AutoModelForCausalLM.from_pretrained(built["lora"] / "base")
    adapted = PeftModel.from_pretrained(base, str(built["lora"]))
    assert sum("lora_A" in name for name, _ in adapted.named_parameters()) == 14


def test_the_llama_is_made_once(built: dict[str, Path]) -> None:
    made = shared_llama("tiny")
    before = (made / "model.safetensors").stat().st_mtime_ns
    assert shared_llama("tiny") == made and (made / "model.safetensors").stat().st_mtime_ns == before
    assert sha256(made / "model.safetensors") == sha256(built["lora"] / "base" / "model.safetensors")


def test_what_is_not_there_is_refused_with_what_is(tmp_path: Path, run_mct: Callable[..., Any]) -> None:
    with pytest.raises(MctError, match="unknown size 'tinny'"):
        build("tinny", tmp_path / "a")
    done = run_mct("models", "build", "response-lora", "--variant", "dora", "-o", tmp_path / "b")
    assert done.returncode == 2 and "lora, qlora" in done.stderr
