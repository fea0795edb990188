"""The map of the work: its order, what it finds on the disk, what it expects, and what running it does."""

import json
import os
import shlex
import shutil
import tomllib
from collections.abc import Callable
from itertools import product
from pathlib import Path
from subprocess import CompletedProcess
from types import ModuleType
from typing import Any

import pytest

from mct import MctError
from mct.bench.measure.sampling import BenchPlan
from mct.bench.samples.measurement import Answers, Measurement
from mct.bench.samples.subject import identify
from mct.bench.store.store import append, make_question
from mct.models.scenarios.table import SCENARIOS
from mct.models.tasks.datasets import Dataset
from mct.release.planning.durations import GUESSES, JOURNAL, Done, expected, keep, read_journal
from mct.release.planning.found import looked_at
from mct.release.planning.order import ALSO, PLACES, find_symptom, symptoms
from mct.release.planning.plan import Plan, make_plan
from mct.release.planning.plan_text import as_mermaid, as_pipeline, as_text
from mct.release.planning.running import run_plan
from mct.release.planning.steps import STAGES, Work
from mct.targets.budget import Budget

Run = Callable[..., CompletedProcess[str]]


def plan_of(*names: str, folder: Path, **other: Any) -> Plan:
    return make_plan(names, Work(folder / "work", "tiny", **other), looked_at((folder,)))


def test_every_row_of_the_product_s_table_stands_once_in_the_map() -> None:
    assert sorted(place.scenario for place in PLACES) == sorted(scenario.name for scenario in SCENARIOS)
    assert len({scenario.number for scenario in SCENARIOS}) == 19
    assert all(place.symptoms and place.why for place in PLACES)


def test_nothing_stands_before_what_it_builds_on() -> None:
    names = [place.scenario for place in PLACES]
    for place in PLACES:
        assert all(names.index(each) < names.index(place.scenario) for each in place.after)


def test_a_row_without_a_model_is_a_stage_of_the_others() -> None:
    stages = {stage.name for stage in STAGES} | {"plan"}
    for place, row in product(PLACES, SCENARIOS):
        if place.scenario == row.name:
            assert bool(place.is_stage) is not bool(row.build)
            assert set(place.is_stage) <= stages


@pytest.mark.parametrize(
    ("said", "among"),
    [
        ("search irrelevant", ("embedding-adapter", "reranker")),
        ("Search  IRRELEVANT", ("embedding-adapter", "reranker")),
        ("answers poor", ("response-lora", "prompt-style", "response-dpo", "raft", "distilled-response")),
        ("updates too slow", ("continual-router", "fewshot-intents", "data-curation", "mlops")),
        ("poor answers", ("response-lora", "raft")),
        ("before promoting", ("interpretability", "capstone")),
    ],
)
def test_a_symptom_leads_to_its_scenarios(said: str, among: tuple[str, ...]) -> None:
    assert set(among) <= set(symptoms()[find_symptom(said)])


def test_a_symptom_that_is_none_is_answered_with_those_that_are() -> None:
    assert all(name in symptoms() for name in ALSO.values())
    with pytest.raises(MctError) as refused:
        find_symptom("the coffee is cold")
    assert "search irrelevant" in refused.value.hint


def test_steps_come_after_what_they_need(tmp_path: Path) -> None:
    ids = [each.step.id for each in plan_of(folder=tmp_path).steps]
    for each in plan_of(folder=tmp_path).steps:
        assert all(ids.index(need) < ids.index(each.step.id) for need in each.step.needs)


def test_an_unknown_name_size_or_format_is_refused(tmp_path: Path) -> None:
    for names, other in ((["rerankr"], {}), ([], {"formats": ("onx",)}), ([], {"artifact": "onnx-int4"})):
        with pytest.raises(MctError):
            plan_of(*names, folder=tmp_path, **other)  # type: ignore[arg-type]
    with pytest.raises(MctError, match="size"):
        make_plan(["reranker"], Work(tmp_path, "huge"), looked_at((tmp_path,)))


def test_the_same_disk_gives_the_same_map(tmp_path: Path) -> None:
    for show in (as_text, as_mermaid, lambda plan: json.dumps(plan.as_json())):
        assert show(plan_of(folder=tmp_path)) == show(plan_of(folder=tmp_path))


