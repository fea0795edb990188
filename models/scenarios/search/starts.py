"""The encoders that embedders and rerankers start from, as folders that transformers loads. A leaf."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mct.models.checkpoints.hub import find_folder
from mct.models.data.files import Row
from mct.models.scenarios.classifiers.encoders import from_scratch, packaged_minilm

Start = Callable[[Sequence[str], int, Path], Path]
"""Gives the folder of an encoder: made in the room given from texts and a seed, or found elsewhere."""

HUB_EMBEDDER = "sentence-transformers/all-mpnet-base-v2"
HUB_RERANKER = "cross-encoder/ms-marco-MiniLM-L6-v2"


def knows_nothing(texts: Sequence[str], seed: int, room: Path) -> Path:
    """A two-layer BERT with a vocabulary learned from `texts`."""
    started = from_scratch(texts, ("LABEL_0",), seed)
    encoder: Any = started.model.base_model
    encoder.save_pretrained(room)
    started.tokenizer.save_pretrained(room)
    return room


def minilm(texts: Sequence[str], seed: int, room: Path) -> Path:
    """The MiniLM-L6 of a pip package."""
    return packaged_minilm()


def from_hub(name: str) -> Start:
    """A model that a user with a hub takes."""
    return lambda texts, seed, room: find_folder(Path(name))


def find_start(base: str | None, start: Start, texts: Sequence[str], seed: int, room: Path) -> Path:
    """The folder of `base`, a folder or hub name, or without one what `start` gives."""
    return find_folder(Path(base)) if base else start(texts, seed, room)


def texts_of(rows: Sequence[Row]) -> list[str]:
    """Queries and documents, each once."""
    return list(dict.fromkeys(text for row in rows for text in (row["query"], row["doc"])))
