"""`mct release` as it is typed: what it prints, how it ends, and what it makes of files that are none of its own."""

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mct.compress.run.artifact import read_artifact, seal

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Stored = Callable[..., Path]


def refused(done: "subprocess.CompletedProcess[str]", said: str) -> None:
    assert done.returncode == 2 and said in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and not done.stdout


def test_from_a_candidate_to_production_and_back(
    tmp_path: Path, run_mct: Run, artifacts: tuple[Path, ...], stored: Stored, gate: Path
) -> None:
    store = ("--store", tmp_path / "releases")
    for number, artifact in enumerate(artifacts[:2], start=1):
        stored(artifact)
        done = run_mct("release", "add", artifact, "--name", "router", *store, "--by", "Ada", "--json")
        assert [each["ref"] for each in json.loads(done.stdout)] == [f"router@{number}"]
        dry = run_mct("release", "promote", "router", "--to", "production", "--gate", gate, *store, "--dry-run")
        assert dry.returncode == 0 and "✓ pass" in dry.stdout
        done = run_mct("release", "promote", "router", "--to", "production", "--gate", gate, *store, "--json")
        assert done.returncode == 0 and json.loads(done.stdout)["outcome"] == "pass"
    dry = run_mct("release", "rollback", "router", *store, "--dry-run")
    assert dry.returncode == 0 and "router@1 would be in production" in dry.stdout
    path = Path(run_mct("release", "show", "router", "--path", *store).stdout.strip())
    assert json.loads((path / "mct.json").read_text()) == json.loads((artifacts[1] / "mct.json").read_text())
    assert run_mct("release", "rollback", "router", *store, "--note", "slow | <b>").returncode == 0
    history = run_mct("release", "show", "router", *store).stdout
    assert "In production: router@1." in history and "| rollback router@1: slow" in history and "<b>" not in history
    found = json.loads(run_mct("release", "list", *store, "--json").stdout)
    assert [each["state"] for each in found[0]["releases"]] == ["production", "retired"]
    assert "router@2" in run_mct("release", "list", *store).stdout
    assert "✓ pass" in run_mct("release", "show", "router@1", *store).stdout
    out = tmp_path / "fetched"
    assert run_mct("release", "fetch", "router", "-o", out, *store).returncode == 0
    assert run_mct("release", "fetch", "router", "-o", out, *store).returncode == 0, "its own folder is replaced"
    drill = run_mct("release", "drill", "router", *store, "--json")
    assert drill.returncode == 0 and json.loads(drill.stdout)["outcome"] == "pass"
    assert run_mct("release", "retire", "router@2", *store).returncode == 0


def test_production_is_handed_out_with_a_warning_where_its_verdict_is_lost_and_not_under_another_name(
    tmp_path: Path, run_mct: Run, artifacts: tuple[Path, ...], stored: Stored, gate: Path
) -> None:
    place, store = tmp_path / "releases", ("--store", tmp_path / "releases")
    stored(artifacts[0])
    run_mct("release", "add", artifacts[0], "--name", "router", *store)
    done = run_mct("release", "promote", "router", "--to", "production", "--gate", gate, *store, "--json")
    shutil.copytree(place / "names" / "router" / "journal", place / "names" / "payments" / "journal")
    before = tmp_path / "before.jsonl"
    before.write_text('{"text": "hi", "answer": "other"}\n')
    about = "in the journal of payments is about router@1 "
    refused(run_mct("release", "show", "payments", "--path", *store), about)
    refused(run_mct("release", "fetch", "payments", "-o", tmp_path / "out", *store), about)
    refused(run_mct("watch", before, "--release", "payments", "--reference", before, *store), about)
    (place / "evidence" / json.loads(done.stdout)["sha256"]).unlink()
    for words in (("show", "router", "--path"), ("fetch", "router", "-o", tmp_path / "out")):
        done = run_mct("release", *words, *store)
        assert done.returncode == 0 and len(done.stdout.splitlines()) == 1
        assert done.stderr.startswith("warning: the verdict that let router@1 into production is lost: "), done.stderr


