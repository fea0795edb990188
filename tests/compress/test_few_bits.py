"""Weights that were trained in few bits, read out of the files of all three formats: the integers are the trained
ones."""

from collections import Counter
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from safetensors.numpy import load_file

from mct.compress.gguf import export_decoder as export_gguf_lm
from mct.compress.gguf import export_encoder as export_gguf
from mct.compress.gguf import quantise as quantise_gguf
from mct.compress.onnx import export_decoder as export_onnx_lm
from mct.compress.onnx import export_encoder as export_onnx
from mct.compress.onnx import quantise as quantise_onnx
from mct.compress.onnx import quantise_blocks as quantise_onnx_blocks
from mct.compress.onnx import quantise_decoder as quantise_onnx_lm
from mct.compress.onnx import quantise_static as quantise_onnx_static
from mct.compress.openvino import export as export_openvino
from mct.compress.openvino import export_lm as export_openvino_lm
from mct.compress.openvino import quantise as quantise_openvino
from mct.compress.openvino import quantise_blocks as quantise_openvino_blocks
from mct.compress.openvino import quantise_lm as quantise_openvino_lm
from mct.compress.plan.passes import Product, Resources
from mct.compress.train import train_on_grid
from mct.models.checkpoints.checkpoint import inspect
from mct.models.tasks.datasets import Dataset
from mct.models.training.grids import INT4, Grid, Levels, levels_of
from mct.targets.machine import Machine, described_machine
from mct.targets.runtimes.private_openvino import ov

TEXTS = (
    "Where is my order?", "I want to return volume 3, it arrived damaged", "recommend me something like Berserk",
    "is this suitable for a 12 year old", "my card was declined at checkout", "let me talk to a human now",
    "do you have One Piece box sets in stock", "hi", "how long does shipping take to Osaka",
)  # fmt: skip
LABELS = ("order_tracking", "returns", "other")

pytestmark = pytest.mark.filterwarnings("ignore")

NEW = described_machine("x86_64", ("avx2", "fma", "avx512_vnni"))
OLD = described_machine("x86_64", ("avx2", "fma"))
OPTIONS = {"epochs": 1, "learning_rate": 1e-3, "batch": 4, "teach": True, "threads": 1, "bits": 4, "block": 32}

Rows = Counter[bytes]
"""Rows of integers with their scales, however a format puts them side by side."""


def resources(folder: Path, machine: Machine = NEW) -> Resources:
    rows = tuple({"text": text, "label": LABELS[place % len(LABELS)]} for place, text in enumerate(TEXTS))
    return Resources(inspect(folder), Dataset("texts.jsonl", rows, "0" * 64), machine, seed=1)


def trained(folder: Path, into: Path, machine: Machine = NEW, **options: Any) -> Product:
    into.mkdir()
    return train_on_grid.run(Product(folder, ""), into, OPTIONS | options, resources(folder, machine))


@pytest.fixture(scope="module")
def in_four_bits(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tiny_bert, tmp_path_factory.mktemp("trained") / "int4").folder


@pytest.fixture(scope="module")
def in_eight_bits(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tiny_bert, tmp_path_factory.mktemp("trained") / "int8", bits=8, block=0).folder


def layers(folder: Path) -> dict[str, np.ndarray]:
    """The matrices of the stack, by name."""
    weights = load_file(folder / "model.safetensors")
    return {name: array for name, array in weights.items() if ".layer" in name and array.ndim == 2}


def rows_of(levels: Levels) -> Rows:
    pairs = zip(levels.values, levels.scales.astype(np.float32), strict=True)
    return Counter(values.astype(np.int8).tobytes() + scales.tobytes() for values, scales in pairs)


def trained_rows(folder: Path, grid: Grid) -> Rows:
    return sum((rows_of(levels_of(weights, grid)) for weights in layers(folder).values()), Rows())


def exported(folder: Path, into: Path) -> Product:
    into.mkdir(exist_ok=True)
    return export_onnx.run(Product(folder, ""), into, {}, resources(folder))


def onnx_rows(path: Path) -> Rows:
    """Of every product in blocks: integers around their zero point, with scales."""
    graph = onnx.load(path).graph
    constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    found = Rows()
    for node in (node for node in graph.node if node.op_type == "MatMulNBits" and _bits(node) == 4):
        packed, scales, zeros = (constants[name] for name in node.input[1:4])
        values = np.stack([packed & 15, packed >> 4], -1).reshape(*packed.shape[:2], -1).astype(np.int8)
        middle = np.stack([zeros & 15, zeros >> 4], -1).reshape(len(zeros), -1)[:, : packed.shape[1], None]
        found += rows_of(Levels(values - middle.astype(np.int8), scales.reshape(packed.shape[:2])))
    return found


