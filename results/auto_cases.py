"""The checkpoints that auto.py searches from, each with its rows: to learn from, to choose by, to judge on.

All but the router and the Llama are the packaged MiniLM-L6 on data that nobody here wrote, taught by mct's loops or
those of checkpoints.py; the rows to choose by are drawn from a set's training rows, and none of them was taught. The
router has the rows that `mct models build` deals, and the Llama, pretrained by others, may know all of its texts.
"""

import json
import random
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from checkpoints import (
    DATA,
    build_chorus_cross,
    build_chorus_embed,
    build_goemotions,
    build_snips,
    chorus_rows,
    goemotions_rows,
    read_rows,
    snips_rows,
)
from forms import MCT, ROOT
from real_case import write_rows
from real_classifiers import with_domain

from mct.models.scenarios.classifiers.encoders import packaged_minilm
from mct.models.tasks.examples import Row
from mct.models.training.classification import Training, finetune, load_base, save
from mct.models.writing.folders import write_atomically

DEV_ROWS = 1500
FEW_ROWS = 6_000
Split = tuple[Sequence[Row], Sequence[Row]]


@dataclass(frozen=True)
class Case:
    """A data set: its title, its budget in auto.toml, and what writes the checkpoint with its rows into a folder.

    `of` names the case whose checkpoint is searched from for this budget and target too (`build` is None then): it has
    to come first.
    """

    title: str
    budget: str
    build: Callable[[Path], None] | None
    target: str = "cpu"
    of: str = ""


def _banking() -> Split:
    folder = DATA / "banking77"
    return read_rows(folder / "train.jsonl"), read_rows(folder / "test.jsonl")


def _bitext() -> Split:
    folder = DATA / "bitext_support_intent"
    return [*read_rows(folder / "train.jsonl"), *read_rows(folder / "dev.jsonl")], read_rows(folder / "test.jsonl")


def _hint() -> Split:
    train, corrected = (
        [with_domain(row) for row in read_rows(DATA / "hint3" / f"{name}.jsonl")] for name in ("train_v1", "test")
    )
    known = {row["label"] for row in train}
    return train, [row for row in corrected if row["label"] in known]


def _few(rows: Callable[[], Split]) -> Split:
    train, test = rows()
    return train[:FEW_ROWS], test


def _text(row: Row) -> object:
    return row["text"]


def _intents(rows: Callable[[], Split], training: Training) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        found, test = rows()
        train, dev = in_two(found, _text)
        classifier = load_base(str(packaged_minilm()), sorted({str(row["label"]) for row in found}))
        finetune(classifier, train, training, lambda stage, share: None)
        save(classifier, folder)
        write_parts(folder, train, dev, test)

    return build


def _taught(
    rows: Callable[[], Split], teach: Callable[[list[Row], Path], object], whole: Callable[[Row], object] = _text
) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        found, test = rows()
        train, dev = in_two(found, whole)
        teach(train, folder)
        write_parts(folder, train, dev, test)

    return build


def in_two(rows: Sequence[Row], whole: Callable[[Row], object]) -> tuple[list[Row], list[Row]]:
    """Rows to learn from, and a fifth, `DEV_ROWS` or a few more, to choose by; those of one `whole` stay together."""
    groups: dict[object, list[Row]] = {}
    for row in rows:
        groups.setdefault(whole(row), []).append(row)
    drawn = random.Random(0).sample(list(groups.values()), len(groups))
    most, dev = min(DEV_ROWS, len(rows) // 5), []
    while len(dev) < most:
        dev += drawn.pop(0)
    return [row for group in drawn for row in group], dev


def write_parts(folder: Path, train: Sequence[Row], dev: Sequence[Row], test: Sequence[Row]) -> None:
    """data/train.jsonl, data/dev.jsonl and data/test.jsonl of a checkpoint."""
    write_rows(folder, train, test)
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in dev)
    write_atomically(folder / "data" / "dev.jsonl", "".join(lines))


def _router(folder: Path) -> None:
    made = folder.with_name("router")
    command = [*MCT, "models", "build", "intent-router", "--size", "small", "-o", str(made)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    shutil.copytree(made, folder, dirs_exist_ok=True)


def _stories(folder: Path) -> None:
    shutil.copytree(DATA.parent / "weights" / "tinystories656K", folder, dirs_exist_ok=True)
    rows = read_rows(DATA / "lm_tinystories" / "paragraphs.jsonl")
    write_parts(folder, rows[:1_000], rows[3_400:3_900], rows[3_900:4_300])


def _again(of: str, title: str, budget: str, target: str = "cpu") -> Case:
    return Case(title, budget, None, target, of)


FEW = Training(epochs=6, learning_rate=5e-4, max_tokens=64, frozen_embeddings=True)
CASES = {
    "banking77": Case(
        "Banking77, 77 intents", "auto-banking77", _intents(_banking, Training(epochs=4, frozen_embeddings=True))
    ),
    "banking77-2mb": _again("banking77", "Banking77, at most 2 MB", "auto-banking77-2mb"),
    "banking77-half": _again("banking77", "Banking77, at most half a point", "auto-banking77-half"),
    "banking77-one": _again("banking77", "Banking77, one thread", "auto-banking77", "cpu-1"),
    "bitext": Case(
        "Bitext, 27 intents of support", "auto-bitext", _intents(_bitext, Training(epochs=1, frozen_embeddings=True))
    ),
    "hint3": Case("HINT3, noisy labels", "auto-hint3", _intents(_hint, FEW)),
    "goemotions": Case(
        "GoEmotions, any of 28 labels", "auto-goemotions", _taught(lambda: _few(goemotions_rows), build_goemotions)
    ),
    "snips": Case("SNIPS, intent and slots", "auto-snips", _taught(lambda: _few(snips_rows), build_snips)),
    "chorus-embed": Case(
        "Chorus product search, embedder", "auto-embed",
        _taught(chorus_rows, build_chorus_embed, lambda row: row["query"]),
    ),
    "chorus-cross": Case(
        "Chorus product search, reranker", "auto-cross",
        _taught(chorus_rows, build_chorus_cross, lambda row: row["query"]),
    ),
    "router": Case("The shop's router, with its high-risk slices", "intent-router", _router),
    "stories": Case("TinyStories-656K, a Llama", "auto-stories", _stories),
}  # fmt: skip
