"""The decision by the five criteria: what promotes, what can only hold, what rolls back."""

import json
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mct import MctError
from mct.release.decision.criterion import ASKS, STATES, Criterion, State
from mct.release.decision.decision import Asked, Decision, conclude, decide
from mct.release.decision.decision_text import as_markdown, as_text
from mct.release.decision.evidence import read_evidence
from mct.release.decision.standing import Standing
from mct.release.promotion.gate import ask_gate
from mct.release.promotion.gate_values import GateVerdict
from mct.release.promotion.moves import retire
from mct.release.promotion.releases import Looked, Release, Stage
from mct.release.promotion.store import now, open_store
from mct.release.watching.job import watch_logs
from mct.targets.budget import Budget

NAME = "intent-router"
BUDGET = Budget(
    NAME, "sequence-classification", p95_ms=15.0, quality_at_least=0.921, quality_max_drop=0.005,
    slices=("returns", "checkout"), slice_max_drop=0.02,
)  # fmt: skip
Change = Callable[[Any], None]


def decided(case: Any, **asked: Any) -> Decision:
    return decide(read_evidence(case.folder, NAME), Asked(**asked))


def states(decision: Decision) -> dict[str, str]:
    return {each.name: each.state for each in decision.criteria}


def test_all_five_promote(case: Any) -> None:
    decision = decided(case)
    assert decision.outcome == "promote", decision.why
    assert set(states(decision).values()) == {"met"}
    page = as_text(decision)
    assert "# Promote: 01 intent-router" in page
    for said in (
        "0.23 [0.2, 0.26] of n = 1,200",
        "not fine-tuning at all",
        "not compressing at all",
        "signed by: nobody",
    ):
        assert said in page


# Ways in which the evidence of one criterion can be gone, by criterion. Each must be named, and hold.
GONE: dict[str, list[Change]] = {
    "pain": [
        lambda case: (case.folder / "pain.json").unlink(),
        lambda case: without(case, "[pain]"),
        lambda case: case.edit("pain.json", origin="assumed"),
    ],
    "data": [lambda case: (case.folder / "check.json").unlink(), lambda case: without(case, "[data]")],
    "metric": [
        lambda case: (case.folder / "untuned.json").unlink(),
        lambda case: (case.folder / "tie.json").unlink(),
        lambda case: case.edit("tie.json", origin="assumed"),
        lambda case: remove_samples(case),
        lambda case: case.edit("untuned.json", metric="f1"),
    ],
    "budget": [
        lambda case: replaced(case, "cost_per_month = 150.0\n", ""),
        lambda case: remove_samples(case),
        lambda case: case.measure(budget=None),
        lambda case: case.measure(target=None),
    ],
    "rollback": [lambda case: shutil.rmtree(case.folder / "store"), lambda case: without(case, "[rollback]")],
}


def remove_samples(case: Any) -> None:
    (case.folder / case.read("bench.json")["samples"]).unlink()


def replaced(case: Any, old: str, new: str) -> None:
    file = case.folder / "evidence.toml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def without(case: Any, table: str) -> None:
    """`evidence.toml` without one of its tables."""
    file = case.folder / "evidence.toml"
    before, _, after = file.read_text(encoding="utf-8").partition(table)
    file.write_text(before + after.partition("\n\n")[2], encoding="utf-8")


@pytest.mark.parametrize(("name", "way"), [(name, way) for name, ways in GONE.items() for way in range(len(ways))])
def test_without_the_evidence_of_one_criterion_it_can_only_hold(case: Any, name: str, way: int) -> None:
    GONE[name][way](case)
    decision = decided(case)
    assert decision.outcome == "hold"
    assert states(decision)[name] == "missing"
    assert [each for each in decision.why if each.startswith(f"{name}: missing: ")]
    assert "missing" in as_markdown(decision)


@pytest.mark.parametrize("names", [two for count in (2, 3, 4, 5) for two in combinations(GONE, count)], ids="-".join)
def test_without_several_it_holds_and_names_each(case: Any, names: tuple[str, ...]) -> None:
    for name in names:
        GONE[name][-1](case)
    decision = decided(case)
    assert decision.outcome == "hold"
    assert {name for name, state in states(decision).items() if state == "missing"} >= set(names)


