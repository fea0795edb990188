"""The report as one HTML page: no script, no network, no font to fetch; light or dark as the reader's system says.

The page's own policy forbids everything but its inline styles, so a name out of a result can do nothing even if it
slipped through the template's escaping.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from mct.bench.judge.regression import ACROSS_RUNS
from mct.bench.report.plot_style import THEME, milliseconds
from mct.bench.report.plots import panels, svg
from mct.bench.report.report import Report, headline
from mct.bench.report.table import MARKS
from mct.bench.report.web import web_columns, web_rows, web_sentences, web_title
from mct.bench.store.reading import StoredRun

TEMPLATE = "report.html.j2"


def as_html(report: Report) -> str:
    """The whole page. Everything from results is escaped by the template; only our own drawings are trusted."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS
    return environment.get_template(TEMPLATE).render(
        theme=THEME,
        signs={outcome: mark.split()[0] for outcome, mark in MARKS.items()},
        across_runs=f"{ACROSS_RUNS:.0%}",
        sections=[_section(run, changes) for run, changes in zip(report.runs, report.changes, strict=True)],
        pictures=[_pictures(run, str(number)) for number, run in enumerate(report.runs)],
    )


def _section(run: StoredRun, changes: Any) -> dict[str, Any]:
    first = run.entries[0]["environment"]
    return {
        "result": run.result,
        "entries": run.entries,
        "baseline": run.baseline,
        "budget": run.budget,
        "headline": headline(run),
        "changes": changes,
        "environment": first,
        "libraries": sorted({pair for entry in run.entries for pair in entry["environment"]["libraries"].items()}),
        "agreement": run.agreement,
        "has_samples": bool(run.latencies_ms),
        "web": _web(run),
    }


def _web(run: StoredRun) -> dict[str, Any] | None:
    """Of what ran in JavaScript; None where nothing did."""
    if not (rows := web_rows(run.entries)):
        return None
    return {
        "title": web_title(run.entries).removesuffix(":"),
        "columns": web_columns(run.entries),
        "rows": rows,
        "said": web_sentences(run.entries),
    }


def _pictures(run: StoredRun, salt: str) -> list[dict[str, str]]:
    """Each panel drawn for a desk and for a phone."""
    drawn = [(panel, Markup(svg(panel, False, salt)), Markup(svg(panel, True, salt))) for panel in panels(run)]
    return [{"title": of.title, "caption": of.caption, "wide": wide, "narrow": phone} for of, wide, phone in drawn]


def _or_dash(written: Callable[..., str]) -> Callable[..., str]:
    """The filter that writes a value so, and a dash where there is none."""
    return lambda value, *rest: "–" if value is None else written(value, *rest)


FILTERS = {
    "ms": _or_dash(milliseconds),
    "share": _or_dash(lambda value: f"{100 * value:.2f} %"),
    "points": _or_dash(lambda value: f"{100 * value:+.2f}".replace("-", "−")),
    "number": _or_dash(lambda value, digits=1: f"{value:,.{digits}f}"),
    "day": lambda created: created.replace("T", " ").removesuffix("Z") + " UTC",
}
