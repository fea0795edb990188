"""Scenario 05 for response models: what a student gains from its teacher, and that it is an ordinary small Llama."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mct.models.checkpoints.checkpoint import inspect
from mct.models.data.declared import read_object
from mct.models.scenarios.responses.distilled import build

pytestmark = pytest.mark.filterwarnings("ignore")


def test_a_student_learns_more_with_its_teacher_and_is_an_ordinary_model(
    tmp_path: Path, compressed: Callable[..., Any]
) -> None:
    folder = build("tiny", tmp_path / "student")
    losses = json.loads((folder / "recipe.json").read_text())["dev_answer_loss"]
    assert losses["teacher"] < losses["student"] < losses["student_by_itself"] < losses["untrained"]
    assert inspect(folder).technique == "distilled" and read_object(folder / "config.json")["num_hidden_layers"] == 1
    for artifact in compressed(folder, ("onnx", "gguf")).values():
        assert artifact.parity["agreement"] == 1.0 and artifact.technique == "distilled"
