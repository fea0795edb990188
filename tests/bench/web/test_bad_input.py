"""What is missing or too old is one line and a hint, before anything is started."""

import json
import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mct import MctError
from mct.bench.measure.launch import WorkerDied, launch_answerer
from mct.bench.samples.subject import Subject, identify
from mct.bench.transport.site import Setting
from mct.bench.transport.table import open_site
from mct.bench.transport.web import obstacle
from mct.bench.web.engine import files_of
from mct.bench.web.in_node import open_node
from mct.bench.web.keeper import Keeper
from mct.bench.web.packages import pinned
from mct.models.tasks.examples import Example
from mct.targets.programs import Program, find_chromium, find_node
from mct.targets.target import find_target

Run = Callable[..., Any]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """A PATH with nothing on it but the scripts that are put there by name."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def put(name: str, script: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)

    return put


@pytest.fixture
def bench(
    run_mct: Run, small_artifact: Callable[[str], Path], tmp_path: Path
) -> Callable[[str], tuple[int, list[str]]]:
    """`mct bench` of a small artifact on a target: the exit code and what it said on stderr."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"text": "where is it", "label": "order"}) + "\n")

    def run(target: str) -> tuple[int, list[str]]:
        artifact = small_artifact("sequence-classification")
        done = run_mct("bench", artifact, "--data", rows, "--target", target, "--results", tmp_path / "results")
        assert not (tmp_path / "results").exists()
        return done.returncode, [line for line in done.stderr.splitlines() if not line.startswith("[")]

    return run


def test_node_is_not_here(programs: Any, bench: Any) -> None:
    assert bench("node") == (
        2, ["error: node is not here", "hint: install Node.js 18 or newer, for artifacts in onnxruntime-web"],
    )  # fmt: skip


def test_node_is_too_old(programs: Any, bench: Any) -> None:
    programs("node", "echo v12.22.9")
    code, (error, hint) = bench("node")
    assert (code, error) == (2, "error: node v12.22.9 is too old")
    assert hint.startswith("hint: install Node.js 18 or newer")


@pytest.mark.parametrize("says", ["", "no version", "v", "v99999999999999999999.1", "\\0377\\0376"])
def test_what_is_no_node_is_none(says: str, programs: Any) -> None:
    programs("node", f"printf '{says}'; exit 0")
    found = find_node()
    with pytest.raises(MctError):
        found.require()


def test_node_has_no_simd(node: Program, programs: Any, bench: Any) -> None:
    """A real one on a CPU that it takes for an old one: V8 has SIMD in WebAssembly from SSE4.1 on."""
    if os.uname().machine != "x86_64":
        pytest.skip("V8's switch is of x86")
    programs("node", f'exec {node.path} --no-enable-sse4-1 "$@"')
    code, (error, hint) = bench("node")
    assert (code, error) == (
        2,
        f"error: the WebAssembly of node {node.version} has no SIMD, which the runtime is built with",
    )
    assert "SSE4.1" in hint


def test_a_node_that_does_not_answer_is_not_said_to_have_no_simd(programs: Any) -> None:
    programs("node", 'test "$1" = --version && echo v20.1.0')
    with pytest.raises(MctError, match=r"node v20\.1\.0 does not say what its WebAssembly has"):
        find_node().require()


def test_chromium_is_not_here(programs: Any, bench: Any) -> None:
    assert bench("browser") == (
        2, ["error: chromium is not here", "hint: install Chromium, for artifacts in a browser"],
    )  # fmt: skip


def test_a_browser_without_threads_or_simd(chromium: Program, programs: Any, bench: Any) -> None:
    programs("chromium", f'PATH=/usr/bin:/bin exec {chromium.path} --js-flags=--no-enable-sse4-1 "$@"')
    code, (error, _) = bench("browser")
    assert code == 2
    assert error.startswith("error: the WebAssembly of chromium") and "has no SIMD" in error


