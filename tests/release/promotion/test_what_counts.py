"""What a gate lets speak: columns read as it says, what the artifact was made of, its own data, every try, one machine.

Each of these once let a bad artifact pass.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mct.bench.samples.subject import identify
from mct.bench.store.store import read_result
from mct.models.tasks.datasets import read_dataset
from mct.models.tasks.table import find_task
from mct.release.curation.check import Asked, check
from mct.release.curation.page import written
from mct.release.promotion.drill import practise
from mct.release.promotion.gate import ask_gate
from mct.release.promotion.gate_values import GateLine
from mct.release.promotion.moves import add, promote
from mct.release.promotion.store import Store, now
from mct.release.promotion.tries import error_of_try
from mct.targets.target import Target

Stored = Callable[..., Path]
Put = Callable[[str, Sequence[Mapping[str, Any]]], Path]
MEASURED = 'budgets = ["quick"]\nresults = ["results"]\nbudgets_file = "budgets.toml"\n'
ROOT, OTHER = "1" * 64, "2" * 64
DROP = '[quick]\ntask = "sequence-classification"\np95_ms = 3.0\nquality_at_least = 0.9\nquality_max_drop = 0.03\n'


def open_lines(
    store: Store, gate: Path, more: str = "", measured: str = MEASURED, ref: str = "router"
) -> list[GateLine]:
    """The lines that hold a release back from production, by such a gate."""
    gate.write_text(f"[production]\n{measured}{more}\n")
    return [line for line in ask_gate(store, ref, "production", gate).verdict.lines if line.outcome != "pass"]


def test_a_test_set_whose_columns_were_renamed_is_another_one(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path, put: Put
) -> None:
    """It is a try, though: the machine had its luck."""
    rows = [{"text": "where", "label": "order", "predicted": "returns"}] * 3
    path, task = put("test.jsonl", rows), find_task("sequence-classification")
    plain, renamed = read_dataset(path, task), read_dataset(path, task, {"label": "predicted", "text": "text"})
    assert plain.sha256 == renamed.sha256 and renamed.renamed == {"label": "predicted"} and not plain.renamed
    add(store, artifacts[:1], "router")
    result = read_result(stored(artifacts[0], data=plain.sha256, renamed=renamed.renamed))
    assert result["data"]["fields"] == {"label": "predicted"}
    pin = f'data = ["{plain.sha256}"]\n'
    (line, *_) = open_lines(store, gate, pin + 'on = ["cpu"]')
    assert line.measured == "no run" and "It read predicted as label" in line.reason
    assert open_lines(store, gate, pin + 'on = ["cpu"]')[1].measured == "measured, predicted read as label"
    assert open_lines(store, gate, pin + 'fields = {label = "predicted"}') == []
    assert open_lines(store, gate, pin + 'fields = {label = "predicted", text = "text"}') == []
    assert "fields" not in read_result(stored(artifacts[0], data=plain.sha256, seed=2))["data"]
    assert open_lines(store, gate, pin) == []
    (tried,) = ask_gate(store, "router", "production", gate).verdict.tried
    assert (tried.runs, tried.error) == (2, error_of_try(2))


@pytest.mark.parametrize("renames", [{"text": "id"}, {}])
def test_a_check_of_other_columns_is_no_check_of_the_test_set(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path, put: Put, tmp_path: Path,
    renames: dict[str, str],
) -> None:  # fmt: skip
    """By their ids no two rows of these files are alike; or by what another task asks."""
    rows = [
        {"id": f"row {n * 7919}", "text": f"where is parcel {n}", "label": "order", "query": f"q{n}", "doc": f"d{n}",
         "grade": 1} for n in range(12)
    ]  # fmt: skip
    other = [row | {"id": f"{n * 104729} of train", "query": f"{n} else", "doc": f"{n} other"}
             for n, row in enumerate(rows)]  # fmt: skip
    train, test = put("train.jsonl", other), put("test.jsonl", rows)
    task = "sequence-classification" if renames else "pair-scoring"
    found = check(Asked((train, test), task=task, renames=renames))
    assert not found.leaks and found.fields == renames
    assert len(check(Asked((train, test), task="sequence-classification")).leaks) == 12
    (tmp_path / "check.json").write_text(json.dumps(written(found)))
    add(store, artifacts[:1], "router")
    stored(artifacts[0], data=found.files[1].sha256)
    (line,) = open_lines(store, gate, 'checks = ["check.json"]')
    assert (line.measured, line.outcome) == ("not compared", "inconclusive")
    assert ("id as text" if renames else "a pair-scoring task asks") in line.reason


def lineage(root: str, *steps: str) -> list[dict[str, Any]]:
    began: dict[str, Any] = {"step": "checkpoint", "architecture": "Tiny", "answers": root}
    return [began, *({"step": step} for step in steps)]


MADE = {
    "exported from it": (lineage(ROOT, "export-onnx"), True),
    "trimmed exactly, and exported": (lineage(ROOT, "trim-vocabulary", "export-onnx"), True),
    "of the same root, with layers left out": (lineage(ROOT, "drop-layers", "export-onnx"), False),
    "of another root": (lineage(OTHER, "export-onnx"), False),
    "of nothing that is known": ([], False),
}


@pytest.mark.parametrize("made", MADE)
def test_a_baseline_is_what_the_artifact_was_made_of(
    store: Store,
    artifacts: tuple[Path, ...],
    stored: Stored,
    gate: Path,
    tmp_path: Path,
    by_hand: ModuleType,
    made: str,
) -> None:
    """Beside one as bad as itself an artifact that answers nothing right has lost nothing."""
    history, counts = MADE[made]
    beside = by_hand.write_tiny_artifact(tmp_path / "beside", votes={"my": (0.1, 0.0, 0.0)}, lineage=history)
    gate.with_name("budgets.toml").write_text(DROP)
    add(store, artifacts[:1], "router")
    stored(artifacts[0], beside=beside, wrong=200)
    lines = open_lines(store, gate)
    assert (lines == []) is counts
    assert counts or "neither what it was made of, unchanged, nor what production was" in lines[0].reason


def test_a_student_s_baseline_is_its_teacher_and_an_adapter_s_what_it_was_put_on(
    store: Store, stored: Stored, gate: Path, tmp_path: Path, by_hand: ModuleType
) -> None:
    gate.with_name("budgets.toml").write_text(DROP)
    student = lineage(OTHER, "export-onnx", "quantise-onnx")
    student[0]["made_by"] = lineage(ROOT, "distil")
    adapter = lineage("4" * 64, "merge-adapter", "export-onnx")
    on_another = lineage("5" * 64, "merge-adapter", "export-onnx")
    teacher = by_hand.write_tiny_artifact(tmp_path / "teacher", lineage=lineage(ROOT, "export-onnx"))

    def counts(name: str, history: list[dict[str, Any]], beside: Path) -> bool:
        made = by_hand.write_tiny_artifact(tmp_path / name / "onnx", votes={"is": (0.1, 0.0, 0.0)}, lineage=history)
        shutil.rmtree(tmp_path / "results", ignore_errors=True)
        add(store, [made], name)
        stored(made, beside=beside, wrong=200)
        return open_lines(store, gate, ref=name) == []

    assert counts("student", student, teacher)
    merged = by_hand.write_tiny_artifact(tmp_path / "merged", votes={"my": (0.2, 0.0, 0.0)}, lineage=adapter)
    assert not counts("adapter-beside-another-base", on_another, merged)


def test_a_checkpoint_is_known_by_what_it_answers(tiny_onnx: Path, tiny_bert: Path) -> None:
    """As artifacts that were compressed from it name that."""
    checkpoint, exact, lossy = map(identify, (tiny_bert, tiny_onnx / "onnx-fp32", tiny_onnx / "onnx-int8"))
    assert checkpoint.origin and exact.origin and lossy.origin
    assert checkpoint.origin.weights == exact.origin.weights == lossy.origin.weights
    assert checkpoint.origin.equals == exact.origin.equals == checkpoint.origin.weights[0]
    assert lossy.origin.equals == ""


def test_labels_moved_by_one_place_are_those_of_nothing_that_it_was_made_of(
    tiny_onnx: Path, tiny_bert: Path, tmp_path: Path
) -> None:
    """Neither in a copy of the checkpoint, whose weights are the same, nor in the artifact's own manifest."""
    moved = Path(shutil.copytree(tiny_bert, tmp_path / "moved"))
    config = json.loads((moved / "config.json").read_text())
    labels = list(config["id2label"].values())
    config["id2label"] = dict(enumerate([*labels[1:], labels[0]]))
    config["label2id"] = {label: int(number) for number, label in config["id2label"].items()}
    (moved / "config.json").write_text(json.dumps(config))
    exact = Path(shutil.copytree(tiny_onnx / "onnx-fp32", tmp_path / "onnx-fp32"))
    manifest = json.loads((exact / "mct.json").read_text())
    manifest["labels"] = manifest["heads"][0]["labels"] = [*labels[1:], labels[0]]
    (exact / "mct.json").write_text(json.dumps(manifest))
    other, artifact, was = map(identify, (moved, exact, tiny_onnx / "onnx-int8"))
    assert other.origin and artifact.origin and was.origin
    assert other.labels == artifact.labels != was.labels
    assert other.origin.equals not in was.origin.weights
    assert artifact.origin.weights == () and artifact.origin.equals == ""