# Evidence that is there and speaks against it.
AGAINST: dict[str, tuple[str, Change]] = {
    "the gentler end of the pain can be borne": ("pain", lambda case: case.edit("pain.json", low=0.09)),
    "a leak": ("data", lambda case: case.edit("check.json", leaks=[{"file": "test.jsonl", "row": 7}])),
    "other data was checked": (
        "data",
        lambda case: case.edit("check.json", files=[{"name": "test.jsonl", "sha256": "c" * 64, "rows": 1}]),
    ),
    "no better than not fine-tuning": ("metric", lambda case: case.edit("untuned.json", high=0.92)),
    "no gain in the log": ("metric", lambda case: case.edit("tie.json", low=0.0)),
    "too dear": ("budget", lambda case: replaced(case, "cost_per_month = 150.0", "cost_per_month = 60.0")),
    "the drill failed": ("rollback", lambda case: case.practise("fail")),
}


@pytest.mark.parametrize("what", AGAINST)
def test_evidence_against_one_criterion_holds(case: Any, what: str) -> None:
    name, change = AGAINST[what]
    change(case)
    decision = decided(case)
    assert decision.outcome == "hold"
    assert states(decision)[name] == "not met", decision.why


@pytest.mark.parametrize("way", [{"baseline": "onnx-int8"}, {"copied": True}], ids=["its own name", "a copy"])
def test_what_was_held_against_itself_has_shown_nothing(case: Any, way: dict[str, Any]) -> None:
    case.measure(**way)
    decision = decided(case)
    assert decision.outcome == "hold"
    assert (states(decision)["metric"], states(decision)["budget"]) == ("missing", "not met")
    assert sum("it was held against itself" in each for each in decision.why) == 2


def test_what_a_result_says_its_budget_was_loosens_none(case: Any) -> None:
    case.measure(budget=replace(BUDGET, p95_ms=9999.0), median_ms=22.0)
    found = decided(case)
    assert (found.outcome, states(found)["budget"]) == ("hold", "not met")
    assert any("p95_ms was 9999, and is to be 15" in each for each in found.why)
    assert any(each.startswith("budget: not met: P95 < 15 ms: fail") for each in found.why)
    limits = (case.folder / "budgets.toml").read_text()
    (case.folder / "budgets.toml").write_text(limits + "p95_ms = 9999.0\n")
    found = decided(case)
    assert found.outcome == "promote" and "budgets.toml" in {file for file, _, _ in found.files}
    (case.folder / "budgets.toml").unlink()
    assert states(decided(case))["budget"] == "missing"
    replaced(case, 'budgets = "budgets.toml"\n', "")
    assert any("the built-in budget intent-router" in each for each in decided(case).why)


def test_the_limits_of_a_budget_that_only_the_result_knows_are_assumed(case: Any) -> None:
    assert all("is not built in" not in each for each in decided(case).assumed)
    case.measure(budget=replace(BUDGET, name="mine"))
    found = decided(case)
    assert found.outcome == "promote" and any("mine, which is not built in" in each for each in found.assumed)


def test_a_production_that_was_judged_by_less_has_not_shown_that_it_behaves(case: Any) -> None:
    in_production_twice(case)
    case.measure_production("pass", budget=replace(BUDGET, p95_ms=9999.0))
    found = decided(case)
    assert found.outcome == "hold" and not found.trouble
    assert any("production.json was judged by less than its budget asks (p95_ms)" in each for each in found.why)


def ask_in_vain(case: Any, gate: str) -> None:
    (case.folder / "gate.toml").write_text(gate)
    ask_gate(case.store, f"{NAME}@2", "production", case.folder / "gate.toml")


def damage(case: Any) -> None:
    model = next((case.folder / "store" / "artifacts" / case.store.find(f"{NAME}@2").digest).rglob("*.onnx"))
    model.write_bytes(model.read_bytes()[:-1])


