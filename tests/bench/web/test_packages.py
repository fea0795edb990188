"""The pinned packages stand in one place, and what users are told is made of that."""

import re
from pathlib import Path

from mct.bench.web.packages import pinned

ROOT = Path(__file__).resolve().parents[3]


def test_the_readme_names_the_pinned_versions() -> None:
    (line,) = re.findall(
        r"npm install --prefix ~/.cache/mct/node --ignore-scripts (.*)", (ROOT / "README.md").read_text()
    )
    assert line.split() == [f"{name}@{version}" for name, version in pinned().items()]


def test_make_node_installs_what_is_pinned_and_where_it_is_looked_for() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert "bench/web/package.json" in makefile and "$(MCT_NODE)" in makefile


def test_they_are_never_a_range() -> None:
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in pinned().values())
