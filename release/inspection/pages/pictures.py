"""The figures of an inspection: where flips gather, and what each layer costs when it alone is quantised."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import FigureBase
from matplotlib.ticker import MaxNLocator

from mct.bench.report.plot_style import LIGHT, Panel, quiet_axes, shortened
from mct.release.inspection.explanation import Explanation, Part
from mct.release.inspection.flips import Group

ROW_HEIGHT, MARGIN = 24.0, 56.0
MOST_GROUPS, MOST_WORDS = 20, 6
LAYER_HUES = ("series-0", "series-1")
HEAD_HUE = "series-3"


def panels(found: Explanation) -> list[Panel]:
    """Those that there are data for."""
    return [panel for panel in (groups_panel(found), layers_panel(found)) if panel is not None]


def groups_panel(found: Explanation) -> Panel | None:
    """Rate of flips in each group with its interval, beside the rate overall; None where nothing flipped."""
    groups = chosen_groups(found.flips.groups)
    if not groups or not found.flips.rate.count:
        return None
    highest = max(groups, key=lambda group: group.flips.value)
    return Panel(
        name="groups",
        title="Where answers differ",
        description=f"Most often in {highest.kind} {highest.name}: {100 * highest.flips.value:.1f} % of its examples.",
        caption="The share of answers that differ, in each group of examples, with 95 % intervals; the line is the "
        "share of all. A filled mark: more or less than in the rest is shown, at 5 % over all groups that were asked; "
        "a hollow one: it may be chance.",
        height=len(groups) * ROW_HEIGHT + MARGIN,
        height_narrow=len(groups) * ROW_HEIGHT + MARGIN,
        draw=lambda figure, narrow: _draw_groups(figure, groups, found.flips.rate.value, narrow),
    )


def chosen_groups(groups: Sequence[Group]) -> list[Group]:
    """Kind by kind, at most `MOST_GROUPS`: those that are shown to differ, then bands and labels, then a few words."""
    kinds = ("label", "confidence", "length", "field", "word")
    words = [group for group in groups if group.kind == "word"][:MOST_WORDS]
    kept = [group for group in groups if group.kind != "word"] + words
    best = sorted(kept, key=lambda group: (not group.shown, kinds.index(group.kind), group.p_value))[:MOST_GROUPS]
    return sorted(best, key=lambda group: (kinds.index(group.kind), -group.flips.value))


def _draw_groups(figure: FigureBase, groups: Sequence[Group], overall: float, narrow: bool) -> None:
    (axes,) = figure.subplots(1, 1, squeeze=False).flatten()
    quiet_axes(axes, "x")
    axes.axvline(100 * overall, color=LIGHT["limit"], linewidth=1.2)
    for at, group in enumerate(groups):
        rate = group.flips
        axes.plot(
            [100 * rate.low, 100 * rate.high], [at, at], color=LIGHT["series-0"], linewidth=2.2, alpha=0.55,
            solid_capstyle="butt",
        )  # fmt: skip
        axes.plot(
            [100 * rate.value], [at], marker="o", markersize=7, color=LIGHT["series-0"], markeredgewidth=1.8,
            markerfacecolor=LIGHT["series-0"] if group.shown else LIGHT["paper"], zorder=5,
        )  # fmt: skip
    most = 26 if narrow else 44
    names = [shortened(f"{group.kind}: {group.name}", most) for group in groups]
    axes.set_yticks(range(len(groups)), names, color=LIGHT["ink"])
    axes.set_ylim(len(groups) - 0.45, -0.55)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4 if narrow else 8))
    axes.set_xlabel("per cent of answers that differ")


def layers_panel(found: Explanation) -> Panel | None:
    """A bar for each part of the network; None where it was not measured."""
    measured = found.sensitivity
    if measured is None or not measured.parts:
        return None
    parts = measured.parts
    worst = max(parts, key=lambda part: part.cost)
    return Panel(
        name="layers",
        title=f"What each layer costs in {measured.bits} bits",
        description=f"The costliest is {worst.name}, {worst.cost:.3g} of {measured.all:.3g} for all together.",
        caption=f"Each matrix of weights alone in {measured.bits} bits, all else in full precision: how far the "
        f"answers to {measured.texts} texts move from the original's. All together: {measured.all:.3g}. Costs do not "
        "simply add up.",
        height=len(parts) * ROW_HEIGHT * 0.8 + MARGIN,
        height_narrow=len(parts) * ROW_HEIGHT * 0.8 + MARGIN,
        draw=lambda figure, narrow: _draw_layers(figure, parts, narrow),
    )


def _draw_layers(figure: FigureBase, parts: Sequence[Part], narrow: bool) -> None:
    (axes,) = figure.subplots(1, 1, squeeze=False).flatten()
    quiet_axes(axes, "x")
    layers = list(dict.fromkeys(part.layer for part in parts))
    hues = [LIGHT[LAYER_HUES[layers.index(part.layer) % len(LAYER_HUES)] if part.layer else HEAD_HUE] for part in parts]
    axes.barh(range(len(parts)), [part.cost for part in parts], color=hues, height=0.7)
    names = [shortened(short_name(part), 24 if narrow else 48) for part in parts]
    axes.set_yticks(range(len(parts)), names, color=LIGHT["ink"])
    axes.set_ylim(len(parts) - 0.4, -0.6)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=3 if narrow else 6))
    axes.set_xlabel("divergence of the answers, nats" if not narrow else "divergence, nats")


def short_name(part: Part) -> str:
    """The part within its layer: what stands after the layer's number; the whole name where it is in none."""
    if not part.layer:
        return part.name
    _, _, rest = part.name.partition(f".{part.layer.removeprefix('layer ')}.")
    return f"{part.layer}: {rest or part.name}"
