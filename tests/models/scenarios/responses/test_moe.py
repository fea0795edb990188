"""Scenario 15: experts that begin as the Llama's FFN, part by workflow, and come through every format."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mct.models.checkpoints.checkpoint import inspect
from mct.models.scenarios.responses.llama import shared_llama
from mct.models.scenarios.responses.moe import WORKFLOWS, build, upcycle
from mct.models.training.language_model import load_writer

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("tiny", tmp_path_factory.mktemp("moe") / "tiny")


def test_a_mixture_of_copies_gives_the_answers_of_what_was_copied() -> None:
    llama = load_writer(shared_llama("tiny")).model
    ids = torch.randint(3, 500, (2, 30), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted, found = (model(input_ids=ids).logits for model in (llama, upcycle(llama, 4, seed=0)))
    assert (wanted - found).abs().max() < 1e-4


def test_experts_part_by_workflow_and_share_the_load(built: Path) -> None:
    found = json.loads((built / "recipe.json").read_text())["dev"]
    assert found["after"]["answer_loss"] < found["before"]["answer_loss"] - 0.5
    by_expert = list(zip(*found["after"]["load_by_workflow"].values(), strict=True))
    own = [shares.index(max(shares)) for shares in by_expert]
    assert sum(place == expert for expert, place in enumerate(own)) >= 3, "most experts see most of their own workflow"
    for layer in found["after"]["load"]:
        assert sum(layer) == pytest.approx(1, abs=1e-3) and max(layer) < 0.5 and len(layer) == len(WORKFLOWS)


def test_it_is_told_and_comes_through_every_format(built: Path, compressed: Callable[..., Any]) -> None:
    found = inspect(built)
    assert (found.technique, found.model_type) == ("moe", "mixtral")
    assert {each.what: each.value for each in found.statements}["experts"] == str(len(WORKFLOWS))
    for artifact in compressed(built).values():
        assert artifact.parity["agreement"] == 1.0 and artifact.technique == "moe"
