"""What a case of real.py is, and how its rows are written."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mct.models.tasks.examples import Row
from mct.models.writing.folders import write_atomically


@dataclass(frozen=True)
class Case:
    """A data set: the budget that holds its technique's metric, the forms to make, how its checkpoint is made, a title.

    `build` writes a checkpoint with its rows into a folder, and gives what its recipe.json is to say: `rows` and `test`
    (scores on the test rows) at least.
    """

    budget: str
    forms: Mapping[str, tuple[str, ...]]
    build: Callable[[Path], dict[str, Any]]
    title: str


def write_rows(folder: Path, train: Sequence[Row], test: Sequence[Row]) -> None:
    """Write data/train.jsonl and data/test.jsonl into the checkpoint's folder."""
    for name, rows in (("train", train), ("test", test)):
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_atomically(folder / "data" / f"{name}.jsonl", "".join(lines))