def test_the_packages_are_not_here(node: Program, bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCT_NODE", str(tmp_path / "none"))
    code, (error, hint) = bench("node")
    assert (code, error) == (
        2,
        f"error: this needs the npm package onnxruntime-web, which is not in {tmp_path / 'none'}",
    )
    assert hint.startswith(f"hint: npm install --prefix {tmp_path / 'none'} ") and "onnxruntime-web@1." in hint


def test_a_package_of_another_version(
    node: Program, bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("onnxruntime-web", "@huggingface/tokenizers"):
        (tmp_path / "node_modules" / name).mkdir(parents=True)
        (tmp_path / "node_modules" / name / "package.json").write_text('{"version": "0.0.1"}')
    monkeypatch.setenv("MCT_NODE", str(tmp_path))
    code, (error, hint) = bench("node")
    assert code == 2 and error.startswith("error: npm package onnxruntime-web is 0.0.1 here, and mct works with 1.")
    assert hint.startswith("hint: npm install ")
    (tmp_path / "node_modules" / "onnxruntime-web" / "package.json").write_text("[]")
    assert bench("node")[0] == 2


def test_a_package_that_has_lost_a_file(
    node: Program, bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, version in pinned().items():
        (tmp_path / "node_modules" / name).mkdir(parents=True)
        (tmp_path / "node_modules" / name / "package.json").write_text(json.dumps({"version": version}))
    monkeypatch.setenv("MCT_NODE", str(tmp_path))
    code, (error, hint) = bench("node")
    assert code == 2 and error.startswith("error: an npm package has lost a file: ")
    assert hint.startswith("hint: npm install ")


@pytest.mark.parametrize(
    ("says", "told"),
    [
        *((each, "answers by what is none of ours") for each in ("garbage", "5", "[]")),
        ("{}", "says nothing of import_ms"),
    ],
)
def test_what_answers_in_node_s_place_is_told_from_a_node_that_ended(
    says: str, told: str, node: Program, programs: Any, small_artifact: Callable[[str], Path]
) -> None:
    programs(
        "node", f'case "$1" in --version|-p) exec {node.path} "$@";; esac; while read -r line; do echo "{says}"; done'
    )
    executable = identify(small_artifact("sequence-classification")).executable
    refused = pytest.raises(MctError, match=told)
    with Keeper() as keeper, open_node(files_of(executable, "wasm"), keeper) as engine, refused:
        engine.ask("import")["import_ms"]


def test_a_broken_node_is_told_from_none(programs: Any, bench: Any) -> None:
    programs("node", "exit 1")
    code, (error, hint) = bench("node")
    assert (code, error) == (2, "error: node does not run")
    assert hint.startswith("hint: /") and "gives no version of Node" in hint


def test_webgpu_in_node_is_refused(node: Program) -> None:
    target = replace(find_target("node"), device="webgpu")
    with pytest.raises(MctError, match="Node has none"), open_site(target, ()):
        pass


def test_what_the_runtime_cannot_run_is_said(small_artifact: Callable[[str], Path]) -> None:
    subject = identify(small_artifact("sequence-classification"))
    assert obstacle(subject) is None

    def why(**changes: Any) -> str:
        found = obstacle(replace(subject, **changes))
        return f"{found.message}; {found.hint}" if found else ""

    def asked(task: str) -> Subject:
        return replace(subject, task=task, executable=replace(subject.executable, task=task))

    assert why(format="gguf") == "onnxruntime-web runs ONNX files alone; make it with --format onnx"
    assert "cache" in str(obstacle(asked("causal-lm"))) and "cache" in str(obstacle(asked("preference")))
    kept = replace(subject.executable, settings={"adapters": {"a": "a.onnx"}})
    assert "adapters" in why(executable=kept)


def test_probe_tells_of_both(node: Program, chromium: Program, run_mct: Run) -> None:
    programs = json.loads(run_mct("targets", "probe", "--json").stdout)["programs"]
    for program in (node, chromium):
        found = programs[program.name]
        assert (found["version"], found["simd"], found["threads"]) == (program.version, True, True)
    assert find_chromium().version == chromium.version


def test_a_browser_without_a_gpu_says_so(chromium: Program, small_artifact: Callable[[str], Path]) -> None:
    """Where this machine has one for it, there is nothing to see."""
    subject = identify(small_artifact("sequence-classification"))
    example = Example("where is it", None, "where is it", "text")
    with open_site(find_target("browser-webgpu"), ()) as site:
        try:
            with closing(
                launch_answerer(subject, Setting([example], threads=1, affinity=(), seed=0, site=site))
            ) as worker:
                worker.get_ready()
        except WorkerDied as death:
            assert "GPU adapter" in death.failure.message
            assert death.failure.hint == "this browser has no GPU to give to a page: bench it on the target browser"
