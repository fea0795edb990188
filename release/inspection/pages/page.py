"""An inspection as one HTML page: no script, no network; the words of both models' answers shaded side by side.

Everything that comes from data, names or models is escaped by the template; only our own drawings are trusted. The
page's policy forbids all but its inline styles.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from mct.bench.report import html
from mct.bench.report.plot_style import THEME
from mct.bench.report.plots import svg
from mct.bench.report.table import MARKS
from mct.release.inspection.explanation import Attributed, Explanation
from mct.release.inspection.flips import Group
from mct.release.inspection.pages.markdown import MOST_LABELS, headline, mean, percent, times
from mct.release.inspection.pages.pictures import panels

TEMPLATE = "explain.html.j2"
STEPS = 6
"""Shades of a word, either way."""
MOST_ANSWERS, MOST_FLIPS, MOST_FAILURES, MOST_GROUPS = 12, 60, 12, 12


def as_page(found: Explanation) -> str:
    """The whole page."""
    folders = [Path(__file__).parent, Path(html.__file__).parent]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"percent": percent, "mean": mean, "answer": written, "times": times}
    drawn = {panel.name: panel for panel in panels(found)}
    pictures = {
        name: {
            "title": panel.title, "caption": panel.caption,
            "wide": Markup(svg(panel, False, "explain")), "narrow": Markup(svg(panel, True, "explain")),
        }
        for name, panel in drawn.items()
    }  # fmt: skip
    return environment.get_template(TEMPLATE).render(
        found=found, theme=THEME, headline=headline(found), pictures=pictures, steps=range(1, STEPS + 1), top=STEPS,
        signs={outcome: mark.split()[0] for outcome, mark in MARKS.items()},
        answers=[shaded(each) for each in chosen_answers(found)],
        groups=told_groups(found.flips.groups), flips=found.flips.listed[:MOST_FLIPS],
        most_failures=MOST_FAILURES, most_labels=MOST_LABELS,
    )  # fmt: skip


def told_groups(groups: Sequence[Group]) -> list[Group]:
    """Those that are shown to differ; without any the nearest few."""
    return [group for group in groups if group.shown][:MOST_GROUPS] or list(groups[:3])


def chosen_answers(found: Explanation) -> list[Attributed]:
    """The answers that flipped or drifted most, half of what is shown, and typical ones, the other half."""
    if found.attribution is None:
        return []
    told = [each for each in found.attribution.examples if each.drift is not None]
    far = sorted(told, key=lambda each: (each.answer == each.artifact_answer, -(each.drift or 0.0)))[
        : MOST_ANSWERS // 2
    ]
    others = [each for each in told if each not in far]
    return far + others[: MOST_ANSWERS - len(far)]


def shaded(each: Attributed) -> dict[str, Any]:
    """An answer with the words of each view and their shades: the most of a view is its darkest."""
    views = []
    for name, values in (
        ("original", [word.original for word in each.words]),
        ("artifact", [word.artifact for word in each.words]),
        ("gradients", [word.gradient for word in each.words if word.gradient is not None]),
    ):
        if values:
            most = max(map(abs, values)) or 1.0
            steps = [round(STEPS * value / most) for value in values]
            words = [
                {"word": word.word, "step": step, "value": value}
                for word, step, value in zip(each.words, steps, values, strict=True)
            ]
            views.append({"name": name, "words": words})
    return {"told": each, "views": views}


def written(answer: Any) -> str:
    """An answer as a person reads it."""
    if isinstance(answer, dict):
        return "; ".join(f"{name}: {written(value)}" for name, value in answer.items())
    return (" ".join(map(str, answer)) or "nothing") if isinstance(answer, list | tuple) else str(answer)
