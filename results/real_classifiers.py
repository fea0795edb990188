"""Four classifiers taught on data that nobody here wrote, for real.py, from the packaged MiniLM.

A minute or two each on two cores, by mct's own loops.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from checkpoints import DATA, read_rows
from real_case import Case, write_rows

from mct.models.scenarios.classifiers.encoders import packaged_minilm
from mct.models.tasks.examples import Row
from mct.models.tasks.table import Head
from mct.models.training.classification import Classifier, Training, finetune, load_base, save, scores
from mct.models.training.continual import rehearsed, widened
from mct.models.training.multi_task import head_scores, save_multi_task, train_heads, with_heads

ENCODERS = {"onnx": ("int8",), "openvino": ("int8",), "gguf": ("q8_0", "q4_k_m")}

# How GoEmotions' 28 emotions sound to a shop; what is not here is left out.
MOODS = {
    "frustrated": ("anger", "disgust"),
    "annoyed": ("annoyance", "disapproval", "disappointment"),
    "worried": ("fear", "nervousness", "sadness", "remorse"),
    "content": ("joy", "gratitude", "admiration", "love", "excitement", "amusement", "optimism", "relief", "pride"),
    "calm": ("neutral",),
}
GOEMOTIONS_ROWS, CALM_ROWS = 5_000, 1_500
MONTHS = ("2026-01", "2026-02", "2026-03")
ROWS_A_LABEL, REHEARSED = 30, 300
SNIPS_ROWS = 2_000
OUT_OF_SCOPE = "NO_NODES_DETECTED"


def build_goemotions(folder: Path) -> dict[str, Any]:
    """The mood of a comment whose emotions are all of one mood."""
    train = _moods(read_rows(DATA / "goemotions" / "train.jsonl.gz"))
    test = _moods(read_rows(DATA / "goemotions" / "test.jsonl"))
    draw = random.Random(0)
    calm = draw.sample([row for row in train if row["label"] == "calm"], CALM_ROWS)
    felt = [row for row in train if row["label"] != "calm"]
    learned = draw.sample([*calm, *felt], min(GOEMOTIONS_ROWS, len(calm) + len(felt)))
    classifier = load_base(str(packaged_minilm()), sorted(MOODS))
    finetune(classifier, learned, Training(epochs=2, learning_rate=2e-4, max_tokens=64, frozen_embeddings=True))
    return _saved(classifier, folder, learned, test)


def _moods(rows: Sequence[Row]) -> list[Row]:
    mood_of = {emotion: mood for mood, emotions in MOODS.items() for emotion in emotions}
    told = [(row["text"], {mood_of.get(label, "") for label in row["labels"]}) for row in rows]
    return [{"text": text, "label": next(iter(moods))} for text, moods in told if len(moods) == 1 and "" not in moods]


def build_banking(folder: Path) -> dict[str, Any]:
    """A third of Banking77's labels a month, each update with a rehearsal of the months before."""
    train, test = (read_rows(DATA / "banking77" / f"{split}.jsonl") for split in ("train", "test"))
    labels = sorted({row["label"] for row in train})
    month_of = {label: MONTHS[place * len(MONTHS) // len(labels)] for place, label in enumerate(labels)}
    train, test = ([row | {"month": month_of[row["label"]]} for row in rows] for rows in (_few(train), test))
    training, after = Training(epochs=5, learning_rate=5e-4, max_tokens=64, frozen_embeddings=True), {}
    classifier: Classifier | None = None
    for month in MONTHS:
        known = [label for label in labels if month_of[label] <= month]
        earlier = rehearsed([row for row in train if row["month"] < month], REHEARSED)
        classifier = widened(classifier, known) if classifier else load_base(str(packaged_minilm()), known)
        finetune(classifier, [*(row for row in train if row["month"] == month), *earlier], training)
        seen = {each: [row for row in test if row["month"] == each] for each in MONTHS if each <= month}
        after[month] = {each: scores(classifier, rows)["accuracy"] for each, rows in seen.items()}
    assert classifier is not None
    return _saved(classifier, folder, train, test) | {"after each update, by month": after}


def _few(rows: Sequence[Row]) -> list[Row]:
    by_label: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_label[row["label"]].append(row)
    return [row for some in by_label.values() for row in some[:ROWS_A_LABEL]]


def build_snips(folder: Path) -> dict[str, Any]:
    """Intent and slots from one backbone."""
    train = random.Random(0).sample(read_rows(DATA / "snips" / "train.jsonl.gz"), SNIPS_ROWS)
    test = read_rows(DATA / "snips" / "test.jsonl")
    tags = {tag for row in [*train, *test] for tag in row["slots"]}
    heads = (
        Head("label", "label", tuple(sorted({row["label"] for row in train}))),
        Head("slots", "tags", tuple(sorted(tags))),
    )
    multi = with_heads(load_base(str(packaged_minilm()), heads[0].labels), heads)
    train_heads(multi, train, Training(epochs=3, learning_rate=5e-4, max_tokens=64, frozen_embeddings=True))
    save_multi_task(multi, folder)
    write_rows(folder, train, test)
    return {"rows": {"train": len(train), "test": len(test)}, "test": head_scores(multi, test)}


def build_hint3(folder: Path) -> dict[str, Any]:
    """Intents learned from labels with noise, tested on those that people corrected."""
    train = [with_domain(row) for row in read_rows(DATA / "hint3" / "train_v1.jsonl")]
    known = {row["label"] for row in train}
    corrected = [with_domain(row) for row in read_rows(DATA / "hint3" / "test.jsonl")]
    test = [row for row in corrected if row["label"] in known]
    classifier = load_base(str(packaged_minilm()), sorted(known))
    finetune(classifier, train, Training(epochs=6, learning_rate=5e-4, max_tokens=64, frozen_embeddings=True))
    return _saved(classifier, folder, train, test)


def with_domain(row: Row) -> Row:
    """The row with its domain before its label: three shops of one set have labels of the same name."""
    return {"text": row["text"], "label": f"{row['domain']}/{row['label']}"}


def _saved(classifier: Classifier, folder: Path, train: Sequence[Row], test: Sequence[Row]) -> dict[str, Any]:
    save(classifier, folder)
    write_rows(folder, train, test)
    found = scores(classifier, test)
    return {"rows": {"train": len(train), "test": len(test)}, "test": {"accuracy": found["accuracy"]}}


CLASSIFIERS = {
    "goemotions": Case(
        "real-moods", ENCODERS, build_goemotions, "GoEmotions: the mood, and frustration at 5 % false alarms"
    ),
    "banking77": Case(
        "real-months", ENCODERS, build_banking, "Banking77: a third of the labels a month, with rehearsal"
    ),
    "snips": Case("real-heads", ENCODERS, build_snips, "SNIPS: intent and slots, two heads on one backbone"),
    "hint3": Case("real-noise", ENCODERS, build_hint3, "HINT3: learned from noisy labels, tested on corrected ones"),
}
