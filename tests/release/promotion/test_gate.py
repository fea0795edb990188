"""What a gate asks, what it makes of what is missing, old or of something else, and that trying again costs."""

import gzip
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mct import MctError
from mct.bench.samples.subject import identify
from mct.models.tasks.datasets import read_dataset
from mct.models.tasks.table import find_task
from mct.release.inspection.limits import find_limits
from mct.release.promotion.gate import ask_gate
from mct.release.promotion.gate_file import read_gate
from mct.release.promotion.gate_values import GateLine, StoredVerdict
from mct.release.promotion.moves import add, move, promote
from mct.release.promotion.releases import Moved, days_between, track_of
from mct.release.promotion.store import Store, now
from mct.release.promotion.tries import ERROR, error_of_try
from mct.targets.target import Target

Stored = Callable[..., Path]
MEASURED = 'budgets = ["quick"]\nresults = ["results"]\nbudgets_file = "budgets.toml"\n'


def rewrite(gate: Path, more: str = "", measured: str = MEASURED) -> None:
    gate.write_text(f"[production]\n{measured}{more}\n")


def open_lines(said: StoredVerdict) -> list[GateLine]:
    return [line for line in said.verdict.lines if line.outcome != "pass"]


HELD: list[dict[str, str]] = [{"limit": "test 'typos' <= 0.02", "measured": "0", "outcome": "pass", "reason": ""}]


ROOT = "1" * 64
BESIDE = {"digest": "c" * 64, "origin": {"weights": [ROOT], "equals": ROOT}}
"""The checkpoint that the artifacts were made of, as an inspection names it."""


def report(path: Path, **said: Any) -> Path:
    """Write what an inspection of an artifact says, or a check of data; made just now, and passed."""
    told = {"original": BESIDE} if "digest" in said else {"task": "sequence-classification"}
    path.write_text(json.dumps({"created": now(), "outcome": "pass"} | told | said))
    return path


def say_in_both(path: Path, name: str, value: str) -> None:
    """Write a value into a result and into the run's samples."""
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    samples = path.with_suffix(".samples.jsonl.gz")
    first, rest = gzip.decompress(samples.read_bytes()).split(b"\n", 1)
    samples.write_bytes(gzip.compress(json.dumps(json.loads(first) | {name: value}).encode() + b"\n" + rest))


def test_what_all_tries_may_err_is_what_one_run_may() -> None:
    assert sum(error_of_try(number) for number in range(1, 100_000)) == pytest.approx(ERROR, rel=1e-4)
    assert all(error_of_try(number) > error_of_try(number + 1) for number in range(1, 100))


def test_every_run_counts_also_the_deleted_the_cut_off_and_those_under_another_name(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path
) -> None:
    add(store, artifacts[:1], "router")
    paths = [stored(artifacts[0], seed=seed) for seed in (1, 2)]
    (tried,) = ask_gate(store, "router", "production", gate).verdict.tried
    assert (tried.runs, tried.gone, tried.error) == (2, 0, error_of_try(2))
    assert tried.quality_error == error_of_try(1), "the answers were the same both times"
    for path in paths:
        path.unlink()
    stored(artifacts[0], seed=3)
    (tried,) = ask_gate(store, "router", "production", gate).verdict.tried
    assert (tried.runs, tried.gone) == (3, 2)
    add(store, artifacts[:1], "under-another-name")
    (tried,) = ask_gate(store, "under-another-name", "production", gate).verdict.tried
    assert tried.runs == 3
    whole = stored(artifacts[0], seed=4).with_suffix(".samples.jsonl.gz")
    lines = gzip.decompress(whole.read_bytes()).splitlines(keepends=True)
    whole.with_name("20990101T000000Z-abcdef.samples.jsonl.part").write_bytes(
        lines[0].replace(whole.name[:23].encode(), b"20990101T000000Z-abcdef") + b"".join(lines[1:3])
    )
    (tried,) = ask_gate(store, "router", "production", gate).verdict.tried
    assert tried.runs == 5


