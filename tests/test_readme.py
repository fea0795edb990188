"""What the README says of the code is what the code says of itself."""

from pathlib import Path

from mct.compress.plan.support import support_markdown

README = Path(__file__).resolve().parents[1] / "README.md"


def test_the_support_table_is_the_tables_own() -> None:
    between = README.read_text(encoding="utf-8").partition("<!-- formats -->\n")[2].partition("<!-- /formats -->")[0]
    assert between == support_markdown(), "print it with: mct models formats"
