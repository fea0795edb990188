"""What a search lets its worker processes do: make a candidate, and answer the rows that candidates are chosen by.

Each is a function of plain values to plain values, so that it may run in another process or on another machine that
sees the same folders. What was made or answered lies on disk and is not made again. A leaf.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from mct import MctError
from mct.bench.samples.subject import Subject, identify
from mct.bench.worker.predict import answer_all, open_predictor
from mct.compress.plan.plan import make_plan
from mct.compress.plan.recipe import Recipe
from mct.compress.run.artifact import is_artifact
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.compress.run.steps import Steps
from mct.models.checkpoints.adapted import NOTHING, Told
from mct.models.checkpoints.checkpoint import inspect
from mct.models.tasks.datasets import read_dataset, read_examples
from mct.models.tasks.examples import Outputs, Request, find_kind
from mct.models.tasks.table import find_task
from mct.models.tasks.tokens import Tokens
from mct.models.writing.drafts import draft_file
from mct.models.writing.folders import write_json
from mct.targets.machine import Machine
from mct.targets.runtimes.table import runtime_for

PARITY_REQUESTS, PARITY_LEAST, PARITY_CHARACTERS = 64, 8, 16_000
"""What a candidate is held against its checkpoint on; the winner is made anew with as many texts as any artifact."""
WITH_LABEL = "sequence-classification"


@dataclass(frozen=True)
class Order:
    """A candidate to make of a checkpoint below `out`: one folder, named by its form. `steps` are kept for others."""

    checkpoint: Path
    recipe: Recipe
    form: str
    train: Path
    dev: Path
    out: Path
    steps: Path
    machine: Machine
    told: Told = NOTHING


@dataclass(frozen=True)
class Made:
    """The artifact's folder, and the seconds that it took now; or why it cannot be made."""

    folder: Path
    seconds: float = 0.0
    refused: str = ""


@dataclass(frozen=True)
class Sheet:
    """An artifact or checkpoint to ask all rows of a file, and where its answers are kept."""

    model: Path
    rows: Path
    kept: Path
    told: Told = NOTHING


@dataclass(frozen=True)
class Answered:
    """The headline metric's part of each row (`got` of `of`); of one label a text also which, and how probable it is.

    Arrays of as many values as there are rows, `best` and `label` empty for other tasks.
    """

    got: Any
    of: Any
    best: Any = field(default_factory=lambda: np.zeros(0))
    label: Any = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @property
    def value(self) -> float:
        """The metric, 0 to 1."""
        total = float(self.of.sum())
        return float(self.got.sum()) / total if total else 0.0


def make(order: Order) -> Made:
    """Make a candidate, or find it made. Never raises MctError: what is refused is an answer."""
    folder, reason = order.out / order.form, order.out / "refused.json"
    if is_artifact(folder):
        return Made(folder)
    if reason.is_file():
        return Made(folder, refused=str(json.loads(reason.read_text(encoding="utf-8"))["refused"]))
    began = time.monotonic()
    try:
        plan = make_plan(inspect(order.checkpoint, order.told), [], [], order.machine, order.recipe)
        resources, texts = gather(plan, order.train, order.dev, {}, order.recipe.seed, order.machine)
        texts = replace(texts, requests=_few(texts.requests))
        order.steps.mkdir(parents=True, exist_ok=True)
        execute(plan, resources, texts, order.out, shared=Steps(order.steps))
    except MctError as error:
        order.out.mkdir(parents=True, exist_ok=True)
        write_json(reason, {"refused": error.message})
        return Made(folder, time.monotonic() - began, error.message)
    return Made(folder, time.monotonic() - began)


def _few(requests: tuple[Request, ...]) -> tuple[Request, ...]:
    """The first of them: fewer where each is a query with many documents, or a long text."""
    sizes = accumulate(len(json.dumps(request)) for request in requests[:PARITY_REQUESTS])
    return requests[: max(PARITY_LEAST, sum(size <= PARITY_CHARACTERS for size in sizes))]


def answer(sheet: Sheet) -> Answered:
    """What a model answers to every row, on one thread, or what it answered before. MctError where it cannot run."""
    if not sheet.kept.is_file():
        _write(sheet.kept, _answers(identify(sheet.model, sheet.told), sheet.rows))
    with np.load(sheet.kept, allow_pickle=False) as found:
        return Answered(**{name: found[name] for name in found.files})


def _answers(subject: Subject, rows: Path) -> Answered:
    kind, task = find_kind(subject.task), find_task(subject.task)
    examples = read_examples(read_dataset(rows, task), subject.task, subject.heads)
    opened = open_predictor(runtime_for(subject.format), subject.executable, subject.heads, threads=1)
    outputs: list[Outputs] = []

    def decode(found: Outputs, inputs: list[Tokens]) -> Any:
        outputs.append(found)
        return opened.scored.decode(found, inputs)

    keeping = replace(opened.scored, decode=decode) if subject.task == WITH_LABEL else opened.scored
    found = answer_all(keeping, [example.scored for example in examples], opened.at_once)
    both = zip(examples, found, strict=True)
    parts = [next(iter(kind.score(example.truth, each).values())) for example, each in both]
    got, of = (np.array(column, dtype=np.float64) for column in zip(*parts, strict=True))
    return Answered(got, of, *_sureness([each["logits"][0] for each in outputs])) if outputs else Answered(got, of)


def _sureness(logits: Sequence[Any]) -> tuple[Any, Any]:
    """How probable each text's best label is by the softmax over all, and which it is."""
    rows = np.stack(logits).astype(np.float64)
    shares = np.exp(rows - rows.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    return shares.max(-1), rows.argmax(-1)


def _write(path: Path, answered: Answered) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with draft_file(path.parent, path.name) as draft:
        with draft.open("wb") as file:
            np.savez(file, got=answered.got, of=answered.of, best=answered.best, label=answered.label)
        draft.replace(path)