def test_looking_again_at_the_same_runs_is_no_try(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path
) -> None:
    add(store, artifacts[:1], "router")
    stored(artifacts[0])
    verdicts = [ask_gate(store, "router", "production", gate).verdict for _ in range(3)]
    assert len({verdict.tried for verdict in verdicts}) == 1 and verdicts[0].tried[0].runs == 1


def test_other_answers_are_tries_for_quality_too(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path
) -> None:
    add(store, artifacts[:1], "router")
    for wrong in (0, 3):
        stored(artifacts[0], wrong=wrong)
    (tried,) = ask_gate(store, "router", "production", gate).verdict.tried
    assert tried.quality_error == error_of_try(2)


def test_a_pinned_test_set_is_the_only_one_that_counts(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path
) -> None:
    add(store, artifacts[:1], "router")
    stored(artifacts[0], data="b" * 64, median_ms=4.0)
    stored(artifacts[0], data="a" * 64)
    rewrite(gate, f'data = ["{"a" * 64}"]')
    (tried,) = ask_gate(store, "router", "production", gate).verdict.tried
    assert tried.runs == 1
    rewrite(gate, 'data = ["nothing.jsonl"]')
    with pytest.raises(MctError, match=r"nothing\.jsonl does not exist"):
        ask_gate(store, "router", "production", gate)


def test_what_was_measured_has_to_be_what_is_released(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path
) -> None:
    add(store, artifacts[:1], "router")
    stored(artifacts[1])
    said = ask_gate(store, "router", "production", gate)
    (line,) = open_lines(said)
    assert said.verdict.outcome == "inconclusive" and identify(artifacts[1]).digest[:12] in line.reason


def test_a_result_that_says_other_things_than_its_samples_is_refused(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path
) -> None:
    add(store, artifacts[:1], "router")
    path, digest = stored(artifacts[0]), identify(artifacts[0]).digest
    true = path.read_text()
    result = json.loads(true)
    of_another = stored(artifacts[1], seed=2)
    of_another.write_text(of_another.read_text().replace(identify(artifacts[1]).digest, digest))
    with pytest.raises(MctError, match=f"does not hold the samples of {of_another.name}"):
        ask_gate(store, "router", "production", gate)
    of_another.unlink()
    for told in (
        {"created": "2020-01-01T00:00:00Z"},
        {"data": result["data"] | {"sha256": "b" * 64}},
        {"target": result["target"] | {"name": "edge"}},
    ):
        path.write_text(json.dumps(result | told))
        with pytest.raises(MctError, match=f"does not hold the samples of {path.name}"):
            ask_gate(store, "router", "production", gate)
    path.write_text(true)
    assert ask_gate(store, "router", "production", gate).verdict.outcome == "pass"


def test_each_target_has_to_meet_it_and_enough_of_them(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path
) -> None:
    add(store, artifacts[:1], "router")
    rewrite(gate, "targets = 2")
    stored(artifacts[0])
    assert [line.measured for line in open_lines(ask_gate(store, "router", "production", gate))] == ["1 of 1"]
    stored(artifacts[0], target="edge", median_ms=4.0)
    said = ask_gate(store, "router", "production", gate)
    assert said.verdict.outcome == "fail", "a target that fails is not outvoted"
    rewrite(gate, 'on = ["cpu"]')
    assert ask_gate(store, "router", "production", gate).verdict.outcome == "pass"