def test_the_graph_names_only_nodes_that_it_has(tmp_path: Path) -> None:
    lines = as_mermaid(plan_of("intent-router", "qat", "capstone", folder=tmp_path)).splitlines()
    nodes = {line.split("[")[0].strip().removeprefix("subgraph ") for line in lines if "[" in line}
    edges = [line.replace("-.->", "-->").split(" --> ") for line in lines if "->" in line]
    assert ["intent_router", "qat"] in [[end.strip() for end in edge] for edge in edges]
    assert {end.strip() for edge in edges for end in edge} <= nodes


@pytest.fixture
def shop(tiny_bert: Path, tmp_path: Path) -> Path:
    """A folder with a checkpoint that says it is the tiny intent router, and its data."""
    checkpoint = tmp_path / "somewhere" / "router"
    shutil.copytree(tiny_bert, checkpoint)
    (checkpoint / "recipe.json").write_text(json.dumps({"scenario": "intent-router", "size": "tiny"}))
    (checkpoint / "data").mkdir()
    labels = ("order_tracking", "returns", "other")
    for part, count in (("train", 20), ("dev", 4), ("test", 20)):
        rows = [
            {"text": f"{part} {label} number {place}", "label": label} for place in range(count) for label in labels
        ]
        (checkpoint / "data" / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_a_pipeline_file_has_the_very_commands(shop: Path) -> None:
    plan = plan_of("intent-router", folder=shop, formats=("onnx",))
    steps = tomllib.loads(as_pipeline(plan))["steps"]
    there = [each for each in plan.steps if each.state != "absent"]
    assert [["mct", *shlex.split(step["run"])] for step in steps] == [list(each.step.line) for each in there]
    assert all(any(word in step["run"] for word in step["writes"]) for step in steps if step["name"].endswith("build"))


def found_in(plan: Plan) -> dict[str, str]:
    return {each.step.stage.name: each.state for each in plan.steps}


def test_a_checkpoint_is_found_by_what_it_says_of_itself(shop: Path) -> None:
    plan = plan_of("intent-router", folder=shop)
    assert found_in(plan)["build"] == "there" and found_in(plan)["compress"] == "ready"
    compress = next(each.step for each in plan.steps if each.step.stage.name == "compress")
    assert compress.arguments[0] == str(shop / "somewhere" / "router")
    assert found_in(plan_of("qat", folder=shop))["build"] == "ready"
    (shop / "somewhere" / "router" / "recipe.json").write_text("{")
    assert found_in(plan_of("intent-router", folder=shop))["build"] == "ready"


def test_what_cannot_be_read_is_passed_over(shop: Path) -> None:
    router = shop / "somewhere" / "router"
    shutil.copytree(router, os.fsdecode(os.fsencode(shop / "somewhere") + b"/\xff\n"))
    os.mkfifo(shop / "pipe.json")
    (shop / "deep.json").write_text("[" * 10_000)
    (shop / "link.json").symlink_to("/etc/hostname")
    (shop / "loop").symlink_to(shop)
    (shop / "result.json").write_text('{"kind": "mct-bench"}')
    plan = plan_of("intent-router", folder=shop)
    assert found_in(plan)["build"] == "there" and "\\xff" not in as_text(plan)
    json.dumps(plan.as_json()).encode()
    (router / "model.safetensors").write_bytes(b"")
    assert found_in(plan_of("intent-router", folder=shop))["build"] == "ready"


def test_an_artifact_of_other_weights_is_not_this_checkpoint_s(shop: Path, tiny_onnx: Path) -> None:
    shutil.copytree(tiny_onnx / "onnx-int8", shop / "out" / "onnx-int8")
    assert found_in(plan_of("intent-router", folder=shop, formats=("onnx",)))["compress"] == "there"
    config = shop / "out" / "onnx-int8" / "mct.json"
    manifest = json.loads(config.read_text())
    manifest["lineage"][0]["sha256"] = "0" * 64
    config.write_text(json.dumps(manifest))
    assert found_in(plan_of("intent-router", folder=shop, formats=("onnx",)))["compress"] == "ready"


def test_an_artifact_of_other_labels_is_not_this_checkpoint_s(shop: Path, tiny_onnx: Path) -> None:
    shutil.copytree(tiny_onnx / "onnx-int8", shop / "out" / "onnx-int8")
    config = shop / "somewhere" / "router" / "config.json"
    said = json.loads(config.read_text())
    labels = list(said["id2label"].values())
    said["id2label"] = dict(enumerate([*labels[1:], labels[0]]))
    said["label2id"] = {label: int(number) for number, label in said["id2label"].items()}
    config.write_text(json.dumps(said))
    assert found_in(plan_of("intent-router", folder=shop, formats=("onnx",)))["compress"] == "ready"


def test_a_check_that_failed_or_is_of_other_data_is_still_to_be_done(shop: Path, run_mct: Run) -> None:
    data = [shop / "somewhere" / "router" / "data" / f"{part}.jsonl" for part in ("train", "dev", "test")]
    home = shop / "work" / "intent-router-tiny"
    true = data[2].read_text()
    states = []
    for rows in (true + data[0].read_text().partition("\n")[0] + "\n", true):
        data[2].write_text(rows)
        code = run_mct("data", "check", *data, "-o", home / "check").returncode
        states.append((code, found_in(plan_of("intent-router", folder=shop))["check"]))
    assert states == [(1, "ready"), (0, "there")]
    data[1].write_text(true)
    assert found_in(plan_of("intent-router", folder=shop))["check"] == "ready"
    data[1].write_text("{")
    assert found_in(plan_of("intent-router", folder=shop))["check"] == "ready"


@pytest.mark.parametrize("asked", [("--near", "1"), ("--field", "text=id")])
def test_a_check_that_looked_elsewhere_is_still_to_be_done(shop: Path, run_mct: Run, asked: tuple[str, ...]) -> None:
    checkpoint = shop / "somewhere" / "router" / "data"
    data = [checkpoint / f"{part}.jsonl" for part in ("train", "dev", "test")]
    for path in data:
        rows = [json.loads(line) | {"id": f"{path.name} {n}"} for n, line in enumerate(path.read_text().splitlines())]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    home = shop / "work" / "intent-router-tiny"
    run_mct("data", "check", *data, *asked, "-o", home / "check")
    assert (home / "check" / "check.json").is_file()
    assert found_in(plan_of("intent-router", folder=shop))["check"] == "ready"
    run_mct("data", "check", *data, "-o", home / "check")
    assert found_in(plan_of("intent-router", folder=shop))["check"] == "there"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder where no checkpoint of a demo lies, which a plan would take for what it needs."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("elsewhere")
def test_running_again_does_not_go_past_a_check_that_failed(shop: Path, run_mct: Run) -> None:
    data = shop / "somewhere" / "router" / "data"
    (data / "test.jsonl").write_text((data / "train.jsonl").read_text())
    words = ("plan", "intent-router", "--size", "tiny", "--look", shop, "--work", shop / "work", "--run")
    for _ in range(2):
        done = run_mct(*words)
        assert done.returncode == 1 and "stopped at intent-router/check" in done.stderr, done.stderr
    assert not (shop / "work" / "intent-router-tiny" / "artifacts").exists()


@pytest.fixture
def measured(shop: Path, tiny_onnx: Path, by_hand: ModuleType) -> Path:
    """A result by which the artifact, which is there, passed a lax budget of the scenario's name."""
    shutil.copytree(tiny_onnx / "onnx-int8", shop / "out" / "onnx-int8")
    subject, truth = identify(shop / "out" / "onnx-int8"), ("other",) * 300
    starts = tuple(by_hand.make_start(number) for number in range(4))
    told = Measurement(subject, truth, starts, by_hand.lognormal_blocks(1.0), Answers(truth, (5,) * 300))
    data = Dataset("test.jsonl", tuple({"text": "t", "label": label} for label in truth), "a" * 64)
    lax = Budget("intent-router", "sequence-classification", p95_ms=3.0, quality_at_least=0.9)
    result = append(shop / "results", make_question([subject], data, BenchPlan(threads=1), budget=lax), [told], data)
    home = shop / "work" / "intent-router-tiny"
    (home / "explain").mkdir(parents=True)
    report = {"kind": "mct-explain", "digest": subject.digest, "outcome": "fail", "lines": []}
    (home / "explain" / "explain.json").write_text(json.dumps(report))
    decision = {"kind": "mct-decision", "schema": 1, "scenario": "intent-router", "outcome": "hold", "evidence": []}
    (home / "decision.json").write_text(json.dumps(decision | {"digest": subject.digest}))
    return result


def test_what_is_there_is_told_by_what_it_holds(shop: Path, measured: Path) -> None:
    plan = plan_of("intent-router", folder=shop, formats=("onnx",))
    assert {name for name, state in found_in(plan).items() if state == "there"} >= {
        "build", "compress", "bench", "explain", "gate", "decide",
    }  # fmt: skip
    assert "explain.json, fail" in as_text(plan)
    home = shop / "work" / "intent-router-tiny"
    for path, stage in ((home / "explain" / "explain.json", "explain"), (home / "decision.json", "decide")):
        true = path.read_text()
        for other in ("{}", true.replace(json.loads(true)["digest"], "0" * 64)):
            path.write_text(other)
            assert found_in(plan_of("intent-router", folder=shop, formats=("onnx",)))[stage] == "ready"
    true = measured.read_text()
    measured.write_text(true.replace('"name": "intent-router"', '"name": "quick"'))
    assert found_in(plan_of("intent-router", folder=shop, formats=("onnx",)))["gate"] == "ready"
    measured.write_text(true)
    measured.with_suffix(".samples.jsonl.gz").unlink()
    assert found_in(plan_of("intent-router", folder=shop, formats=("onnx",)))["gate"] == "ready"


def test_a_verdict_of_before_is_judged_again_before_anything_is_released(shop: Path, measured: Path) -> None:
    store = shop / "releases"
    work = Work(shop / "work", "tiny", formats=("onnx",), store=str(store))
    ran = run_plan(lambda: make_plan(["intent-router"], work, looked_at((shop,))), lambda _: None)
    assert (ran.stopped_at, ran.code) == ("intent-router/gate", 3) and not store.exists()


def test_what_is_expected_comes_from_what_was(tmp_path: Path) -> None:
    guess = expected("build", "reranker", "tiny", ())
    assert (guess.low, guess.high) == GUESSES["build"]["tiny"] and guess.source == "a guess"
    keep(tmp_path, Done("reranker", "build", "tiny", 12.0))
    one = expected("build", "reranker", "tiny", read_journal(tmp_path))
    assert (one.low, one.likely, one.high, one.source) == (6.0, 12.0, 24.0, "1 run here")
    for seconds in (10.0, 20.0):
        keep(tmp_path, Done("reranker", "build", "tiny", seconds))
    with (tmp_path / JOURNAL).open("a") as file:
        file.write(json.dumps({"scenario": "reranker", "stage": "build", "size": "tiny", "seconds": 1e308}) + "\n")
        file.write('{"scenario": "rerank')  # a kill in the middle of a line
    several = expected("build", "reranker", "tiny", read_journal(tmp_path))
    assert (several.low, several.likely, several.high, several.runs) == (10.0, 12.0, 20.0, 3)
    others = expected("build", "moe", "tiny", read_journal(tmp_path))
    assert (others.low, others.high, others.source) == (5.0, 40.0, "3 runs of others here")
    assert expected("build", "moe", "full", read_journal(tmp_path)).source == "a guess"


@pytest.mark.usefixtures("elsewhere")
def test_running_stops_at_the_first_gate_that_does_not_pass(shop: Path, run_mct: Run) -> None:
    """A model that knows nothing, and far too few rows for the budget's slices: the gate cannot pass."""
    words = ("plan", "intent-router", "--size", "tiny", "--format", "onnx", "--max-seconds", "3", "--json")
    before = json.loads(run_mct(*words, "--look", shop, "--work", shop / "work").stdout)
    done = run_mct(*words, "--look", shop, "--work", shop / "work", "--run")
    assert done.returncode in (1, 3), done.stderr
    assert "stopped at intent-router/" in done.stderr
    after = json.loads(done.stdout)
    states = [
        {step["stage"]: step["state"] for row in found["rows"] for step in row["steps"]} for found in (before, after)
    ]
    assert (states[0]["compress"], states[1]["compress"]) == ("ready", "there")
    assert {each.stage for each in read_journal(shop / "work")} >= {"compress"}
    assert states[1]["release"] in ("absent", "waits") and not (shop / "work" / "releases").exists()


def test_two_ways_to_choose_are_refused(run_mct: Run) -> None:
    for words in (
        ["plan", "reranker", "--symptom", "latency"],
        ["plan", "--json", "--mermaid"],
        ["plan", "--look", __file__],
        ["plan", "--look", "nowhere"],
    ):
        done = run_mct(*words)
        assert done.returncode == 2 and "hint:" in done.stderr
