"""A matrix as one HTML page: the picture, the table, what to ship where. As the report's page it loads nothing."""

from pathlib import Path

import jinja2
from markupsafe import Markup

import mct.bench.report
from mct.bench.matrix.plot import matrix_panel
from mct.bench.matrix.stored import Matrix
from mct.bench.matrix.table import headline
from mct.bench.report.html import FILTERS
from mct.bench.report.plot_style import THEME
from mct.bench.report.plots import draw_sheet, svg
from mct.bench.report.table import MARKS

TEMPLATE = "matrix.html.j2"


def matrix_page(matrix: Matrix) -> str:
    """The whole page. Everything from the matrix is escaped by the template; only our own drawing is trusted."""
    folders = [Path(__file__).parent, Path(mct.bench.report.__file__).parent]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= FILTERS
    panel = matrix_panel(matrix)
    return environment.get_template(TEMPLATE).render(
        theme=THEME, signs={outcome: mark.split()[0] for outcome, mark in MARKS.items()}, matrix=matrix,
        headline=headline(matrix), panel=panel, wide=Markup(svg(panel, False)), narrow=Markup(svg(panel, True)),
    )  # fmt: skip


def matrix_png(matrix: Matrix) -> bytes:
    """The picture alone."""
    return draw_sheet([matrix_panel(matrix)])
