"""ONNX: the fused and the traced graph give the model's answers, INT8 stays close, and the file is a pure function."""

import dataclasses
import functools
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx.reference
import pytest
from onnx import TensorProto, numpy_helper

from mct.compress.onnx import export_encoder as export_onnx
from mct.compress.onnx import quantise as quantise_onnx
from mct.compress.onnx.graphs.graph import DISTANCE_BIAS
from mct.compress.plan.passes import Product, Resources
from mct.models.checkpoints.checkpoint import inspect
from mct.models.tasks.tokens import Tokens, open_tokenizer
from mct.targets.machine import probe_machine
from mct.targets.runtimes.table import Executable, Session, open_session, runtime_for

FAMILIES = ("bert", "distilbert", "roberta")
GRAPHS = ("fused", "exported")

Exported = Callable[[str], Product]

TEXTS = ("hi", "Where is my order?", "I want to return volume 3, it arrived damaged", "manga " * 200)


def _save(family: str, folder: Path, **changes: object) -> None:
    """A classifier of that family with random weights, wide enough apart that answers are no ties."""
    import torch
    from transformers import (
        BertConfig,
        BertForSequenceClassification,
        DistilBertConfig,
        DistilBertForSequenceClassification,
        RobertaConfig,
        RobertaForSequenceClassification,
    )  # fmt: skip

    torch.manual_seed(1)
    shared = {"vocab_size": 2000, "num_labels": 5, "initializer_range": 0.2, "max_position_embeddings": 66} | changes
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    if family == "bert":
        model = BertForSequenceClassification(BertConfig(**sizes, **shared))
    elif family == "roberta":
        model = RobertaForSequenceClassification(RobertaConfig(**sizes, type_vocab_size=1, **shared))
    else:
        model = DistilBertForSequenceClassification(
            DistilBertConfig(dim=64, n_layers=2, n_heads=4, hidden_dim=128, **shared)
        )
    model.save_pretrained(folder)