HELD: dict[str, Change] = {
    "is retired": lambda case: retire(case.store, f"{NAME}@2", note="it leaks"),
    "inconclusive for production": lambda case: ask_in_vain(case, '[production]\nafter = "canary"\n'),
    "does not lie in the store whole": damage,
}


@pytest.mark.parametrize("why", HELD)
def test_what_may_not_go_out_is_not_promoted_whatever_its_evidence_says(case: Any, why: str) -> None:
    HELD[why](case)
    decision = decided(case)
    assert set(states(decision).values()) == {"met"} and decision.outcome == "hold"
    (said,) = decision.why
    assert f"{NAME}@2" in said and why in said


def test_a_watch_that_could_not_tell_is_no_all_clear(case: Any) -> None:
    in_production_twice(case)
    case.watch(f"{NAME}@2")
    assert decided(case).outcome == "promote"
    case.edit("watch.json", outcome="inconclusive")
    found = decided(case)
    assert found.outcome == "hold" and any("watch.json could not tell" in each for each in found.why)
    case.edit("watch.json", outcome="fail")
    found = decided(case)
    assert found.outcome == "roll back" and found.trouble == (f"mct watch of {NAME}@2 (watch.json) raised an alarm",)


@pytest.mark.parametrize("near", [1.0, 0.95, None])
def test_a_check_that_lets_pass_what_is_alike_has_found_no_leak(case: Any, near: float | None) -> None:
    told = {name: value for name, value in case.read("check.json").items() if name != "near"}
    case.write("check.json", told | ({"near": near} if near else {}))
    found = decided(case)
    assert found.outcome == "hold" and states(found)["data"] == "missing"


@pytest.mark.parametrize("told", [{"fields": {"text": "id"}}, {"task": "pair-scoring"}])
def test_a_check_of_other_columns_has_found_no_leak(case: Any, told: dict[str, Any]) -> None:
    case.edit("check.json", **told)
    found = decided(case)
    assert found.outcome == "hold" and states(found)["data"] == "missing"


def test_a_bench_that_read_other_columns_is_of_another_test(case: Any) -> None:
    """Where the evidence says so, all of it was read in that way."""
    case.measure(renamed={"label": "predicted"})
    found = decided(case)
    assert found.outcome == "hold" and {states(found)[name] for name in ("metric", "budget")} == {"missing"}
    assert any("it read predicted as label" in each for each in found.why)
    index = case.folder / "evidence.toml"
    said = 'check = "check.json"\n'
    index.write_text(index.read_text().replace(said, f'{said}fields = {{label = "predicted"}}\n'))
    assert states(decided(case))["data"] == "missing", "the check read it as label"
    case.edit("check.json", fields={"label": "predicted"})
    assert decided(case).outcome == "promote"


@pytest.mark.parametrize(("equals", "outcome"), [("1", "promote"), ("2", "hold"), ("", "hold")])
def test_a_baseline_is_what_the_artifact_was_made_of(case: Any, equals: str, outcome: str) -> None:
    """One that does not say so shows nothing, as at a gate."""
    case.measure(origins=("1" * 64, equals * 64 if equals else ""))
    found = decided(case)
    assert found.outcome == outcome
    assert outcome == "promote" or any("neither what it was made of" in each for each in found.why)


def test_a_result_that_does_not_say_what_it_was_held_against_is_to_be_made_again(case: Any) -> None:
    case.measure(origins=None)
    found = decided(case)
    assert found.outcome == "hold" and states(found)["metric"] == "missing"
    assert any("what it was held against: make it again" in each for each in found.why)


def test_a_column_that_is_called_what_it_is_was_not_renamed(case: Any) -> None:
    said = 'check = "check.json"\n'
    replaced(case, said, f'{said}fields = {{label = "label"}}\n')
    assert decided(case).outcome == "promote"
    replaced(case, '{label = "label"}', "{}")
    case.edit("check.json", fields={"label": "label"})
    assert decided(case).outcome == "promote"