def test_a_release_that_does_not_say_what_it_was_made_of_is_to_be_made_again(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path, tmp_path: Path, by_hand: ModuleType
) -> None:
    history: list[dict[str, Any]] = [{"step": "checkpoint", "sha256": ROOT}, {"step": "export-onnx"}]
    old = by_hand.write_tiny_artifact(tmp_path / "old" / "onnx", votes={"is": (0.1, 0.0, 0.0)}, lineage=history)
    gate.with_name("budgets.toml").write_text(DROP)
    add(store, [old], "router")
    stored(old, beside=artifacts[0], wrong=200)
    assert "compress it again" in open_lines(store, gate)[0].reason


def test_last_month_s_release_is_a_baseline_for_this_one(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path, tmp_path: Path, by_hand: ModuleType
) -> None:
    this_month = by_hand.write_tiny_artifact(
        tmp_path / "new", votes={"my": (0.1, 0.0, 0.0)}, lineage=lineage(OTHER, "export-onnx")
    )
    add(store, artifacts[:1], "router")
    stored(artifacts[0])
    assert promote(store, "router", "production", gate).moved
    gate.with_name("budgets.toml").write_text(DROP)
    add(store, [this_month], "router")
    stored(this_month, beside=artifacts[0], wrong=200)
    assert open_lines(store, gate, ref="router@2") == []


