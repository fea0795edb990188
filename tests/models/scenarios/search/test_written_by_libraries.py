"""Folders that sentence-transformers and setfit wrote themselves, in the forms that no scenario builds."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer
from setfit import SetFitHead, SetFitModel
from transformers import BertModel

from mct.models.checkpoints.checkpoint import inspect

pytestmark = pytest.mark.filterwarnings("ignore")
LABELS = ["lucky_bag", "order", "returns"]
TEXTS = [{"text": text, "label": LABELS[1]} for text in ("where is my order?", "i want to return volume 3")]
PAGES = [{"query": "a cooking manga", "doc": doc, "grade": 1} for doc in ("Silent Ramen", "The Hungry Bakery")]


@pytest.fixture
def encoder(tiny_bert: Path, tmp_path: Path) -> Path:
    """A bare encoder with its tokenizer."""
    folder = tmp_path / "bert"
    BertModel.from_pretrained(tiny_bert).save_pretrained(folder)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tiny_bert / file, folder / file)
    torch.manual_seed(5)
    return folder


def told(folder: Path) -> tuple[str, str]:
    found = inspect(folder)
    return found.task, found.technique


def holds(artifacts: dict[str, Any], formats: set[str]) -> bool:
    agreed = {name: each.parity.get("root", each.parity)["agreement"] for name, each in artifacts.items()}
    return agreed == dict.fromkeys(formats, 1.0)


def test_an_embedder_with_a_dense_layer(encoder: Path, tmp_path: Path, compressed: Callable[..., Any]) -> None:
    steps = [Transformer(str(encoder)), Pooling(64), Dense(64, 24, activation_function=torch.nn.Tanh()), Normalize()]
    SentenceTransformer(modules=steps, device="cpu").save(str(tmp_path / "dense"))
    assert told(tmp_path / "dense") == ("sentence-embedding", "contrastive")
    assert holds(compressed(tmp_path / "dense", PAGES), {"onnx", "openvino", "gguf"})


def test_a_cross_encoder_with_its_activation(encoder: Path, tmp_path: Path, compressed: Callable[..., Any]) -> None:
    model = CrossEncoder(str(encoder), num_labels=1, device="cpu", activation_fn=torch.nn.Identity())
    model.save(str(tmp_path / "cross"))
    assert told(tmp_path / "cross") == ("pair-scoring", "cross-encoder")
    assert holds(compressed(tmp_path / "cross", PAGES), {"onnx", "openvino", "gguf"})


def test_a_cross_encoder_with_an_adapter_that_has_its_head(
    encoder: Path, tmp_path: Path, compressed: Callable[..., Any]
) -> None:
    model = CrossEncoder(str(encoder), num_labels=1, device="cpu")
    model.add_adapter(
        peft.LoraConfig(
            task_type="SEQ_CLS",
            r=4,
            lora_alpha=32,
            target_modules=["query", "value"],
            init_lora_weights=False,
            modules_to_save=["classifier"],
        )
    )
    model.save(str(tmp_path / "adapter"))
    assert told(tmp_path / "adapter") == ("pair-scoring", "lora, cross-encoder")
    assert holds(compressed(tmp_path / "adapter", PAGES), {"onnx", "openvino", "gguf"})


@pytest.mark.parametrize("normalised", [False, True])
def test_setfits_own_differentiable_head(
    normalised: bool, encoder: Path, tmp_path: Path, compressed: Callable[..., Any]
) -> None:
    body = SentenceTransformer(modules=[Transformer(str(encoder)), Pooling(64)], device="cpu")
    head = SetFitHead(64, 3, temperature=0.5, device="cpu")
    model = SetFitModel(model_body=body, model_head=head, labels=LABELS, normalize_embeddings=normalised)
    model.save_pretrained(str(tmp_path / "setfit"))
    assert told(tmp_path / "setfit") == ("embedding-head", "setfit")
    assert inspect(tmp_path / "setfit").labels == tuple(LABELS)
    assert holds(compressed(tmp_path / "setfit", TEXTS), {"onnx", "openvino", "gguf"})
