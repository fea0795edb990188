"""Production's log: a row a request, as JSON Lines, in the order of time.

    {"time": "2026-11-28T20:00:00Z", "text": "where is my order", "answer": "order_tracking", "confidence": 0.97,
     "latency_ms": 4.2, "deferred": false, "group": "conversation 17"}

All fields may be missing, and others may be there; whoever may not keep texts logs `tokens`, their number. `deferred`
says whether a cascade asked its second stage. `group` is what belongs together, a conversation. What a log does not
hold is not watched.
"""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct

from mct import MctError
from mct.models.data.declared import Index, Share, parse_json, read_bytes
from mct.models.data.files import unpacked

HINT = 'one object per line, like {"text": "…", "answer": "…", "confidence": 0.9, "latency_ms": 4.2}'
LONGEST_MS = 1e9
"""Eleven days: what is said to have taken longer was not timed."""
HEAD = 20
"""First lines by which a log is told from its reference, and one that lost rows known; one alone may be the same."""
MARK = 16
"""Digits of a mark: of the SHA-256 of a log's first rows, by which one that was cut off is told from another log."""
Moment = str | Annotated[float, Meta(ge=0, le=1e11)]


class Row(Struct, frozen=True):
    """One request as it was answered."""

    text: str | None = None
    tokens: Index | None = None
    answer: Any = None
    confidence: Share | None = None
    latency_ms: Annotated[float, Meta(ge=0, le=LONGEST_MS)] | None = None
    deferred: bool | None = None
    time: Moment | None = None
    group: str | int | None = None


@dataclass(frozen=True)
class Log:
    """The rows of one file, and the lines that they stand on.

    `sorted_lines` is the SHA-256 of all lines in the order of their bytes: the same rows, however they were sorted.
    `head` holds the first lines, each by its own.
    """

    name: str
    rows: tuple[Row, ...]
    lines: tuple[bytes, ...]
    sorted_lines: str
    head: tuple[str, ...]

    def is_same_as(self, other: Log) -> bool:
        """Whether both hold the same rows, or begin alike so far that one is the other grown."""
        begun = min(len(self.head), len(other.head))
        return begun > 0 and (self.sorted_lines == other.sorted_lines or self.head[:begun] == other.head[:begun])

    def digests(self, counts: Collection[int]) -> dict[int, str]:
        """The SHA-256 of its first rows, so many as each of `counts` says and it has: what it is known by."""
        found, digest = {}, hashlib.sha256()
        for number, line in enumerate(self.lines, start=1):
            digest.update(line + b"\n")
            if number in counts:
                found[number] = digest.hexdigest()
        return found

    @property
    def begins(self) -> str:
        """The SHA-256 of its first `HEAD` lines."""
        return hashlib.sha256("".join(self.head).encode()).hexdigest()


def marks_to(rows: int) -> list[int]:
    """How many first rows of a log a mark is kept of: from `HEAD` on, each a twentieth more than the one before."""
    found, count = [], HEAD
    while count <= rows:
        found.append(count)
        count += max(1, count // 20)
    return found


def read_log(path: Path) -> Log:
    """A log, .jsonl or .jsonl.gz. MctError, with its line, where a row is none; a last line cut short is left out."""
    read = unpacked(path, read_bytes(path, HINT)).removeprefix(codecs.BOM_UTF8).split(b"\n")
    whole = [(number, line.strip()) for number, line in enumerate(read[:-1], start=1) if line.strip()]
    rows = tuple(parse_json(line, Row, f"{path} line {number}", HINT) for number, line in whole)
    lines = tuple(line for _, line in whole)
    head = tuple(hashlib.sha256(line).hexdigest() for line in lines[:HEAD])
    return Log(path.name, rows, lines, hashlib.sha256(b"\n".join(sorted(lines))).hexdigest(), head)


def in_order(rows: Sequence[Row]) -> list[Row]:
    """The rows by their time where all have one, as they came otherwise."""
    times = [_moment(row.time) for row in rows]
    if any(time is None for time in times):
        return list(rows)
    order = sorted(range(len(rows)), key=lambda place: times[place] or 0.0)
    return [rows[place] for place in order]


def _moment(time: Moment | None) -> float | None:
    """Seconds since 1970."""
    if time is None or isinstance(time, float):
        return time
    try:
        found = datetime.fromisoformat(time)
    except ValueError as error:
        raise MctError(
            f"{time!r:.60} is no time", "write times like 2026-11-28T20:00:00Z, or as seconds since 1970"
        ) from error
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