def test_what_does_not_pass_ends_as_its_outcome(
    tmp_path: Path, run_mct: Run, artifacts: tuple[Path, ...], stored: Stored, gate: Path
) -> None:
    store = ("--store", tmp_path / "releases")
    run_mct("release", "add", artifacts[0], "--name", "router", *store)
    stored(artifacts[1])
    ask = ("release", "promote", "router", "--to", "production", "--gate", gate, *store)
    assert run_mct(*ask).returncode == 3
    stored(artifacts[0], median_ms=9.0)
    assert run_mct(*ask).returncode == 1
    assert run_mct("release", "show", "router", "--path", *store).returncode == 2


def test_what_cannot_be_done_is_said_in_one_line(
    tmp_path: Path, run_mct: Run, artifacts: tuple[Path, ...], gate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCT_RELEASES", str(tmp_path / "releases"))
    empty = run_mct("release", "list")
    assert empty.returncode == 0 and not empty.stdout and not (tmp_path / "releases").exists()
    refused(run_mct("release", "show", "router"), "no release called router")
    refused(run_mct("release", "rollback", "router"), "no release called router")
    refused(run_mct("release", "add", tmp_path, "--name", "router"), "is no artifact")
    refused(run_mct("release", "add", artifacts[0], "--name", "../router"), "cannot be a release's name")
    assert run_mct("release", "add", artifacts[0], "--name", "router").returncode == 0
    refused(run_mct("release", "show", "router@2"), "unknown release 'router@2'")
    refused(run_mct("release", "rollback", "router"), "no earlier production")
    refused(run_mct("release", "drill", "router"), "no production and a second release")
    refused(run_mct("release", "promote", "router", "--to", "canary", "--gate", gate), "has no gate for canary")
    refused(
        run_mct("release", "promote", "router", "--to", "canary", "--gate", tmp_path / "none.toml"), "does not exist"
    )
    refused(run_mct("release", "verify", "router"), "does not say what it was made of")
    refused(run_mct("release", "list", "--store", "nothing-such://x/y"), "cannot be opened")
    (tmp_path / "file").write_text("no store")
    for address in (tmp_path / "file", tmp_path / "file" / "below", f"file://{tmp_path}/file"):
        refused(run_mct("release", "list", "--store", address), "is a file, and no store of releases")
    refused(run_mct("watch", tmp_path / "none.jsonl", "--release", "router"), "nothing of router is in production")


def test_an_artifact_whose_folder_leads_out_is_not_released(
    tmp_path: Path, run_mct: Run, artifacts: tuple[Path, ...]
) -> None:
    copied = tmp_path / "onnx-int8"
    shutil.copytree(artifacts[0], copied)
    (copied / "tokenizer.json").unlink()
    (copied / "tokenizer.json").symlink_to("/etc/hostname")
    refused(run_mct("release", "add", copied, "--name", "router", "--store", tmp_path / "s"), "leads out of its folder")
    assert not (tmp_path / "s").exists()


def test_a_release_is_made_again_byte_by_byte(tmp_path: Path, run_mct: Run, tiny_bert: Path, tiny_onnx: Path) -> None:
    """And where its bytes are others although nothing else is, it fails."""
    store = ("--store", tmp_path / "releases")
    texts = tiny_onnx / "texts.jsonl"
    made_of = ("--checkpoint", tiny_bert, "--eval", texts)
    assert run_mct("release", "add", tiny_onnx / "onnx-int8", "--name", "router", *made_of, *store).returncode == 0
    done = run_mct("release", "verify", "router", *store)
    assert done.returncode == 0 and "are the same, byte by byte" in done.stdout, done.stdout
    spoilt = tmp_path / "onnx-int8"
    shutil.copytree(tiny_onnx / "onnx-int8", spoilt)
    found = read_artifact(spoilt)
    with (spoilt / found.model).open("ab") as file:
        file.write(b"\x00")
    (spoilt / "mct.json").unlink()
    seal(replace(found, files={}), spoilt)
    assert run_mct("release", "add", spoilt, "--name", "router", *made_of, *store).returncode == 0
    done = run_mct("release", "verify", "router@2", *store, "--json")
    assert done.returncode == 1 and json.loads(done.stdout)["other"] == [found.model], done.stdout
