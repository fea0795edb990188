"""Data files as a check reads them: what each row asks as texts, what is right as one name, both beside the rows."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mct import MctError
from mct.models.data.declared import require_file
from mct.models.data.files import SUFFIXES, DataFile, Row, read_data_file
from mct.models.tables import unknown
from mct.models.tasks.datasets import read_dataset
from mct.models.tasks.table import Task, find_task, tasks


@dataclass(frozen=True)
class Split:
    """One file's rows.

    `texts` are all that a row asks, `asked` its first field alone (a pair's query), `truths` what is right, as one
    name; `labelled` says that this is a label. All have an entry a row. `sha256` is what a bench on the file calls it.
    """

    name: str
    path: Path
    task: Task
    rows: tuple[Row, ...]
    sha256: str
    texts: tuple[str, ...]
    asked: tuple[str, ...]
    truths: tuple[str, ...]

    @property
    def labelled(self) -> bool:
        """Whether each row has one label."""
        return self.task.head == "label"


def read_splits(paths: Sequence[Path], task: str, renames: Mapping[str, str]) -> tuple[Split, ...]:
    """The files under names that differ; `task` "" is what the first file's rows have the fields of."""
    for path in paths:
        require_file(path)  # links in a circle have no end to resolve
    if len({path.resolve() for path in paths}) < len(paths):
        raise MctError("the same file is given twice", "name each file once")
    require_columns(paths, renames)
    row = find_task(task) if task else task_of_rows(read_data_file(paths[0], renames), paths[0])
    names = [path.name for path in paths]
    short = [path.name if names.count(path.name) == 1 else f"{path.parent.name}/{path.name}" for path in paths]
    if len(set(short)) < len(short):
        short = [str(path) for path in paths]
    return tuple(_read(path, name, row, renames) for path, name in zip(paths, short, strict=True))


def require_columns(paths: Sequence[Path], renames: Mapping[str, str]) -> None:
    """MctError for a column named to be renamed that no row of these files has, nor of the documents that they name."""
    if not renames:
        return
    columns: set[str] = set()
    for path in paths:
        found = _columns(path)
        if renames.get("doc_id", "doc_id") in found:
            beside = [path.with_name(f"docs{suffix}") for suffix in SUFFIXES]
            found = found.union(*(_columns(each) for each in beside if each.is_file()))
        columns |= found
    for ours, theirs in renames.items():
        if theirs not in columns:
            raise unknown(f"column of --field {ours}:", theirs, columns)


def _columns(path: Path) -> set[str]:
    return {name for row in read_data_file(path, {}).rows for name in row}


def task_of_rows(found: DataFile, path: Path) -> Task:
    """The task whose fields the first row has, and most of these; texts alone are a language model's.

    A document may be named instead (`doc_id`): its text stands in a file beside.
    """
    if not found.rows:
        raise MctError(f"{path} has no rows", "give a file with rows: one an object a line, or below a header")
    first = found.rows[0]
    if "doc_id" in first:
        first = {"doc": first["doc_id"], **first}
    having = [each for each in tasks() if all(first.get(name) not in (None, "") for name in each.fields)]
    told = [each for each in having if len(each.fields) > len(each.inputs) or each.name == "reward"]
    if told:
        return max(told, key=lambda each: len(each.fields))
    if having:
        return find_task("causal-lm")
    has = ", ".join(first) or "no fields"
    raise MctError(
        f"{path}: row 1 has {has}, which no task asks for", "say what is what: --task NAME, --field text=COLUMN"
    )


def _read(path: Path, name: str, task: Task, renames: Mapping[str, str]) -> Split:
    # A file without labels is still texts, which others may be compared with: only what is asked must be there.
    found = read_dataset(path, replace(task, fields=task.inputs), renames)
    answers = [field for field in task.fields if field not in task.inputs]
    if answers and all(answer in found.rows[0] for answer in answers):
        found = read_dataset(path, task, renames)
    truths = tuple(_truth(row, answers) for row in found.rows)
    texts = tuple("\n".join(_text(row[field]) for field in task.inputs) for row in found.rows)
    asked = tuple(_text(row[task.inputs[0]]) for row in found.rows)
    return Split(name, path, task, found.rows, found.sha256, texts, asked, truths)


def _truth(row: Row, answers: Sequence[str]) -> str:
    """A label as it is, anything else as JSON writes it; "" where the row says nothing."""
    values = [row[field] for field in answers if field in row]
    if len(values) == 1 and isinstance(values[0], str | int):
        return str(values[0])
    return json.dumps(values, ensure_ascii=False) if values else ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "\n".join(map(str, value)) if isinstance(value, list) else str(value)
