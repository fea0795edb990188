"""Data files: JSON Lines, .jsonl.gz or CSV with a header, as plain rows that have the task's fields."""

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mct import MctError
from mct.models.tasks import Task

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Dataset:
    """Rows of one data file, in file order. `sha256` of its bytes says exactly what a result was scored on."""

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
    raw = _read_bytes(path)
    rows = tuple(_rename(row, renames or {}) for row in _parse(path, raw))
    if not rows:
        raise MctError(f"{path} has no rows", f"one row per line, each with {' and '.join(task.fields)}")
    for number, row in enumerate(rows, start=1):
        _check_fields(path, number, row, task)
    return Dataset(path.name, rows, hashlib.sha256(raw).hexdigest())


def check_labels(dataset: Dataset, labels: Iterable[str]) -> None:
    """MctError when the data has a label the model does not know."""
    known = set(labels)
    strange = sorted({str(label) for label in dataset.column("label")} - known)
    if strange:
        some = ", ".join(repr(label) for label in strange[:3]) + (", …" if len(strange) > 3 else "")
        few = ", ".join(sorted(known)[:5]) + (", …" if len(known) > 5 else "")
        raise MctError(
            f"{dataset.name} has {len(strange)} label(s) the model does not know: {some}", f"the model's labels: {few}"
        )


def _read_bytes(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if path.suffix == ".gz" else raw
    except FileNotFoundError as error:
        raise MctError(f"data file {path} does not exist", "give a .jsonl, .jsonl.gz or .csv file") from error
    except IsADirectoryError as error:
        raise MctError(f"{path} is a folder, not a data file", "give a .jsonl, .jsonl.gz or .csv file") from error
    except (gzip.BadGzipFile, EOFError) as error:
        raise MctError(f"{path} is not a complete gzip file", "it may have been cut off: copy it again") from error


def _parse(path: Path, raw: bytes) -> Iterator[Row]:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MctError(f"{path} is not UTF-8 text", "save it as UTF-8") from error
    kind = path.name.removesuffix(".gz").rpartition(".")[2].lower()
    if kind == "csv":
        yield from csv.DictReader(io.StringIO(text))
        return
    if kind not in {"jsonl", "json", "ndjson"}:
        raise MctError(f"{path} has an unknown kind of data file", "give a .jsonl, .jsonl.gz or .csv file")
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield _parse_line(path, number, line)


def _parse_line(path: Path, number: int, line: str) -> Row:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise MctError(f"{path} line {number} is not JSON: {error.msg}", "one JSON object per line") from error
    if not isinstance(row, dict):
        raise MctError(
            f"{path} line {number} is not a JSON object", 'one object per line, like {"text": "…", "label": "…"}'
        )
    return row


def _rename(row: Row, renames: Mapping[str, str]) -> Row:
    if not renames:
        return row
    renamed = dict(row)
    for ours, theirs in renames.items():
        if theirs in renamed:
            renamed[ours] = renamed.pop(theirs)
    return renamed


def _check_fields(path: Path, number: int, row: Row, task: Task) -> None:
    for field in task.fields:
        if row.get(field) in (None, ""):
            has = ", ".join(sorted(row)) or "nothing"
            raise MctError(
                f"{path} row {number} has no {field!r} (it has {has})", f"name the column, like --field {field}=NAME"
            )