@pytest.mark.parametrize(("taught", "outcome"), [("b", "promote"), ("c", "hold")])
def test_a_check_has_to_be_of_what_taught_the_artifact(case: Any, tmp_path: Any, taught: str, outcome: str) -> None:
    assert any("what taught the artifact" in each for each in decided(case).assumed)
    artifact = shutil.copytree(case.artifact, tmp_path / "made" / case.artifact.name)
    manifest = json.loads((artifact / "mct.json").read_text())
    manifest["lineage"][-1]["data"] = {"name": "train.jsonl", "rows": 9, "sha256": taught * 64}
    (artifact / "mct.json").write_text(json.dumps(manifest))
    other = replace(case, store=open_store(tmp_path / "releases"))
    other.put_in_production(other.add(case.artifact.with_name("onnx-fp32")))
    other.practise()
    other.add(artifact)
    found = decided(case, store=str(tmp_path / "releases"))
    assert found.outcome == outcome and not any("what taught the artifact" in each for each in found.assumed)
    assert outcome == "promote" or any("the data that taught it (cccccccccccc" in each for each in found.why)


def test_an_inconclusive_verdict_holds(case: Any) -> None:
    case.measure(worse=5)
    decision = decided(case)
    assert decision.outcome == "hold"
    assert any("recall of returns" in each for each in decision.why)


@given(
    states=st.tuples(*[st.sampled_from(STATES)] * 5),
    trouble=st.lists(st.just("P95 < 15 ms (22 ms)"), max_size=2).map(tuple),
    back=st.sampled_from(("", "damaged", "whole")),
    held=st.lists(st.just("r@1 is retired"), max_size=1).map(tuple),
)
def test_only_all_five_promote_and_only_trouble_rolls_back(
    states: tuple[State, ...], trouble: tuple[str, ...], back: str, held: tuple[str, ...]
) -> None:
    criteria = tuple(
        Criterion(name, state, lacks=() if state == "met" else ("something",))
        for name, state in zip(ASKS, states, strict=True)
    )
    earlier = Release("r", 1, "d" * 64, "m" * 64, "a", "onnx", "int8", "t", 1.0, "", "", "retired", "")
    fault = "a byte is wrong" if back == "damaged" else ""
    standing = Standing(earlier=earlier if back else None, earlier_fault=fault, held=held)
    outcome, why = conclude(criteria, trouble, standing)
    if trouble and back == "whole":
        assert outcome == "roll back"
    elif not trouble and not held and set(states) == {"met"}:
        assert outcome == "promote"
    else:
        assert outcome == "hold" and set(held) <= set(why)
        assert all(any(line.startswith(f"{each.name}: ") for line in why) for each in criteria if each.state != "met")
    assert why


def in_production_twice(case: Any) -> None:
    """Release 2 in production, release 1 the way back, and that practised."""
    case.put_in_production(2)
    case.practise()


@pytest.mark.parametrize(
    "trouble",
    [
        lambda case: case.measure_production("fail"),
        lambda case: case.watch(f"{NAME}@2", "confidence drifted"),
        lambda case: case.practise("fail"),
    ],
)
def test_a_production_that_misbehaves_is_rolled_back(case: Any, trouble: Change) -> None:
    in_production_twice(case)
    assert decided(case).outcome == "promote"
    trouble(case)
    decision = decided(case)
    assert decision.outcome == "roll back"
    assert f"{NAME}@1 lies in the store whole: return to it" in decision.why


@pytest.mark.parametrize(("said", "by_its_samples"), [("pass", "promote"), ("fail", "roll back")])
def test_a_result_without_its_samples_is_not_believed(case: Any, said: str, by_its_samples: str) -> None:
    in_production_twice(case)
    case.measure_production(said)
    assert decided(case).outcome == by_its_samples
    (case.folder / case.read("production.json")["samples"]).unlink()
    found = decided(case)
    assert found.outcome == "hold" and states(found)["rollback"] == "missing" and not found.trouble
    assert any(each.startswith("rollback: missing: how production behaves: the samples of") for each in found.why)
    remove_samples(case)
    found = decided(case)
    assert (states(found)["metric"], states(found)["budget"]) == ("missing", "missing")
    assert sum("they are not there to judge it again" in each for each in found.why) == 3


