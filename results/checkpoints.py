"""One fine-tuned checkpoint of every kind of encoder, on data that nobody here wrote.

The evidence in kinds.md needs what users bring: several heads on a backbone (SNIPS), a cross-encoder and an embedder
(Chorus product search), a few-shot head on an embedder (Banking77), and any number of labels (GoEmotions). All start
from the packaged MiniLM-L6, so no model hub is needed. Run from the repository root:

    python results/checkpoints.py [--only NAME] [--rows N]

Each is written to `.cache/checkpoints/NAME` with its data in mct's fields under `data/` and its scores in
`recipe.json`; one that is there already is left alone. `--rows` tries the code on a few rows, in `.cache/trial`.
"""

import argparse
import gzip
import json
import random
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import joblib
import torch
from lessons import Answer, Course, Lesson, Outputs, learn, tensors
from sentence_transformers import SentenceTransformer
from sklearn.linear_model import LogisticRegression
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer

from mct import MctError
from mct.models.checkpoints.checkpoint import inspect
from mct.models.checkpoints.load import load_module, outputs_of
from mct.models.checkpoints.load_heads import Heads, save_heads
from mct.models.scenarios.classifiers.encoders import packaged_minilm
from mct.models.tasks.examples import Row, find_kind
from mct.models.tasks.table import Head
from mct.models.tasks.tokens import Tokenize, Tokens, open_tokenizer
from mct.models.training.classification import Classifier, load_base, save
from mct.models.writing.folders import write_atomically, write_json
from mct.models.writing.replacing import appearing

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
OUT = ROOT / ".cache" / "checkpoints"
TRIAL = ROOT / ".cache" / "trial"

Split = tuple[list[Row], list[Row]]

TEST_FOLDS = (0, 1, 3)  # 72 queries: fewer could not exclude the drop of a point that the budgets allow
MOST_CHARACTERS = 200
MOST_GRADE = 3
GOEMOTIONS_ROWS = 20_000
IGNORED = -100  # cross_entropy's own mark for a token without a tag


# -- data in mct's fields -----------------------------------------------------------------------------------------


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a .jsonl or .jsonl.gz file."""
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    return [json.loads(line) for line in text.split("\n") if line]


def snips_rows() -> Split:
    """Text, intent and a BIO tag for each word, as published."""
    return read_rows(DATA / "snips" / "train.jsonl.gz"), read_rows(DATA / "snips" / "test.jsonl")


def goemotions_rows() -> Split:
    """A seeded draw of the training comments, all test comments."""
    train, test = (read_rows(DATA / "goemotions" / name) for name in ("train.jsonl.gz", "test.jsonl"))
    drawn = random.Random(0).sample(train, GOEMOTIONS_ROWS)
    return [_fields(row, "text", "labels") for row in drawn], [_fields(row, "text", "labels") for row in test]


def chorus_rows() -> Split:
    """Query, product text and grade; queries of `TEST_FOLDS` are for testing, the others for training."""
    texts = {doc["id"]: product_text(doc) for doc in read_rows(DATA / "chorus_ecommerce" / "docs.jsonl.gz")}
    rated = read_rows(DATA / "chorus_ecommerce" / "qrels.jsonl")
    rows = [(row["fold"], {**_fields(row, "query", "grade"), "doc": texts[row["doc_id"]]}) for row in rated]
    return [row for fold, row in rows if fold not in TEST_FOLDS], [row for fold, row in rows if fold in TEST_FOLDS]


def product_text(doc: Row) -> str:
    """Title and short description, cut at a word: what a search result shows of a product."""
    text = f"{doc['title']} {doc['short_description']}".strip()
    return text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS].rsplit(" ", 1)[0]


def fewshot_rows() -> Split:
    """Ten questions an intent to learn from, the whole test set."""
    return read_rows(DATA / "banking77" / "fewshot_10.jsonl"), read_rows(DATA / "banking77" / "test.jsonl")


def _fields(row: Row, *names: str) -> dict[str, Any]:
    return {name: row[name] for name in names}


# -- the five checkpoints -----------------------------------------------------------------------------------------


def build_snips(rows: list[Row], folder: Path) -> Course:
    """One backbone with two heads: the intent from the first token, a tag from the first token of each word."""
    course = Course(epochs=3)
    heads = (
        Head("label", "label", tuple(sorted({row["label"] for row in rows}))),
        Head("slots", "tags", tuple(sorted({tag for row in rows for tag in row["slots"]}))),
    )
    torch.manual_seed(course.seed)
    backbone = AutoModel.from_pretrained(packaged_minilm(), dtype=torch.float32)
    layers = [torch.nn.Linear(backbone.config.hidden_size, len(head.labels)) for head in heads]
    model, tokenize = Heads(backbone, heads, layers), tokenizer_for(course)
    lessons = [_tagged(tokenize.with_words(row["text"]), row, *heads) for row in rows]
    learn(model, model, lessons, loss_of_heads, course)
    save(Classifier(backbone, AutoTokenizer.from_pretrained(packaged_minilm()), ()), folder)
    save_heads(folder, heads, {head.name: layer for head, layer in zip(heads, layers, strict=True)})
    return course


def _tagged(tokens: Tokens, row: Row, intents: Head, tags: Head) -> Lesson:
    """The intent's number, and for each token the number of the tag of the word that begins there."""
    of_token = [IGNORED] * len(tokens.ids)
    for place, tag in zip(tokens.words, row["slots"], strict=True):
        if place >= 0:
            of_token[place] = tags.labels.index(tag)
    return Lesson(tokens, (intents.labels.index(row["label"]), of_token))