def test_who_deletes_the_result_of_a_target_that_failed_has_shown_nothing(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path
) -> None:
    """Also where something of the same run is left, as if it had been cut off."""
    add(store, artifacts[:1], "router")
    stored(artifacts[0])
    slow = stored(artifacts[0], target="edge", median_ms=4.0)
    assert ask_gate(store, "router", "production", gate).verdict.outcome == "fail"
    slow.unlink()
    said = ask_gate(store, "router", "production", gate)
    assert said.verdict.outcome == "inconclusive"
    assert [line.measured for line in open_lines(said)] == ["measured, and its result is gone"]
    samples = slow.with_suffix(".samples.jsonl.gz")
    samples.with_name(samples.name.replace(".gz", ".part")).write_bytes(gzip.decompress(samples.read_bytes()))
    said = ask_gate(store, "router", "production", gate)
    assert [line.measured for line in open_lines(said)] == ["measured, and its run was cut off"]
    rewrite(gate, 'on = ["cpu"]')
    assert ask_gate(store, "router", "production", gate).verdict.outcome == "pass"


def test_what_only_another_stage_saw_is_a_try_and_holds_nothing_back(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path, tmp_path: Path
) -> None:
    """Each stage has results of its own: none of them is gone because another does not read it."""
    add(store, artifacts[:1], "router")
    stored(artifacts[0], target="ci-box", median_ms=4.0)
    stored(artifacts[0], seed=2)
    (tmp_path / "results").rename(tmp_path / "ci")
    stored(artifacts[0], seed=3)
    of_shadow = MEASURED.replace('"results"', '"ci"')
    gate.write_text(f"[shadow]\n{of_shadow}\n[production]\n{MEASURED}")
    assert ask_gate(store, "router", "shadow", gate).verdict.outcome == "fail"
    said = ask_gate(store, "router", "production", gate)
    assert said.verdict.outcome == "pass", open_lines(said)
    (tried,) = said.verdict.tried
    assert (tried.target, tried.runs, tried.gone, tried.error) == ("cpu", 2, 1, error_of_try(2))
    for path in (tmp_path / "ci").iterdir():
        path.unlink()
    said = ask_gate(store, "router", "shadow", gate)
    lost = [line for line in open_lines(said) if line.measured == "measured, and its result is gone"]
    assert [line.limit for line in lost] == ["a result on ci-box", "a result on cpu"]


def test_a_target_that_was_measured_on_loosens_no_budget_of_the_gate(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path
) -> None:
    add(store, artifacts[:1], "router")
    loose = Target("cpu", "cpu", "made up", budgets={"quick": {"p95_ms": 50.0, "quality_max_drop": 1.0}})
    stored(artifacts[0], target=loose, median_ms=4.0, wrong=90)
    failed = [line.limit for line in open_lines(ask_gate(store, "router", "production", gate))]
    assert failed == ["P95 < 3 ms", "accuracy >= 90.00%"]
    tight = Target("edge", "cpu", "made up", budgets={"quick": {"p95_ms": 0.5}})
    stored(artifacts[0], target=tight)
    rewrite(gate, 'on = ["edge"]')
    (line,) = open_lines(ask_gate(store, "router", "production", gate))
    assert (line.limit, line.outcome) == ("P95 < 0.5 ms", "fail")


def test_what_was_held_against_itself_shows_nothing_against_a_baseline(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path
) -> None:
    budgets = gate.with_name("budgets.toml")
    budgets.write_text(budgets.read_text().replace("quality_at_least = 0.9", "quality_max_drop = 0.01"))
    add(store, artifacts[:1], "router")
    stored(artifacts[0], own_baseline=True)
    (line,) = open_lines(ask_gate(store, "router", "production", gate))
    assert line.outcome == "inconclusive" and "held against itself" in line.reason


def test_a_test_set_with_documents_is_pinned_as_a_bench_calls_it(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path, put: Callable[..., Path]
) -> None:
    path = put("ranking.jsonl", [{"query": "cat", "doc_id": "1", "grade": 1}])
    put("docs.jsonl", [{"doc_id": "1", "doc": "a cat"}])
    of_bench = read_dataset(path, find_task("pair-scoring")).sha256
    add(store, artifacts[:1], "router")
    stored(artifacts[0], data=of_bench)
    rewrite(gate, 'data = ["ranking.jsonl"]')
    assert ask_gate(store, "router", "production", gate).verdict.outcome == "pass"
    put("docs.jsonl", [{"doc_id": "1", "doc": "a dog"}])
    said = [line.measured for line in open_lines(ask_gate(store, "router", "production", gate))]
    assert said == ["no run", "measured, on another test set"]


