"""What a plan works on: rows to calibrate with, texts to check parity on, the machine, the seed.

Answers to texts that a model was fitted to, or its ranges taken from, are surer than answers to others, and so agree
more often. So no row serves both: what stands in both files is used for neither, and where no evaluation file is given
a part of the calibration rows is held out. What was checked on, and what was left out, stands in the artifact.
"""

import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mct import MctError
from mct.compress.plan.passes import Resources
from mct.compress.plan.plan import Plan
from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.data.card import read_card
from mct.models.tasks.datasets import Dataset, read_dataset
from mct.models.tasks.examples import Request, Row, find_kind
from mct.models.tasks.table import Task, find_task
from mct.targets.machine import Machine, probe_machine

PARITY_REQUESTS = 500

# Of so many queries, prompts or texts to calibrate on one is held out where no evaluation file is given.
HELD_OUT = 5

# Documents that the built-in messages offer for each query.
DOCUMENTS = 5


@dataclass(frozen=True)
class Source:
    """Where the texts come from that parity was checked on.

    `name` is the file's, or "built-in shop messages", `sha256` that of the file's content. `rows` are those that
    requests were drawn from; `left_out` those that are calibration rows too and were not used. `held_out` says that the
    file is that of the calibration rows, of which these were kept back.
    """

    name: str
    sha256: str
    rows: int
    left_out: int = 0
    held_out: bool = False

    def as_json(self) -> dict[str, Any]:
        """Plain values, for mct.json."""
        return asdict(self)


@dataclass(frozen=True)
class ParityTexts:
    """The requests that exports are checked on, in the order in which they are asked, and where they come from."""

    requests: tuple[Request, ...]
    source: Source


def gather(
    plan: Plan,
    data: Path | None,
    evaluation: Path | None,
    renames: Mapping[str, str],
    seed: int,
    machine: Machine | None = None,
) -> tuple[Resources, ParityTexts]:
    """The resources of a plan, and the texts its exports are checked on (at most 500 requests, drawn by `seed`).

    Files that are not given are taken from the checkpoint's own `data` folder where it has one (`train.jsonl`,
    `test.jsonl`). Without an evaluation file every fifth calibration row is held out (all rows of a query together);
    without either the built-in shop messages serve. `machine` is what artifacts are made for, this one if None.
    MctError where a calibrated pass has no texts, and where nothing is left to check on or to calibrate with.
    """
    checkpoint = plan.checkpoint
    calibration = _texts(checkpoint, data, "train.jsonl", renames)
    checked_on = _texts(checkpoint, evaluation, "test.jsonl", renames)
    for route in plan.routes:
        needs = ", ".join(row.name for row in route.work if row.texts == "needed")
        if needs and calibration is None:
            raise MctError(f"{route.name} needs texts of your own ({needs}), and none were given", "add --data FILE")
    inputs = find_task(checkpoint.task).inputs
    if checked_on is not None:
        calibration, checked_on, source = _apart(calibration, checked_on, inputs)
    elif calibration is not None:
        calibration, checked_on, source = _hold_out(calibration, inputs[0], seed)
    else:
        checked_on = shop_messages(checkpoint.task)
        source = Source(checked_on.name, checked_on.sha256, len(checked_on.rows))
    requests = find_kind(checkpoint.task).texts(checked_on.rows)
    # In random order, because many files are sorted by label or by length.
    drawn = tuple(random.Random(seed).sample(requests, min(len(requests), PARITY_REQUESTS)))
    return Resources(checkpoint, calibration, machine or probe_machine(), seed), ParityTexts(drawn, source)


def _texts(checkpoint: Checkpoint, given: Path | None, own: str, renames: Mapping[str, str]) -> Dataset | None:
    path = given or checkpoint.path / "data" / own
    if given is None and not path.is_file():
        return None
    return replace(read_dataset(path, _asking(checkpoint.task), renames), card=read_card(path))


def _asking(task: str) -> Task:
    """The task as calibration and parity need it: no truth."""
    found = find_task(task)
    return replace(found, fields=found.inputs)


def _apart(
    calibration: Dataset | None, checked_on: Dataset, fields: tuple[str, ...]
) -> tuple[Dataset | None, Dataset, Source]:
    """Both without the rows that ask the same in both."""
    if calibration is None:
        return None, checked_on, Source(checked_on.name, checked_on.sha256, len(checked_on.rows))
    theirs, ours = ({_asked(row, fields) for row in each.rows} for each in (calibration, checked_on))
    left = tuple(row for row in checked_on.rows if _asked(row, fields) not in theirs)
    kept = tuple(row for row in calibration.rows if _asked(row, fields) not in ours)
    if not left:
        raise MctError(
            f"every row of {checked_on.name}, which answers are compared on, is also a row of {calibration.name}",
            "name texts that the model was neither trained nor calibrated on: --eval FILE",
        )
    if not kept:
        raise MctError(
            f"every row of {calibration.name} is also an evaluation row", "calibrate on texts you do not evaluate on"
        )
    source = Source(checked_on.name, checked_on.sha256, len(left), left_out=len(checked_on.rows) - len(left))
    return replace(calibration, rows=kept), replace(checked_on, rows=left), source


def _hold_out(calibration: Dataset, field: str, seed: int) -> tuple[Dataset, Dataset, Source]:
    """The calibration rows but for a fifth, and that fifth; rows with the same `field` stay together."""
    asked = sorted({_asked(row, (field,)) for row in calibration.rows})
    if len(asked) < 2:
        raise MctError(
            f"{calibration.name} asks one thing only: too little to calibrate on and to compare answers on",
            "give other texts for comparing: --eval FILE",
        )
    chosen = set(random.Random(seed).sample(asked, max(1, len(asked) // HELD_OUT)))
    kept = tuple(row for row in calibration.rows if _asked(row, (field,)) not in chosen)
    out = tuple(row for row in calibration.rows if _asked(row, (field,)) in chosen)
    source = Source(calibration.name, calibration.sha256, len(out), held_out=True)
    return replace(calibration, rows=kept), replace(calibration, rows=out), source


def _asked(row: Row, fields: tuple[str, ...]) -> tuple[str, ...]:
    """What a row asks: capitals and spaces, which many models do not see, make no other text of it."""
    return tuple(" ".join(str(row[field]).casefold().split()) for field in fields)


def shop_messages(task: str) -> Dataset:
    """Messages of the built-in generator: real enough to tell two models apart, for when no file was given."""
    from mct.models.scenarios.shop.intents import generate

    texts = [row["text"] for row in generate(0, production=1000, synthetic=200).test]
    fields = find_task(task).inputs
    shifts = [(0, shift) for shift in range(1, DOCUMENTS + 1)] if "doc" in fields else [range(len(fields))]
    rows = tuple(
        {field: texts[(place + step) % len(texts)] for field, step in zip(fields, shift, strict=True)}
        for place in range(len(texts))
        for shift in shifts
    )
    return Dataset("built-in shop messages", rows, "")
