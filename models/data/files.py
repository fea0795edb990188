"""What a data file holds: JSON Lines, .jsonl.gz or CSV with a header, as plain rows and the hash of their bytes."""

import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mct import MctError
from mct.models.data.declared import parse_json, read_bytes

Row = Mapping[str, Any]
SUFFIXES = (".jsonl", ".jsonl.gz", ".csv")
MOST_BYTES = 2**31
"""A file that unpacks to more is no evaluation set, and may be there to fill the memory."""

HINT = "give a .jsonl, .jsonl.gz or .csv file"


@dataclass(frozen=True)
class DataFile:
    """Rows in file order, with our names for their fields, and the SHA-256 of the file as it is when not compressed."""

    rows: tuple[Row, ...]
    sha256: str


def read_data_file(path: Path, renames: Mapping[str, str]) -> DataFile:
    """Read a file; `renames` maps our field name to the file's ({"text": "utterance"}).

    MctError, naming file and line, where it is missing, cut off or of another kind.
    """
    content = unpacked(path, read_bytes(path, HINT))
    rows = tuple(_rename(row, renames) for row in _parse(path, content))
    return DataFile(rows, hashlib.sha256(content).hexdigest())


def unpacked(path: Path, content: bytes) -> bytes:
    """What a file holds once its gzip packing is off, if it has one. MctError where it is damaged or far too much."""
    try:
        if path.suffix.lower() != ".gz":
            return content
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as packed:
            unpacked = packed.read(MOST_BYTES + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise MctError(f"{path} is not a complete gzip file", "it may have been cut off: copy it again") from error
    if len(unpacked) > MOST_BYTES:
        raise MctError(f"{path} unpacks to more than {MOST_BYTES >> 30} GiB", "give a part of it")
    return unpacked


def _parse(path: Path, content: bytes) -> Iterator[Row]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MctError(f"{path} is not UTF-8 text", "save it as UTF-8") from error
    suffix = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    if suffix == "csv":
        return _parse_csv(path, text)
    if suffix in {"jsonl", "json", "ndjson"}:
        return _parse_lines(path, text)
    raise MctError(f"{path} has an unknown kind of data file", HINT)


def _parse_lines(path: Path, text: str) -> Iterator[Row]:
    """One JSON object a line."""
    hint = 'one object per line, like {"text": "…", "label": "…"}'
    for number, line in enumerate(io.StringIO(text, newline="\n"), start=1):
        if line.strip():
            yield parse_json(line.encode(), dict[str, Any], f"{path} line {number}", hint)


def _parse_csv(path: Path, text: str) -> Iterator[Row]:
    """One row a line, the first naming the columns."""
    if "\0" in text:
        raise MctError(f"{path} is no CSV text: it holds NUL bytes", "save it as UTF-8")
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        names = next(lines, [])
        if len(set(names)) < len(names):
            raise MctError(f"{path} names a column twice in its header: {', '.join(names)}", "rename one of them")
        for cells in filter(None, lines):
            if len(cells) != len(names):
                raise MctError(
                    f"{path} line {lines.line_num} has {len(cells)} cells, its header {len(names)}",
                    'a text with a comma stands in "quotes"',
                )
            yield dict(zip(names, cells, strict=True))
    except csv.Error as error:
        raise MctError(
            f"{path} line {lines.line_num} is not CSV: {error}",
            "a quote that is not closed looks like this; really long texts go into .jsonl",
        ) from error


def _rename(row: Row, renames: Mapping[str, str]) -> Row:
    """The row by our names; read from the row as it was, since one field's old name may be another's new one."""
    found = {ours: theirs for ours, theirs in renames.items() if theirs in row}
    kept = {name: value for name, value in row.items() if name not in found.values()}
    return kept | {ours: row[theirs] for ours, theirs in found.items()}
