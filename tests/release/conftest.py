"""What the tests of data share: small files, and rows of the shop whose labels are known to be right."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from mct.models.scenarios.shop.intents import generate

Row = dict[str, Any]
Put = Callable[[str, Sequence[Mapping[str, Any]]], Path]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Write rows as JSON Lines under a name."""

    def write(name: str, rows: Sequence[Mapping[str, Any]]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def clean_rows() -> list[Row]:
    """Six hundred synthetic messages of ten intents, each labelled right."""
    made = [row for row in generate(0, 10, 600).train if row["source"] == "synthetic"]
    return [{"text": row["text"], "label": row["label"]} for row in made][:600]
