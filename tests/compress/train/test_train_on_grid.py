"""Training on the grid of few bits as a pass: what it is told, what it learns from, and where the plan leads then."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from scipy.special import log_softmax

from mct import MctError
from mct.compress.plan.passes import Product, Resources
from mct.compress.plan.plan import make_plan
from mct.compress.plan.recipe import Recipe, Step
from mct.compress.run.agreement import divergence
from mct.compress.train import train_on_grid
from mct.models.checkpoints.checkpoint import inspect
from mct.models.checkpoints.load import load_model
from mct.models.tasks.datasets import Dataset
from mct.models.tasks.tokens import open_tokenizer
from mct.models.training.grids import Grid, lies_on
from mct.targets.machine import probe_machine

ROWS = tuple(
    {"text": text, "label": label}
    for text, label in (
        ("Where is my order?", "order_tracking"), ("I want to return volume 3, it arrived damaged", "returns"),
        ("recommend me something like Berserk", "other"), ("is this suitable for a 12 year old", "other"),
        ("my card was declined at checkout", "other"), ("let me talk to a human now", "other"),
        ("do you have One Piece box sets in stock", "other"), ("hi", "other"),
        ("how long does shipping take to Osaka", "order_tracking"), ("take this back please", "returns"),
    )
)  # fmt: skip
TOLD = {"epochs": 1, "learning_rate": 2e-3, "batch": 5, "teach": True, "threads": 1, "bits": 4, "block": 32}

pytestmark = pytest.mark.filterwarnings("ignore")


def trained(folder: Path, into: Path, rows: tuple[Mapping[str, Any], ...] = ROWS, **options: Any) -> Path:
    into.mkdir()
    told = Resources(inspect(folder), Dataset("rows.jsonl", rows, "0" * 64), probe_machine(), seed=2)
    return train_on_grid.run(Product(folder, ""), into, TOLD | options, told).folder


def logits(folder: Path) -> np.ndarray:
    tokenize, model = open_tokenizer(folder, 64), load_model(inspect(folder))
    with torch.inference_mode():
        found = [model(input_ids=torch.tensor([tokenize(row["text"]).ids])).logits for row in ROWS]
    return torch.cat(found).numpy()


def test_what_two_bits_cost_a_teacher_wins_back(tiny_bert: Path, tmp_path: Path) -> None:
    before = logits(tiny_bert)
    rounded = divergence(before, logits(trained(tiny_bert, tmp_path / "rounded", bits=2, epochs=0))).mean()
    taught = divergence(before, logits(trained(tiny_bert, tmp_path / "taught", bits=2, epochs=12))).mean()
    assert taught < 0.5 * rounded


def test_labels_alone_can_teach(tiny_bert: Path, tmp_path: Path) -> None:
    places = [inspect(tiny_bert).labels.index(row["label"]) for row in ROWS]
    losses = {
        epochs: np.mean(-log_softmax(logits(trained(tiny_bert, tmp_path / f"{epochs}", teach=False, epochs=epochs)), 1)[
            range(len(places)), places
        ])
        for epochs in (0, 12)
    }  # fmt: skip
    assert losses[12] < 0.7 * losses[0]


def test_rows_without_labels_do_for_a_teacher_and_not_for_labels_alone(tiny_bert: Path, tmp_path: Path) -> None:
    plain = tuple({"text": row["text"]} for row in ROWS)
    trained(tiny_bert, tmp_path / "taught", plain)
    with pytest.raises(MctError, match="learning from labels alone needs label in every row"):
        trained(tiny_bert, tmp_path / "alone", plain, teach=False)


def test_embeddings_stay_and_layers_lie_on_the_grid(tiny_bert: Path, tmp_path: Path) -> None:
    before = load_file(tiny_bert / "model.safetensors")
    after = load_file(trained(tiny_bert, tmp_path / "trained") / "model.safetensors")
    assert set(before) == set(after)
    words = "bert.embeddings.word_embeddings.weight"
    assert np.array_equal(before[words], after[words])
    layers = [name for name in after if ".layer." in name and after[name].ndim == 2]
    assert len(layers) == 12 and all(lies_on(after[name], Grid(4, 32)) for name in layers)
    assert not np.array_equal(before["classifier.weight"], after["classifier.weight"])


def test_the_same_threads_give_the_same_bytes(tiny_bert: Path, tmp_path: Path) -> None:
    folders = [trained(tiny_bert, tmp_path / name) for name in ("once", "again")]
    once, again = ((folder / "model.safetensors").read_bytes() for folder in folders)
    assert once == again


def test_the_teacher_is_the_checkpoint_that_was_brought(tiny_bert: Path, tmp_path: Path) -> None:
    """A step behind another learns from the first one's checkpoint, not from what that step left."""
    other = shutil.copytree(trained(tiny_bert, tmp_path / "rounded", bits=2, epochs=0), tmp_path / "other")
    told = Resources(inspect(other), Dataset("rows.jsonl", ROWS, "0" * 64), probe_machine(), seed=2)
    options, before = TOLD | {"epochs": 8}, logits(tiny_bert)
    distances = {}
    for name, teacher in (("root", inspect(tiny_bert)), ("itself", None)):
        (tmp_path / name).mkdir()
        product = train_on_grid.run(Product(other, ""), tmp_path / name, options, replace(told, teacher=teacher))
        distances[name] = divergence(before, logits(product.folder)).mean()
    assert distances["root"] < 0.7 * distances["itself"]


def test_what_follows_training_for_four_bits_keeps_them(tiny_bert: Path) -> None:
    recipe = Recipe((Step("train-for-int4"),))
    plan = make_plan(inspect(tiny_bert), ["onnx", "openvino", "gguf"], ["int4"], recipe=recipe)
    assert [route.name for route in plan.routes] == ["onnx-int4", "openvino-int4", "gguf-q4_0"]
    assert not any(route.warnings for route in plan.routes)
    plain = make_plan(inspect(tiny_bert), ["gguf"], ["int4"]).routes[0]
    assert plain.name == "gguf-q4_k_m" and "train-for-int4" in plain.warnings[0]


@pytest.mark.parametrize(
    ("options", "said"),
    [({"bits": 5}, "`bits` is 5"), ({"block": 48}, "`block` is 48"), ({"epochs": -1}, "0 or more")],
)
def test_what_no_grid_is_is_refused_before_anything_runs(tiny_bert: Path, options: dict[str, Any], said: str) -> None:
    recipe = Recipe((Step("train-for-int4", "", options),))
    with pytest.raises(MctError, match=said):
        make_plan(inspect(tiny_bert), ["onnx"], ["int4"], recipe=recipe)