def loss_of_heads(outputs: Outputs, targets: list[Any]) -> torch.Tensor:
    """Cross-entropy of the intents and of the tags, added."""
    intents, tags = zip(*targets, strict=True)
    logits = outputs["slots_logits"]
    wanted = torch.tensor([each + [IGNORED] * (logits.shape[1] - len(each)) for each in tags])
    by_token = functional.cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=IGNORED)
    return functional.cross_entropy(outputs["label_logits"], torch.tensor(intents)) + by_token


def build_chorus_cross(rows: list[Row], folder: Path) -> Course:
    """A cross-encoder of one logit, taught the grade as a share of the highest."""
    course = Course(epochs=4, learning_rate=1e-4, batch=16, max_tokens=96)
    classifier, tokenize = load_base(str(packaged_minilm()), ["LABEL_0"], course.seed), tokenizer_for(course)
    lessons = [Lesson(tokenize.pair(row["query"], row["doc"]), [row["grade"] / MOST_GRADE]) for row in rows]
    learn(classifier.model, logits_of(classifier), lessons, loss_of_logits, course)
    save(classifier, folder)
    return course


def build_goemotions(rows: list[Row], folder: Path) -> Course:
    """A classifier with a yes or no for each of the emotions, which starts out from how frequent each is."""
    course = Course(epochs=5)
    labels = sorted({label for row in rows for label in row["labels"]})
    classifier, tokenize = load_base(str(packaged_minilm()), labels, course.seed), tokenizer_for(course)
    classifier.model.config.problem_type = "multi_label_classification"
    lessons = [Lesson(tokenize(row["text"]), [float(name in row["labels"]) for name in labels]) for row in rows]
    shares = torch.tensor([lesson.target for lesson in lessons]).mean(0)
    classifier.model.classifier.bias.data = torch.logit(shares)
    learn(classifier.model, logits_of(classifier), lessons, loss_of_logits, course)
    save(classifier, folder)
    return course


def logits_of(classifier: Classifier) -> Answer:
    """The classifier's logits by name."""
    return lambda **inputs: {"logits": classifier.model(**inputs).logits}


def loss_of_logits(outputs: Outputs, targets: list[Any]) -> torch.Tensor:
    """Binary cross-entropy of every logit with its target between 0 and 1."""
    return functional.binary_cross_entropy_with_logits(outputs["logits"], torch.tensor(targets))


def build_chorus_embed(_: list[Row], folder: Path) -> None:
    """The packaged embedder as it is."""
    _save_embedder(SentenceTransformer(str(packaged_minilm()), device="cpu"), folder)