def test_without_a_way_back_trouble_holds_and_says_that_it_cannot_wait(case: Any) -> None:
    case.measure_production("fail")
    decision = decided(case)
    assert decision.outcome == "hold"
    assert any("cannot wait" in each for each in decision.why)


def test_a_way_back_that_is_damaged_is_none(case: Any) -> None:
    in_production_twice(case)
    case.measure_production("fail")
    earlier = case.store.track(NAME).before
    model = next((case.folder / "store" / "artifacts" / earlier.digest).rglob("*.onnx"))
    model.write_bytes(model.read_bytes()[:-1])
    decision = decided(case)
    assert decision.outcome == "hold"
    assert states(decision)["rollback"] == "not met"


def test_a_store_elsewhere_is_the_one_that_is_named(case: Any) -> None:
    (case.folder / "store").rename(case.folder.parent / "releases")
    without(case, "[rollback]")
    assert decided(case).outcome == "hold"
    assert decided(case, store=str(case.folder.parent / "releases")).outcome == "promote"
    assert decided(case, store=str(case.folder.parent / "nothing")).outcome == "hold"


def test_a_version_without_a_store_that_holds_it_is_none(case: Any) -> None:
    elsewhere = str(case.folder.parent / "nothing")
    shutil.rmtree(case.folder / "store")
    for store in (None, elsewhere):
        with pytest.raises(MctError, match=f"no store that holds {NAME}@9"):
            decided(case, version=9, store=store)


def test_the_alarm_of_another_release_is_none_and_says_nothing_of_this_one(case: Any) -> None:
    in_production_twice(case)
    case.watch(f"{NAME}@1", "confidence drifted")
    found = decided(case)
    assert found.outcome == "hold" and not found.trouble
    assert any(f"watch.json is about {NAME}@1, and {NAME}@2 is there" in each for each in found.why)


def test_an_alarm_that_was_taken_away_is_missed(case: Any) -> None:
    in_production_twice(case)
    case.watch(f"{NAME}@2", "confidence drifted")
    assert decided(case).outcome == "roll back"
    (case.folder / "watch.json").unlink()
    found = decided(case)
    assert found.outcome == "hold" and any("watch.json is named and not there" in each for each in found.why)


def test_rows_that_stand_in_both_files_count_whichever_the_check_names_first(case: Any) -> None:
    leak = {"file": "train.jsonl", "row": 3, "other_file": "test.jsonl", "other_row": 7}
    case.edit("check.json", leaks=[leak])
    assert decided(case).outcome == "hold"
    (only,) = [each for each in case.read("check.json")["files"] if each["name"] == "test.jsonl"]
    case.edit("check.json", leaks=[], files=[only])
    assert states(decided(case))["data"] == "missing"


def test_a_drill_before_production_changed_does_not_count(case: Any) -> None:
    case.put_in_production(2)
    decision = decided(case)
    assert states(decision)["rollback"] == "missing"
    assert any("no drill since production last changed" in each for each in decision.why)


def test_a_release_that_was_not_measured_holds(case: Any) -> None:
    decision = decided(case, version=1)
    assert decision.outcome == "hold"
    assert any("another artifact was measured" in each for each in decision.why)
    assert decided(case, version=2).outcome == "promote"


def test_the_same_evidence_gives_the_same_bytes_wherever_it_lies(case: Any, tmp_path: Any) -> None:
    first = decided(case)
    case.folder.rename(tmp_path / "elsewhere")
    again = decide(read_evidence(tmp_path / "elsewhere", NAME), Asked())
    assert as_markdown(first) == as_markdown(again)
    assert json.dumps(first.as_json()) == json.dumps(again.as_json())