@pytest.fixture(scope="module", params=FAMILIES)
def checkpoint(request: pytest.FixtureRequest, tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("onnx") / request.param
    _save(request.param, folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_bert / name, folder)
    return folder


@pytest.fixture(scope="module")
def exported(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Product]:
    """The checkpoint exported as the graph asked for, once: tracing takes seconds."""
    return functools.cache(lambda graph: _export(checkpoint, tmp_path_factory.mktemp(graph), graph))


def _resources(folder: Path) -> Resources:
    return Resources(inspect(folder), None, probe_machine(), seed=0)


def _export(folder: Path, draft: Path, graph: str = "fused") -> Product:
    return export_onnx.run(Product(folder, ""), draft, {"graph": graph}, _resources(folder))


def _open(folder: Path, product: Product | None = None) -> Session:
    found = inspect(folder)
    where = (product.folder, product.model, product.settings) if product else (folder, "", {})
    executable = Executable(where[0], where[1], found.task, len(found.labels), found.max_tokens, where[2])
    return open_session(runtime_for("onnx" if product else "checkpoint"), executable, 1)


def _inputs(folder: Path) -> list[Tokens]:
    encode = open_tokenizer(folder, inspect(folder).max_tokens)
    return [encode(text) for text in TEXTS]


def _logits(session: Session, inputs: list[Tokens]) -> np.ndarray:
    return np.concatenate([session([one])["logits"] for one in inputs])


@pytest.mark.parametrize("graph", GRAPHS)
def test_fp32_gives_the_models_own_answers_at_every_length(checkpoint: Path, exported: Exported, graph: str) -> None:
    product = exported(graph)
    inputs = _inputs(checkpoint)
    original, exported = _logits(_open(checkpoint), inputs), _logits(_open(checkpoint, product), inputs)
    assert product.notes["graph"] == graph
    assert len(inputs[0].ids) == 3 and len(inputs[-1].ids) == inspect(checkpoint).max_tokens
    assert np.ptp(original) > 0.1
    assert np.abs(exported - original).max() <= 1e-3
    assert (exported.argmax(axis=1) == original.argmax(axis=1)).all()


@pytest.mark.parametrize("graph", GRAPHS)
def test_a_padded_batch_answers_as_its_inputs_one_by_one(checkpoint: Path, exported: Exported, graph: str) -> None:
    session, inputs = _open(checkpoint, exported(graph)), _inputs(checkpoint)
    np.testing.assert_allclose(session(inputs)["logits"], _logits(session, inputs), atol=1e-4)


def test_a_second_export_has_the_same_bytes(checkpoint: Path, exported: Exported, tmp_path: Path) -> None:
    first, second = exported("fused"), _export(checkpoint, tmp_path)
    assert (first.folder / first.model).read_bytes() == (second.folder / second.model).read_bytes()


@pytest.fixture(scope="module")
def relu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with an activation that the fused operators lack."""
    folder = tmp_path_factory.mktemp("relu") / "checkpoint"
    _save("bert", folder, hidden_act="relu")
    return folder


@pytest.fixture(scope="module")
def traced(relu: Path) -> Product:
    return _export(relu, relu.parent / "draft")


def test_the_traced_graph_has_the_same_bytes_again_and_names_no_file_of_this_machine(
    relu: Path, traced: Product, tmp_path: Path
) -> None:
    first, second = traced, _export(relu, tmp_path)
    content = (first.folder / first.model).read_bytes()
    assert content == (second.folder / second.model).read_bytes()
    model = onnx.load_from_string(content)
    del model.graph.initializer[:]
    for trace in (b"site-packages", b".py", str(Path.home()).encode() + b"/", str(tmp_path).encode()):
        assert trace not in model.SerializeToString()


def test_inputs_and_outputs_are_those_the_ecosystem_expects(checkpoint: Path, exported: Exported) -> None:
    product = exported("fused")
    graph = onnx.load(product.folder / product.model).graph
    segments = ["token_type_ids"] if checkpoint.name == "bert" else []
    assert [value.name for value in graph.input] == ["input_ids", "attention_mask", *segments]
    for value in graph.input:
        assert value.type.tensor_type.elem_type == onnx.TensorProto.INT64
        assert [axis.dim_param for axis in value.type.tensor_type.shape.dim] == ["batch", "sequence"]
    assert [value.name for value in graph.output] == ["logits"]
    assert [path.name for path in (product.folder / "onnx").iterdir()] == ["model.onnx"]


def test_roberta_keeps_its_answers_when_a_text_holds_the_padding_token(tiny_bert: Path, tmp_path: Path) -> None:
    _save("roberta", tmp_path / "checkpoint")
    inputs = [Tokens([0, 8, 1, 9, 2], [0] * 5)]
    product = _export(tmp_path / "checkpoint", tmp_path / "draft")
    original = _logits(_open(tmp_path / "checkpoint"), inputs)
    np.testing.assert_allclose(_logits(_open(tmp_path / "checkpoint", product), inputs), original, atol=1e-3)


def test_an_activation_without_a_fused_operator_falls_back_to_the_traced_graph(relu: Path, traced: Product) -> None:
    inputs = [Tokens([2, 7, 8, 3], [0, 0, 0, 0])]
    assert traced.notes == {"graph": "exported", "why": "the fused operators have no relu"}
    original = _logits(_open(relu), inputs)
    np.testing.assert_allclose(_logits(_open(relu, traced), inputs), original, atol=1e-3)


@pytest.mark.parametrize("graph", GRAPHS)
def test_int8_stays_close_and_is_much_smaller(checkpoint: Path, exported: Exported, tmp_path: Path, graph: str) -> None:
    source = exported(graph)
    product = quantise_onnx.run(source, tmp_path, {}, _resources(checkpoint))
    inputs = _inputs(checkpoint)
    original, quantised = _logits(_open(checkpoint), inputs), _logits(_open(checkpoint, product), inputs)
    assert np.abs(quantised - original).max() <= 0.1 * np.ptp(original)
    assert (quantised.argmax(axis=1) == original.argmax(axis=1)).mean() >= 0.75
    assert (product.folder / product.model).stat().st_size < (source.folder / source.model).stat().st_size / 2.5
    assert [path.name for path in (tmp_path / "onnx").iterdir()] == ["model_quantized.onnx"]


def test_int8_has_the_same_bytes_again(checkpoint: Path, exported: Exported, tmp_path: Path) -> None:
    products = [
        quantise_onnx.run(exported("fused"), tmp_path / name, {}, _resources(checkpoint)) for name in ("a", "b")
    ]
    first, second = ((product.folder / product.model).read_bytes() for product in products)
    assert first == second


@pytest.mark.parametrize(("sets", "saturates"), [((), True), (("avx512_vnni",), False)])
def test_weights_keep_to_seven_bits_where_the_machine_would_saturate(
    checkpoint: Path, exported: Exported, tmp_path: Path, sets: tuple[str, ...], saturates: bool
) -> None:
    machine = dataclasses.replace(probe_machine(), architecture="x86_64", instruction_sets=sets)
    resources = dataclasses.replace(_resources(checkpoint), machine=machine)
    product = quantise_onnx.run(exported("fused"), tmp_path, {}, resources)
    constants = onnx.load(product.folder / product.model).graph.initializer
    weights = [onnx.numpy_helper.to_array(value) for value in constants if value.name.endswith("weight_quantized")]
    largest = max(int(np.abs(weight.astype(int)).max()) for weight in weights)
    assert product.notes["reduce_range"] is saturates
    assert (largest <= 64) is saturates


def _look_up(table: str, rows: np.ndarray) -> onnx.ModelProto:
    ids = onnx.helper.make_tensor_value_info("ids", onnx.TensorProto.INT64, ["n"])
    out = onnx.helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, ["n", rows.shape[1]])
    node = onnx.helper.make_node("Gather", [table, "ids"], ["out"], name="look_up")
    graph = onnx.helper.make_graph([node], "g", [ids], [out], [onnx.numpy_helper.from_array(rows, table)])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)


def test_a_bias_for_distances_is_no_table_however_many_rows_it_has() -> None:
    model = _look_up(DISTANCE_BIAS, np.ones((2048, 8), np.float32))
    assert quantise_onnx.quantise_tables(model) == []


def test_a_quantised_table_is_off_by_at_most_half_a_step_of_its_row() -> None:
    rows = np.random.default_rng(0).normal(size=(1024, 8)).astype(np.float32) * np.geomspace(0.01, 100, 1024)[:, None]
    rows = rows.astype(np.float32)
    model = _look_up("table", rows)
    assert quantise_onnx.quantise_tables(model) == ["table"]
    onnx.checker.check_model(model, full_check=True)
    found = onnx.reference.ReferenceEvaluator(model).run(None, {"ids": np.arange(1024)})[0]
    half_step = np.abs(rows).max(axis=1, keepdims=True) / 127 / 2
    assert (np.abs(found - rows) <= half_step * 1.001).all()


def test_weights_keep_to_seven_bits_for_a_target_whose_products_saturate(
    run_mct: Callable[..., subprocess.CompletedProcess[str]], tiny_bert: Path, tmp_path: Path
) -> None:
    """Made for a described machine, run on this one; the artifact says both."""
    done = run_mct("compress", tiny_bert, "-o", tmp_path, "--format", "onnx", "--target", "edge-x86", "--json")
    assert done.returncode == 0, done.stderr
    (artifact,) = json.loads(done.stdout)
    assert artifact["lineage"][-1]["notes"]["reduce_range"] is True
    assert artifact["made_for"]["instruction_sets"] == ["avx2", "fma"]
    assert artifact["checked_on"]["cpu"] == probe_machine().cpu
    model = onnx.load(tmp_path / "onnx-int8" / artifact["model"])
    weights = [numpy_helper.to_array(each) for each in model.graph.initializer if each.data_type == TensorProto.INT8]
    products = [each for each in weights if each.ndim == 2 and each.shape[0] == 64]
    assert products and max(np.abs(each.astype(int)).max() for each in products) <= 64


def test_a_described_target_is_not_benched_here(
    run_mct: Callable[..., subprocess.CompletedProcess[str]], tiny_bert: Path, tmp_path: Path
) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text('{"text": "hi", "label": "other"}\n')
    done = run_mct("bench", tiny_bert, "--data", data, "--target", "edge-arm")
    assert done.returncode == 2 and "another machine" in done.stderr
