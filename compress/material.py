"""What a plan works on: texts to calibrate with, texts to check parity on, the machine, the seed.

Calibration texts are never evaluation texts: rows that stand in both are left out of the calibration.
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
from mct.models.tasks import find_task
from mct.targets.machine import probe_machine

PARITY_TEXTS = 500


def gather(
    plan: Plan, data: Path | None, evaluation: Path | None, renames: Mapping[str, str], seed: int
) -> tuple[Material, list[str]]:
    """The material of a plan, and the texts its exports are checked on (at most 500, drawn by `seed`).

    Files that are not given are taken from the checkpoint's own `data` folder where it has one. Without evaluation
    texts the built-in shop messages serve. MctError where a calibrated pass has no texts.
    """
    checkpoint = plan.checkpoint
    calibration = _texts(checkpoint, data, "train.jsonl", renames)
    checked_on = _texts(checkpoint, evaluation, "test.jsonl", renames)
    if calibration and checked_on:
        calibration = _without(calibration, set(checked_on.column("text")))
    for route in plan.routes:
        if route.calibrated and calibration is None:
            raise MctError(f"{route.name} is calibrated on your own texts, and none were given", "add --data FILE")
    texts = _drawn((checked_on or calibration or _shop_messages()).column("text"), seed)
    return Material(checkpoint, calibration, probe_machine(), seed), texts


def _drawn(texts: list[str], seed: int) -> list[str]:
    """At most `PARITY_TEXTS` of them, in file order; drawn, because many files are sorted by label."""
    if len(texts) <= PARITY_TEXTS:
        return texts
    return [texts[row] for row in sorted(random.Random(seed).sample(range(len(texts)), PARITY_TEXTS))]


def _texts(checkpoint: Checkpoint, given: Path | None, own: str, renames: Mapping[str, str]) -> Dataset | None:
    path = given or checkpoint.path / "data" / own
    if given is None and not path.is_file():
        return None
    return read_dataset(path, replace(find_task(checkpoint.task), fields=("text",)), renames)


def _without(dataset: Dataset, texts: set[str]) -> Dataset:
    kept = tuple(row for row in dataset.rows if row["text"] not in texts)
    if not kept:
        raise MctError(
            f"every text of {dataset.name} is also an evaluation text", "calibrate on texts you do not evaluate on"
        )
    return replace(dataset, rows=kept)


def _shop_messages() -> Dataset:
    """Messages of the built-in generator: real enough to tell two models apart, for when no file was given."""
    from mct.models.manga_intents import generate

    return Dataset("built-in shop messages", tuple(generate(0, production=1000, synthetic=200).test), "")
