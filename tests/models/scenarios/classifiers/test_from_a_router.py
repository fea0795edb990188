"""The scenarios that start from the intent router: distilled, and trained on a grid of four bits."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mct import MctError
from mct.models.checkpoints.checkpoint import inspect
from mct.models.scenarios.classifiers import distilled, qat
from mct.models.scenarios.shop.intents import INTENTS
from mct.models.scenarios.table import find_scenario
from mct.models.tables import load
from mct.models.training.fake_quantise import INT4, on_grid


@pytest.mark.parametrize(("name", "module"), [("distilled-router", distilled), ("qat", qat)])
def test_the_rows_build_the_sizes_they_list(name: str, module) -> None:
    row = find_scenario(name)
    assert load(row.build) is module.build
    assert row.sizes == tuple(module.SIZES)


def test_a_distilled_router_has_fewer_layers_and_its_record_the_row_without_a_teacher(tiny_router, tmp_path) -> None:
    folder = distilled.build("tiny", tmp_path / "student", base=str(tiny_router))
    found, recipe = inspect(folder), json.loads((folder / "recipe.json").read_text())
    assert found.technique == "distilled, full"
    assert found.labels == INTENTS
    assert json.loads((folder / "config.json").read_text())["num_hidden_layers"] == 1
    accuracy = recipe["dev_accuracy"]
    assert set(accuracy) == {"teacher", "student", "student_by_labels_alone", "student_untaught"}
    assert accuracy["student"] > accuracy["student_untaught"]
    unlabelled = (folder / "data" / "unlabelled.jsonl").read_text().splitlines()
    assert len(unlabelled) == recipe["rows"]["unlabelled"] > 300
    assert set(json.loads(unlabelled[0])) == {"text"}


def test_a_router_trained_on_the_grid_lies_on_it_and_says_so(tiny_router, tmp_path) -> None:
    folder = qat.build("tiny", tmp_path / "qat", base=str(tiny_router))
    assert inspect(folder).technique == "qat, full"
    told, recipe = json.loads((folder / "qat.json").read_text()), json.loads((folder / "recipe.json").read_text())
    weights = load_file(folder / "model.safetensors")
    for name in told["scales"]:
        layer = weights[f"{name}.weight"]
        assert torch.equal(on_grid(layer, INT4), layer)
    assert recipe["dev_accuracy"]["trained"] >= recipe["dev_accuracy"]["float_accuracy"] - 0.05


def test_what_is_no_intent_router_teaches_nobody(tiny_bert: Path, tmp_path: Path) -> None:
    for module in (distilled, qat):
        with pytest.raises(MctError, match="is no intent router"):
            module.build("tiny", tmp_path / "built", base=str(tiny_bert))


def test_a_gap_that_is_none_is_not_recovered() -> None:
    assert qat.Gap(0.9, 0.8, 0.85).recovered == pytest.approx(0.5)
    assert qat.Gap(0.9, 0.9, 0.92).recovered is None