def test_old_evidence_does_not_speak_of_today(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path
) -> None:
    add(store, artifacts[:1], "router")
    path = stored(artifacts[0])
    rewrite(gate, "evidence_days = 30")
    assert ask_gate(store, "router", "production", gate).verdict.outcome == "pass"
    for days, said in ((31, "too old"), (-2, "future")):
        say_in_both(path, "created", f"{datetime.now(UTC) - timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}")
        (line,) = open_lines(ask_gate(store, "router", "production", gate))
        assert line.outcome == "inconclusive" and said in line.reason


def test_reports_of_behaviour_count_if_they_are_of_this_artifact(
    store: Store, artifacts: tuple[Path, ...], gate: Path, tmp_path: Path
) -> None:
    add(store, artifacts[:1], "router")
    digest = identify(artifacts[0]).digest
    rewrite(gate, 'behaviour = ["explain.json"]\nevidence_days = 30.0', measured="")
    assert [line.measured for line in open_lines(ask_gate(store, "router", "production", gate))] == ["missing"]
    explain = report(tmp_path / "explain.json", kind="mct-explain", digest=digest, lines=HELD)
    said = ask_gate(store, "router", "production", gate)
    assert said.verdict.outcome == "pass"
    assert store.evidence(said.verdict.lines[-1].evidence[0].sha256) == explain.read_bytes()
    report(explain, kind="mct-behave", digest=digest, created="2020-01-01T00:00:00Z", lines=HELD)
    assert "too old" in open_lines(ask_gate(store, "router", "production", gate))[0].reason
    report(explain, kind="mct-explain", digest=digest, lines=HELD, original={"digest": digest})
    assert [line.measured for line in open_lines(ask_gate(store, "router", "production", gate))] == ["itself"]
    report(explain, kind="mct-explain", digest="f" * 64, lines=HELD)
    assert "another artifact" in open_lines(ask_gate(store, "router", "production", gate))[0].reason
    lines = [{"limit": "typos change nothing", "measured": "3 of 40 changed", "outcome": "fail", "reason": ""}]
    report(explain, kind="mct-explain", digest=digest, outcome="fail", lines=lines)
    said = ask_gate(store, "router", "production", gate)
    assert said.verdict.outcome == "fail" and "typos change nothing: 3 of 40" in open_lines(said)[0].reason
    report(explain, kind="mct-explain", digest=digest, outcome="inconclusive")
    assert open_lines(ask_gate(store, "router", "production", gate))[0].reason == "It judged nothing."
    of_it = {"kind": "mct-explain", "digest": digest}
    for spoilt in ({"kind": "mct-explain"}, of_it | {"outcome": "fine"}, {"kind": 3}, of_it, of_it | {"lines": lines}):
        report(explain, **spoilt)
        with pytest.raises(MctError):
            ask_gate(store, "router", "production", gate)


@pytest.mark.parametrize("made_before", [False, True])
@pytest.mark.parametrize(("taught", "outcome"), [("b", "pass"), ("c", "inconclusive"), ("a", "fail")])
def test_a_data_check_has_to_be_of_what_taught_the_artifact(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path, tmp_path: Path, taught: str, outcome: str,
    made_before: bool,
) -> None:  # fmt: skip
    """By its own steps, or by those of the checkpoint that it was made of."""
    artifact = shutil.copytree(artifacts[0], tmp_path / "made" / artifacts[0].name)
    manifest = json.loads((artifact / "mct.json").read_text())
    data = {"name": "train.jsonl", "rows": 9, "sha256": taught * 64}
    train = {"step": "train", "data": data}
    own = [{"step": "checkpoint"}, train]
    manifest["lineage"] = [{"step": "checkpoint", "made_by": own}, {"step": "export"}] if made_before else own
    (artifact / "mct.json").write_text(json.dumps(manifest))
    add(store, [artifact], "router")
    stored(artifact, data="a" * 64)
    rewrite(gate, 'checks = ["check.json"]')
    files = [{"name": f"{name}.jsonl", "sha256": name * 64} for name in "ab"]
    report(tmp_path / "check.json", files=files, leaks=[], near=0.9)
    line = ask_gate(store, "router", "production", gate).verdict.lines[-1]
    said = {
        "pass": "2 files were compared.", "inconclusive": "It does not know what taught it, cccccccccccc.",
        "fail": "It was taught by what it was tested on.",
    }  # fmt: skip
    assert (line.outcome, line.reason) == (outcome, said[outcome])


