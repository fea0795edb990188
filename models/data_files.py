"""What a data file holds: JSON Lines, .jsonl.gz or CSV with a header, as plain rows and the hash of their bytes."""

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mct import MctError

Row = Mapping[str, Any]
KINDS = (".jsonl", ".jsonl.gz", ".csv")


@dataclass(frozen=True)
class DataFile:
    """Rows in file order, with our names for their fields, and the SHA-256 of the file as it is when not compressed."""

    rows: tuple[Row, ...]
    sha256: str


def read_data_file(path: Path, renames: Mapping[str, str]) -> DataFile:
    """Read a file; `renames` maps our field name to the file's ({"text": "utterance"}).

    MctError, naming file and line, where it is missing, cut off or of another kind.
    """
    raw = _read_bytes(path)
    rows = tuple(_rename(row, renames) for row in _parse(path, raw))
    return DataFile(rows, hashlib.sha256(raw).hexdigest())


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
