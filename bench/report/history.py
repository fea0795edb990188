"""The history of artifacts over stored runs, as a table and as a plot."""

from __future__ import annotations

from collections.abc import Sequence

from mct.bench.report.table import figures_table, with_interval
from mct.bench.statistics.change_points import ALPHA, ChangePoint
from mct.bench.store.history import Point, Series

COLUMNS = ("run", "commit", "artifact digest", "P95 ms (95 % interval)", "steady", "change")


def history_table(series: Sequence[Series]) -> str:
    """Markdown: one table a series, a change marked at the first run of its new level."""
    return "\n\n".join(map(_table, series)) + "\n"


def changes_said(series: Series) -> str:
    """One sentence on all changes of a series."""
    if not series.changes:
        return f"No change of level in {len(series.points)} runs (Pettitt's test, shuffled, {ALPHA:.0%})."
    said = "; ".join(f"{describe(change)} on {series.points[change.index].created}" for change in series.changes)
    return f"{said} (Pettitt's test, shuffled, {ALPHA:.0%})."


def describe(change: ChangePoint) -> str:
    """ "1.25x slower" or "1.10x faster"."""
    slower = change.ratio >= 1
    return f"{change.ratio if slower else 1 / change.ratio:.2f}x {'slower' if slower else 'faster'}"


def _table(series: Series) -> str:
    changes = {change.index: change for change in series.changes}
    rows = [_cells(point, changes.get(index)) for index, point in enumerate(series.points)]
    budget = "no budget" if series.budget is None else f"budget {series.budget}"
    where = f"{series.data}, {budget}, {series.cpu}, fingerprint {series.fingerprint}"
    return "\n\n".join(
        [f"### {series.artifact}", where, figures_table(COLUMNS, rows, words=(0, 1, 2, 4, 5)), changes_said(series)]
    )


def _cells(point: Point, change: ChangePoint | None) -> tuple[str, ...]:
    mark = (
        "" if change is None else f"{'▲' if change.ratio >= 1 else '▼'} {describe(change)} (p = {change.p_value:.2g})"
    )
    interval = (point.low_ms, point.high_ms)
    steady = "yes" if point.steady else "no"
    return point.id, point.commit or "-", point.digest[:12], with_interval(point.p95_ms, interval), steady, mark
