"""A matrix as Markdown: one table, a row for each artifact on each target, and below it what to ship where.

Names and reasons may come from elsewhere (a fork's folder, a host's stderr): a comment gets them escaped, as the
report's does.
"""

from __future__ import annotations

import json

from mct.bench.matrix.stored import Cell, Column, Matrix
from mct.bench.report.markdown import MARKER, escaped
from mct.bench.report.table import MARKS, NO_RUNTIME, figures_table, section, with_interval
from mct.models.data.declared import declared

COLUMNS = (
    "target", "artifact", "P50 ms", "P95 ms (95 % interval)", "quality", "other answers", "peak MB",
    "USD per 1,000", "verdict",
)  # fmt: skip
WORDS = (0, 1, 8)
NOTHING = "-"


def matrix_table(matrix: Matrix) -> str:
    """For a terminal, as it stands."""
    parts = (
        _headline(matrix), figures_table(COLUMNS, _rows(matrix), WORDS), ship(matrix), _written(matrix),
        _reasons(matrix), _context(matrix),
    )  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


def matrix_markdown(matrix: Matrix) -> str:
    """The same for a comment on a pull request, by its marker."""
    safe = declared(escaped(matrix.as_json()), Matrix, "the matrix")
    return f"{MARKER}\n\n### mct: {matrix_table(safe)}"


def matrix_json(matrix: Matrix) -> str:
    """As it is stored."""
    return json.dumps(matrix.as_json(), indent=2, ensure_ascii=False) + "\n"


def ship(matrix: Matrix) -> str:
    """Which artifact to ship where."""
    lines = [f"- **{column.target}**: {_shipped(column)}" for column in matrix.targets]
    return section("What to ship where:", lines) if matrix.budget else ""


def headline(matrix: Matrix) -> str:
    """The whole in one line."""
    reached = [column for column in matrix.targets if not column.failure]
    said = f"{len(matrix.artifacts)} artifacts on {len(reached)} of {len(matrix.targets)} targets"
    served = [column for column in reached if column.choice and column.choice.fastest]
    if matrix.budget is None:
        return f"{said}, measured without a budget"
    return f"{said}; {len(served)} of them have one that is shown to meet the budget {matrix.budget}"


def _headline(matrix: Matrix) -> str:
    return headline(matrix)


def _shipped(column: Column) -> str:
    if column.failure:
        return f"not measured: {column.failure.message}"
    choice = column.choice
    if choice and not choice.considered:
        return NO_RUNTIME
    if choice is None or choice.fastest is None:
        return "none of these is shown to meet the whole budget"
    among = f", chosen among {choice.considered}" if choice.considered > 1 else ""
    cell = next(each for each in column.cells if each.artifact == choice.fastest)
    said = f"**{choice.fastest}** (P95 {number(cell.p95_ms, 2)} ms{among})"
    if choice.ties:
        said += f"; not shown to be slower: {', '.join(choice.ties)}"
    return said


def _rows(matrix: Matrix) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for column in matrix.targets:
        name = column.target
        if column.failure:
            found.append((name, *([NOTHING] * (len(COLUMNS) - 2)), MARKS["fail"]))
        found += [(name, *_cells(cell)) for cell in column.cells]
    return found


def _cells(cell: Cell) -> tuple[str, ...]:
    return (
        cell.artifact,
        number(cell.p50_ms, 2),
        with_interval(cell.p95_ms, cell.p95_ci_ms),
        quality(cell),
        NOTHING if cell.flips is None else f"{cell.flips:,} of {cell.compared:,}",
        number(cell.peak_rss_mb, 0),
        NOTHING if cell.cost_per_1000 is None else f"{cell.cost_per_1000:.2g}",
        MARKS[cell.outcome] if cell.outcome else NOTHING,
    )


def quality(cell: Cell) -> str:
    """A score in per cent, and its change against the baseline in points."""
    if cell.quality is None:
        return NOTHING
    change = "" if cell.delta is None else f", {100 * cell.delta:+.2f}"
    return f"{cell.quality:.2%}{change}"


def number(value: float | None, digits: int) -> str:
    """So many digits; a dash for nothing."""
    return NOTHING if value is None else f"{value:.{digits}f}"


def _written(matrix: Matrix) -> str:
    """How fast a language model writes, on each target."""
    lines = [
        f"- **{cell.artifact} on {column.target}**: {cell.writing}"
        for column in matrix.targets
        for cell in column.cells
        if cell.writing
    ]
    return section("Writing:", lines)


def _reasons(matrix: Matrix) -> str:
    lines = []
    for column in matrix.targets:
        name = column.target
        if column.failure:
            hint = f" ({column.failure.hint})" if column.failure.hint else ""
            lines.append(f"- **{name}**: {column.failure.message}{hint}")
        for cell in column.cells:
            said = [cell.failure] if cell.failure else cell.reasons
            if said:
                lines.append(f"- **{cell.artifact} on {name}**: {'; '.join(said)}")
    return section("What did not pass:", lines)


def _context(matrix: Matrix) -> str:
    machines = "; ".join(
        f"{column.target}: {column.machine}, {column.threads} thread(s), {column.fingerprint}"
        for column in matrix.targets
        if not column.failure
    )
    data = f"{matrix.data.rows:,} rows of {matrix.data.name}"
    metric = f"; quality is {matrix.metric}" if matrix.metric else ""
    against = f", against {matrix.baseline} in points" if matrix.baseline else ""
    flips = f"; other answers than on {matrix.flips_against}" if matrix.flips_against else ""
    return f"{data}{metric}{against}{flips}. {machines}; matrix {matrix.id}."
