"""ONNX for every kind of encoder: one file a precision, which answers as the checkpoint and is made the same again."""

import dataclasses
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import numpy_helper

from mct import MctError
from mct.compress.onnx import export_encoder as export_onnx
from mct.compress.onnx import half as onnx_half
from mct.compress.onnx import quantise as quantise_onnx
from mct.compress.onnx import quantise_blocks as quantise_onnx_blocks
from mct.compress.onnx import quantise_static as quantise_onnx_static
from mct.compress.plan.passes import Product, Resources
from mct.compress.plan.plan import make_plan
from mct.compress.run.inputs import encode_requests
from mct.compress.run.parity import Parity, measure_parity, require_parity, run_original
from mct.compress.train import train_on_grid
from mct.models.checkpoints.checkpoint import inspect
from mct.models.tasks.datasets import Dataset
from mct.models.tasks.examples import find_kind
from mct.models.tasks.table import Head
from mct.models.tasks.tokens import Tokens
from mct.targets.machine import described_machine, probe_machine
from mct.targets.runtimes.batches import padded
from mct.targets.runtimes.table import Executable, open_session, runtime_for

FAMILIES = ("bert", "distilbert", "roberta", "electra", "mpnet")
KINDS = (
    "sequence-classification", "multi-label-classification", "token-classification", "pair-scoring", "multi-head",
    "sentence-embedding", "embedding-head",
)  # fmt: skip
POOLINGS: tuple[Any, ...] = ("mean", "cls", "lasttoken", "max", "mean_sqrt_len_tokens", "weightedmean", ["cls", "max"])

ROWS = tuple(
    {"text": text, "query": text, "doc": doc, "label": label}
    for text, doc, label in (
        ("hi", "One Piece, volume 1", "other"),
        ("Where is my order?", "how long does shipping take to Osaka", "order"),
        ("I want to return volume 3, it arrived damaged", "returns", "returns"),
        ("recommend me something like Berserk", "is this suitable for a 12 year old", "other"),
        ("my card was declined at checkout", "注文 12345 はどこですか", "order"),
        ("let me talk to a human now " * 12, "box sets in stock " * 9, "other"),
    )
)
HEADS = (
    Head("label", "label", ("a", "b", "c")),
    Head("topics", "labels", ("x", "y")),
    Head("slots", "tags", ("O", "B-t", "I-t")),
)

Make = Callable[..., Path]


def _config(family: str, **labels: Any) -> Any:
    """A small model wide enough apart that answers are no ties."""
    from transformers import AutoConfig

    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    if family == "distilbert":
        sizes = {"dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 128}
    more = {"electra": {"embedding_size": 32}, "roberta": {"type_vocab_size": 1, "pad_token_id": 1}}.get(family, {})
    return AutoConfig.for_model(
        family, vocab_size=1200, max_position_embeddings=66, initializer_range=0.3, **sizes, **more, **labels
    )


def _tokenizer(source: Path, folder: Path) -> None:
    """The tiny tokenizer, and how it joins two texts."""
    from tokenizers import Tokenizer, processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **names).save_pretrained(folder)


def _save_model(kind: str, family: str, folder: Path) -> None:
    import transformers

    torch.manual_seed(3)
    if kind in {"multi-head", "sentence-embedding", "embedding-head"}:
        transformers.AutoModel.from_config(_config(family)).save_pretrained(folder)
        return
    labels = {"num_labels": 1 if kind == "pair-scoring" else 5}
    if kind == "multi-label-classification":
        labels |= {"problem_type": "multi_label_classification"}  # type: ignore[dict-item]
    name = "AutoModelForTokenClassification" if kind == "token-classification" else "AutoModelForSequenceClassification"
    getattr(transformers, name).from_config(_config(family, **labels)).save_pretrained(folder)


def _save_modules(folder: Path, pooling: Any, dense: bool) -> None:
    """The files of a sentence-transformers folder around its backbone."""
    from safetensors.torch import save_file

    steps = ["Pooling", *(["Dense"] if dense else []), "Normalize"]
    paths = [f"{number}_{step}" for number, step in enumerate(steps, start=1)]
    modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    for number, (step, path) in enumerate(zip(steps, paths, strict=True), start=1):
        kind = f"sentence_transformers.models.{step}"
        modules.append({"idx": number, "name": str(number), "path": path, "type": kind})  # type: ignore[dict-item]
        (folder / path).mkdir()
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 48, "do_lower_case": false}')
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": pooling}))
    if dense:
        width = 64 * (len(pooling) if isinstance(pooling, list) else 1)
        config = {"in_features": width, "out_features": 24, "bias": True}
        config["activation_function"] = "torch.nn.modules.activation.Tanh"  # type: ignore[assignment]
        (folder / "2_Dense" / "config.json").write_text(json.dumps(config))
        weights = {"linear.weight": torch.randn(24, width) / 4, "linear.bias": torch.randn(24)}
        save_file(weights, folder / "2_Dense" / "model.safetensors")


