"""What the committed results say: the tables are those of the figures, and the figures those that were asked for."""

import importlib.util
import json
import sys
from math import sqrt
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mct.models.scenarios.shop.high_risk import HIGH_RISK_INTENTS
from mct.models.scenarios.shop.intents import HIGH_RISK_ROWS

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"
LOSSLESS = 0.006
"""The share of answers that an artifact without loss flips: about what INT8 flips in the demo (results/power.md)."""


def script(name: str) -> ModuleType:
    """One of the scripts that make the results; some import what lies beside them."""
    if str(RESULTS) not in sys.path:
        sys.path.append(str(RESULTS))
    spec = importlib.util.spec_from_file_location(f"results_{name}", RESULTS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def found(name: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return value


@pytest.mark.parametrize("name", ["coverage", "demo", "max_load", "power"])
def test_a_table_is_that_of_its_figures(name: str) -> None:
    assert script(name).markdown(found(name)) == (RESULTS / f"{name}.md").read_text(encoding="utf-8")


def test_the_readme_shows_the_committed_demo() -> None:
    """Made again by: python results/demo.py --render."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert script("demo").with_table(readme, found("demo")) == readme
    assert script("demo").BEGIN in readme


def test_nine_of_ten_artifacts_that_lost_nothing_pass_on_so_many_messages() -> None:
    power = script("power")
    (passes,) = (
        each["passes"] for each in found("power")["table"] if (each["rows"], each["rate"]) == (HIGH_RISK_ROWS, LOSSLESS)
    )
    assert passes >= 0.9
    again = power.share_passing(HIGH_RISK_ROWS, LOSSLESS, draws=300, seed=1)
    assert again == pytest.approx(passes, abs=3 * sqrt(passes * (1 - passes) / 300))


def test_the_five_hundred_messages_of_before_would_have_decided_one_time_in_six() -> None:
    again = script("power").share_passing(500, LOSSLESS, draws=200, seed=1)
    assert again < 0.3
    assert len(HIGH_RISK_INTENTS) == 5


def test_the_loops_that_measure_keep_their_error() -> None:
    """With the limit on P95 at most 5 % pass and at most 5 % fail, and what is 20 % below it passes."""
    for row in found("coverage")["loops"]:
        if row["limit"] == "on P95":
            assert row["pass"] <= 0.05 and row["fail"] <= 0.05, row
        if row["limit"] == "P95 20 % below" and "stalls" not in row["latencies"]:
            assert row["pass"] >= 0.95, row
    for row in found("coverage")["unsteady"]:
        assert row["alarms"] <= 0.015, row
