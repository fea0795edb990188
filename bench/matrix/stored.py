"""A matrix as values and as a file: artifacts by targets, what each cell holds, and the choice of each target.

It repeats of every target's own result what a table needs, so that the file can travel alone; the results themselves
lie in the store as those of any bench, by the names that it gives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct, to_builtins

from mct import MctError
from mct.bench.judge.line import Outcome
from mct.bench.report.table import failure_in_words, in_words
from mct.bench.store.result import Data, RunId
from mct.bench.store.stored_result import Choice
from mct.models.data.declared import HINT, Amount, Count, Index, Name, Positive, Share, declared, read_object

KIND: Final = "mct-matrix"
SCHEMA: Final = 1
FOLDER = "matrix"
"""Of the store; where neither mct report nor mct gate looks for runs."""

Bounds = tuple[float, float]


class Cell(Struct, frozen=True, forbid_unknown_fields=True):
    """One artifact on one target. `reasons` say what did not pass; `failure` why it could not be measured.

    `writing` tells in words how a language model writes there: first token, each further one, reading and writing.

    Of `compared` answers `flips` differ from those of the first target that gave any; None where answers are no labels.
    """

    artifact: Name
    format: Name
    precision: Name
    p50_ms: Positive | None
    p95_ms: Positive | None
    p95_ci_ms: Bounds | None
    quality: Share | None
    delta: float | None
    delta_ci: Bounds | None
    peak_rss_mb: Amount | None
    cost_per_1000: Amount | None
    outcome: Outcome | None
    reasons: list[str] = []
    failure: str = ""
    writing: str = ""
    flips: Index | None = None
    compared: Index | None = None


class Reason(Struct, frozen=True, forbid_unknown_fields=True):
    """Why a whole target could not be measured on."""

    message: str
    hint: str


class Column(Struct, frozen=True, forbid_unknown_fields=True):
    """One target: its result's file in the store and its cells, or the reason why there are none."""

    target: Name
    about: str
    machine: str
    threads: Count | None
    price_per_hour: Amount | None
    result: str | None
    cells: list[Cell]
    choice: Choice | None
    failure: Reason | None
    fingerprint: str = ""


class Matrix(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole. `flips_against` is the target whose answers the others' are held against."""

    schema: Literal[1]
    kind: Literal["mct-matrix"]
    id: RunId
    created: Name
    mct_version: Name
    data: Data
    budget: Name | None
    baseline: Name | None
    metric: str
    flips_against: Name | None
    outcome: Outcome
    targets: Annotated[list[Column], Meta(min_length=1)]

    @property
    def artifacts(self) -> list[str]:
        """The names of all artifacts, in the order of the first target that has them."""
        return list(dict.fromkeys(cell.artifact for column in self.targets for cell in column.cells))

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        found: dict[str, Any] = to_builtins(self)
        return found


def is_matrix(path: Path) -> bool:
    """Whether the file says that it is one. MctError where it is no JSON object."""
    return read_object(path).get("kind") == KIND


def read_matrix(path: Path) -> Matrix:
    """A stored matrix. MctError where it is none, or of another schema."""
    found = read_object(path)
    if found.get("kind") != KIND or found.get("schema") != SCHEMA:
        raise MctError(f"{path} is no matrix of schema {SCHEMA}", "make one with: mct bench --target cpu,cpu-1")
    matrix = declared(found, Matrix, str(path))
    for column in matrix.targets:
        _check(column, path)
    return matrix


def _check(column: Column, path: Path) -> None:
    """MctError where a column ships what it has no cell of, or counts flips of an unknown number of answers."""
    if column.choice and column.choice.fastest not in {None, *(cell.artifact for cell in column.cells)}:
        raise MctError(f"{path}: {column.target} ships {column.choice.fastest}, which it has no cell of", HINT)
    for cell in column.cells:
        if (cell.flips is None) is not (cell.compared is None):
            raise MctError(f"{path}: {cell.artifact} on {column.target} has only one of flips and compared", HINT)


def cell_of(entry: Mapping[str, Any], flips: tuple[int, int] | None) -> Cell:
    """The cell of one artifact of a stored result, and how many of its answers flipped, of how many."""
    latency, quality, verdict = entry["latency"] or {}, entry["quality"] or {}, entry["verdict"]
    lines = [line for line in (verdict or {"lines": ()})["lines"] if line["outcome"] != "pass"]
    failure = entry["failure"]
    return Cell(
        entry["artifact"], entry["format"], entry["precision"], latency.get("p50_ms"), latency.get("p95_ms"),
        latency.get("p95_ci_ms"), quality.get("value"), quality.get("delta"), quality.get("delta_ci"),
        entry["peak_rss_mb"], entry["cost_per_1000"], _outcome(verdict, failure),
        [] if failure else [f"{line['limit']}: {line['measured']}" for line in lines],
        failure_in_words(failure) if failure else "", "; ".join(in_words(entry["writing"])) if entry["writing"] else "",
        *(flips or (None, None)),
    )  # fmt: skip


def _outcome(verdict: Mapping[str, Any] | None, failure: Mapping[str, Any] | None) -> Outcome | None:
    if failure:
        return "fail"
    outcome: Outcome | None = verdict["outcome"] if verdict else None
    return outcome


def flips_between(answers: Sequence[Any], first: Sequence[Any]) -> tuple[int, int]:
    """How many of these answers differ from those of the first target, and of how many."""
    return sum(one != other for one, other in zip(answers, first, strict=True)), len(first)
