"""The page of a data check: one file, no script, nothing to fetch. A leaf.

Everything that stands in the data was written by strangers: the template escapes all of it, and the page's own policy
forbids whatever is no style of its own.
"""

from pathlib import Path

import jinja2

from mct.models.command_line import one_line
from mct.release.curation import page
from mct.release.curation.findings import Findings

TEMPLATE = "check.html.j2"


def render(found: Findings) -> str:
    """The whole page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = one_line
    return environment.get_template(TEMPLATE).render(
        headline=page.verdict(found),
        leaky=bool(found.leaks),
        against=[each.name for each in found.files if each.against],
        overviews=[(page.SUMMARY, page.summary(found)), (page.MADE_OF, page.made_of(found))],
        remarks=page.remarks(found),
        labels=[each for each in found.compositions if each.labels],
        parts=list(page.tables(found)),
    )
