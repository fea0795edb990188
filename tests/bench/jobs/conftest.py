"""What the tests of runs under load share."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def read_records() -> Callable[[Path], list[dict[str, Any]]]:
    """The raw records of a run in the order in which they came; a last one cut short by a kill is left out."""

    def read(path: Path) -> list[dict[str, Any]]:
        records = []
        with gzip.open(path, "rt", encoding="utf-8") as file:
            try:
                for line in file:
                    if line.endswith("\n"):
                        records.append(json.loads(line))
            except EOFError:
                pass
        return records

    return read
