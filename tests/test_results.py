"""What the committed results say: the tables are those of the figures, and the figures those that were asked for."""

import importlib.util
import json
import sys
from math import sqrt
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from mct.bench.judge.verdict_quality import quality_lines
from mct.models.scenarios.shop.high_risk import HIGH_RISK_INTENTS
from mct.models.scenarios.shop.intents import HIGH_RISK_ROWS
from mct.targets.budget import Budget

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


@pytest.mark.parametrize(
    "name",
    [
        "coverage",
        "data",
        "demo",
        "distilled",
        "emulated",
        "lost",
        "max_load",
        "peers",
        "power",
        "support",
        "techniques",
        "auto",
        "real",
        "watch",
    ],
)
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


def test_two_bits_fail_what_a_technique_gave_and_three_times_nothing_else_would_have() -> None:
    cases = found("lost")["cases"]
    for case in cases:
        worst = min(case["rows"], key=lambda row: row["bits"])
        assert worst["bits"] == 2 and "fail" in {line["outcome"] for line in worst["own"]}, case["scenario"]
    rows = [row for case in cases for row in case["rows"]]
    hidden = [
        row
        for row in rows
        if {line["outcome"] for line in row["average"]} == {"pass"}
        and "fail" in {line["outcome"] for line in row["own"]}
    ]
    assert len(hidden) >= 3


def test_weights_are_spoilt_and_judged_as_lost_has_them(tiny_bert: Path, tmp_path: Path) -> None:
    """Right is what the original answers, so of the original nothing is lost; of three levels a weight, much is."""
    lost, data = script("lost"), tmp_path / "rows.jsonl"
    assert lost.rounded(np.array([[0.1, -1.0, 0.6]], dtype=np.float32), 2).tolist() == [[0.0, -1.0, 1.0]]
    budget = Budget("b", "sequence-classification", slice_fields=("month",), slice_max_drop=0.01)
    words = ("where", "is", "my", "order", "volume", "return", "it", "please", "a", "late", "refund", "of", "the")
    texts = [" ".join(words[(number * step + number // 13) % 13] for step in range(2, 9)) for number in range(60)]
    rows = [{"text": text, "label": "other", "month": f"2026-0{1 + place % 2}"} for place, text in enumerate(texts)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (first,) = lost.measure_all([tiny_bert], data, budget, None)
    data.write_text(
        "".join(
            json.dumps({**row, "label": label}) + "\n" for row, label in zip(rows, first.answers.values, strict=True)
        )
    )
    original, spoilt = lost.measure_all([tiny_bert, lost.spoil(tiny_bert, tmp_path / "spoilt", 2)], data, budget, None)
    assert {line.outcome for line in quality_lines(original, budget, original)} == {"pass"}
    assert "fail" in {line.outcome for line in quality_lines(spoilt, budget, original)}