def _save_head(folder: Path, width: int) -> None:
    import joblib
    from sklearn.linear_model import LogisticRegression

    vectors = np.random.default_rng(0).normal(size=(60, width))
    joblib.dump(LogisticRegression(C=100).fit(vectors, ["a", "b", "c"] * 20), folder / "model_head.pkl")


@pytest.fixture(scope="module")
def make(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """A checkpoint of a kind and family, made once."""

    @functools.cache
    def write(kind: str, family: str = "bert", pooling: str = '"mean"', dense: bool = False) -> Path:
        from mct.models.checkpoints.load_heads import save_heads

        folder = tmp_path_factory.mktemp("kinds") / f"{family}-{kind}"
        _save_model(kind, family, folder)
        _tokenizer(tiny_bert, folder)
        if kind == "multi-head":
            layers = {head.name: torch.nn.Linear(64, len(head.labels)) for head in HEADS}
            save_heads(folder, HEADS, layers)
        if kind in {"sentence-embedding", "embedding-head"}:
            _save_modules(folder, json.loads(pooling), dense)
        if kind == "embedding-head":
            _save_head(folder, 24 if dense else 64)
        return folder

    return write


def _resources(folder: Path, **changes: Any) -> Resources:
    resources = Resources(inspect(folder), Dataset("rows", ROWS, "0" * 64), probe_machine(), seed=0)
    return dataclasses.replace(resources, **changes)


def _export(folder: Path, draft: Path, graph: str = "fused") -> Product:
    return export_onnx.run(Product(folder, ""), draft, {"graph": graph}, _resources(folder))


def _parity(folder: Path, product: Product, precision: str = "fp32") -> Parity:
    checkpoint = inspect(folder)
    asked = [row | {"query": ROWS[number % 2]["query"]} for number, row in enumerate(ROWS)]  # three documents each
    reference = run_original(checkpoint, find_kind(checkpoint.task).texts(asked), 1)
    executable = Executable(
        product.folder, product.model, checkpoint.task, len(checkpoint.labels), checkpoint.max_tokens, product.settings
    )
    return measure_parity(reference, f"onnx-{precision}", executable, 1)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_fused_graph_of_every_kind_and_family_is_the_same_model(
    make: Make, tmp_path: Path, kind: str, family: str
) -> None:
    folder = make(kind, family)
    assert inspect(folder).task == kind
    product = _export(folder, tmp_path)
    assert product.notes["graph"] == "fused", product.notes
    require_parity(_parity(folder, product), "onnx-fp32", folder)


@pytest.mark.parametrize("kind", ["token-classification", "multi-head", "sentence-embedding", "embedding-head"])
def test_the_traced_graph_of_any_architecture_is_the_same_model(make: Make, tmp_path: Path, kind: str) -> None:
    folder = make(kind, dense=kind == "embedding-head")
    product = _export(folder, tmp_path, "exported")
    assert product.notes["graph"] == "exported"
    require_parity(_parity(folder, product), "onnx-fp32", folder)
    names = [value.name for value in onnx.load(tmp_path / product.model).graph.output]
    assert names == [value.name for value in onnx.load(tmp_path / _export(folder, tmp_path).model).graph.output]


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("dense", [False, True])
def test_every_pooling_is_written_and_a_batch_of_mixed_lengths_pools_only_its_own_tokens(
    make: Make, tmp_path: Path, pooling: Any, dense: bool
) -> None:
    folder = make("sentence-embedding", pooling=json.dumps(pooling), dense=dense)
    product = _export(folder, tmp_path)
    assert product.notes["graph"] == "fused"
    require_parity(_parity(folder, product), "onnx-fp32", folder)
    session = ort.InferenceSession(str(product.folder / product.model))
    ids = np.array([[2, 9, 8, 7, 3], [2, 11, 3, 0, 0]])
    inputs = {"input_ids": ids, "attention_mask": (ids > 0).astype(np.int64), "token_type_ids": np.zeros_like(ids)}
    alone = {name: array[1:, :3] for name, array in inputs.items()}
    together, single = (session.run(["sentence_embedding"], each)[0] for each in (inputs, alone))
    np.testing.assert_allclose(together[1], single[0], atol=1e-5)


def test_inputs_and_outputs_bear_the_names_that_other_programs_look_for(make: Make, tmp_path: Path) -> None:
    expected = {
        "token-classification": [("logits", ["batch", "sequence", 5])],
        "pair-scoring": [("logits", ["batch", 1])],
        "multi-head": [
            ("label_logits", ["batch", 3]), ("topics_logits", ["batch", 2]), ("slots_logits", ["batch", "sequence", 3])
        ],
        "sentence-embedding": [
            ("last_hidden_state", ["batch", "sequence", 64]), ("sentence_embedding", ["batch", 64])
        ],
        "embedding-head": [("logits", ["batch", 3])],
    }  # fmt: skip
    for kind, outputs in expected.items():
        product = _export(make(kind), tmp_path / kind)
        graph = onnx.load(product.folder / product.model).graph
        assert [value.name for value in graph.input] == ["input_ids", "attention_mask", "token_type_ids"]
        found = [
            (value.name, [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim])
            for value in graph.output
        ]
        assert found == outputs


def test_an_embedders_session_is_asked_for_the_vector_alone(make: Make, tmp_path: Path) -> None:
    folder = make("sentence-embedding")
    product = _export(folder, tmp_path)
    executable = Executable(product.folder, product.model, "sentence-embedding", 0, 48, product.settings)
    found = open_session(runtime_for("onnx"), executable, 1)([Tokens([2, 9, 3], [0, 0, 0])])
    assert {name: array.shape for name, array in found.items()} == {"sentence_embedding": (1, 64)}


def test_a_pair_scorer_tells_its_two_texts_apart(make: Make, tmp_path: Path) -> None:
    product = _export(make("pair-scoring"), tmp_path)
    session = ort.InferenceSession(str(product.folder / product.model))
    ids = np.array([[2, 9, 8, 3, 7, 6, 3]])
    inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    joined = inputs | {"token_type_ids": np.array([[0, 0, 0, 0, 1, 1, 1]])}
    assert abs(session.run(None, inputs)[0] - session.run(None, joined)[0]).max() > 1e-3


QUANTISERS = {"int8": quantise_onnx.run, "int8-static": quantise_onnx_static.run, "fp16": onnx_half.run}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("precision", QUANTISERS)
def test_lower_precisions_stay_close_and_are_much_smaller(
    make: Make, tmp_path: Path, kind: str, precision: str
) -> None:
    folder = make(kind)
    source = _export(folder, tmp_path / "source")
    product = QUANTISERS[precision](source, tmp_path / "draft", {}, _resources(folder))
    parity = _parity(folder, product, precision)
    # Weights of 7 bits, which a CPU without VNNI gets, are twice as coarse as those of 8.
    assert 0 < parity.mean_abs_delta < (0.02 if precision == "fp16" else 0.6)
    assert parity.agreement >= (0.95 if precision == "fp16" else 0.6)
    share = (product.folder / product.model).stat().st_size / (source.folder / source.model).stat().st_size
    assert share < (0.58 if precision == "fp16" else 0.5)


def test_the_bias_of_relative_positions_outlives_the_splitting_of_attention(make: Make, tmp_path: Path) -> None:
    folder = make("sentence-embedding", "mpnet")
    product = quantise_onnx_static.run(_export(folder, tmp_path / "a"), tmp_path / "b", {}, _resources(folder))
    assert _parity(folder, product, "int8-static").more["min_cosine"] > 0.99


@pytest.mark.parametrize("precision", ["fp32", *QUANTISERS])
def test_a_second_run_gives_the_same_bytes(make: Make, tmp_path: Path, precision: str) -> None:
    folder = make("multi-head")
    found = []
    for name in ("a", "b"):
        product = _export(folder, tmp_path / name / "source")
        if precision != "fp32":
            product = QUANTISERS[precision](product, tmp_path / name / "draft", {}, _resources(folder))
        found.append((product.folder / product.model).read_bytes())
    assert found[0] == found[1]


def _weights(path: Path, kind: int) -> list[np.ndarray]:
    constants = onnx.load(path).graph.initializer
    return [onnx.numpy_helper.to_array(value) for value in constants if value.data_type == kind and len(value.dims) > 1]


@pytest.mark.parametrize(
    ("architecture", "sets", "saturates", "signed"),
    [("x86_64", (), True, False), ("x86_64", ("avx512_vnni",), False, False), ("aarch64", ("asimddp",), False, True)],
)
def test_static_int8_suits_the_machine_it_is_for(
    make: Make, tmp_path: Path, architecture: str, sets: tuple[str, ...], saturates: bool, signed: bool
) -> None:
    folder = make("sequence-classification")
    resources = _resources(folder, machine=described_machine(architecture, sets))
    product = quantise_onnx_static.run(_export(folder, tmp_path / "a"), tmp_path / "b", {}, resources)
    assert (product.notes["reduce_range"], product.notes["activations"]) == (
        saturates, "static int8" if signed else "static uint8",
    )  # fmt: skip
    weights = [each for each in _weights(tmp_path / "b" / product.model, onnx.TensorProto.INT8) if len(each) < 1000]
    assert weights and (max(int(np.abs(each.astype(int)).max()) for each in weights) <= 64) is saturates
    graph = onnx.load(tmp_path / "b" / product.model).graph
    kinds = {value.name: value.data_type for value in graph.initializer}
    zero_points = {kinds[node.input[2]] for node in graph.node if node.op_type == "QuantizeLinear"}
    assert zero_points == {onnx.TensorProto.INT8 if signed else onnx.TensorProto.UINT8}


def test_static_int8_quantises_every_product_but_heads_and_says_on_what_it_was_calibrated(
    make: Make, tmp_path: Path
) -> None:
    folder = make("multi-head")
    product = quantise_onnx_static.run(_export(folder, tmp_path / "a"), tmp_path / "b", {}, _resources(folder))
    graph = onnx.load(tmp_path / "b" / product.model).graph
    scaled = {output for node in graph.node if node.op_type == "DequantizeLinear" for output in node.output}
    products = [node for node in graph.node if node.op_type == "MatMul"]
    assert sum(node.input[0] in scaled for node in products) == len(products) - 1 == 4 * 2
    assert product.notes["calibration_texts"] == len(ROWS)
    assert product.notes["calibration_sha256"] == "0" * 64
    assert product.notes["calibration_tokens"]["p100"] == inspect(folder).max_tokens
    with pytest.raises(MctError, match="calibrated on your own texts"):
        quantise_onnx_static.run(_export(folder, tmp_path / "a"), tmp_path, {}, _resources(folder, calibration=None))


def test_four_bits_for_an_encoder_are_made_and_what_they_may_cost_is_said(make: Make) -> None:
    (route,) = make_plan(inspect(make("sentence-embedding")), ["onnx"], ["int4"]).routes
    assert "4-bit weights can cost an encoder far more" in route.warnings[0]


@pytest.mark.parametrize(
    ("kind", "family"),
    [*((kind, "bert") for kind in KINDS), *(("sequence-classification", family) for family in FAMILIES[1:])],
)
def test_every_kind_is_trained_for_four_bits_and_its_integers_are_kept(
    make: Make, tmp_path: Path, kind: str, family: str
) -> None:
    (tmp_path / "trained").mkdir()
    options = {"epochs": 1, "learning_rate": 1e-3, "batch": 8, "teach": True, "threads": 1, "bits": 4, "block": 32}
    source = make(kind, family)
    folder = train_on_grid.run(Product(source, ""), tmp_path / "trained", options, _resources(source)).folder
    product = quantise_onnx_blocks.run(
        _export(folder, tmp_path / "fp32"), tmp_path / "int4", {"block": 32, "table": 8}, _resources(folder)
    )
    graph = onnx.load(product.folder / product.model).graph
    constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    products = [node for node in graph.node if node.op_type == "MatMulNBits"]
    assert len(products) == 4 * 2 + (family == "electra")
    kept = [node for node in products if (constants[node.input[3]] & 15 == 8).all()]
    assert len(kept) == 4 * 2, "in the middle of all levels, as a grid that was trained on has its zero"


def test_a_table_in_four_bits_is_half_as_large_and_gives_nearly_the_same_rows(make: Make, tmp_path: Path) -> None:
    folder = make("sentence-embedding")
    fp32 = _export(folder, tmp_path / "fp32")
    found = {
        bits: quantise_onnx_blocks.run(fp32, tmp_path / str(bits), {"block": 32, "table": bits}, _resources(folder))
        for bits in (8, 4)
    }
    eight, four = ((product.folder / product.model).stat().st_size for product in found.values())
    words = 1200 * 64
    assert 0.25 * words < eight - four < 0.5 * words, "half a byte a weight less, and a scale more for each block"
    before, *after = (_vectors(product, folder) for product in (fp32, found[8], found[4]))
    cosines = [float((before * each).sum(-1).min()) for each in after]
    assert min(cosines) > 0.8


def _vectors(product: Product, folder: Path) -> np.ndarray:
    session = ort.InferenceSession(product.folder / product.model, providers=["CPUExecutionProvider"])
    found = []
    for tokens in encode_requests(inspect(folder), [row["text"] for row in ROWS]):
        names = [each.name for each in session.get_inputs()]
        found += session.run(["sentence_embedding"], padded([tokens], names, 0))
    return np.concatenate(found)
