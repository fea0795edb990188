"""A small checkpoint of each task kind, with rows to ask it, written by the libraries that users write them with."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

TEXTS = (
    "where is my order number 12", "I want to return volume 3 please", "please recommend a manga like Berserk",
    "is this suitable for a child of 12", "my card was declined at checkout", "let me talk to a human now",
    "the box arrived damaged on Monday", "when will volume 7 be available",
)  # fmt: skip
LABELS = ("order_tracking", "other", "returns")
TAGS = ("O", "B-item", "I-item")


@dataclass(frozen=True)
class Specimen:
    """A checkpoint and a data file of its task."""

    folder: Path
    data: Path


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def _label_rows(**more: Any) -> list[dict[str, Any]]:
    return [{"text": text, "label": LABELS[at % 3], **more} for at, text in enumerate(TEXTS)]


def _rows(task: str) -> list[dict[str, Any]]:
    match task:
        case "sequence-classification" | "embedding-head":
            return _label_rows()
        case "multi-label-classification":
            return [{"text": text, "labels": [LABELS[at % 3]]} for at, text in enumerate(TEXTS)]
        case "token-classification":
            return [{"text": text, "slots": ["O"] * len(text.split())} for text in TEXTS]
        case "multi-head":
            return [row | {"slots": " ".join(["O"] * len(row["text"].split()))} for row in _label_rows()]
        case "pair-scoring" | "sentence-embedding":
            return [
                {"query": text, "doc": TEXTS[(at + step) % 8], "grade": 2 - step}
                for at, text in enumerate(TEXTS)
                for step in range(3)
            ]
        case "reward":
            return [{"prompt": text, "chosen": "it comes soon", "rejected": "no idea at all"} for text in TEXTS]
    return [{"text": text} for text in TEXTS]


@pytest.fixture(scope="session")
def specimen(tiny_bert: Path, tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Specimen]:
    """Makes, once, the checkpoint of a task."""
    root, made = tmp_path_factory.mktemp("specimens"), dict[str, Specimen]()

    def make(task: str) -> Specimen:
        if task not in made:
            folder = root / task
            checkpoint = {"sequence-classification": tiny_bert, "causal-lm": tiny_llama}.get(task) or _WRITE[task](
                folder, tiny_bert, tiny_llama
            )
            made[task] = Specimen(checkpoint, write_rows(root / f"{task}.jsonl", _rows(task)))
        return made[task]

    return make


def _write_model(auto: str, **config: Any) -> Callable[[Path, Path, Path], Path]:
    def write(folder: Path, bert: Path, llama: Path) -> Path:
        import torch
        import transformers

        torch.manual_seed(1)
        base = llama if config.pop("of_llama", False) else bert
        model = getattr(transformers, auto).from_pretrained(base, ignore_mismatched_sizes=True, **config)
        model.save_pretrained(folder)
        transformers.AutoTokenizer.from_pretrained(base).save_pretrained(folder)
        return folder

    return write


def _named(labels: Sequence[str]) -> dict[str, Any]:
    return {"id2label": dict(enumerate(labels)), "label2id": {label: at for at, label in enumerate(labels)}}


def _write_heads(folder: Path, bert: Path, llama: Path) -> Path:
    import torch
    import transformers

    from mct.models.checkpoints.load_heads import save_heads
    from mct.models.tasks.table import Head

    torch.manual_seed(1)
    transformers.BertModel.from_pretrained(bert, add_pooling_layer=False).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(bert).save_pretrained(folder)
    heads = (Head("label", "label", LABELS), Head("slots", "tags", TAGS))
    save_heads(folder, heads, {head.name: torch.nn.Linear(64, 3) for head in heads})
    return folder


def _write_embedder(folder: Path, bert: Path, llama: Path) -> Path:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer

    SentenceTransformer(modules=[Transformer(str(bert)), Pooling(64)], device="cpu").save(str(folder))
    return folder


def _write_setfit(folder: Path, bert: Path, llama: Path) -> Path:
    import joblib
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    _write_embedder(folder, bert, llama)
    vectors = np.random.default_rng(0).normal(size=(30, 64))
    joblib.dump(LogisticRegression().fit(vectors, np.arange(30) % 3), folder / "model_head.pkl")
    (folder / "config_setfit.json").write_text(json.dumps({"normalize_embeddings": False, "labels": LABELS}))
    return folder


_WRITE: dict[str, Callable[[Path, Path, Path], Path]] = {
    "multi-label-classification": _write_model(
        "AutoModelForSequenceClassification", problem_type="multi_label_classification", **_named(LABELS)
    ),
    "token-classification": _write_model("AutoModelForTokenClassification", **_named(TAGS)),
    "multi-head": _write_heads,
    "embedding-head": _write_setfit,
    "sentence-embedding": _write_embedder,
    "pair-scoring": _write_model("AutoModelForSequenceClassification", num_labels=1),
    "reward": _write_model("AutoModelForSequenceClassification", num_labels=1, of_llama=True),
}
