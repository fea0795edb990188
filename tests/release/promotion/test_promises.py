"""What releases promise is tried again in small, and what was tried in large is as it was promised."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mct.release.promotion.tries import ERROR

RESULTS = Path(__file__).resolve().parents[3] / "results"


def script(name: str) -> ModuleType:
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


@pytest.mark.parametrize("name", ["releases", "watch"])
def test_a_table_is_that_of_its_figures(name: str) -> None:
    assert script(name).markdown(found(name)) == (RESULTS / f"{name}.md").read_text(encoding="utf-8")


def test_kills_and_races_in_small(monkeypatch: pytest.MonkeyPatch) -> None:
    module = script("releases")
    monkeypatch.setattr(module, "KILLS", 16)
    monkeypatch.setattr(module, "RACES", 3)
    kills = module.kills()
    assert kills["not_one_whole_production"] == 0 and kills["drafts_after_it"] == 0
    assert sum(kills["found"].values()) == 16
    assert not [what for what in module.race()["outcomes"] if what.startswith("wrong")]


def test_two_hundred_kills_lost_nothing_and_no_race_was_won_twice() -> None:
    kills, race = found("releases")["kills"], found("releases")["race"]
    assert kills["kills"] >= 200 and kills["not_one_whole_production"] == 0
    assert {"promote: old", "promote: new", "rollback: old", "rollback: new"} <= set(kills["found"])
    assert sum(race["outcomes"].values()) == race["races"]
    assert not [what for what in race["outcomes"] if what.startswith(("wrong", "codes"))]


def test_trying_again_passes_no_more_often_than_one_try_may() -> None:
    for row in found("releases")["luck"]:
        assert row["ever_pass"] <= ERROR, row
        assert row["ever_pass_a_gate_that_forgets"] > row["ever_pass"], row


def test_watching_raises_few_false_alarms_and_finds_what_changed() -> None:
    watch = found("watch")
    assert watch["looks"] == 50 and len(watch["calm"]) >= 5
    for row in watch["calm"]:
        assert row["false"] <= 0.05, row
    for row in watch["shifted"]:
        assert row["found"] >= 0.9, row
