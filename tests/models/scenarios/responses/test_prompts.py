"""Scenario 11: virtual tokens as peft leaves them, trained, told, and in every artifact that can hold them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mct.models.checkpoints.checkpoint import inspect
from mct.models.scenarios.responses.prompts import SIZES, VARIANTS, build

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize(
    ("variant", "formats"),
    [("prompt-tuning", ("onnx", "openvino", "gguf")), ("p-tuning", ("gguf",)), ("prefix-tuning", ("onnx",))],
)  # fmt: skip
def test_it_learned_is_told_and_keeps_its_answers(
    variant: str, formats: tuple[str, ...], tmp_path: Path, compressed: Callable[..., Any]
) -> None:
    folder = build("tiny", tmp_path / variant, variant=variant)
    found = inspect(folder)
    assert found.technique == variant
    assert found.adaptation is not None and found.adaptation.virtual_tokens == SIZES["tiny"].tokens
    recipe = json.loads((folder / "recipe.json").read_text())
    losses = recipe["dev_answer_loss"]
    assert recipe["variant"] == variant and losses["after"] < losses["before"] - 0.005
    for artifact in compressed(folder, formats).values():
        kept = artifact.parity.get("root", artifact.parity)
        assert kept["agreement"] == 1.0 and kept["max_abs_delta"] <= 1e-3 and artifact.technique == variant


def test_prompt_tuning_is_made_unless_told() -> None:
    assert next(iter(VARIANTS)) == build.__defaults__[-1]  # type: ignore[index]