def test_the_nearest_limit_turns_it_where_it_says(case: Any) -> None:
    """What is said to turn the decision does: each margin is tried on both sides of its limit."""
    decision = decided(case)
    slacks = [each.slack for each in decision.margins]
    assert slacks == sorted(slacks) and slacks[0] > 0
    pain = next(each for each in decision.margins if each.what.startswith("pain"))
    assert (pain.now, pain.limit) == (0.2, 0.1)
    for low, outcome in ((pain.limit + 1e-6, "promote"), (pain.limit - 1e-6, "hold")):
        case.edit("pain.json", low=low)
        assert decided(case).outcome == outcome
    case.edit("pain.json", low=0.2)
    cost = next(each for each in decision.margins if each.what == "cost a month")
    for limit, outcome in ((cost.now + 0.01, "promote"), (cost.now - 0.01, "hold")):
        replaced(case, "cost_per_month = 150.0", f"cost_per_month = {limit}")
        assert decided(case).outcome == outcome
        replaced(case, f"cost_per_month = {limit}", "cost_per_month = 150.0")


def test_machines_grow_with_the_load(case: Any) -> None:
    """At 1.5 ms on average a machine that is busy half of the time serves 333 a second; it costs 0.09 USD an hour."""
    one, four = decided(case, load_qps=20.0).costs, decided(case, load_qps=1100.0).costs
    assert one.chosen is not None and four.chosen is not None
    assert (one.chosen.machines, four.chosen.machines) == (1, 4)
    assert four.chosen.per_month == pytest.approx(4 * one.chosen.per_month)
    assert {each.target: each.machines for each in one.targets if each.target != "cpu"} == {
        "cpu-1": None, "edge-512mb": None, "gpu": None, "node": None,
    }  # fmt: skip


def test_a_load_of_next_to_nothing_takes_a_machine(case: Any) -> None:
    found = decided(case, load_qps=1e-320)
    assert found.outcome == "promote" and found.costs.chosen is not None and found.costs.chosen.machines == 1


def test_a_measured_highest_load_is_taken_at_its_lower_end(case: Any) -> None:
    case.serve(15.0, 8.0)
    chosen = decided(case).costs.chosen
    assert chosen is not None and chosen.machines == 3 and "8 requests a second" in chosen.rests_on


@pytest.mark.parametrize(
    ("limit_ms", "other", "said"),
    [
        (1000.0, {}, "is of P95 1000 ms, and the budget asks 15 ms"),
        (15.0, {"artifact_digest": "f" * 64}, "is of another artifact"),
        (15.0, {"artifact_digest": ""}, "is of another artifact"),
        (15.0, {"fingerprint": "0" * 12}, "is of another machine"),
    ],
)
def test_a_highest_load_of_something_else_saves_no_machine(
    case: Any, limit_ms: float, other: dict[str, str], said: str
) -> None:
    replaced(case, "load_qps = 20.0", "load_qps = 20000.0")
    case.serve(15.0, 15000.0)
    assert decided(case).outcome == "promote"
    case.serve(limit_ms, 15000.0, **other)
    found = decided(case)
    assert found.outcome == "hold" and any(f"load.json {said}" in each for each in found.why)
    assert any("a cost within 150.00 USD a month" in each for each in found.why)


def test_a_highest_load_is_of_the_target_that_it_is_named_for(case: Any) -> None:
    case.serve(15.0, 8.0)
    replaced(case, 'cpu = "load.json"', 'gpu = "load.json"')
    found = decided(case)
    assert found.outcome == "hold" and any(
        "gpu: load.json is of the machine of the bench" in each for each in found.why
    )


def test_every_other_artifact_is_an_alternative_with_a_reason(case: Any) -> None:
    found = decided(case).alternatives
    assert [each.what for each in found] == ["not fine-tuning at all", "not compressing at all", "another artifact"]
    assert all(each.why_not for each in found)
    assert "slower" in found[1].why_not
    front = {"kind": "mct-front", "winner": "tiny", "candidates": [
        {"name": "tiny", "on_front": True, "p95_ms": 0.4, "low_ms": 0.3, "high_ms": 0.5, "quality": 0.9, "size_mb": 2},
        {"name": "other", "on_front": False},
    ]}  # fmt: skip
    case.write("front.json", front)
    replaced(case, 'tie = "tie.json"', 'tie = "tie.json"\nfront = "front.json"')
    assert [each.name for each in decided(case).alternatives if each.what == "on the front"] == ["tiny"]


