"""A matrix that few bits spoil is found by what it costs on real texts, in every format, and keeps more."""

import shutil
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mct import MctError
from mct.compress.gguf import export_encoder as export_gguf
from mct.compress.gguf import quantise as quantise_gguf
from mct.compress.onnx import export_encoder as export_onnx
from mct.compress.onnx import quantise as quantise_onnx
from mct.compress.onnx import quantise_blocks as quantise_onnx_blocks
from mct.compress.openvino import export as export_openvino
from mct.compress.openvino import quantise_blocks as quantise_openvino_blocks
from mct.compress.plan.passes import Product, Resources
from mct.models.checkpoints.checkpoint import inspect
from mct.models.tasks.datasets import Dataset
from mct.targets.machine import probe_machine

TEXTS = (
    "Where is my order?", "I want to return volume 3, it arrived damaged", "recommend me something like Berserk",
    "is this suitable for a 12 year old", "my card was declined at checkout", "let me talk to a human now",
    "do you have One Piece box sets in stock", "hi", "how long does shipping take to Osaka",
)  # fmt: skip
SPOILT = "bert.encoder.layer.1.output.dense.weight"
READ = "bert.encoder.layer.1.intermediate.dense.bias"
RECOVER = 0.8
HEAD = 2
"""Two matrices that llama.cpp quantises as well."""

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def spoilt(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weight in each block of the last matrix is so large that few bits leave nothing of its neighbours.

    What it reads is 0 for every text, so the answers themselves stay what they are.
    """
    folder = shutil.copytree(tiny_bert, tmp_path_factory.mktemp("spoilt") / "bert")
    weights = load_file(folder / "model.safetensors")
    weights[SPOILT] = weights[SPOILT].copy()
    weights[SPOILT][:, ::32] *= 40
    weights[READ] = weights[READ].copy()
    weights[READ][::32] = -100
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def resources(folder: Path) -> Resources:
    rows = tuple({"text": text} for text in TEXTS)
    return Resources(inspect(folder), Dataset("texts.jsonl", rows, "0" * 64), probe_machine(), seed=1)


@pytest.fixture(scope="module")
def fp32(spoilt: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Product]:
    root = tmp_path_factory.mktemp("fp32")
    for name in ("onnx", "openvino", "gguf"):
        (root / name).mkdir()
    told = resources(spoilt)
    onnx = export_onnx.run(Product(spoilt, ""), root / "onnx", {}, told)
    return {
        "onnx": onnx,
        "openvino": export_openvino.run(onnx, root / "openvino", {}, told),
        "gguf": export_gguf.run(Product(spoilt, ""), root / "gguf", {}, told),
    }


FORMS = {
    "onnx-int4-mixed": (quantise_onnx_blocks.run, {"block": 32, "table": 8}),
    "onnx-int8-mixed": (quantise_onnx.run, {}),
    "openvino-int4-mixed": (quantise_openvino_blocks.run, {"block": 32, "table": 8}),
    "gguf-q4_0-mixed": (quantise_gguf.run, {"type": "Q4_0"}),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_costliest_matrix_keeps_more_and_most_of_the_loss_is_won_back(
    fp32: dict[str, Product], spoilt: Path, tmp_path: Path, form: str
) -> None:
    run, options = FORMS[form]
    source = fp32[form.partition("-")[0]]
    product = run(source, tmp_path, {**options, "recover": RECOVER}, resources(spoilt))
    notes = product.notes
    costliest = max(notes["cost_alone"], key=notes["cost_alone"].__getitem__)
    assert len(notes["cost_alone"]) == (2 * 6 + HEAD if form.startswith("gguf") else 2 * 4)
    assert costliest in notes["kept"] and len(notes["kept"]) < len(notes["cost_alone"])
    assert next(iter(notes["cost_alone"])) == costliest
    assert notes["cost_left"] <= (1 - RECOVER) * notes["cost_of_all"]
    if form.startswith("onnx"):
        assert costliest.endswith("encoder.layer.1.output.dense.weight")
    if form == "gguf-q4_0-mixed":
        types = {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(tmp_path / "model.gguf").tensors}
        measured = {name: types[name] for name in notes["cost_alone"]}
        assert {name for name, kind in measured.items() if kind == "Q8_0"} == set(notes["kept"])
        assert {kind for name, kind in measured.items() if name not in notes["kept"]} == {"Q4_0"}


def test_nothing_is_kept_where_nothing_is_to_be_won_back(
    fp32: dict[str, Product], spoilt: Path, tmp_path: Path
) -> None:
    product = quantise_onnx_blocks.run(
        fp32["onnx"], tmp_path, {"block": 32, "table": 8, "recover": 0.0}, resources(spoilt)
    )
    assert product.notes["kept"] == [] and np.isfinite(product.notes["cost_of_all"])


@pytest.mark.parametrize(
    ("form", "options", "said"),
    [
        ("onnx-int4-mixed", {"block": 20}, "`block` is 20"),
        ("onnx-int4-mixed", {"table": 2}, "`table` is 2"),
        ("openvino-int4-mixed", {"block": 0}, "`block` is 0"),
        ("gguf-q4_0-mixed", {"recover": 1.5}, "`recover` is 1.5"),
        ("onnx-int8-mixed", {"recover": -0.5}, "`recover` is -0.5"),
    ],
)
def test_blocks_and_shares_that_there_are_not_are_refused(
    fp32: dict[str, Product], spoilt: Path, tmp_path: Path, form: str, options: dict[str, Any], said: str
) -> None:
    run, told = FORMS[form]
    with pytest.raises(MctError, match=said):
        run(fp32[form.partition("-")[0]], tmp_path, {**told, **options}, resources(spoilt))