def _bits(node: onnx.NodeProto) -> int:
    return next(int(each.i) for each in node.attribute if each.name == "bits")


def openvino_rows(path: Path, kind: str) -> Rows:
    """Of every product whose weights are whole numbers of that type, with the scales that they are multiplied by."""
    found = Rows()
    for node in (node for node in ov.Core().read_model(path).get_ops() if node.get_type_name() == "MatMul"):
        weights = node.input_value(1).get_node()
        while weights.get_type_name() in {"Convert", "Reshape"}:
            weights = weights.input_value(0).get_node()
        whole = weights.input_value(0).get_node() if weights.get_type_name() == "Multiply" else weights
        whole = whole.input_value(0).get_node() if whole.get_type_name() == "Convert" else whole
        if whole.get_type_name() != "Constant" or whole.get_element_type().get_type_name() != kind:
            continue
        scales = weights.input_value(1).get_node().get_data().astype(np.float32)
        values = unpacked(whole) if kind == "i4" else whole.get_data()
        if kind == "i8":
            rows = values if node.get_attributes()["transpose_b"] else values.T
            values, scales = rows[:, None], scales.reshape(-1, 1)
        found += rows_of(Levels(values, scales.reshape(values.shape[:2])))
    return found


def unpacked(constant: ov.Node) -> np.ndarray:
    """Whole numbers from -8 to 7 that stand two in a byte, the lower half first."""
    halves = np.asarray(constant.get_data(dtype=np.int8)).view(np.uint8).ravel()
    values = np.stack([halves & 15, halves >> 4], -1).astype(np.int8).ravel()
    return np.where(values > 7, values - 16, values).astype(np.int8).reshape(constant.get_output_shape(0))


def gguf_rows(path: Path) -> Rows:
    """Of every matrix of a layer in Q4_0: a block is its scale in fp16 and 16 bytes, low halves first."""
    found = Rows()
    for tensor in gguf.GGUFReader(path).tensors:
        if tensor.name.startswith("blk.") and tensor.tensor_type.name == "Q4_0":
            blocks = np.asarray(tensor.data).reshape(int(tensor.shape[1]), -1, 18)
            scales = np.ascontiguousarray(blocks[..., :2]).view(np.float16)[..., 0]
            halves = np.concatenate([blocks[..., 2:] & 15, blocks[..., 2:] >> 4], -1)
            found += rows_of(Levels(halves.astype(np.int8) - 8, scales))
    return found


def test_the_integers_of_four_bits_are_the_trained_ones_in_all_three_formats(
    in_four_bits: Path, tmp_path: Path
) -> None:
    wanted = trained_rows(in_four_bits, INT4)
    assert wanted.total() == 2 * (4 * 64 + 128 + 64), "query, key, value, output and two of the feed-forward network"
    fp32 = exported(in_four_bits, tmp_path / "onnx")
    told = resources(in_four_bits)
    q4 = quantise_onnx_blocks.run(fp32, tmp_path / "onnx-int4", {"block": 32, "table": 8}, told)
    assert onnx_rows(q4.folder / q4.model) == wanted
    for name in ("openvino", "openvino-int4", "gguf", "gguf-q4_0"):
        (tmp_path / name).mkdir()
    opened = export_openvino.run(fp32, tmp_path / "openvino", {}, told)
    i4 = quantise_openvino_blocks.run(opened, tmp_path / "openvino-int4", {"block": 32, "table": 8}, told)
    assert openvino_rows(i4.folder / i4.model, "i4") == wanted
    f32 = export_gguf.run(Product(in_four_bits, ""), tmp_path / "gguf", {}, told)
    q4_0 = quantise_gguf.run(f32, tmp_path / "gguf-q4_0", {"type": "Q4_0"}, told)
    assert gguf_rows(q4_0.folder / q4_0.model) == wanted
    types = {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(q4_0.folder / q4_0.model).tensors}
    assert types["cls.weight"] == types["cls.output.weight"] == "F16", "training left the head in float"


