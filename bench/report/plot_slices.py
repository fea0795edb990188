"""What each slice of the data lost or won against the baseline, with intervals, beside the drop that is allowed.

One small panel per artifact on a common axis. Marks are the verdict's where there is one: filled where a larger drop
than allowed is excluded, hollow where it is not, a cross where it is shown: readable without colour.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.ticker import MaxNLocator

from mct.bench.judge.verdict_quality import slice_limit
from mct.bench.report.plot_style import LIGHT, Identity, Panel, identities, quiet_axes, shortened
from mct.bench.store.reading import StoredRun

ROW_HEIGHT = 23.0
MARGIN, MARGIN_NARROW = 60.0, 50.0
FOOT = 30.0
ACROSS = 3
MOST_SLICES = 12
CAPTION = (
    "How the share of right answers changed, for all examples and for each label, with 95 % intervals. Tinted: the "
    "change that is allowed. A filled mark: a larger drop is excluded; a hollow one: it is not; a cross: it is shown. "
    "Verdicts ask one side alone, at 5 %, so a filled mark's interval may reach a little beyond."
)


@dataclass(frozen=True)
class Row:
    """A difference to the baseline and its interval in percentage points, and the drop that is allowed, if any.

    `outcome` is the verdict's, "" where it has no line for this.
    """

    name: str
    delta: float
    low: float
    high: float
    allowed: float | None
    outcome: str = ""

    @property
    def excluded(self) -> bool:
        """The data exclude a larger drop than the allowed one (than none at all where nothing is allowed)."""
        return self.outcome == "pass" if self.outcome else self.low >= -(self.allowed or 0.0)

    @property
    def broken(self) -> bool:
        """The data show a larger drop than the allowed one."""
        return self.outcome == "fail" if self.outcome else self.high < -(self.allowed or 0.0)


def slices_panel(run: StoredRun) -> Panel | None:
    """The figure for one run; None where nothing was compared with a baseline."""
    compared = _compared(run)
    if not compared:
        return None
    rows = max(len(rows) for rows in compared.values())
    across = min(ACROSS, len(compared))
    return Panel(
        name="slices",
        title="Change of quality against the baseline, slice by slice",
        description=_in_words(compared),
        caption=CAPTION,
        height=FOOT + ceil(len(compared) / across) * (rows * ROW_HEIGHT + MARGIN),
        height_narrow=FOOT + len(compared) * (rows * ROW_HEIGHT + MARGIN_NARROW),
        draw=lambda figure, narrow: _draw(figure, compared, identities(run), narrow),
    )


def _compared(run: StoredRun) -> dict[str, list[Row]]:
    """Rows of every artifact that has a difference to the baseline, the baseline itself left out."""
    chosen = _chosen_slices(run)
    found = {}
    for entry in run.entries:
        quality = entry["quality"]
        if entry["artifact"] != run.baseline and quality and quality["delta_ci"]:
            of = {part["name"]: part for part in quality["slices"] if part["delta_ci"]}
            rows = [_row(f"all ({quality['metric']})", quality, run.budget.get("quality_max_drop"))]
            drop = run.budget.get("slice_max_drop")
            lines = {line["limit"]: line["outcome"] for line in (entry["verdict"] or {"lines": ()})["lines"]}
            for name in (name for name in chosen if name in of):
                allowed = drop if _is_judged(name, run.budget) else None
                outcome = "" if allowed is None else lines.get(slice_limit(name, allowed), "")
                rows.append(_row(name, of[name], allowed, outcome))
            found[entry["artifact"]] = rows
    return found


def _chosen_slices(run: StoredRun) -> list[str]:
    """The budget's slices first, then those with the worst lower bound in any artifact, `MOST_SLICES` at most."""
    worst: dict[str, float] = {}
    for entry in run.entries:
        for part in (entry["quality"] or {"slices": ()})["slices"]:
            if part["delta_ci"]:
                worst[part["name"]] = min(worst.get(part["name"], 0.0), part["delta_ci"][0])
    judged = [name for name in worst if _is_judged(name, run.budget)]
    others = sorted((name for name in worst if name not in judged), key=lambda name: worst[name])
    return (judged + others)[: max(MOST_SLICES, len(judged))]


def _is_judged(name: str, budget: Mapping[str, Any]) -> bool:
    return name in (budget.get("slices") or ()) or name.partition("=")[0] in (budget.get("slice_fields") or ())


def _row(name: str, part: Mapping[str, Any], allowed: float | None, outcome: str = "") -> Row:
    low, high = part["delta_ci"]
    return Row(name, 100 * part["delta"], 100 * low, 100 * high, None if allowed is None else 100 * allowed, outcome)


def _in_words(compared: Mapping[str, Sequence[Row]]) -> str:
    said = []
    for name, rows in compared.items():
        worst = min(rows, key=lambda row: row.low)
        said.append(f"{name}: {worst.name} {worst.delta:+.2f} points, interval {worst.low:+.2f} to {worst.high:+.2f}")
    return "The least certain slice of each artifact. " + "; ".join(said) + "."


def _draw(figure: FigureBase, compared: Mapping[str, list[Row]], worn: Mapping[str, Identity], narrow: bool) -> None:
    across = 1 if narrow else min(ACROSS, len(compared))
    down = ceil(len(compared) / across)
    grid = figure.subplots(down, across, sharex=True, squeeze=False).flatten()
    drawn = [row for rows in compared.values() for row in rows]
    low = min(min(row.low, -(row.allowed or 0.0)) for row in drawn)
    high = max(max(row.high, row.allowed or 0.0) for row in drawn)
    margin = 0.06 * (high - low) or 1.0
    for number, (axes, (name, rows)) in enumerate(zip(grid, compared.items(), strict=False)):
        _draw_artifact(axes, name, rows, worn[name], most=20 if narrow else 26)
        axes.set_xlim(low - margin, high + margin)
        axes.tick_params(labelbottom=number + across >= len(compared))
        if number % across:
            axes.tick_params(labelleft=False)
    for axes in grid[len(compared) :]:
        axes.set_visible(False)
    figure.supxlabel(
        "percentage points against the baseline, on the same examples", fontsize=11.5, color=LIGHT["quiet"]
    )


def _draw_artifact(axes: Axes, name: str, rows: Sequence[Row], who: Identity, most: int) -> None:
    quiet_axes(axes, "x")
    axes.axvline(0, color=LIGHT["quiet"], linewidth=1)
    for number, row in enumerate(rows):
        if row.allowed is not None:
            height = (number - 0.5, number + 0.5)
            axes.fill_between([-row.allowed, 1e6], *height, color=LIGHT["within"], linewidth=0, zorder=0)
            axes.plot([-row.allowed] * 2, height, color=LIGHT["limit"], linewidth=1.6, zorder=1)
        axes.plot([row.low, row.high], [number] * 2, color=who.colour, linewidth=2.2, alpha=0.6, solid_capstyle="butt")
        axes.plot(
            [row.delta], [number], marker="x" if row.broken else "o", markersize=7, color=who.colour,
            markerfacecolor=who.colour if row.excluded else LIGHT["paper"], markeredgewidth=1.8, zorder=5,
        )  # fmt: skip
    axes.set_ylim(len(rows) - 0.45, -0.55)
    axes.set_yticks(range(len(rows)), [shortened(row.name, most) for row in rows], color=LIGHT["ink"])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:+g}".replace("-", "−") if value else "0")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, prune="lower"))
    axes.set_title(shortened(name), color=who.colour)