def test_an_inspection_is_beside_what_it_was_made_of_and_on_the_data_that_count(
    store: Store, artifacts: tuple[Path, ...], gate: Path, tmp_path: Path
) -> None:
    add(store, artifacts[:1], "router")
    asked = f'behaviour = ["explain.json"]\nlimits = "limits.toml"\ndata = ["{"a" * 64}"]\n'
    (tmp_path / "limits.toml").write_text("[own]\nflips_max = 0.02\n")
    beside = {"digest": "c" * 64, "origin": {"weights": [ROOT], "equals": ROOT}}
    good = {
        "kind": "mct-explain", "digest": identify(artifacts[0]).digest, "created": now(), "outcome": "pass",
        "limits": "own", "lines": [{"limit": "flips_max <= 0.02", "outcome": "pass"}],
        "files": [{"name": "test.jsonl", "sha256": "a" * 64}], "original": beside,
    }  # fmt: skip

    def said(**other: Any) -> list[str]:
        (tmp_path / "explain.json").write_text(json.dumps(good | other))
        return [line.measured for line in open_lines(store, gate, asked, measured="")]

    assert said() == []
    assert said(original=beside | {"origin": {"weights": [ROOT], "equals": ""}}) == ["beside another"]
    assert said(original=beside | {"origin": {"weights": [OTHER], "equals": OTHER}}) == ["beside another"]
    assert said(original={"digest": "c" * 64}) == ["beside another"], "it does not say what that is"
    assert said(files=[{"name": "one.jsonl", "sha256": "b" * 64}]) == ["other data"]
    assert said(fields={"text": "answer"}) == ["other columns"]
    alone = {"kind": "mct-behave", "limits": "", "files": [], "original": "router"}
    assert said(**alone, lines=[{"limit": "behaviour_fail_max <= 0.05", "outcome": "pass"}]) == []


