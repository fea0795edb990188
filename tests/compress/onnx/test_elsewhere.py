"""ONNX artifacts opened by other people's programs: transformers.js under Node gives the original's answers."""

import json
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from mct.compress.plan.passes import Resources
from mct.compress.plan.plan import make_plan
from mct.compress.run.execute import execute
from mct.compress.run.resources import ParityTexts, Source
from mct.models.checkpoints.checkpoint import inspect
from mct.models.tasks.examples import find_kind
from mct.targets.machine import probe_machine

SCRIPT = Path(__file__).resolve().parents[2] / "node" / "encode.mjs"

TEXTS = ["hi", "Where is my order?", "I want to return volume 3, it arrived damaged", "注文 12345 はどこですか"]
# None so long that it is cut: transformers.js cuts the end of a pair, tokenizers its longer text.
PAIRS = [
    ["Where is my order?", "how long does shipping take to Osaka"],
    ["hi", "returns"],
    ["recommend me something like Berserk", "One Piece box sets in stock"],
]


def _make(kind: str, tiny_bert: Path, folder: Path) -> Path:
    """A BERT of that kind with random weights, and a tokenizer that knows pairs."""
    from tokenizers import Tokenizer, processors

    tokenizer = Tokenizer.from_file(str(tiny_bert / "tokenizer.json"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    transformers.BertTokenizerFast(tokenizer_object=tokenizer, model_max_length=64).save_pretrained(folder)
    torch.manual_seed(5)
    config = transformers.AutoConfig.for_model(
        "bert", vocab_size=1200, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
        max_position_embeddings=64, initializer_range=0.3, num_labels=1 if kind == "pair-scoring" else 4,
    )  # fmt: skip
    auto = {
        "token-classification": transformers.AutoModelForTokenClassification,
        "sentence-embedding": transformers.AutoModel,
    }.get(kind, transformers.AutoModelForSequenceClassification)
    auto.from_config(config).save_pretrained(folder)
    if kind == "sentence-embedding":
        kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
        modules = [{"path": path, "type": f"sentence_transformers.models.{name}"} for path, name in kinds.items()]
        (folder / "modules.json").write_text(json.dumps(modules))
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text(
            json.dumps({"word_embedding_dimension": 64, "pooling_mode_mean_tokens": True})
        )
    return folder


def _requests(kind: str) -> list[Any]:
    return [{"query": query, "docs": [doc]} for query, doc in PAIRS] if kind == "pair-scoring" else list(TEXTS)


def _artifact(checkpoint: Path, out: Path, precision: str) -> Path:
    found = inspect(checkpoint)
    resources = Resources(found, None, probe_machine(), seed=0)
    requests = _requests(found.task)
    texts = ParityTexts(tuple(requests), Source("texts", "0" * 64, len(requests)))
    (folder,) = execute(make_plan(found, ["onnx"], [precision]), resources, texts, out)
    return folder


def _original(checkpoint: Path) -> list[dict[str, np.ndarray]]:
    """The checkpoint's own outputs, one entry a text or pair."""
    from mct.compress.run.parity import run_original

    found = inspect(checkpoint)
    return list(run_original(found, _requests(found.task), 1).outputs)


def _in_node(node_modules: Path, folder: Path, task: str, dtype: str = "fp32") -> list[Any]:
    asked = {"folder": str(folder), "task": task, "dtype": dtype}
    asked["inputs"] = PAIRS if task == "pair-scoring" else TEXTS  # type: ignore[assignment]
    done = subprocess.run(
        ["node", str(SCRIPT), str(node_modules)], input=json.dumps(asked), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    answers: list[Any] = json.loads(done.stdout)
    return answers


def test_a_text_classifier(node_modules: Path, tiny_bert: Path, tmp_path: Path) -> None:
    checkpoint = _make("sequence-classification", tiny_bert, tmp_path / "checkpoint")
    folder = _artifact(checkpoint, tmp_path / "out", "fp32")
    for found, original in zip(
        _in_node(node_modules, folder, "sequence-classification"), _original(checkpoint), strict=True
    ):
        odds = np.exp(original["logits"][0] - original["logits"][0].max())
        expected = {f"LABEL_{number}": each for number, each in enumerate(odds / odds.sum())}
        assert {each["label"]: pytest.approx(each["score"], abs=1e-3) for each in found} == expected


def test_a_text_classifier_in_int8(node_modules: Path, tiny_bert: Path, tmp_path: Path) -> None:
    """The name of the file is the one that transformers.js has for 8 bits, and both programs read the same from it."""
    from mct.targets.runtimes.table import Executable, open_session, runtime_for

    checkpoint = _make("sequence-classification", tiny_bert, tmp_path / "checkpoint")
    folder = _artifact(checkpoint, tmp_path / "out", "int8")
    found, kind = inspect(checkpoint), find_kind("sequence-classification")
    from mct.models.tasks.tokens import open_tokenizer

    tokenize = open_tokenizer(folder, found.max_tokens)
    executable = Executable(folder, "onnx/model_quantized.onnx", found.task, 4, found.max_tokens)
    session = open_session(runtime_for("onnx"), executable, 1)
    for text, answer in zip(TEXTS, _in_node(node_modules, folder, found.task, "q8"), strict=True):
        inputs = kind.encode(tokenize, text)
        assert answer[0]["label"] == kind.decode(session(inputs), inputs, found.heads)


def test_a_token_classifier(node_modules: Path, tiny_bert: Path, tmp_path: Path) -> None:
    checkpoint = _make("token-classification", tiny_bert, tmp_path / "checkpoint")
    folder = _artifact(checkpoint, tmp_path / "out", "fp32")
    for found, original in zip(
        _in_node(node_modules, folder, "token-classification"), _original(checkpoint), strict=True
    ):
        best = original["logits"][0].argmax(axis=-1)
        assert [(each["index"], each["entity"]) for each in found] == [
            (place, f"LABEL_{best[place]}") for place in range(1, len(best) - 1)
        ]


def test_an_embedder(node_modules: Path, tiny_bert: Path, tmp_path: Path) -> None:
    checkpoint = _make("sentence-embedding", tiny_bert, tmp_path / "checkpoint")
    folder = _artifact(checkpoint, tmp_path / "out", "fp32")
    for found, original in zip(
        _in_node(node_modules, folder, "sentence-embedding"), _original(checkpoint), strict=True
    ):
        np.testing.assert_allclose(found, original["sentence_embedding"][0], atol=1e-4)


def test_a_pair_scorer(node_modules: Path, tiny_bert: Path, tmp_path: Path) -> None:
    checkpoint = _make("pair-scoring", tiny_bert, tmp_path / "checkpoint")
    folder = _artifact(checkpoint, tmp_path / "out", "fp32")
    original = [float(each["logits"][0, 0]) for each in _original(checkpoint)]
    np.testing.assert_allclose(_in_node(node_modules, folder, "pair-scoring"), original, atol=1e-3)


def test_an_embedder_in_sentence_transformers(tiny_bert: Path, tmp_path: Path) -> None:
    """Its ONNX backend goes through optimum-onnx, which pins a transformers older than the one mct needs."""
    try:
        version("optimum-onnx")
    except PackageNotFoundError:
        pytest.skip("sentence-transformers' ONNX backend needs optimum-onnx, which cannot live beside transformers 5")
    from sentence_transformers import SentenceTransformer

    checkpoint = _make("sentence-embedding", tiny_bert, tmp_path / "checkpoint")
    folder = _artifact(checkpoint, tmp_path / "out", "fp32")
    model = SentenceTransformer(str(folder), backend="onnx", model_kwargs={"file_name": "onnx/model.onnx"})
    original = np.concatenate([each["sentence_embedding"] for each in _original(checkpoint)])
    np.testing.assert_allclose(model.encode(TEXTS), original, atol=1e-4)


def test_an_embedders_folder_has_the_steps_that_sentence_transformers_reads(tiny_bert: Path, tmp_path: Path) -> None:
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling

    checkpoint = _make("sentence-embedding", tiny_bert, tmp_path / "checkpoint")
    folder = _artifact(checkpoint, tmp_path / "out", "fp32")
    backbone, *steps = json.loads((folder / "modules.json").read_text())
    assert backbone["path"] == ""
    pooling, normalize = (
        kind.load(str(folder), subfolder=step["path"]) for kind, step in zip((Pooling, Normalize), steps, strict=True)
    )
    found, expected = {"token_embeddings": torch.randn(2, 3, 64), "attention_mask": torch.ones(2, 3)}, None
    vectors = normalize(pooling(dict(found)))["sentence_embedding"]
    expected = torch.nn.functional.normalize(found["token_embeddings"].mean(1), dim=-1)
    torch.testing.assert_close(vectors, expected)
