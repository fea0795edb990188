"""The front as one HTML page: the sentence, the picture, the table. No script, no network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from mct.bench.report.plot_pareto import pareto_panel
from mct.bench.report.plot_style import THEME
from mct.bench.report.plots import svg
from mct.bench.search.front import as_run

TEMPLATE = "front.html.j2"


def as_page(found: Mapping[str, Any]) -> str:
    """The page; whatever comes from names is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    panel = pareto_panel(as_run(found))
    drawn = (
        {name: Markup(svg(panel, narrow, "front")) for name, narrow in (("wide", False), ("narrow", True))}
        if panel
        else {}
    )
    return environment.get_template(TEMPLATE).render(found=found, theme=THEME, picture=drawn)