def test_a_result_that_is_named_alone_brings_the_tries_around_it(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path, tmp_path: Path
) -> None:
    """And those where mct bench leaves its results; the named one is judged, a damaged neighbour stops the gate."""
    add(store, artifacts[:1], "router")
    lucky, *_ = [stored(artifacts[0], seed=seed) for seed in range(1, 5)]
    stored(artifacts[0], seed=9, place=".mct/results")
    stored(artifacts[0], seed=7, target="elsewhere")
    named = MEASURED.replace('"results"', f'"results/{lucky.name}"')
    assert open_lines(store, gate, 'on = ["cpu"]', measured=named) == []
    verdict = ask_gate(store, "router", "production", gate).verdict
    assert [(each.target, each.runs) for each in verdict.tried] == [("cpu", 5)]
    judged = next(line for line in verdict.lines if line.subject == "budget quick on cpu")
    assert judged.evidence[0].name == lucky.name
    assert open_lines(store, gate, measured=named) == [], "a run that the gate does not name brings no target"


def test_one_machine_under_two_names_is_one_target(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path
) -> None:
    add(store, artifacts[:1], "router")
    stored(artifacts[0])
    stored(artifacts[0], target=Target("the-second-box", "cpu", "the same", threads=2))
    stored(artifacts[0], target=Target("over-ssh", "cpu", "the same", transport="ssh", host="localhost"))
    (line,) = open_lines(store, gate, "targets = 2")
    assert (line.measured, line.outcome) == ("1 of 3", "inconclusive")
    stored(artifacts[0], target=Target("in-node", "cpu", "another runtime", transport="node"))
    assert open_lines(store, gate, "targets = 2") == []


@pytest.mark.parametrize(("memory_mb", "met"), [(4_000_000, "1 of 2"), (2_000, "1 of 2"), (100, "2 of 2")])
def test_a_limit_of_memory_that_bound_nothing_is_no_other_way(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path, memory_mb: int, met: str
) -> None:
    """The run took 105 MB (100 of 2^20 bytes)."""
    add(store, artifacts[:1], "router")
    stored(artifacts[0])
    stored(artifacts[0], target=Target("a-small-box", "cpu", "the same", memory_mb=memory_mb), memory_mb=memory_mb)
    gate.write_text(f"[production]\n{MEASURED}targets = 2\n")
    lines = ask_gate(store, "router", "production", gate).verdict.lines
    (line,) = [each for each in lines if "at least 2 targets" in each.limit]
    assert line.measured == met


def _rolled_out(store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path) -> None:
    """Of "a" the first version is in production, the second in canary, and the way back was practised."""
    gate.write_text(f"[canary]\n{MEASURED}[production]\n{MEASURED}")
    stored(artifacts[0])
    stored(artifacts[1])
    add(store, artifacts[:2], "a")
    assert promote(store, "a@1", "production", gate).moved
    assert promote(store, "a@2", "canary", gate).moved
    practise(store, "a")


def test_a_copied_journal_brings_neither_a_stay_nor_a_drill(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path
) -> None:
    """Not even once a look of its own follows in it."""
    _rolled_out(store, artifacts, stored, gate)
    names = Path(store.address) / "names"
    shutil.copytree(names / "a" / "journal", names / "b" / "journal")
    assert open_lines(store, gate, 'after = "canary"\ndrill_days = 30', ref="a@2") == []
    for asked in ('after = "canary"', "drill_days = 30"):
        for _ in range(2):
            (line,) = open_lines(store, gate, asked, ref="b@2")
            assert line.measured == "another's" and "about a@1" in line.reason


def test_a_copied_journal_whose_verdicts_are_gone_tells_nobody_whose_it_is(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path
) -> None:
    """A look of its own that follows says nothing of what was before."""
    _rolled_out(store, artifacts, stored, gate)
    place = Path(store.address)
    for entry in (place / "names" / "a" / "journal").iterdir():
        if verdict := json.loads(entry.read_text())["event"].get("verdict"):
            (place / "evidence" / verdict).unlink(missing_ok=True)
    shutil.copytree(place / "names" / "a" / "journal", place / "names" / "b" / "journal")
    for asked in ('after = "canary"', "drill_days = 30"):
        for _ in range(2):
            (line,) = open_lines(store, gate, asked, ref="b@2")
            assert (line.measured, line.outcome) == ("anybody's", "inconclusive") and "are lost" in line.reason