def test_an_inspection_is_believed_as_a_gate_believes_it(case: Any) -> None:
    replaced(case, 'tie = "tie.json"', 'tie = "tie.json"\nexplain = "explain.json"')
    digest, passed = decided(case).digest, {"limit": "behaviour_fail_max <= 0.02", "measured": "1 %", "outcome": "pass"}
    other = {"kind": "mct-explain", "outcome": "pass", "digest": "f" * 64, "lines": [passed]}
    case.write("explain.json", other)
    found = decided(case)
    assert found.outcome == "hold" and any("explain.json is about another artifact" in each for each in found.why)
    assert any("another artifact" in each for each in found.risks)
    beside = {"digest": "e" * 64, "origin": {"weights": ["1" * 64], "equals": "1" * 64}}
    whole = {"digest": digest, "original": beside, "files": [{"name": "test.jsonl", "sha256": "a" * 64}]}
    case.edit("explain.json", **whole)
    assert decided(case).outcome == "promote"
    for wrong, said in (
        ({"original": {"digest": digest}}, "It was inspected beside itself"),
        ({"original": {"digest": "e" * 64}}, "It does not say what it was held against"),
        ({"original": beside | {"origin": {"weights": ["2" * 64], "equals": "2" * 64}}}, "neither what it was made of"),
        ({"files": [{"name": "other.jsonl", "sha256": "9" * 64}]}, "on data that does not count here"),
        ({"fields": {"label": "predicted"}}, "It read predicted as label"),
        ({"created": "2131-01-01T00:00:00Z"}, "explain.json is dated in the future"),
    ):
        case.edit("explain.json", **whole | wrong)
        found = decided(case)
        assert found.outcome == "hold" and any(said in each for each in found.why), said
        case.edit("explain.json", **whole | {"fields": {}, "created": ""})
    case.edit("explain.json", lines=[passed | {"limit": "behaviour_fail_max <= 1"}])
    found = decided(case)
    assert found.outcome == "hold" and any("an inspection by limits that count" in each for each in found.why)
    case.edit("explain.json", outcome="inconclusive", lines=[])
    assert any("explain.json judged nothing" in each for each in decided(case).why)
    line = {"limit": "orders keep their label", "measured": "3 of 20 changed", "outcome": "fail"}
    case.edit("explain.json", outcome="fail", lines=[line])
    found = decided(case)
    assert found.outcome == "hold" and any("3 of 20 changed" in each for each in found.why)
    for outcome, lines in (("fail", []), ("pass", [line])):
        case.edit("explain.json", outcome=outcome, lines=lines)
        with pytest.raises(MctError, match="and its lines come to"):
            decided(case)


def test_an_inspection_by_your_own_limits_is_judged_by_these(case: Any) -> None:
    replaced(case, 'tie = "tie.json"', 'tie = "tie.json"\nexplain = "explain.json"')
    line = {"limit": "flips_max <= 0.5", "measured": "1 %", "outcome": "pass"}
    beside = {"digest": "e" * 64, "origin": {"weights": ["1" * 64], "equals": "1" * 64}}
    told = {
        "kind": "mct-explain", "outcome": "pass", "digest": decided(case).digest, "lines": [line], "original": beside,
        "files": [{"name": "test.jsonl", "sha256": "a" * 64}],
    }  # fmt: skip
    case.write("explain.json", told | {"limits": "mine"})
    assert any("are not built in: name their file" in each for each in decided(case).why)
    replaced(case, 'explain = "explain.json"', 'explain = "explain.json"\nlimits = "limits.toml"')
    assert any("limits.toml is named and not there" in each for each in decided(case).why)
    (case.folder / "limits.toml").write_text("[mine]\nflips_max = 0.5\n")
    found = decided(case)
    assert found.outcome == "promote" and "limits.toml" in {file for file, _, _ in found.files}
    (case.folder / "limits.toml").write_text("[mine]\nflips_max = 0.1\n")
    assert decided(case).outcome == "hold"


def test_a_leak_of_a_file_that_the_check_does_not_list_may_be_any_file_s(case: Any) -> None:
    leak = {"file": "elsewhere.jsonl", "row": 3, "other_file": "train.jsonl", "other_row": 7}
    case.edit("check.json", leaks=[leak])
    found = decided(case)
    assert found.outcome == "hold" and states(found)["data"] == "not met"