def test_a_run_without_a_target_is_a_try_and_shows_nothing(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path
) -> None:
    """As mct compare leaves one, of an artifact slowed down on purpose beside itself."""
    add(store, artifacts[:1], "router")
    stored(artifacts[0], target=None)
    said = ask_gate(store, "router", "production", gate).verdict
    assert said.outcome == "inconclusive" and said.lines[1].measured == "no run"
    stored(artifacts[0])
    assert ask_gate(store, "router", "production", gate).verdict.outcome == "pass"


def test_a_data_check_has_to_be_of_the_test_set_and_without_a_leak(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path, tmp_path: Path
) -> None:
    add(store, artifacts[:1], "router")
    stored(artifacts[0], data="a" * 64)
    rewrite(gate, 'checks = ["check.json"]')
    assert [line.measured for line in open_lines(ask_gate(store, "router", "production", gate))] == ["missing"]
    files = [{"name": "train.jsonl", "sha256": "b" * 64}, {"name": "test.jsonl", "sha256": "a" * 64}]
    check = report(tmp_path / "check.json", files=files, leaks=[], near=0.9)
    said = ask_gate(store, "router", "production", gate).verdict
    assert said.outcome == "pass"
    assert said.lines[-1].reason == "2 files were compared, of which none is known to have taught it."
    for near in ({"near": 0.95}, {}):
        report(check, files=files, leaks=[], **near)
        (line,) = open_lines(ask_gate(store, "router", "production", gate))
        assert line.outcome == "inconclusive" and line.measured == "not compared"
    report(check, files=files[:1], leaks=[])
    assert (
        "does not know the test set aaaaaaaaaaaa" in open_lines(ask_gate(store, "router", "production", gate))[0].reason
    )
    report(check, files=files[1:], leaks=[], near=0.9)
    (line,) = open_lines(ask_gate(store, "router", "production", gate))
    assert line.outcome == "inconclusive" and line.measured == "not compared", "nothing stands twice in one file"
    report(check, files=files, leaks=[{"file": "test.jsonl", "row": 3}, {"file": "test.jsonl", "row": 3}], near=0.9)
    assert open_lines(ask_gate(store, "router", "production", gate))[0].measured == "1 rows"
    taught = [{"name": "calibration.jsonl", "sha256": "c" * 64}, *files]
    twin = {"file": "calibration.jsonl", "row": 3, "other_file": "train.jsonl"}
    report(check, files=taught, leaks=[twin], near=0.9)
    assert ask_gate(store, "router", "production", gate).verdict.outcome == "pass", "both taught: no leak"
    report(check, files=taught, leaks=[twin | {"other_file": "test.jsonl"}], near=0.9)
    assert open_lines(ask_gate(store, "router", "production", gate))[0].outcome == "fail"
    report(check, files=[{"name": "x"}], leaks=[])
    with pytest.raises(MctError):
        ask_gate(store, "router", "production", gate)


