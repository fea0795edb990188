"""The history of artifacts as one sheet: P95 of every run with its interval, and the levels between changes."""

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import FigureBase

from mct.bench.report.history import changes_said, describe
from mct.bench.report.plot_style import HUES, LIGHT, Panel, head_axes, quiet_axes, shortened
from mct.bench.store.history import Series

HEIGHT = 250.0
MOST_TICKS = 8


def history_panel(series: Series) -> Panel:
    """The figure of one series."""
    return Panel(
        name="history",
        title=shortened(series.artifact, 60),
        description=f"P95 of {len(series.points)} runs. {changes_said(series)}",
        caption="",
        height=HEIGHT,
        height_narrow=HEIGHT,
        draw=lambda figure, narrow: _draw(figure, series),
    )


def _draw(figure: FigureBase, series: Series) -> None:
    axes = figure.subplots()
    values = [point.p95_ms for point in series.points]
    places = range(len(values))
    colour = LIGHT[HUES[0]]
    reach = [
        [max(0.0, point.p95_ms - point.low_ms) for point in series.points],
        [max(0.0, point.high_ms - point.p95_ms) for point in series.points],
    ]
    axes.errorbar(places, values, yerr=reach, fmt="none", ecolor=LIGHT["original"], elinewidth=1)
    for steady, face in ((True, colour), (False, LIGHT["paper"])):
        shown = [place for place in places if series.points[place].steady == steady]
        axes.plot(shown, [values[place] for place in shown], "o", color=colour, markerfacecolor=face, markersize=5)
    _levels(axes, series, values)
    if series.limit_ms is not None and series.limit_ms < 2 * max(values):
        axes.axhline(series.limit_ms, color=LIGHT["limit"], linewidth=1)
    axes.set_ylim(bottom=0)
    step = max(1, -(-len(values) // MOST_TICKS))
    ticks = list(places)[::step]
    axes.set_xticks(ticks, [_tick(series, place) for place in ticks])
    quiet_axes(axes, "y")
    head_axes(axes, "P95 in ms with its 95 % interval; hollow: an unsteady run; red: the budget")


def _levels(axes: Axes, series: Series, values: Sequence[float]) -> None:
    """A line at each level's median, and what changed at the first run of each new one."""
    edges = [0, *(change.index for change in series.changes), len(values)]
    for first, after in pairwise(edges):
        level = median(values[first:after])
        axes.plot([first - 0.4, after - 0.6], [level, level], color=LIGHT["quiet"], linewidth=1.5)
    for change in series.changes:
        axes.axvline(change.index - 0.5, color=LIGHT["ink"], linewidth=1, linestyle=":")
        axes.annotate(
            describe(change), (change.index - 0.5, 0.0), xycoords=("data", "axes fraction"), xytext=(4, 4),
            textcoords="offset points", ha="left", va="bottom", color=LIGHT["ink"],
        )  # fmt: skip


def _tick(series: Series, place: int) -> str:
    point = series.points[place]
    return f"{point.created[:10]}\n{(point.commit or '')[:7]}"
