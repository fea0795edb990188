"""The picture of a matrix: artifacts down, targets across, each cell the darker the slower, with its P95 and verdict.

The scale is logarithmic and goes from the fastest cell to the slowest. Nothing rests on the shade alone: the time
stands in the cell, and the verdict as a sign before it.
"""

from math import log

from matplotlib.figure import FigureBase
from matplotlib.patches import Rectangle

from mct.bench.matrix.stored import Cell, Matrix
from mct.bench.report.plot_style import LIGHT, Panel, milliseconds, shortened
from mct.bench.report.table import MARKS

ROW, HEAD = 46.0, 44.0
FAINT, DARK = 0.06, 0.5
CAPTION = (
    "Each cell: the verdict's sign and P95 in ms; the darker, the slower (logarithmic, over all cells). "
    "A framed cell is what to ship on that target. A cross alone could not be measured."
)
SHADE = LIGHT["series-0"]


def matrix_panel(matrix: Matrix) -> Panel:
    """The figure."""
    height = HEAD + ROW * max(1, len(matrix.artifacts))
    return Panel(
        "matrix", "P95 by artifact and target", _in_words(matrix), CAPTION, height, height,
        lambda figure, narrow: _draw(figure, matrix, narrow),
    )  # fmt: skip


def _in_words(matrix: Matrix) -> str:
    said = [
        f"{cell.artifact} on {column.target}: {_text(cell)} ms" for column in matrix.targets for cell in column.cells
    ]
    return "; ".join(said) + "."


def _draw(figure: FigureBase, matrix: Matrix, narrow: bool) -> None:
    axes = figure.subplots()
    artifacts, times = matrix.artifacts, [c.p95_ms for column in matrix.targets for c in column.cells if c.p95_ms]
    low, high = (min(times), max(times)) if times else (1.0, 1.0)
    for place, column in enumerate(matrix.targets):
        cells = {cell.artifact: cell for cell in column.cells}
        for row, name in enumerate(artifacts):
            cell = cells.get(name)
            chosen = column.choice is not None and column.choice.fastest == name
            span = log(high) - log(low)
            share = (log(cell.p95_ms) - log(low)) / span if cell and cell.p95_ms and span else 0.0
            axes.add_patch(
                Rectangle(
                    (place - 0.47, row - 0.44), 0.94, 0.88, facecolor=SHADE if cell and cell.p95_ms else "none",
                    alpha=FAINT + (DARK - FAINT) * share, linewidth=0,
                )
            )  # fmt: skip
            axes.add_patch(
                Rectangle(
                    (place - 0.47, row - 0.44), 0.94, 0.88, fill=False, linewidth=2.2 if chosen else 0.8,
                    edgecolor=LIGHT["ink"] if chosen else LIGHT["rule"],
                )
            )  # fmt: skip
            axes.text(place, row, _text(cell), ha="center", va="center", fontweight="bold" if chosen else "normal")
    axes.set_xlim(-0.5, len(matrix.targets) - 0.5)
    axes.set_ylim(max(1, len(artifacts)) - 0.5, -0.5)
    most = 9 if narrow else 18
    names = [shortened(column.target, most) for column in matrix.targets]
    axes.set_xticks(range(len(names)), names, color=LIGHT["ink"])
    axes.set_yticks(range(len(artifacts)), [shortened(name, most) for name in artifacts], color=LIGHT["ink"])
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def _text(cell: Cell | None) -> str:
    if cell is None:
        return "–"
    sign = MARKS[cell.outcome].split()[0] if cell.outcome else ""
    if cell.p95_ms is None:
        return sign or "–"
    return f"{sign} {milliseconds(cell.p95_ms)}".strip()