def test_a_stage_before_and_a_practised_way_back(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path
) -> None:
    from mct.release.promotion.drill import practise

    for number in range(2):
        stored(artifacts[number])
    add(store, artifacts[:2], "router")
    promote(store, "router@1", "production", gate)
    gate.write_text(gate.read_text() + 'after = "shadow"\ndrill_days = 30\n')
    said = ask_gate(store, "router@2", "production", gate)
    assert [line.measured for line in open_lines(said)] == ["never", "never"]
    assert promote(store, "router@2", "shadow", gate).moved
    practise(store, "router")
    assert promote(store, "router@2", "production", gate).moved
    gate.write_text(gate.read_text() + "after_days = 1\n")
    assert "0.00 days in all" in [line.measured for line in open_lines(ask_gate(store, "router@2", "production", gate))]


def test_a_drill_by_a_clock_that_was_ahead_is_of_just_now(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path
) -> None:
    from mct.release.promotion.drill import practise

    stored(artifacts[0])
    add(store, artifacts[:2], "router")
    promote(store, "router@1", "production", gate)
    practise(store, "router")
    path = max((Path(store.address) / "names/router/journal").iterdir())
    ahead = datetime.now(UTC) + timedelta(minutes=4)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"at": f"{ahead:%Y-%m-%dT%H:%M:%SZ}"}))
    rewrite(gate, "drill_days = 30")
    line = ask_gate(store, "router@1", "production", gate).verdict.lines[-1]
    assert (line.measured, line.outcome) == ("0.0 days ago", "pass")


def test_time_in_a_stage_is_what_a_release_stood_there(store: Store, artifacts: tuple[Path, ...]) -> None:
    """Two stays of an hour and a day; what came before, between and after them is none."""
    add(store, artifacts[:1], "router")
    for stage in ("canary", "shadow", "canary", "production"):
        move(store, store.track("router"), Moved(1, stage, "promote", "a" * 64), "")
    moments = ["01T00", "02T00", "02T01", "05T00", "06T00"]
    entries = [
        msgspec.structs.replace(entry, at=f"2026-01-{moment}:00:00Z")
        for entry, moment in zip(store.track("router").entries, moments, strict=True)
    ]
    assert track_of("router", entries).days_in(1, "canary", "2026-02-01T00:00:00Z") == pytest.approx(1 + 1 / 24)
    assert track_of("router", entries[:2]).days_in(1, "canary", "2026-01-04T00:00:00Z") == 2.0
    assert track_of("router", entries[:1]).days_in(1, "canary", "2026-01-04T00:00:00Z") is None


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("", "has no gate for production"),
        ("[production]\n", "asks nothing"),
        ('[production]\nbudgets = ["quick"]\n', "only one of budgets and results"),
        ("[production]\ntargets = 0\n", "targets"),
        ("[production]\nbudget = ['quick']\n", "unknown field `budget`"),
        ("[prod]\n", "prod"),
        ('[production]\nafter = "production"\n', "after"),
        ('[shadow]\nafter = "shadow"\n[production]\nafter_days = 3.0\n', "asks nothing|after_days"),
        ("[production]\nevidence_days = nan\n", "finite"),
        ('[production]\nafter = "canary"\nevidence_days = -1.0\n', "evidence_days"),
        ("[production\n", "not valid TOML"),
        ('[production]\nchecks = ["check.json"]\ntargets = 2\n', "counts targets"),
    ],
)
def test_a_gate_file_says_what_it_means(tmp_path: Path, said: str, why: str) -> None:
    path = tmp_path / "release.toml"
    path.write_text(said)
    with pytest.raises(MctError, match=why):
        read_gate(path, "production")


def test_a_damaged_result_stops_the_gate_since_it_cannot_be_counted(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path
) -> None:
    add(store, artifacts[:1], "router")
    path = stored(artifacts[0])
    path.write_text(path.read_text()[:-20])
    with pytest.raises(MctError, match="not readable as JSON"):
        ask_gate(store, "router", "production", gate)


