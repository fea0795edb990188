"""What the README says of the code is what the code says of itself."""

import re
from pathlib import Path

from mct.compress.plan.support import families_markdown, support_markdown

README = Path(__file__).resolve().parents[1] / "README.md"


def _between(name: str) -> str:
    return README.read_text(encoding="utf-8").partition(f"<!-- {name} -->\n")[2].partition(f"<!-- /{name} -->")[0]


def test_the_tables_of_support_are_the_code_s_own() -> None:
    assert _between("formats") == support_markdown(), "print it with: mct models formats"
    assert _between("families") == families_markdown(), "print it with: mct models families"


def test_every_link_leads_somewhere() -> None:
    for page in (README, README.parent / "docs" / "architecture.md"):
        links = [link for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")) if "://" not in link]
        assert not [link for link in links if not (page.parent / link).exists()]


def test_nothing_is_merged_by_half() -> None:
    for page in (README, README.parent / "docs" / "architecture.md"):
        lines = page.read_text(encoding="utf-8").splitlines()
        assert not [line for line in lines if line.startswith(("<<<<<<<", ">>>>>>>")) or line == "======="]
