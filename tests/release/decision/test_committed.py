"""The committed decisions: one a row of the product's table, each with its evidence, and the table made of them."""

import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from mct.models.scenarios.table import SCENARIOS

ROOT = Path(__file__).resolve().parents[3]
RESULTS = ROOT / "results"
NAMES = [scenario.name for scenario in SCENARIOS]


def decision(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / "decisions" / f"{name}.json").read_text(encoding="utf-8"))
    return found


def test_every_row_is_decided() -> None:
    assert sorted(path.stem for path in (RESULTS / "decisions").glob("*.json")) == sorted(NAMES)
    assert {decision(name)["outcome"] for name in NAMES} == {"promote", "hold", "roll back"}


@pytest.mark.parametrize("name", NAMES)
def test_a_decision_follows_from_its_criteria(name: str) -> None:
    found = decision(name)
    states = {each["name"]: each["state"] for each in found["criteria"]}
    assert list(states) == ["pain", "data", "metric", "budget", "rollback"]
    trouble = found["production"]["trouble"]
    if found["outcome"] == "promote":
        assert set(states.values()) == {"met"} and not trouble
    elif found["outcome"] == "roll back":
        assert trouble and "return to it" in found["why"][-1]
    else:
        assert trouble or set(states.values()) != {"met"}
        assert all(
            any(why.startswith(f"{each}: ") for why in found["why"]) for each, at in states.items() if at != "met"
        )
    assert found["signed_by"] is None


@pytest.mark.parametrize("name", NAMES)
def test_a_decision_names_its_evidence_and_what_makes_it_again(name: str) -> None:
    found = decision(name)
    page = (RESULTS / "decisions" / f"{name}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {found['outcome'].capitalize()}: {found['number']} {name}\n")
    named = {each["file"] for each in found["evidence"]}
    for each in found["criteria"]:
        assert set(each["files"]) <= named
        assert each["state"] != "met" or each["files"]
    for each in found["evidence"]:
        assert re.fullmatch("[0-9a-f]{64}", each["sha256"]) and each["command"].startswith(("mct ", "python results/"))
        assert each["sha256"] in page
    assert {each["what"] for each in found["alternatives"]} >= {"not fine-tuning at all", "not compressing at all"}
    assert "/tmp" not in page and "/work" not in page and str(ROOT) not in page


def test_the_table_of_systems_is_that_of_the_results(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if str(RESULTS) not in sys.path:
        sys.path.append(str(RESULTS))
    spec = importlib.util.spec_from_file_location("scenarios_table", RESULTS / "scenarios.py")
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr(script, "PAGE", tmp_path / "scenarios.md")
    script.main()
    written = (tmp_path / "scenarios.md").read_text(encoding="utf-8")
    assert written == (RESULTS / "scenarios.md").read_text(encoding="utf-8"), "run: python results/scenarios.py"
    assert len({line.split("|")[1] for line in written.splitlines() if re.match(r"\| \d\d ", line)}) == 19
