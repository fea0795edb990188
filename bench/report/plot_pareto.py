"""Quality against P95: who is worth choosing, and who meets the budget.

Up and to the left is better. The line joins those that nobody beats in both; the tinted region is the budget.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import log
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.patches import Rectangle
from matplotlib.transforms import Bbox

from mct.bench.report.plot_labels import Box, distance, place_labels
from mct.bench.report.plot_style import (
    LIGHT,
    POINTS_PER_INCH,
    Identity,
    Panel,
    head_axes,
    identities,
    log_milliseconds,
    milliseconds,
    name_budget,
    quiet_axes,
    shortened,
)
from mct.bench.store.reading import StoredRun

HEIGHT, HEIGHT_NARROW = 400.0, 360.0
LEADER_FROM = 20.0
SEGMENT = "segment"
"""Straight lines that a name should not lie on."""

CAPTION = (
    "Up and to the left is better. The dashed line joins the artifacts that no other beats in both. Bars are 95 % "
    "intervals; upright ones are of the difference to the baseline on the same examples."
)


def pareto_panel(run: StoredRun) -> Panel | None:
    """The figure for one run; None where nothing has both a quality and a P95."""
    entries = _placed(run)
    if not entries:
        return None
    metric, points = entries[0]["quality"]["metric"], _points(entries)
    best = [(entries[index]["artifact"], *points[index]) for index in pareto_front(points)]
    said = ", ".join(f"{name} ({milliseconds(p95)} ms, {quality:.1f} %)" for name, p95, quality in best)
    return Panel(
        name="pareto",
        title="Quality against P95",
        description=f"Best {metric} for its P95, fastest first: {said}.",
        caption=CAPTION + (" Tinted: within the budget." if run.budget else ""),
        height=HEIGHT,
        height_narrow=HEIGHT_NARROW,
        draw=lambda figure, narrow: _draw(figure, run, narrow),
    )


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points that no other beats, fastest first: lower first coordinate, higher second."""
    front: list[int] = []
    for index in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        if not front or points[index][1] > points[front[-1]][1]:
            front.append(index)
    return front


def quality_floor(run: StoredRun) -> float | None:
    """The least quality that the budget takes: the absolute limit or the allowed drop, whichever is lower."""
    limits = [run.budget.get("quality_at_least")]
    drop = run.budget.get("quality_max_drop")
    of = next((entry["quality"] for entry in run.entries if entry["artifact"] == run.baseline), None)
    if drop is not None and of and of["value"] is not None:
        limits.append(of["value"] - drop)
    return min((float(limit) for limit in limits if limit is not None), default=None)


def _placed(run: StoredRun) -> list[Any]:
    return [
        entry
        for entry in run.entries
        if (entry["quality"] or {}).get("value") is not None and (entry["latency"] or {}).get("p95_ms") is not None
    ]


def _points(entries: Sequence[Any]) -> list[tuple[float, float]]:
    return [(float(entry["latency"]["p95_ms"]), 100 * float(entry["quality"]["value"])) for entry in entries]


def _draw(figure: FigureBase, run: StoredRun, narrow: bool) -> None:
    entries, worn = _placed(run), identities(run)
    axes = figure.subplots()
    quiet_axes(axes, "both")
    axes.set_xscale("log")
    _set_limits(axes, entries, run)
    low, high = axes.get_xlim()
    log_milliseconds(axes.xaxis, low, high, most=6 if narrow else 11)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
    _draw_budget(axes, run)
    _draw_front(axes, _points(entries))
    for entry in entries:
        _draw_point(axes, entry, worn[entry["artifact"]])
    metric = entries[0]["quality"]["metric"]
    head_axes(axes, f"{metric}, higher is better", room=18 if run.budget else 0)
    axes.set_xlabel("P95, milliseconds per request (log scale)")
    _label(axes, entries)


def _set_limits(axes: Axes, entries: Sequence[Any], run: StoredRun) -> None:
    times = [float(bound) for entry in entries for bound in entry["latency"]["p95_ci_ms"]]
    if run.budget.get("p95_ms"):
        times.append(float(run.budget["p95_ms"]))
    values = [100 * float(bound) for entry in entries for bound in _quality_interval(entry)]
    floor = quality_floor(run)
    if floor is not None:
        values.append(100 * floor)
    width = max(log(max(times) / min(times)), log(2.0))
    height = max(max(values) - min(values), 0.5)
    axes.set_xlim(min(times) * 2.718 ** (-0.12 * width), max(times) * 2.718 ** (0.12 * width))
    axes.set_ylim(min(values) - 0.1 * height, max(values) + 0.12 * height)


