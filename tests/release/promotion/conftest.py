"""What the tests of releases share: a store, and a gate."""

from pathlib import Path

import pytest

from mct.release.promotion.store import Store, open_store

BUDGETS = '[quick]\ntask = "sequence-classification"\np95_ms = 3.0\nquality_at_least = 0.9\n'
GATE = """
[shadow]
budgets = ["quick"]
results = ["results"]
budgets_file = "budgets.toml"

[production]
budgets = ["quick"]
results = ["results"]
budgets_file = "budgets.toml"
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "releases")


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A gate for shadow and one for production: one budget, any target."""
    (tmp_path / "budgets.toml").write_text(BUDGETS)
    path = tmp_path / "release.toml"
    path.write_text(GATE)
    return path