def test_days_are_counted_between_times_that_are_some() -> None:
    assert days_between("2026-01-01T00:00:00Z", "2026-01-02T12:00:00Z") == 1.5
    for wrong in ("", "yesterday", "2026-02-31T00:00:00Z"):
        assert days_between(wrong, "2026-03-02T12:00:00Z") is None


def test_a_copy_of_the_artifact_is_no_baseline_for_it(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path, tmp_path: Path
) -> None:
    budgets = gate.with_name("budgets.toml")
    budgets.write_text(budgets.read_text().replace("quality_at_least = 0.9", "quality_max_drop = 0.01"))
    copy = Path(shutil.copytree(artifacts[0], tmp_path / "copy"))
    add(store, artifacts[:1], "router")
    stored(artifacts[0], beside=copy)
    lines = open_lines(ask_gate(store, "router", "production", gate))
    assert {line.subject for line in lines} == {"budget quick on cpu (onnx-int8)", "budget quick on cpu (copy)"}
    assert all(line.outcome == "inconclusive" and "held against itself" in line.reason for line in lines)


def test_of_copies_in_one_run_none_is_left_out(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(artifacts[0], tmp_path / "copy"))
    add(store, artifacts[:1], "router")
    stored(artifacts[0], beside=copy, median_ms=4.0, median_beside_ms=1.0)
    (line,) = open_lines(ask_gate(store, "router", "production", gate))
    assert (line.subject, line.outcome) == ("budget quick on cpu (onnx-int8)", "fail")


def test_a_target_that_the_gate_names_has_to_be_measured(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path
) -> None:
    add(store, artifacts[:1], "router")
    stored(artifacts[0])
    rewrite(gate, 'on = ["cpu", "phone"]')
    (line,) = open_lines(ask_gate(store, "router", "production", gate))
    assert (line.limit, line.measured, line.outcome) == ("a result on phone", "not measured there", "inconclusive")


def test_a_target_of_a_built_in_one_s_name_has_to_be_that_one(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path
) -> None:
    add(store, artifacts[:1], "router")
    larger = stored(artifacts[0], target=Target("edge-512mb", "cpu", "a larger one", threads=4))
    (line,) = open_lines(ask_gate(store, "router", "production", gate))
    assert (line.measured, line.outcome) == ("other threads, memory_mb", "inconclusive")
    larger.unlink()
    stored(artifacts[0], target=Target("edge-512mb", "cpu", "the same", threads=1, memory_mb=512), seed=2)
    assert ask_gate(store, "router", "production", gate).verdict.outcome == "pass"


def test_a_run_from_the_future_outranks_none_and_holds_back(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path
) -> None:
    """Also where no age is asked for. What a result or a report says of its date is all that there is."""
    add(store, artifacts[:1], "router")
    ahead = stored(artifacts[0])
    say_in_both(ahead, "created", "2099-01-01T00:00:00Z")
    slow = stored(artifacts[0], median_ms=4.0, seed=2)
    lines = {line.limit: line for line in open_lines(ask_gate(store, "router", "production", gate))}
    assert lines["P95 < 3 ms"].outcome == "fail" and lines["P95 < 3 ms"].evidence[0].name == slow.name
    assert "future" in lines["measured on cpu: not from the future"].reason
    slow.unlink()
    (line,) = open_lines(ask_gate(store, "router", "production", gate))
    assert line.limit == "measured on cpu: not from the future"


def test_another_test_set_gives_no_try_back(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path
) -> None:
    """A blank line more in the file that a gate names, and its runs are none of those before: the looks know them."""
    add(store, artifacts[:1], "router")
    rewrite(gate, f'data = ["{"a" * 64}"]')
    stored(artifacts[0], data="a" * 64)
    stored(artifacts[0], data="a" * 64, target="edge")
    ask_gate(store, "router", "production", gate)
    rewrite(gate, f'data = ["{"b" * 64}"]')
    stored(artifacts[0], data="b" * 64, seed=2)
    said = ask_gate(store, "router", "production", gate)
    assert [line.measured for line in open_lines(said)] == ["measured, on another test set"]
    assert [(each.target, each.runs, each.error) for each in said.verdict.tried] == [
        ("cpu", 2, error_of_try(2)), ("edge", 1, error_of_try(1)),
    ]  # fmt: skip