@pytest.mark.parametrize("block", [64, 0])
def test_blocks_of_another_length_are_found_and_kept(tiny_bert: Path, tmp_path: Path, block: int) -> None:
    """Told to take blocks of 32, a pass still keeps those that the weights were trained in."""
    folder = trained(tiny_bert, tmp_path / "trained", block=block).folder
    told = resources(folder)
    fp32 = exported(folder, tmp_path / "onnx")
    (tmp_path / "openvino").mkdir()
    (tmp_path / "openvino-int4").mkdir()
    q4 = quantise_onnx_blocks.run(fp32, tmp_path / "onnx-int4", {"block": 32, "table": 8}, told)
    assert q4.notes["blocks"] == ([64] if block else [64, 128]), "a row's length, where the operator takes it"
    opened = export_openvino.run(fp32, tmp_path / "openvino", {}, told)
    i4 = quantise_openvino_blocks.run(opened, tmp_path / "openvino-int4", {"block": 32, "table": 8}, told)
    wanted = trained_rows(folder, Grid(4, block))
    assert openvino_rows(i4.folder / i4.model, "i4") == wanted
    assert onnx_rows(q4.folder / q4.model) == wanted


def test_the_integers_of_eight_bits_are_the_trained_ones_in_onnx_and_openvino(
    in_eight_bits: Path, tmp_path: Path
) -> None:
    """GGUF's Q8_0 has blocks of 32: there they are rounded anew."""
    wanted = trained_rows(in_eight_bits, Grid(8))
    fp32 = exported(in_eight_bits, tmp_path / "onnx")
    int8 = quantise_onnx.run(fp32, tmp_path / "onnx-int8", {}, resources(in_eight_bits))
    assert int8_rows(int8.folder / int8.model) == wanted
    static = quantise_onnx_static.run(fp32, tmp_path / "onnx-int8-static", {}, resources(in_eight_bits))
    assert int8_rows(static.folder / static.model) == wanted
    (tmp_path / "openvino").mkdir()
    (tmp_path / "openvino-int8").mkdir()
    opened = export_openvino.run(fp32, tmp_path / "openvino", {}, resources(in_eight_bits))
    i8 = quantise_openvino.run(opened, tmp_path / "openvino-int8", {}, resources(in_eight_bits))
    assert integers(openvino_rows(i8.folder / i8.model, "i8")) == integers(wanted)


def test_a_language_models_integers_are_the_trained_ones_in_all_three_formats(tiny_llama: Path, tmp_path: Path) -> None:
    folder = trained(tiny_llama, tmp_path / "trained").folder
    wanted = trained_rows(folder, INT4)
    assert wanted.total() == 2 * (64 + 32 + 32 + 64 + 3 * 64)
    told = resources(folder)
    for name in ("onnx", "onnx-int4", "openvino", "openvino-int4", "gguf", "gguf-q4_0"):
        (tmp_path / name).mkdir()
    whole = Product(folder, "")
    fp32 = export_onnx_lm.run(whole, tmp_path / "onnx", {}, told)
    q4 = quantise_onnx_lm.run(fp32, tmp_path / "onnx-int4", {"bits": 4}, told)
    assert onnx_rows(q4.folder / q4.model) == wanted
    f32 = export_gguf_lm.run(whole, tmp_path / "gguf", {}, told)
    q4_0 = quantise_gguf.run(f32, tmp_path / "gguf-q4_0", {"type": "Q4_0"}, told)
    assert gguf_rows(q4_0.folder / q4_0.model) == wanted
    opened = export_openvino_lm.run(whole, tmp_path / "openvino", {}, told)
    i4 = quantise_openvino_lm.run(opened, tmp_path / "openvino-int4", {"bits": 4}, told)
    assert openvino_rows(i4.folder / i4.model, "i4") == wanted


def integers(rows: Rows) -> Rows:
    """Without the scale of each row, which NNCF computes in another order."""
    return sum((Counter({row[:-4]: count}) for row, count in rows.items()), Rows())


def int8_rows(path: Path) -> Rows:
    """Of every weight of a layer that INT8 made: (in, out), a scale for each column."""
    graph = onnx.load(path).graph
    constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    found = Rows()
    for name, array in constants.items():
        if name.endswith("_quantized") and ".layer." in name and array.ndim == 2:
            scales = constants[name.removesuffix("_quantized") + "_scale"]
            found += rows_of(Levels(array.T[:, None], scales.reshape(-1, 1)))
    return found


def test_where_sums_saturate_eight_bits_are_trained_as_the_seven_that_will_be_used(
    tiny_bert: Path, tmp_path: Path
) -> None:
    folder = trained(tiny_bert, tmp_path / "trained", OLD, bits=8, block=0).folder
    fp32 = exported(folder, tmp_path / "onnx")
    int8 = quantise_onnx.run(fp32, tmp_path / "onnx-int8", {}, resources(folder, OLD))
    assert int8_rows(int8.folder / int8.model) == trained_rows(folder, Grid(7))
