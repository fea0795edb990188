"""What a plan works on: rows to calibrate with, requests to check parity on, the machine, the seed.

Calibration rows are never evaluation rows: those that ask the same in both files are left out of the calibration.
"""

import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mct import MctError
from mct.compress.passes import Material
from mct.compress.plan import Plan
from mct.models.checkpoint import Checkpoint
from mct.models.datasets import Dataset, read_dataset
from mct.models.examples import Request, Row, find_kind
from mct.models.tasks import Task, find_task
from mct.targets.machine import Machine, probe_machine

PARITY_REQUESTS = 500


def gather(
    plan: Plan,
    data: Path | None,
    evaluation: Path | None,
    renames: Mapping[str, str],
    seed: int,
    machine: Machine | None = None,
) -> tuple[Material, list[Request]]:
    """The material of a plan, and the requests its exports are checked on (at most 500, drawn by `seed`).

    Files that are not given are taken from the checkpoint's own `data` folder where it has one. Without evaluation
    texts the built-in shop messages serve. `machine` is what artifacts are made for, this one if None. MctError where
    a calibrated pass has no texts.
    """
    checkpoint = plan.checkpoint
    calibration = _texts(checkpoint, data, "train.jsonl", renames)
    checked_on = _texts(checkpoint, evaluation, "test.jsonl", renames)
    if calibration and checked_on:
        calibration = _without(calibration, checked_on, find_task(checkpoint.task).inputs)
    for route in plan.routes:
        if route.calibrated and calibration is None:
            raise MctError(f"{route.name} is calibrated on your own texts, and none were given", "add --data FILE")
    rows = (checked_on or calibration or _shop_messages(checkpoint.task)).rows
    requests = _drawn(find_kind(checkpoint.task).texts(rows), seed)
    return Material(checkpoint, calibration, machine or probe_machine(), seed), requests


def _drawn(texts: list[Request], seed: int) -> list[Request]:
    """At most `PARITY_REQUESTS` of them, in file order; drawn, because many files are sorted by label."""
    if len(texts) <= PARITY_REQUESTS:
        return texts
    return [texts[row] for row in sorted(random.Random(seed).sample(range(len(texts)), PARITY_REQUESTS))]


def _texts(checkpoint: Checkpoint, given: Path | None, own: str, renames: Mapping[str, str]) -> Dataset | None:
    path = given or checkpoint.path / "data" / own
    if given is None and not path.is_file():
        return None
    return read_dataset(path, _asking(checkpoint.task), renames)


def _asking(task: str) -> Task:
    """The task as calibration and parity need it: no truth."""
    found = find_task(task)
    return replace(found, fields=found.inputs)


def _without(dataset: Dataset, other: Dataset, fields: tuple[str, ...]) -> Dataset:
    theirs = {_asked(row, fields) for row in other.rows}
    kept = tuple(row for row in dataset.rows if _asked(row, fields) not in theirs)
    if not kept:
        raise MctError(
            f"every row of {dataset.name} is also an evaluation row", "calibrate on texts you do not evaluate on"
        )
    return replace(dataset, rows=kept)


def _asked(row: Row, fields: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(str(row[field]) for field in fields)


def _shop_messages(task: str) -> Dataset:
    """Messages of the built-in generator: real enough to tell two models apart, for when no file was given."""
    from mct.models.manga_intents import generate

    texts = [row["text"] for row in generate(0, production=1000, synthetic=200).test]
    columns = [texts[shift:] + texts[:shift] for shift, _ in enumerate(find_task(task).inputs)]
    rows = tuple(dict(zip(find_task(task).inputs, asked, strict=True)) for asked in zip(*columns, strict=True))
    return Dataset("built-in shop messages", rows, "")