def test_a_report_is_by_limits_that_are_built_in_or_the_gate_s_own(
    store: Store, artifacts: tuple[Path, ...], gate: Path, tmp_path: Path
) -> None:
    add(store, artifacts[:1], "router")
    own = tmp_path / "limits.toml"
    own.write_text("[lax]\nflips_max = 1.0\n[intent-router]\nflips_max = 0.2\n")
    of_it = {"kind": "mct-explain", "digest": identify(artifacts[0]).digest}
    built_in = find_limits("intent-router").given

    def said(limits: str, more: str = "", **judged: float) -> str:
        rewrite(gate, f'behaviour = ["explain.json"]\n{more}', measured="")
        lines = [{"limit": f"{name} <= {most:g}", "outcome": "pass"} for name, most in judged.items()]
        report(tmp_path / "explain.json", limits=limits, lines=lines, **of_it)
        verdict = ask_gate(store, "router", "production", gate).verdict
        assert verdict.outcome == ("pass" if verdict.lines[-1].outcome == "pass" else "inconclusive")
        return verdict.lines[-1].reason

    held = "Every limit holds."
    assert said("intent-router", **built_in) == held
    assert said("intent-router", **built_in | {"flips_max": 0.001}) == held
    assert "looser than 0.03" in said("intent-router", **built_in | {"flips_max": 0.2})
    assert said("intent-router", 'limits = "limits.toml"', **built_in | {"flips_max": 0.2}) == held
    assert "bears not all limits of intent-router: attribution_drift_max" in said("intent-router", flips_max=0.01)
    assert "lax, are not built in" in said("lax", flips_max=0.5)
    assert "that can be missed" in said("lax", 'limits = "limits.toml"', flips_max=1.0)
    assert "no limit that mct knows" in said("", flips_max=0.01), "it was judged by none"
    assert said("", behaviour_fail_max=0.05) == held
    assert "that can be missed" in said("", **{"test 'a'": 1.0}) and said("", **{"test 'a'": 0.02}) == held
    assert "no limit that mct knows" in said("", looks_good=0.0)


def test_a_gate_that_is_refused_stores_nothing(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path, tmp_path: Path
) -> None:
    add(store, artifacts[:1], "router")
    stored(artifacts[0])
    rewrite(gate, 'checks = ["check.json"]')
    (tmp_path / "check.json").write_text("{}")
    with pytest.raises(MctError, match="missing required field"):
        ask_gate(store, "router", "production", gate)
    assert not (tmp_path / "releases" / "evidence").exists()


def test_limits_and_budgets_that_a_verdict_hangs_on_are_kept_with_it(
    store: Store, artifacts: tuple[Path, ...], stored: Stored, gate: Path, tmp_path: Path
) -> None:
    add(store, artifacts[:1], "router")
    stored(artifacts[0])
    rewrite(gate, 'behaviour = ["explain.json"]\nlimits = "limits.toml"')
    (tmp_path / "limits.toml").write_text("[own]\nflips_max = 0.2\n")
    lines = [{"limit": "flips_max <= 0.2", "outcome": "pass"}]
    digest = identify(artifacts[0]).digest
    report(tmp_path / "explain.json", kind="mct-explain", digest=digest, limits="own", lines=lines)
    said = ask_gate(store, "router", "production", gate).verdict
    assert said.outcome == "pass"
    kept = {each.kind: each.sha256 for line in said.lines for each in line.evidence}
    ((_, look),) = store.track("router").looks(1)
    for kind, name in (("budgets", "budgets.toml"), ("limits", "limits.toml")):
        assert store.evidence(kept[kind]) == (tmp_path / name).read_bytes()
        assert kept[kind] in look.evidence