@pytest.mark.parametrize("stages", [("production", "canary"), ("canary", "production")])
def test_a_gate_that_did_not_pass_last_holds_for_whatever_stage(case: Any, stages: tuple[Stage, ...]) -> None:
    release = case.store.find(f"{NAME}@2")
    for stage, outcome in zip(stages, ("pass", "fail"), strict=True):
        said = GateVerdict(1, "mct-release-gate", release.ref, release.digest, stage, now(), outcome, ())
        case.store.note(NAME, Looked(2, stage, outcome, case.store.keep_json(said.as_json())))
    found = decided(case)
    assert found.outcome == "hold" and found.standing.gate.startswith(f"fail for {stages[1]}")
    assert any(f"the gate of {NAME}@2 said last: fail for {stages[1]}" in each for each in found.why)


def write_log(path: Any, answers: str) -> Any:
    draw = random.Random(0)
    rows = ({"answer": draw.choice(answers), "confidence": draw.random()} for _ in range(2000))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_an_alarm_in_the_store_counts_whatever_file_the_evidence_names(case: Any, tmp_path: Any) -> None:
    in_production_twice(case)
    before, calm, drifted = (
        write_log(tmp_path / f"{name}.jsonl", answers) for name, answers in (("before", "ab"), ("1", "ab"), ("2", "b"))
    )
    calm.write_text("".join(reversed(calm.read_text().splitlines(keepends=True)[1:])))

    def look(log: Any, reference: Any = before) -> dict[str, Any]:
        watched, ref = watch_logs([log], NAME, [reference], tmp_path, 0.2, str(case.folder / "store"))
        return {"release": ref} | watched.as_json()

    all_clear = look(calm)
    found = decided(case)
    assert found.outcome == "promote" and "looks" in {file for file, _, _ in found.files}
    look(drifted)
    found = decided(case)
    assert found.outcome == "roll back" and any("answers, a: " in each for each in found.trouble)
    case.watch(f"{NAME}@2")
    case.write("watch.json", all_clear)
    found = decided(case)
    assert found.outcome == "roll back" and any("the store's look 2 of" in each for each in found.trouble)
    assert all_clear["look"]["number"] == 1
    other = tmp_path / "other.jsonl"
    other.write_text("".join(before.read_text().splitlines(keepends=True)[100:1900]))
    time.sleep(1.1)  # looks are dated to the second
    look(calm, other)  # a series of its own takes no alarm of another back
    found = decided(case)
    assert found.outcome == "hold" and any(
        "no later one with that reference took it back" in each for each in found.why
    )


def test_a_named_watch_that_is_older_than_the_store_s_newest_look_is_told(case: Any, tmp_path: Any) -> None:
    in_production_twice(case)
    before, log = write_log(tmp_path / "before.jsonl", "ab"), tmp_path / "log.jsonl"
    log.write_text("".join(before.read_text().splitlines(keepends=True)[:0:-1]))
    watched, _ = watch_logs([log], NAME, [before], tmp_path, 0.2, str(case.folder / "store"))
    assert watched.outcome == "pass"
    case.watch(f"{NAME}@2")
    told = {"changes": [], "at": "2020-01-01T00:00:00Z"}
    case.edit("watch.json", look=told)
    found = decided(case)
    (rollback,) = [each for each in found.criteria if each.name == "rollback"]
    assert found.outcome == "promote" and any(
        "watch.json is of 2020-01-01T00:00:00Z: " in each for each in rollback.facts
    )


def test_high_risk_flows_are_told_and_those_not_measured_too(case: Any) -> None:
    risks = {each.partition(":")[0]: each for each in decided(case).risks}
    assert "recall 92.00 %" in risks["returns"] and "n = 300" in risks["returns"]
    assert "not told" in risks["escalation"]


def test_who_signs_is_said_and_never_made_up(case: Any) -> None:
    assert decided(case).as_json()["signed_by"] is None
    assert "- signed by: A. Reader" in as_markdown(decided(case, signed_by="A. Reader"))