def _quality_interval(entry: Any) -> tuple[float, float]:
    """How far off the quality may be: of the paired difference where there is a baseline, which is what is judged."""
    quality = entry["quality"]
    if quality["delta_ci"]:
        low, high = (quality["baseline"] + bound for bound in quality["delta_ci"])
    else:
        low, high = quality["value_ci"] or (quality["value"], quality["value"])
    return float(low), float(high)


def _draw_budget(axes: Axes, run: StoredRun) -> None:
    limit, floor = run.budget.get("p95_ms"), quality_floor(run)
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    if limit is None and floor is None:
        return
    edge, base = float(limit or right), bottom if floor is None else 100 * floor
    axes.add_patch(Rectangle((left, base), edge - left, top - base, color=LIGHT["within"], linewidth=0, zorder=0))
    said = []
    if limit is not None:
        said.append(f"P95 < {limit:g} ms")
        axes.plot([edge, edge], [base, top], color=LIGHT["limit"], linewidth=1.4, zorder=1, gid=SEGMENT)
    if floor is not None:
        said.append(f"at least {100 * floor:.4g} %")
        axes.plot([left, edge], [base, base], color=LIGHT["limit"], linewidth=1.4, zorder=1, gid=SEGMENT)
    name_budget(axes, edge if limit is not None else left, ", ".join(said))


def _draw_front(axes: Axes, points: Sequence[tuple[float, float]]) -> None:
    """The front as steps: as long as nobody is faster and better, the last one is the best to be had."""
    front = [points[index] for index in pareto_front(points)]
    style: dict[str, Any] = {"color": LIGHT["quiet"], "linewidth": 1.2, "dashes": (4, 3), "zorder": 2, "gid": SEGMENT}
    for (x, y), (next_x, next_y) in pairwise(front):
        axes.plot([x, next_x], [y, y], **style)
        axes.plot([next_x, next_x], [y, next_y], **style)


def _draw_point(axes: Axes, entry: Any, who: Identity) -> None:
    x, y = _points([entry])[0]
    low, high = _quality_interval(entry)
    thin: dict[str, Any] = {"color": who.colour, "alpha": 0.45, "solid_capstyle": "butt", "zorder": 3, "gid": SEGMENT}
    axes.plot(entry["latency"]["p95_ci_ms"], [y, y], linewidth=3, **thin)
    axes.plot([x, x], [100 * low, 100 * high], linewidth=1.2, **thin)
    axes.plot(
        [x], [y], marker=who.marker, markersize=9.5, color=who.colour, markeredgecolor=LIGHT["paper"],
        markeredgewidth=1.2, zorder=5,
    )  # fmt: skip


def _label(axes: Axes, entries: Sequence[Any]) -> None:
    """Names beside their points, with a thin leader where the nearest free place is not next to its point."""
    figure = axes.get_figure(root=True)
    assert isinstance(figure, Figure)
    names = [axes.text(0, 0, shortened(entry["artifact"], 22), in_layout=False) for entry in entries]
    figure.draw_without_rendering()  # only now is it known where the axes stand and how long the names are
    scale = POINTS_PER_INCH / figure.dpi
    points = [tuple(scale * axes.transData.transform(point)) for point in _points(entries)]
    sizes = [_box(name.get_window_extent(), scale) for name in names]
    taken = [Box(x - 7, y - 7, 14, 14) for x, y in points]
    taken += [_box(line.get_window_extent(), scale, 2.0) for line in axes.lines if line.get_gid() == SEGMENT]
    frame = _box(axes.get_window_extent(), scale)
    boxes = place_labels(points, [(size.width, size.height) for size in sizes], frame, taken)
    for name, box, data, point in zip(names, boxes, _points(entries), points, strict=True):
        name.remove()
        _write(axes, name.get_text(), data, point, box)


def _write(axes: Axes, name: str, data: tuple[float, float], point: tuple[float, float], box: Box) -> None:
    """A name in its box; offsets are from the data point, so that a later shift of the axes moves both."""
    style: dict[str, Any] = {"xy": data, "textcoords": "offset points", "annotation_clip": False, "in_layout": False}
    axes.annotate(
        name, xytext=(box.left - point[0], box.bottom - point[1]), va="bottom", color=LIGHT["ink"], zorder=6, **style
    )
    if distance(box, point) > LEADER_FROM:
        x, y = box.nearest(*point)
        leader = {"arrowstyle": "-", "color": LIGHT["quiet"], "linewidth": 0.7, "shrinkA": 0, "shrinkB": 6}
        axes.annotate("", xytext=(x - point[0], y - point[1]), arrowprops=leader, **style)


def _box(extent: Bbox, scale: float, around: float = 0.0) -> Box:
    left, bottom, width, height = (scale * value for value in extent.bounds)
    return Box(left - around, bottom - around, width + 2 * around, height + 2 * around)
