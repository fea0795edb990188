"""Three checkpoints that nobody here wrote the data for: Banking77 on MiniLM, DistilBERT and RoBERTa architectures.

The evidence for "works on your model" needs models of several families, fine-tuned on real customer questions. Run
from the repository root: `python results/banking77_checkpoints.py [--only minilm|distilbert|roberta]`; each is
written to `.cache/banking77/<name>`. What each can be built from without a model hub differs:

- minilm: the packaged all-MiniLM-L6-v2 encoder, fine-tuned whole but for its word embeddings;
- distilbert: the same encoder's layers under DistilBERT's names. DistilBERT is BERT without token types and pooler,
  so the weights map one to one once the embedding of token type 0, which BERT adds to every position, is added to the
  positions;
- roberta: a small one from scratch with a byte-level BPE of its own. It is here for its tokenizer and its offset
  positions, not for its accuracy.
"""

import argparse
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import (
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    DistilBertTokenizer,
    RobertaConfig,
    RobertaForSequenceClassification,
    RobertaTokenizer,
)

from mct import MctError
from mct.models.scenarios.classifiers.encoders import packaged_minilm
from mct.models.tasks.datasets import Row, read_dataset
from mct.models.tasks.table import find_task
from mct.models.training.classification import Classifier, Training, accuracy, finetune, label_names, load_base, save
from mct.models.writing.replacing import appearing

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data" / "banking77"
OUT = ROOT / ".cache" / "banking77"
Build = Callable[[list[Row], tuple[str, ...]], Classifier]

MINILM_TRAINING = Training(epochs=4, frozen_embeddings=True)
DISTILBERT_TRAINING = Training(epochs=3, frozen_embeddings=True)
ROBERTA_TRAINING = Training(epochs=12, learning_rate=1e-3, batch=64)
ROBERTA_VOCABULARY = 4_000

# (prefix in BERT, prefix in DistilBERT) within one layer
LAYER_NAMES = (
    ("attention.self.query", "attention.q_lin"),
    ("attention.self.key", "attention.k_lin"),
    ("attention.self.value", "attention.v_lin"),
    ("attention.output.dense", "attention.out_lin"),
    ("attention.output.LayerNorm", "sa_layer_norm"),
    ("intermediate.dense", "ffn.lin1"),
    ("output.dense", "ffn.lin2"),
    ("output.LayerNorm", "output_layer_norm"),
)


def minilm(rows: list[Row], labels: tuple[str, ...]) -> Classifier:
    """The packaged encoder with its pooler, fine-tuned."""
    classifier = load_base(str(packaged_minilm()), labels)
    finetune(classifier, rows, MINILM_TRAINING, progress)
    return classifier


def distilbert(rows: list[Row], labels: tuple[str, ...]) -> Classifier:
    """The packaged encoder's weights in a DistilBERT, fine-tuned."""
    bert = load_base(str(packaged_minilm()), labels)
    config = bert.model.config
    torch.manual_seed(0)
    model = DistilBertForSequenceClassification(
        DistilBertConfig(
            vocab_size=config.vocab_size,
            dim=config.hidden_size,
            hidden_dim=config.intermediate_size,
            n_layers=config.num_hidden_layers,
            n_heads=config.num_attention_heads,
            max_position_embeddings=config.max_position_embeddings,
            **label_names(labels),
        )
    )
    model.distilbert.load_state_dict(distilbert_weights(bert.model))
    tokenizer = DistilBertTokenizer.from_pretrained(packaged_minilm())
    classifier = Classifier(model, tokenizer, labels)
    finetune(classifier, rows, DISTILBERT_TRAINING, progress)
    return classifier


def distilbert_weights(bert: BertForSequenceClassification) -> dict[str, torch.Tensor]:
    """BERT's weights under DistilBERT's names, token type 0 added into the positions; the pooler has no place there."""
    old = bert.bert.state_dict()
    new = {
        "embeddings.word_embeddings.weight": old["embeddings.word_embeddings.weight"],
        "embeddings.position_embeddings.weight": old["embeddings.position_embeddings.weight"]
        + old["embeddings.token_type_embeddings.weight"][0],
        "embeddings.LayerNorm.weight": old["embeddings.LayerNorm.weight"],
        "embeddings.LayerNorm.bias": old["embeddings.LayerNorm.bias"],
    }
    for layer in range(bert.config.num_hidden_layers):
        for ours, theirs in LAYER_NAMES:
            for kind in ("weight", "bias"):
                new[f"transformer.layer.{layer}.{theirs}.{kind}"] = old[f"encoder.layer.{layer}.{ours}.{kind}"]
    return new


def roberta(rows: list[Row], labels: tuple[str, ...]) -> Classifier:
    """A small RoBERTa from scratch, its byte-level BPE learned from the training texts."""
    bpe = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    texts = [row["text"] for row in rows]
    bpe.train_from_iterator(texts, vocab_size=ROBERTA_VOCABULARY, special_tokens=special, show_progress=False)
    with TemporaryDirectory() as folder:
        vocabulary, merges = bpe.save_model(folder)
        tokenizer = RobertaTokenizer(vocabulary, merges, model_max_length=512)
    torch.manual_seed(0)
    model = RobertaForSequenceClassification(
        RobertaConfig(
            vocab_size=len(tokenizer),
            hidden_size=192,
            num_hidden_layers=3,
            num_attention_heads=6,
            intermediate_size=768,
            max_position_embeddings=514,
            type_vocab_size=1,
            **label_names(labels),
        )
    )
    classifier = Classifier(model, tokenizer, labels)
    finetune(classifier, rows, ROBERTA_TRAINING, progress)
    return classifier


CHECKPOINTS: dict[str, Build] = {"minilm": minilm, "distilbert": distilbert, "roberta": roberta}


def progress(stage: str, share: float) -> None:
    """One line on stderr, rewritten."""
    print(f"\r{stage} {share:4.0%}", end="\n" if share == 1 else "", file=sys.stderr, flush=True)


def write_checkpoint(name: str, texts: int | None = None) -> None:
    """Build one checkpoint from `texts` of the texts, all if None, say how it scores, and write its folder."""
    task = find_task("sequence-classification")
    train, test = (list(read_dataset(DATA / f"{part}.jsonl", task).rows) for part in ("train", "test"))
    labels = tuple(sorted({row["label"] for row in train}))
    started = time.monotonic()
    learned = random.Random(0).sample(train, texts) if texts else train
    classifier = CHECKPOINTS[name](learned, labels)
    score = accuracy(classifier, test)
    with appearing(OUT / name) as folder:
        save(classifier, folder)
    seconds = time.monotonic() - started
    print(f"{name}: {score:.2%} of {len(test)} test texts right, built in {seconds:.0f} s, written to {OUT / name}")


def main() -> int:
    """Write the checkpoints asked for."""
    parser = argparse.ArgumentParser(description="Fine-tune Banking77 checkpoints of three architectures.")
    parser.add_argument("--only", choices=list(CHECKPOINTS), help="write just this one")
    parser.add_argument("--texts", type=int, help="learn from so many texts: enough where accuracy is not the question")
    asked = parser.parse_args()
    try:
        if not DATA.is_dir():
            raise MctError(f"{DATA} is not there", "put Banking77 there as train.jsonl and test.jsonl (text, label)")
        for name in [asked.only] if asked.only else CHECKPOINTS:
            write_checkpoint(name, asked.texts)
    except MctError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
