"""Data sets: the rows of a data file, every one with the fields of the task.

A row may name its document by `doc_id` instead of holding its text in `doc`: then `docs.jsonl` (or .jsonl.gz, .csv)
beside the data file has the texts. What a row asks and what is right then is the task kind's business: `read_examples`
hands the rows to it.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mct import MctError
from mct.models.data_files import KINDS, DataFile, Row, read_data_file
from mct.models.examples import Example, find_kind
from mct.models.tasks import Head, Task, find_task


@dataclass(frozen=True)
class Dataset:
    """Rows of one data file, in file order. `sha256` of its bytes says exactly what a result was scored on.

    Where the rows' documents come from a file of their own, the hash is of both.
    """

    name: str
    rows: tuple[Row, ...]
    sha256: str

    def column(self, field: str) -> list[Any]:
        """One field of every row, in order."""
        return [row[field] for row in self.rows]


def read_dataset(path: Path, task: Task, renames: Mapping[str, str] | None = None) -> Dataset:
    """Read a data file; every row has the task's fields.

    `renames` maps our field name to the file's ({"text": "utterance"}). MctError names file, line and field.
    """
    found = read_data_file(path, renames or {})
    if not found.rows:
        raise MctError(f"{path} has no rows", f"one row per line, each with {' and '.join(task.fields)}")
    if "doc" in task.fields and any("doc_id" in row and "doc" not in row for row in found.rows):
        found = _with_documents(path, found, renames or {})
    for number, row in enumerate(found.rows, start=1):
        _check_fields(path, number, row, task)
    return Dataset(path.name, found.rows, found.sha256)


def _with_documents(path: Path, found: DataFile, renames: Mapping[str, str]) -> DataFile:
    """The rows with the texts of the documents that they name."""
    beside = [path.with_name(f"docs{kind}") for kind in KINDS]
    source = next((each for each in beside if each.is_file()), None)
    if source is None:
        names = ", ".join(each.name for each in beside)
        raise MctError(
            f"{path} names documents by 'doc_id', and there are none beside it",
            f"put their texts there, with doc_id and doc, as one of: {names}",
        )
    documents = read_data_file(source, renames)
    texts = {str(row.get("doc_id", row.get("id"))): row.get("doc") for row in documents.rows}
    rows = tuple(row if "doc" in row else {**row, "doc": texts.get(str(row.get("doc_id")))} for row in found.rows)
    for number, row in enumerate(rows, start=1):
        if row["doc"] in (None, ""):
            raise MctError(
                f"{path} row {number}: {source.name} has no text for document {row.get('doc_id')!r}",
                f"its rows need doc_id (or id) and doc; name a column, like --field doc=NAME: {_fields(documents)}",
            )
    return DataFile(rows, hashlib.sha256(f"{found.sha256} {documents.sha256}".encode()).hexdigest())


def _fields(found: DataFile) -> str:
    return f"it has {', '.join(found.rows[0])}" if found.rows else "it has no rows"


def read_examples(dataset: Dataset, task: str, heads: Sequence[Head]) -> tuple[Example, ...]:
    """What the rows ask and what is right, in file order; one example may take several rows (a query's documents).

    Of a model with several heads only the fields that they answer count. MctError where a row lacks one of these.
    """
    rows = dataset.rows if find_task(task).head else _of_heads(dataset, heads)
    return find_kind(task).read(rows)


def check_labels(dataset: Dataset, task: str, heads: Sequence[Head]) -> None:
    """MctError when the data has a label that no head of the model knows."""
    if not heads:
        return
    labels, known = find_kind(task).labels, {label for head in heads for label in head.labels}
    found = {label for example in read_examples(dataset, task, heads) for label in labels(example.truth)}
    strange = sorted(found - known)
    if strange:
        some = ", ".join(repr(label) for label in strange[:3]) + (", …" if len(strange) > 3 else "")
        few = ", ".join(sorted(known)[:5]) + (", …" if len(known) > 5 else "")
        raise MctError(
            f"{dataset.name} has {len(strange)} label(s) the model does not know: {some}", f"the model's labels: {few}"
        )


def _of_heads(dataset: Dataset, heads: Sequence[Head]) -> tuple[Row, ...]:
    """The rows of several heads, with the fields they ask and answer alone; all fields where there are no heads."""
    if not heads:
        return dataset.rows
    names = ("text", *(head.name for head in heads))
    for number, row in enumerate(dataset.rows, start=1):
        for head in heads:
            _check_head(f"{dataset.name} row {number}", row, head)
    return tuple({name: row[name] for name in names} for row in dataset.rows)


def _check_head(place: str, row: Row, head: Head) -> None:
    if row.get(head.name) in (None, ""):
        raise MctError(
            f"{place} has no {head.name!r}, which a head of the model answers",
            f"name the column, like --field {head.name}=NAME",
        )
    wanted, is_so = _HEAD_FORMS[head.kind]
    if not is_so(row[head.name], row):
        raise MctError(f"{place}: {head.name!r} is not {wanted}", f"it is {str(row[head.name])[:60]!r}")


def _check_fields(path: Path, number: int, row: Row, task: Task) -> None:
    for field in task.fields:
        if row.get(field) in (None, ""):
            has = ", ".join(sorted(row)) or "nothing"
            raise MctError(
                f"{path} row {number} has no {field!r} (it has {has})", f"name the column, like --field {field}=NAME"
            )
        wanted, is_so = _FORMS.get(field, _TEXT)
        if not is_so(row[field], row):
            raise MctError(f"{path} row {number}: {field!r} is not {wanted}", f"it is {str(row[field])[:60]!r}")


def _is_number(value: Any, row: Row) -> bool:
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError):
        return False


def _has_a_tag_for_each_word(value: Any, row: Row) -> bool:
    tags = value.split() if isinstance(value, str) else value
    return isinstance(tags, list) and len(tags) == len(str(row.get("text", "")).split())


Form = tuple[str, Callable[[Any, Row], bool]]

# What a field has to look like: in words, and as a check of its value in its row.
_TEXT: Form = ("a text", lambda value, row: isinstance(value, str))
_LABEL: Form = ("one label", lambda value, row: isinstance(value, str | int | float))
_LABELS: Form = ("a list of labels (CSV cannot hold one)", lambda value, row: isinstance(value, list))
_TAGS: Form = ("one tag for each word of the text", _has_a_tag_for_each_word)
_FORMS = {"label": _LABEL, "labels": _LABELS, "slots": _TAGS, "grade": ("a number", _is_number)}
_HEAD_FORMS = {"label": _LABEL, "labels": _LABELS, "tags": _TAGS}
