"""How every figure looks: two colour themes, who wears which colour and marker, and quiet axes.

A figure is drawn once, in the light theme. In SVG each colour becomes a CSS variable, so that the page's theme decides;
the table here is the only list of them. Artifacts differ in marker and in place as well as in colour, so that nothing
rests on colour alone. The hues follow Okabe and Ito's set (without its yellow, which white paper swallows) and Paul
Tol's muted set; the original, which everything is compared with, is grey.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import log
from typing import Any

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import FigureBase
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from mct.bench.store.reading import StoredRun

THEME: dict[str, tuple[str, str]] = {
    "paper": ("#ffffff", "#15181d"),
    "ink": ("#1c2128", "#e7eaee"),
    "quiet": ("#5a6370", "#a3acb8"),
    "rule": ("#dde1e6", "#343a43"),
    "within": ("#e3f1ea", "#173328"),
    "limit": ("#b3261e", "#ff8a80"),
    "original": ("#6b7079", "#b4bac3"),
    "series-0": ("#0072b2", "#56b4e9"),
    "series-1": ("#c8560a", "#f2945a"),
    "series-2": ("#00875f", "#2fc79a"),
    "series-3": ("#a23b92", "#e58fd0"),
    "series-4": ("#7d7a12", "#d3cf6b"),
    "series-5": ("#3b2f94", "#a9a0ff"),
    "series-6": ("#8a1f53", "#e07ba5"),
    "series-7": ("#2b8f89", "#7fdcd3"),
    "series-8": ("#c0505f", "#f2a6ae"),
    "series-9": ("#51483f", "#cdbfae"),
}
"""Name: (light, dark). Figures are drawn in the light one."""

LIGHT = {name: light for name, (light, _) in THEME.items()}
HUES = [name for name in THEME if name.startswith("series-")]
MARKERS = "osD^vP<>p*"
POINTS_PER_INCH = 72

SETTINGS: dict[Any, Any] = {
    "font.size": 11.5,
    "text.parse_math": False,
    "text.color": LIGHT["ink"],
    "axes.edgecolor": LIGHT["rule"],
    "axes.labelcolor": LIGHT["quiet"],
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "xtick.color": LIGHT["rule"],
    "xtick.labelcolor": LIGHT["quiet"],
    "ytick.color": LIGHT["rule"],
    "ytick.labelcolor": LIGHT["quiet"],
    "figure.facecolor": LIGHT["paper"],
    "axes.facecolor": "none",
    "savefig.facecolor": LIGHT["paper"],
    "svg.fonttype": "none",
}
"""matplotlib's settings for all figures. Text stays text in SVG; a `$` in a name is a dollar, not mathematics."""

STEPS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)


@dataclass(frozen=True)
class Identity:
    """What an artifact wears in every figure."""

    colour: str
    marker: str


@dataclass(frozen=True)
class Panel:
    """One figure: its title, what is in it (to be read aloud), how to read it, its size in points, and how it is drawn.

    `draw` is given the figure and whether the figure is narrow (a phone).
    """

    name: str
    title: str
    description: str
    caption: str
    height: float
    height_narrow: float
    draw: Callable[[FigureBase, bool], None]


def identities(run: StoredRun) -> dict[str, Identity]:
    """Colour and marker of every artifact of a run, by name, in the order of the run."""
    names = [entry["artifact"] for entry in run.entries]
    others = [name for name in names if name != run.baseline]
    worn = {
        name: Identity(LIGHT[HUES[number % len(HUES)]], MARKERS[number % len(MARKERS)])
        for number, name in enumerate(others)
    }
    if run.baseline in names:
        worn[str(run.baseline)] = Identity(LIGHT["original"], "h")
    return {name: worn[name] for name in names}


def quiet_axes(axes: Axes, grid: str) -> None:
    """No box; a thin grid along `grid` ("x", "y" or "both"); ticks without marks."""
    for side in axes.spines.values():
        side.set_visible(False)
    axes.grid(visible=True, axis=grid, color=LIGHT["rule"], linewidth=0.8)  # type: ignore[arg-type]
    axes.tick_params(length=0, which="both", pad=5)


def log_milliseconds(axis: Axis, low: float, high: float, most: int) -> None:
    """A log axis from `low` to `high` ms with at most about `most` round tick values."""
    ticks = [step * 10.0**power for power in range(-4, 7) for step in STEPS]
    ticks = [tick for tick in ticks if low <= tick <= high]
    for steps in ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,)):
        if len(ticks) <= most:
            break
        ticks = [tick for tick in ticks if float(f"{tick:e}".partition("e")[0]) in steps]
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def head_axes(axes: Axes, text: str, room: float = 0.0) -> None:
    """What the axes show, above them at the left, with `room` points left below it."""
    axes.set_title(text, fontweight="normal", fontsize=11.5, color=LIGHT["quiet"], pad=6 + room)


def milliseconds(value: float) -> str:
    """A time in ms with three digits, as many as an interval ever warrants: 0.842, 8.42, 12.3, 140."""
    return f"{value:.{sum(value < bound for bound in (1, 10, 100))}f}"


def name_budget(axes: Axes, at: float, limit: str) -> None:
    """The budget's name above the axes, at its line, on the side where there is room."""
    left, right = (log(bound) for bound in axes.get_xlim())
    beside = log(at) - left > 0.5 * (right - left)
    axes.annotate(
        f"budget: {limit}", (at, 1.0), xycoords=("data", "axes fraction"), xytext=(3 if beside else -3, 5),
        textcoords="offset points", ha="right" if beside else "left", va="bottom", color=LIGHT["limit"],
        annotation_clip=False,
    )  # fmt: skip


def shortened(name: str, most: int = 26) -> str:
    """A name cut in the middle where it is longer than `most` characters; line breaks and the like become spaces."""
    name = "".join(char if char.isprintable() else " " for char in name)
    if len(name) <= most:
        return name
    half = (most - 1) // 2
    return f"{name[: most - 1 - half]}…{name[-half:]}"
