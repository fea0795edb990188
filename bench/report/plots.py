"""The figures of a run: each as SVG that takes its colours from the page, or all on one sheet as PNG.

Every figure is drawn by the same function for both, and for the page at two widths: text in a figure that is merely
scaled down to a phone cannot be read.
"""

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from xml.sax.saxutils import quoteattr

import matplotlib
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from mct import MctError
from mct.bench.report.plot_history import history_panel
from mct.bench.report.plot_latency import latency_panel
from mct.bench.report.plot_pareto import pareto_panel
from mct.bench.report.plot_slices import slices_panel
from mct.bench.report.plot_style import POINTS_PER_INCH, SETTINGS, THEME, Panel
from mct.bench.report.report import Report
from mct.bench.store.history import Series
from mct.bench.store.reading import StoredRun

WIDTH, WIDTH_NARROW = 860.0, 370.0
PNG_SCALE = 2

FACE = "DejaVu Sans"
JAPANESE = ("Noto Sans CJK JP", "IPAexGothic", "IPAGothic", "Hiragino Sans", "Yu Gothic", "MS Gothic")
"""A manga shop's labels may be in Japanese."""

COLOURS = {light: name for name, (light, _) in THEME.items()}
NOT_FOR_PAGES = re.compile(r'<metadata>.*?</metadata>|<style type="text/css">.*?</style>|(?<=<g) id="[^"]*"', re.DOTALL)
"""Who drew it, rules that would reach the whole page, and names of groups, which every figure has the same."""
STYLED = re.compile(r'style="[^"]*"')
HEX = re.compile(r"#[0-9a-f]{6}")
FONT = re.compile(r"font: ((?:bold |italic )*[0-9.]+px) [^;\"]+")


def panels(run: StoredRun) -> list[Panel]:
    """The figures that this run has the data for."""
    return [panel for make in (latency_panel, pareto_panel, slices_panel) if (panel := make(run)) is not None]


def svg(panel: Panel, narrow: bool, salt: str = "") -> str:
    """One figure as an <svg> element, to stand inside a page that defines the theme's CSS variables.

    Figures of different `salt` share no id, so that several runs can stand on one page.
    """
    size = (WIDTH_NARROW, panel.height_narrow) if narrow else (WIDTH, panel.height)
    written = io.StringIO()
    with _settings(f"{salt} {panel.name} {narrow}"):
        figure = _figure(size)
        panel.draw(figure, narrow)
        figure.savefig(written, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    return _for_page(written.getvalue(), f"{panel.title}. {panel.description}")


def as_png(report: Report) -> bytes:
    """All figures of all runs on one sheet, one below the other. MctError where there is nothing to draw."""
    sheet = [panel for run in report.runs for panel in panels(run)]
    if not sheet:
        raise MctError("no artifact of these results has a P95 to draw", "measure for longer, or report as markdown")
    return draw_sheet(sheet)


def history_png(series: Sequence[Series]) -> bytes:
    """The histories on one sheet, one below the other."""
    return draw_sheet([history_panel(each) for each in series])


def draw_sheet(sheet: Sequence[Panel]) -> bytes:
    """All figures one below the other, each with its title, as PNG."""
    written = io.BytesIO()
    heading = 34.0
    heights = [panel.height + heading for panel in sheet]
    with _settings("sheet"):
        figure = _figure((WIDTH, sum(heights)))
        parts = figure.subfigures(len(sheet), 1, height_ratios=heights, squeeze=False).flatten()
        for part, panel in zip(parts, sheet, strict=True):
            part.suptitle(panel.title, x=0.012, ha="left", fontsize=14, fontweight="bold")
            panel.draw(part, False)
        figure.savefig(written, format="png", dpi=PNG_SCALE * POINTS_PER_INCH)
    return written.getvalue()


@contextmanager
def _settings(salt: str) -> Iterator[None]:
    """Our settings, whatever the user's matplotlib says; the salt makes the ids in an SVG repeatable and its own.

    A character that no font here has is drawn as a box on the sheet; a page has the reader's fonts and shows it.
    """
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        installed = set(font_manager.get_font_names())
        faces = [FACE, *(name for name in JAPANESE if name in installed)]
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**SETTINGS, "font.family": faces, "svg.hashsalt": salt})
        yield


def _figure(size: tuple[float, float]) -> Figure:
    figure = Figure(figsize=(size[0] / POINTS_PER_INCH, size[1] / POINTS_PER_INCH), dpi=POINTS_PER_INCH)
    figure.set_layout_engine(ConstrainedLayoutEngine(h_pad=0.1, w_pad=0.08, hspace=0.04, wspace=0.03))
    return figure


def _for_page(drawn: str, label: str) -> str:
    """Only the <svg> element, with a label to be read aloud, the theme's colours and the page's typeface."""

    def themed(colour: re.Match[str]) -> str:
        return f"var(--{COLOURS[colour.group()]})" if colour.group() in COLOURS else colour.group()

    def restyled(style: re.Match[str]) -> str:
        return FONT.sub(r"font: \1 var(--face)", HEX.sub(themed, style.group()))

    body = NOT_FOR_PAGES.sub("", drawn[drawn.index("<svg") :])
    body = STYLED.sub(restyled, body)
    return body.replace("<svg ", f"<svg role='img' aria-label={quoteattr(label)} ", 1)
