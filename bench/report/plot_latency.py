"""Latency of every artifact of a run: the whole distribution above, P95 with its interval below, on one time axis.

The curve shows what a single number hides (two humps, a long tail); the rows below name the curves, in order of P95,
so that ten artifacts need no legend and no label can collide with another.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.transforms import Transform

from mct.bench.report.plot_style import (
    LIGHT,
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
from mct.bench.statistics.percentiles import Floats
from mct.bench.store.reading import StoredRun

CURVE_HEIGHT, CURVE_HEIGHT_NARROW = 250.0, 220.0
ROW_HEIGHT, ROW_HEIGHT_NARROW = 24.0, 36.0
MARGIN = 96.0
MOST_POINTS = 400
SHOWN = (0.002, 0.998)
"""Quantiles between which a curve must be seen: a single stall of a second would press everything else together."""


def latency_panel(run: StoredRun) -> Panel | None:
    """The figure for one run; None where no artifact has a P95 or samples."""
    entries = _timed(run)
    if not entries:
        return None
    limit = run.budget.get("p95_ms")
    said = "; ".join(f"{entry['artifact']}: P95 {' '.join(_p95_said(entry))}" for entry in entries)
    curve = CURVE_HEIGHT if run.latencies_ms else 0.0
    curve_narrow = CURVE_HEIGHT_NARROW if run.latencies_ms else 0.0
    return Panel(
        name="latency",
        title="Latency, end to end",
        description=said + (f". The budget is {limit:g} ms." if limit else "."),
        caption=" ".join(_how_to_read(run)),
        height=curve + ROW_HEIGHT * len(entries) + MARGIN,
        height_narrow=curve_narrow + ROW_HEIGHT_NARROW * len(entries) + MARGIN,
        draw=lambda figure, narrow: _draw(figure, run, narrow),
    )


def _how_to_read(run: StoredRun) -> list[str]:
    said = []
    if run.latencies_ms:
        said.append("Each curve says what share of requests was answered within the time below it.")
        said.append("Where it crosses 95 % is P95, dotted down to its row.")
    if any(entry["latency"]["p95_ms"] is None for entry in _timed(run)):
        said.append("A hollow mark names a curve whose P95 is unknown: its samples were too few, or too much alike.")
    said.append("The pale bar is the 95 % interval of P95.")
    if run.budget.get("p95_ms"):
        said.append("The budget is met only where the whole bar lies left of the red line.")
    return said


def _timed(run: StoredRun) -> list[Any]:
    """Entries that have a P95, fastest first, then those that have samples but too few to bound it."""
    timed = [entry for entry in run.entries if entry["latency"]]
    known = [entry for entry in timed if entry["latency"]["p95_ms"] is not None]
    refused = [entry for entry in timed if entry not in known and entry["artifact"] in run.latencies_ms]
    return sorted(known, key=lambda entry: float(entry["latency"]["p95_ms"])) + refused


def _p95_said(entry: Any) -> tuple[str, str]:
    """P95 and its interval as text; where it was refused, that and why."""
    latency = entry["latency"]
    if latency["p95_ms"] is None:
        return "unknown", f"({latency['n']:,} requests)"
    low, high = map(milliseconds, latency["p95_ci_ms"])
    return f"{milliseconds(latency['p95_ms'])} ms", f"[{low}, {high}]"


def _draw(figure: FigureBase, run: StoredRun, narrow: bool) -> None:
    entries, worn = _timed(run), identities(run)
    low, high = _span(run, entries)
    curves, rows = _axes(figure, bool(run.latencies_ms), len(entries), narrow)
    for axes in filter(None, (curves, rows)):
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        log_milliseconds(axes.xaxis, low, high, most=6 if narrow else 11)
    if curves is not None:
        _draw_curves(curves, run, entries, worn)
    _draw_rows(rows, entries, worn, narrow)
    rows.set_xlabel("milliseconds per request (log scale)")
    limit = run.budget.get("p95_ms")
    if limit:
        stack = [axes for axes in (curves, rows) if axes is not None]
        for axes in stack:
            axes.axvline(float(limit), color=LIGHT["limit"], linewidth=1.4)
        name_budget(stack[0], float(limit), f"P95 < {limit:g} ms")


def _axes(figure: FigureBase, with_curves: bool, rows: int, narrow: bool) -> tuple[Axes | None, Axes]:
    if not with_curves:
        return None, figure.subplots()
    row = ROW_HEIGHT_NARROW if narrow else ROW_HEIGHT
    curve = CURVE_HEIGHT_NARROW if narrow else CURVE_HEIGHT
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[curve, row * rows])
    upper.tick_params(labelbottom=False)
    return upper, lower


def _span(run: StoredRun, entries: Sequence[Any]) -> tuple[float, float]:
    """The time axis: every curve but its last thousandths, every interval, and the budget."""
    values = [float(bound) for entry in entries for bound in entry["latency"]["p95_ci_ms"] or ()]
    values += [float(entry["latency"]["p50_ms"]) for entry in entries if entry["latency"]["p50_ms"] is not None]
    for blocks in run.latencies_ms.values():
        values += [float(value) for value in np.quantile(_pooled(blocks), SHOWN)]
    if run.budget.get("p95_ms"):
        values.append(float(run.budget["p95_ms"]))
    return min(values) / 1.12, max(values) * 1.12


def _draw_curves(axes: Axes, run: StoredRun, entries: Sequence[Any], worn: dict[str, Identity]) -> None:
    quiet_axes(axes, "both")
    for entry in reversed(entries):
        blocks = run.latencies_ms.get(entry["artifact"])
        if blocks:
            _draw_curve(axes, _pooled(blocks), entry["latency"]["p95_ms"], worn[entry["artifact"]])
    axes.axhline(95, color=LIGHT["quiet"], linewidth=0.8, dashes=(5, 4))
    axes.set_ylim(0, 101.5)
    axes.set_yticks([0, 25, 50, 75, 95], ["0 %", "25 %", "50 %", "75 %", "95 %"])
    head_axes(axes, "Share of requests answered within …", room=18)


def _draw_curve(axes: Axes, values: Floats, p95: float | None, who: Identity) -> None:
    axes.plot(*_steps(values), color=who.colour, linewidth=2, solid_capstyle="round")
    if p95 is not None:
        axes.plot([p95, p95], [0, 95], color=who.colour, linewidth=1, dashes=(1, 3), dash_capstyle="round")
        _mark(axes, p95, 95, who)
    else:
        _mark_unknown(axes, float(np.median(values)), 50, who, axes.transData)


def _steps(values: Floats) -> tuple[Floats, Floats]:
    """The empirical distribution in at most about `MOST_POINTS` points, half of them for the slowest twentieth."""
    n = len(values)
    ranks = np.concatenate([np.linspace(0, n - 1, MOST_POINTS // 2), np.linspace(0.95 * n, n - 1, MOST_POINTS // 2)])
    index = np.unique(np.clip(ranks, 0, n - 1).astype(int))
    return np.sort(values)[index], (index + 1) / n * 100


def _draw_rows(axes: Axes, entries: Sequence[Any], worn: dict[str, Identity], narrow: bool) -> None:
    quiet_axes(axes, "x")
    for row, entry in enumerate(entries):
        who, latency = worn[entry["artifact"]], entry["latency"]
        if latency["p95_ms"] is not None:
            axes.plot(
                latency["p95_ci_ms"], [row, row], color=who.colour, linewidth=5, alpha=0.45, solid_capstyle="butt"
            )
            _mark(axes, float(latency["p95_ms"]), row, who)
        else:
            _mark_unknown(axes, 0.012, row, who, axes.get_yaxis_transform())
        value, interval = _p95_said(entry)
        if narrow:
            _above(axes, row, shortened(entry["artifact"]), f"{value} {interval}")
        else:
            where = axes.get_yaxis_transform()
            axes.text(1.105, row, value, transform=where, va="center", ha="right", color=LIGHT["ink"])
            axes.text(1.12, row, interval, transform=where, va="center", color=LIGHT["quiet"])
    axes.set_ylim(len(entries) - 0.4, -0.75 if narrow else -0.6)
    axes.set_yticks([] if narrow else list(range(len(entries))))
    if not narrow:
        axes.set_yticklabels([shortened(entry["artifact"]) for entry in entries], color=LIGHT["ink"])
    head_axes(axes, "P95 and its 95 % interval")


def _above(axes: Axes, row: int, left: str, right: str) -> None:
    """Two texts above a row's bar, where there is no room beside the axes; nothing is drawn through them."""
    where = axes.get_yaxis_transform()
    style: dict[str, Any] = {
        "transform": where, "va": "center", "bbox": {"facecolor": LIGHT["paper"], "linewidth": 0, "pad": 1}, "zorder": 4
    }  # fmt: skip
    axes.text(0.0, row - 0.36, left, color=LIGHT["ink"], **style)
    axes.text(1.0, row - 0.36, right, ha="right", color=LIGHT["quiet"], **style)


def _mark(axes: Axes, x: float, y: float, who: Identity) -> None:
    """The artifact's mark at its P95."""
    axes.plot([x], [y], color=who.colour, markeredgecolor=LIGHT["paper"], markeredgewidth=1.1, **_shape(who))


def _mark_unknown(axes: Axes, x: float, y: float, who: Identity, transform: Transform) -> None:
    """The artifact's mark, hollow: it names a curve or a row and stands for no P95."""
    axes.plot([x], [y], color=who.colour, markerfacecolor=LIGHT["paper"], transform=transform, **_shape(who))


def _shape(who: Identity) -> dict[str, Any]:
    return {"marker": who.marker, "markersize": 7.5, "clip_on": False, "zorder": 5}


def _pooled(blocks: Sequence[Floats]) -> Floats:
    return np.concatenate(list(blocks))