def build_setfit_banking(rows: list[Row], folder: Path) -> None:
    """A SetFit folder: the packaged embedder with a linear head taught by the few examples.

    Without SetFit's contrastive step (Tunstall et al. 2022): one epoch of 6 pairs a text cost 2 to 3 points on 700
    questions that are in no other part. On the same questions C = 10 gained 5 over scikit-learn's default.
    """
    embedder = SentenceTransformer(str(packaged_minilm()), device="cpu")
    head = LogisticRegression(C=10, max_iter=1000)
    head.fit(embedder.encode([row["text"] for row in rows]), [row["label"] for row in rows])
    _save_embedder(embedder, folder)
    joblib.dump(head, folder / "model_head.pkl")
    write_json(folder / "config_setfit.json", {"labels": head.classes_.tolist(), "normalize_embeddings": False})


def _save_embedder(embedder: SentenceTransformer, folder: Path) -> None:
    embedder.save_pretrained(str(folder), create_model_card=False)
    (folder / "model.safetensors").chmod(0o644)  # written for the owner's eyes only, unlike every file beside it


def tokenizer_for(course: Course) -> Tokenize:
    """MiniLM's tokenizer, as mct runs it later."""
    return open_tokenizer(packaged_minilm(), course.max_tokens)


@dataclass(frozen=True)
class Recipe:
    """Where the rows come from, and the function that trains on them and writes a folder."""

    rows: Callable[[], Split]
    build: Callable[[list[Row], Path], Course | None]


RECIPES = {
    "snips": Recipe(snips_rows, build_snips),
    "chorus-cross": Recipe(chorus_rows, build_chorus_cross),
    "chorus-embed": Recipe(chorus_rows, build_chorus_embed),
    "setfit-banking": Recipe(fewshot_rows, build_setfit_banking),
    "goemotions": Recipe(goemotions_rows, build_goemotions),
}


# -- writing and scoring ------------------------------------------------------------------------------------------


def scores(folder: Path, rows: list[Row]) -> dict[str, float]:
    """Every metric of the folder's task on `rows`: loaded, decoded and scored as mct does it everywhere."""
    checkpoint = inspect(folder)
    module, tokenize = load_module(checkpoint), open_tokenizer(folder, checkpoint.max_tokens)
    kind, parts = find_kind(checkpoint.task), []
    for example in kind.read(rows):
        inputs = kind.encode(tokenize, example.scored)
        outputs = {name: output.numpy() for name, output in outputs_of(module, tensors(inputs)).items()}
        parts.append(kind.score(example.truth, kind.decode(outputs, inputs, checkpoint.heads)))
    totals = {name: [sum(side) for side in zip(*(each[name] for each in parts), strict=True)] for name in parts[0]}
    return {name: round(got / of, 4) for name, (got, of) in totals.items()}


def write_checkpoint(name: str, out: Path, most_rows: int | None) -> None:
    """Build one checkpoint, say how it scores, and write its folder."""
    started = time.monotonic()
    train, test = (rows[:most_rows] for rows in RECIPES[name].rows())
    with appearing(out / name) as folder:
        course = RECIPES[name].build(train, folder)
        for part, rows in (("train", train), ("test", test)):
            write_atomically(folder / "data" / f"{part}.jsonl", _lines(rows))
        found = scores(folder, test)
        record = {"training": course and asdict(course), "rows": {"train": len(train), "test": len(test)}}
        write_json(folder / "recipe.json", record | {"test": found})
    print(f"{name}: {found} on {len(test)} test rows, {time.monotonic() - started:.0f} s, {out / name}", flush=True)


def _lines(rows: Iterable[Row]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def main() -> int:
    """Write the checkpoints asked for that are not there yet."""
    parser = argparse.ArgumentParser(description="Fine-tune a checkpoint of every kind of encoder.")
    parser.add_argument("--only", choices=list(RECIPES), help="write just this one")
    parser.add_argument("--rows", type=int, help="try the code on so many rows")
    asked = parser.parse_args()
    out = TRIAL if asked.rows else OUT
    try:
        if not DATA.is_dir():
            raise MctError(f"{DATA} is not there", "put the data sets there, a folder each")
        for name in [asked.only] if asked.only else RECIPES:
            if (out / name).is_dir():
                print(f"{name}: is there already, {out / name}")
            else:
                write_checkpoint(name, out, asked.rows)
    except MctError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
