"""Scenario 14: an answerer whose way of being asked travels with it, from training into every artifact."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mct.models.checkpoints.checkpoint import inspect
from mct.models.scenarios.responses.raft import FORMAT, build


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("tiny", tmp_path_factory.mktemp("raft") / "tiny")


def test_it_learned_and_is_told_by_its_prompt_format(built: Path) -> None:
    assert (inspect(built).technique, inspect(built).task) == ("raft", "causal-lm")
    scores = json.loads((built / "recipe.json").read_text())["dev"]
    assert scores["after"]["answer_loss"] < scores["before"]["answer_loss"] - 0.5


def test_its_prompt_format_travels_into_every_artifact_and_is_what_run_fills_in(
    built: Path, compressed: Callable[..., Any], run_mct: Callable[..., Any], tmp_path: Path
) -> None:
    artifacts = compressed(built)
    for artifact in artifacts.values():
        assert artifact.prompt_format == FORMAT and "raft.json" in artifact.files
        assert artifact.technique == "raft" and artifact.parity["agreement"] == 1.0
    with (built / "data" / "dev.jsonl").open() as rows:
        row = json.loads(next(rows))
    asked = json.dumps({"question": row["question"], "documents": row["context"]})
    for folder in (built, tmp_path / "out" / "onnx-fp32"):
        done = run_mct("run", folder, asked, "--tokens", "8")
        said = json.loads(done.stdout)
        assert said["request"] == row["prompt"] and "\n" not in said["answer"]
    done = run_mct("run", built, '{"question": "why?"}')
    assert done.returncode == 2 and "documents" in done.stderr
