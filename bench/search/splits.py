"""Which rows a search learns from, which it chooses by, and which it judges its winner on: three parts, none shared.

Whoever chooses among candidates by some rows has fitted the choice to them, so the winner is judged on rows that
nothing was chosen by. Rows with the same question stay together, and what asks the same as a row to be judged on, or to
choose by, is not learned from.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mct import MctError
from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.tasks.datasets import check_labels, read_dataset
from mct.models.tasks.examples import Row
from mct.models.tasks.table import find_task
from mct.models.writing.folders import write_atomically

DEV_SHARE, MOST_DEV = 0.15, 2000
FINAL_SHARE = 0.2


@dataclass(frozen=True)
class Splits:
    """The three files. `unseen`: the checkpoint was not trained on the rows to choose by, as its owner says."""

    train: Path
    dev: Path
    final: Path
    unseen: bool


def make_splits(
    checkpoint: Checkpoint, folder: Path, data: Path, dev: Path | None, evaluation: Path | None,
    renames: Mapping[str, str], seed: int,
) -> Splits:  # fmt: skip
    """Write train.jsonl, dev.jsonl and final.jsonl below `folder`. MctError where a part would be empty.

    Rows of `data` that say no label are learned from too: the checkpoint answers them.
    """
    task = find_task(checkpoint.task)
    given = read_dataset(data, replace(task, fields=task.inputs), renames)
    asked: Sequence[Row] = [row for row in given.rows if all(field in row for field in task.fields)]
    untold = [row for row in given.rows if not all(field in row for field in task.fields)]
    named = [read_dataset(path, task, renames) for path in (dev, evaluation) if path]
    for dataset in (replace(given, rows=tuple(asked)), *named):  # said now, and not after an hour of teaching
        check_labels(dataset, checkpoint.task, checkpoint.heads)
    drawn = random.Random(seed)
    final: Sequence[Row] = read_dataset(evaluation, task, renames).rows if evaluation else ()
    first = task.inputs[0]
    if not final:
        asked, final = _held_out(asked, first, FINAL_SHARE, drawn)
    if dev:
        chosen: Sequence[Row] = read_dataset(dev, task, renames).rows
    else:
        share = min(DEV_SHARE, MOST_DEV / max(1, len(asked)))
        asked, chosen = _held_out(asked, first, share, drawn)
    chosen = _without(chosen, final, task.inputs)
    asked = _without([*asked, *untold], [*final, *chosen], task.inputs)
    parts = {"train": asked, "dev": chosen, "final": final}
    for name, part in parts.items():
        if not part:
            raise MctError(
                f"no rows are left to {'learn from' if name == 'train' else 'choose or judge by'} ({name})",
                "give more rows with --data, and others to judge on with --eval",
            )
        write_atomically(folder / f"{name}.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in part))
    files = {name: folder / f"{name}.jsonl" for name in parts}
    return Splits(**files, unseen=dev is not None)


def _held_out(
    rows: Iterable[Row], field: str, share: float, drawn: random.Random
) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """The rows but for a share of those that ask different things, and that share."""
    rows = tuple(rows)
    asked = sorted({_said(row, (field,)) for row in rows})
    out = set(drawn.sample(asked, max(1, round(share * len(asked))))) if len(asked) > 1 else set()
    kept = tuple(row for row in rows if _said(row, (field,)) not in out)
    return kept, tuple(row for row in rows if _said(row, (field,)) in out)


def _without(rows: Sequence[Row], others: Iterable[Row], fields: tuple[str, ...]) -> tuple[Row, ...]:
    known = {_said(row, fields) for row in others}
    return tuple(row for row in rows if _said(row, fields) not in known)


def _said(row: Row, fields: tuple[str, ...]) -> tuple[str, ...]:
    """What a row asks, without capitals and spaces, which many models do not see."""
    return tuple(" ".join(str(row[field]).casefold().split()) for field in fields)
