"""What the README says of the code is what the code says of itself."""

import re
from pathlib import Path

from mct.compress.plan.support import support_markdown

README = Path(__file__).resolve().parents[1] / "README.md"


def test_the_support_table_is_the_tables_own() -> None:
    between = README.read_text(encoding="utf-8").partition("<!-- formats -->\n")[2].partition("<!-- /formats -->")[0]
    assert between == support_markdown(), "print it with: mct models formats"


def test_every_link_leads_somewhere() -> None:
    for page in (README, README.parent / "docs" / "architecture.md"):
        links = [link for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")) if "://" not in link]
        assert not [link for link in links if not (page.parent / link).exists()]
