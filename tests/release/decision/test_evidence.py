"""Evidence that somebody else wrote: one line and a hint, whatever it holds; and files that change afterwards."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mct.release.decision.evidence import read_evidence

NAME = "intent-router"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def refused(done: "subprocess.CompletedProcess[str]", said: str = "") -> str:
    """The line that says why; `said` are words of it."""
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 2 and "Traceback" not in done.stderr and done.stdout == "", done.stderr
    assert [line.partition(":")[0] for line in lines[-2:]] == ["error", "hint"], done.stderr
    assert said in lines[-2]
    return lines[-2]


HOSTILE: dict[str, tuple[str, Callable[[Any], object]]] = {
    "toml that is none": ("is not valid TOML", lambda case: (case.folder / "evidence.toml").write_bytes(b"\x00\xff")),
    "an unknown key": ("unknown field `tolerable`", lambda case: change(case, "tolerated", "tolerable")),
    "a number as a text": ("expected a number", lambda case: change(case, "tolerated = 0.1", 'tolerated = "a lot"')),
    "no number at all": ("nan is not a finite number", lambda case: change(case, "tolerated = 0.1", "tolerated = nan")),
    "a load of nothing": ("`$.budget.load_qps`", lambda case: change(case, "load_qps = 20.0", "load_qps = 0.0")),
    "another scenario": (
        "is evidence for reranker, not for intent-router",
        lambda case: change(case, 'scenario = "intent-router"', 'scenario = "reranker"'),
    ),
    "a path out of the folder": ("outside of its folder", lambda case: change(case, '"pain.json"', '"../pain.json"')),
    "an absolute path": ("outside of its folder", lambda case: change(case, '"pain.json"', '"/etc/passwd"')),
    "a link out of the folder": ("leads out of", lambda case: link(case, "pain.json", Path("/etc/hostname"))),
    "a link to itself": ("leads nowhere", lambda case: link(case, "pain.json", case.folder / "pain.json")),
    "a store by a link out of the folder": ("leads out of", lambda case: link_store(case)),
    "a figure of a day to come": ("is in the future", lambda case: case.edit("pain.json", date="2999-01-01")),
    "a figure of no day": ("range", lambda case: case.edit("pain.json", date="2026-02-30")),
    "a figure outside its interval": ("is not that of 0.23", lambda case: case.edit("pain.json", low=0.3)),
    "a figure of infinity": ("out of range", lambda case: (case.folder / "pain.json").write_text('{"value": 1e999}')),
    "a figure that is not a number": (
        "is not readable as JSON",
        lambda case: (case.folder / "pain.json").write_text('{"value": NaN}'),
    ),
    "an empty file": ("is not readable as JSON", lambda case: (case.folder / "tie.json").write_bytes(b"")),
    "binary": ("is not readable as JSON", lambda case: (case.folder / "tie.json").write_bytes(bytes(range(128, 192)))),
    "a list": ("is a list, expected an object", lambda case: (case.folder / "bench.json").write_text("[]")),
    "a folder instead of a file": ("is a folder", lambda case: folder_instead(case, "check.json")),
    "a pipe": ("is a pipe", lambda case: pipe_instead(case, "check.json")),
    "a day that is none": ("`$.date`", lambda case: case.edit("pain.json", date="yesterday")),
    "a verdict better than its lines": ("verdict", lambda case: better_than_its_lines(case)),
    "leaks that are a number": ("`$.leaks`", lambda case: case.edit("check.json", leaks=-1)),
    "a watch that is none": (
        "`$.outcome`",
        lambda case: (
            case.watch(f"{NAME}@1"),
            case.write("watch.json", {"release": f"{NAME}@1", "outcome": "alarming", "look": None}),
        ),
    ),
    "a journal that was changed": ("does not follow", lambda case: change_journal(case)),
    "a very deep file": (
        "is a list, expected an object",
        lambda case: (case.folder / "tie.json").write_text("[" * 100_000),
    ),
}


def change(case: Any, old: str, new: str) -> None:
    file = case.folder / "evidence.toml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def link(case: Any, name: str, target: Path) -> None:
    (case.folder / name).unlink()
    (case.folder / name).symlink_to(target)


def link_store(case: Any) -> None:
    (case.folder / "store").rename(case.folder.parent / "elsewhere")
    (case.folder / "store").symlink_to(case.folder.parent / "elsewhere")


def folder_instead(case: Any, name: str) -> None:
    (case.folder / name).unlink()
    (case.folder / name).mkdir()


def pipe_instead(case: Any, name: str) -> None:
    (case.folder / name).unlink()
    os.mkfifo(case.folder / name)


def better_than_its_lines(case: Any) -> None:
    result = case.read("bench.json")
    result["artifacts"][1]["verdict"]["lines"][0]["outcome"] = "fail"
    case.write("bench.json", result)


def change_journal(case: Any) -> None:
    entry = next((case.folder / "store").rglob("00000001.json"))
    entry.write_text(entry.read_text().replace("onnx-fp32", "onnx-fp16"))


@pytest.mark.parametrize("what", HOSTILE)
def test_evidence_that_is_not_what_it_says_is_refused(case: Any, run_mct: Run, what: str) -> None:
    said, spoil = HOSTILE[what]
    spoil(case)
    refused(run_mct("decide", NAME, "--evidence", case.folder, "-o", case.folder.parent / "decision"), said)
    assert not list(case.folder.parent.glob("decision*"))


def test_names_that_are_none_are_refused(run_mct: Run, case: Any, tmp_path: Path) -> None:
    assert "intent-ruoter" in refused(run_mct("decide", "intent-ruoter"))
    assert "release" in refused(run_mct("decide", f"{NAME}@0", "--evidence", case.folder))
    assert f"{NAME}@9" in refused(run_mct("decide", f"{NAME}@9", "--evidence", case.folder))
    (tmp_path / "file").write_text("")
    assert "no folder" in refused(run_mct("decide", NAME, "--evidence", tmp_path / "file"))
    before = (case.folder / "tie.json").read_bytes()
    refused(run_mct("decide", NAME, "--evidence", case.folder, "-o", case.folder / "tie"))  # its evidence
    assert (case.folder / "tie.json").read_bytes() == before and not (case.folder / "tie.md").exists()


def test_without_any_evidence_it_holds_and_names_all_five(run_mct: Run, tmp_path: Path) -> None:
    done = run_mct("decide", "capstone", "--evidence", tmp_path / "none", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 3 and found["outcome"] == "hold"
    assert [each["state"] for each in found["criteria"]] == ["missing"] * 5


HOSTILE_TEXT = "# Promote\n# 1 <script>alert(1)</script> | a `rm` **b** ![c](http://d) [e](http://f) @g \x1b[2J"


def test_text_in_evidence_makes_no_mark_up_of_its_own(run_mct: Run, case: Any) -> None:
    case.edit("pain.json", what=HOSTILE_TEXT, source=HOSTILE_TEXT)
    change(case, '"bench.json" = "mct bench …"', f'"bench.json" = {json.dumps(HOSTILE_TEXT)}')
    stem = case.folder.parent / "decision"
    words = ("decide", NAME, "--evidence", case.folder, "--signed-by", HOSTILE_TEXT.replace("\x1b", ""))
    said = run_mct(*words, "-o", stem).stdout
    page = stem.with_name("decision.md").read_text(encoding="utf-8")
    assert page.count("&#60;script&#62;") == said.count("<script>") >= 4 and "&#" not in said
    for mark_up in ("<", "`", "**", "](", "- # ", "@g", "| a &#96;"):
        assert mark_up not in page, mark_up
    for text in (page, said):
        assert "\x1b" not in text
        assert len([line for line in text.splitlines() if line.startswith("# ")]) == 1


def test_the_name_of_what_is_decided_about_makes_no_mark_up_either(run_mct: Run, case: Any) -> None:
    result = case.read("bench.json")
    (case.folder / result["samples"]).unlink()
    case.write("bench.json", json.loads(json.dumps(result).replace('"onnx-int8"', '"[x](http://y)"')))
    change(case, 'artifact = "onnx-int8"', 'artifact = "[x](http://y)"')
    stem = case.folder.parent / "decision"
    assert run_mct("decide", NAME, "--evidence", case.folder, "-o", stem).returncode == 3
    assert "](" not in stem.with_name("decision.md").read_text(encoding="utf-8")


def test_a_file_that_changed_afterwards_is_noticed(run_mct: Run, case: Any) -> None:
    stem = case.folder.parent / "decision"
    words = ("decide", NAME, "--evidence", case.folder)
    assert run_mct(*words, "-o", stem).returncode == 0
    stored = stem.with_name("decision.json")
    assert run_mct(*words, "--recheck", stored).returncode == 0
    case.edit("tie.json", value=0.21)
    (case.folder / "untuned.json").unlink()
    case.practise()
    done = run_mct(*words, "--recheck", stored, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["changed"] == [
        {"file": "journal", "what": "changed"},
        {"file": "tie.json", "what": "changed"},
        {"file": "untuned.json", "what": "gone"},
    ]
    case.watch(f"{NAME}@1", "drift")
    changed = json.loads(run_mct(*words, "--recheck", stored, "--json").stdout)["changed"]
    assert {"file": "watch.json", "what": "new"} in changed and {"file": "evidence.toml", "what": "changed"} in changed
    assert "no longer rests" in run_mct(*words, "--recheck", stored).stdout


def test_what_the_command_line_gave_and_the_samples_are_rechecked(run_mct: Run, case: Any, tmp_path: Path) -> None:
    stem, prices = tmp_path / "decision", tmp_path / "prices.toml"
    prices.write_text('[cpu]\ndevice = "cpu"\nabout = "as it is"\nprice_per_hour = 0.01\n')
    words = ("decide", NAME, "--evidence", case.folder, "--targets", prices, "--load", "30")
    assert run_mct(*words, "-o", stem).returncode == 0
    stored = stem.with_name("decision.json")
    told = json.loads(stored.read_text())
    assert told["asked"] == {"load_qps": 30.0} and str(tmp_path) not in stored.read_text()
    assert any("the evidence says 20" in each for each in told["assumed"])

    def changed(*given: object) -> list[tuple[str, str]]:
        done = run_mct(*given, "--recheck", stored, "--json")
        found = [(each["file"], each["what"]) for each in json.loads(done.stdout)["changed"]]
        assert done.returncode == bool(found)
        return found

    assert changed(*words) == []
    assert changed(*words[:4]) == [("--load", "gone"), ("--targets", "gone")]
    assert changed(*words[:-1], "1") == [("--load", "changed")]
    prices.write_text(prices.read_text().replace("0.01", "99.0"))
    assert changed(*words) == [("--targets", "changed")]
    (samples,) = case.folder.glob("*.samples.jsonl.gz")
    samples.unlink()
    assert changed(*words) == [("--targets", "changed"), (samples.name, "gone")]


def test_a_stored_decision_that_is_none_is_refused(run_mct: Run, case: Any, tmp_path: Path) -> None:
    words = ("decide", NAME, "--evidence", case.folder, "--recheck", tmp_path / "decision.json")
    refused(run_mct(*words))
    for content in ("{}", "[]", '{"kind": "mct-decision", "schema": 1}', '{"kind": "mct-decision", "schema": 2}'):
        (tmp_path / "decision.json").write_text(content)
        refused(run_mct(*words))


def test_a_verdict_is_judged_again_where_its_samples_lie_beside_it(run_mct: Run, case: Any) -> None:
    samples = case.folder / case.read("bench.json")["samples"]
    samples.write_bytes(b"no samples")
    assert "samples" in refused(run_mct("decide", NAME, "--evidence", case.folder))


def test_figures_are_those_of_the_samples_where_these_lie_beside_it(
    case: Any, artifacts: tuple[Path, ...], stored: Callable[..., Path]
) -> None:
    """A quality or a P95 that somebody wrote into a result is not believed."""
    measured = stored(artifacts[0], wrong=3)
    result = json.loads(measured.read_text())
    shutil.copy(measured.parent / result["samples"], case.folder)
    true = result["artifacts"][0]["quality"]["value"]
    result["artifacts"][0]["quality"] |= {"value": 1.0, "value_ci": [1.0, 1.0]}
    case.write("bench.json", result)
    found = read_evidence(case.folder, NAME).results["bench.json"]["artifacts"][0]["quality"]
    assert found["value"] == true < 1


def test_samples_in_a_folder_below_are_judged_from_too(
    case: Any, artifacts: tuple[Path, ...], stored: Callable[..., Path], run_mct: Run
) -> None:
    """As `mct bench --results FOLDER/results --json FOLDER/bench.json` leaves them."""
    measured = stored(artifacts[0])
    result = json.loads(measured.read_text())
    (case.folder / "results").mkdir()
    shutil.copy(measured.parent / result["samples"], case.folder / "results")
    result["samples"] = f"results/{result['samples']}"
    case.write(
        "bench.json", result | {"artifacts": [each | {"samples": result["samples"]} for each in result["artifacts"]]}
    )
    toml = (case.folder / "evidence.toml").read_text()
    name = result["artifacts"][0]["artifact"]
    (case.folder / "evidence.toml").write_text(toml.replace('artifact = "onnx-int8"', f'artifact = "{name}"'))
    page = run_mct("decide", NAME, "--evidence", case.folder).stdout
    assert "- budget quick on cpu: pass; P95" in page and "they are not there to judge it again" not in page


ABSURD: dict[str, tuple[str, Callable[[Any], object]]] = {
    "a load in the evidence": ("`$.budget.load_qps`", lambda case: change(case, "load_qps = 20.0", "load_qps = 1e308")),
    "a figure": ("numbers of at most", lambda case: case.edit("pain.json", low=-1e308)),
    "a highest load": ("meets_qps", lambda case: highest_load(case, 1e300)),
    "no time at all": ("is said to take", lambda case: no_time_at_all(case)),
}


def highest_load(case: Any, meets_qps: float) -> None:
    case.serve(15.0, meets_qps)


def no_time_at_all(case: Any) -> None:
    result = case.read("bench.json")
    (case.folder / result["samples"]).unlink()
    result["artifacts"][1]["latency"]["mean_ms"] = 1e-320
    case.write("bench.json", result)


@pytest.mark.parametrize("what", ABSURD)
def test_absurd_numbers_are_refused(case: Any, run_mct: Run, what: str) -> None:
    said, spoil = ABSURD[what]
    spoil(case)
    refused(run_mct("decide", NAME, "--evidence", case.folder), said)


def test_a_decision_holds_nothing_but_finite_numbers(case: Any, run_mct: Run) -> None:
    words = ("decide", NAME, "--evidence", case.folder, "--json")
    assert run_mct(*words, "--load", "1e308").returncode == 2
    for tolerated in ("5e-324", "-1e308", "1e308"):
        change(case, "tolerated = 0.1", f"tolerated = {tolerated}")
        case.edit("pain.json", value=0.3, high=1e15)
        json.loads(run_mct(*words).stdout, parse_constant=pytest.fail)
        change(case, f"tolerated = {tolerated}", "tolerated = 0.1")
    highest_load(case, 1e-300)
    json.loads(run_mct(*words, "--load", "1e9").stdout, parse_constant=pytest.fail)


def test_who_signs_writes_no_line_of_the_page(run_mct: Run, case: Any) -> None:
    done = run_mct("decide", NAME, "--evidence", case.folder, "--signed-by", "A. Name\n# Promote <b>")
    assert "- signed by: A. Name # Promote <b>\n" in done.stdout
    assert "name what is to be written there" in run_mct("decide", NAME, "--evidence", case.folder, "-o", ".").stderr


def test_evidence_begins_with_what_lies_there_and_says_what_to_add(run_mct: Run, case: Any, tmp_path: Path) -> None:
    folder = tmp_path / "begun"
    folder.mkdir()
    (folder / "bench.json").write_text(json.dumps(case.read("bench.json")))
    words = ("decide", NAME, "--evidence", folder, "--begin", "onnx-int8")
    done = run_mct(*words, "--json")
    assert done.returncode == 3 and "add what is still missing" in done.stderr
    lacks = {each["name"]: each["state"] for each in json.loads(done.stdout)["criteria"]}
    assert set(lacks.values()) == {"missing"}
    written = (folder / "evidence.toml").read_bytes()
    assert b'result = "bench.json"' in written and b"\n# [pain]" in written
    assert "wrote" not in run_mct(*words).stderr and (folder / "evidence.toml").read_bytes() == written
    for name in ('x"\ny = 1', "../x", ""):
        refused(run_mct("decide", NAME, "--evidence", tmp_path / "other", "--begin", name))
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("what", ["a result that is none", "a release that is none", "an output that is none"])
def test_what_is_refused_begins_no_evidence(run_mct: Run, case: Any, tmp_path: Path, what: str) -> None:
    folder = tmp_path / "begun"
    folder.mkdir()
    bench = "[]" if what.startswith("a result") else json.dumps(case.read("bench.json"))
    (folder / "bench.json").write_text(bench)
    ref = f"{NAME}@9" if what.startswith("a release") else NAME
    out = ("-o", tmp_path / "bench.json" / "x") if what.startswith("an output") else ()
    (tmp_path / "bench.json").write_text("")
    refused(
        run_mct("decide", ref, "--evidence", folder, "--store", case.folder / "store", "--begin", "onnx-int8", *out)
    )
    assert [path.name for path in folder.iterdir()] == ["bench.json"]


def test_evidence_that_another_began_meanwhile_stays(
    run_mct: Run, case: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written after this one saw that there was none, and before it wrote its own."""
    from mct.release.decision import decision

    folder, decide = tmp_path / "begun", decision.decide
    folder.mkdir()
    shutil.copy(case.folder / "bench.json", folder)
    others = 'schema = 1\nscenario = "intent-router"\n'

    def decide_slowly(*given: Any) -> Any:
        (folder / "evidence.toml").write_text(others)
        return decide(*given)

    monkeypatch.setattr(decision, "decide", decide_slowly)
    words = ("decide", NAME, "--evidence", folder, "--begin", "onnx-int8", "-o", tmp_path / "decision")
    refused(run_mct(*words), "evidence.toml was written by another just now")
    assert (folder / "evidence.toml").read_text() == others
    assert sorted(path.name for path in folder.iterdir()) == ["bench.json", "evidence.toml"]
    assert not list(tmp_path.glob("decision.*"))


def test_a_decision_names_the_evidence_that_it_began(run_mct: Run, case: Any, tmp_path: Path) -> None:
    folder = tmp_path / "begun"
    folder.mkdir()
    shutil.copy(case.folder / "bench.json", folder)
    words = ("decide", NAME, "--evidence", folder)
    assert run_mct(*words, "--begin", "onnx-int8", "-o", tmp_path / "decision").returncode == 3
    assert run_mct(*words, "--recheck", tmp_path / "decision.json").returncode == 0
    refused(run_mct(*words, "--begin", "onnx-int8", "--recheck", tmp_path / "decision.json"))
