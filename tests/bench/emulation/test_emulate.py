"""Answers on a processor that is not here: emulated where qemu is, and what is said where something is missing."""

import json
import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mct import MctError
from mct.bench.emulation.emulate import Asked, emulate, read_asked
from mct.bench.emulation.emulators import find_emulator
from mct.bench.samples.subject import identify
from mct.compress.plan.plan import make_plan
from mct.compress.run.artifact import read_artifact
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.models.checkpoints.checkpoint import inspect
from mct.targets.arithmetic import arithmetic_of
from mct.targets.machine import X86, described_machine, probe_machine
from mct.targets.target import find_target, machine_of

RunMct = Callable[..., subprocess.CompletedProcess[str]]

x86 = pytest.mark.skipif(platform.machine() not in X86, reason="this is no x86 machine")
qemu = pytest.mark.skipif(
    not (shutil.which("qemu-x86_64-static") or shutil.which("qemu-x86_64")),
    reason="qemu-x86_64 is not here: apt-get install -y qemu-user-static",
)
qemu_arm = pytest.mark.skipif(
    not (shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")),
    reason="qemu-aarch64 is not here: apt-get install -y qemu-user-static",
)


def write_texts(path: Path) -> Path:
    rows = ("where is my order", "I want to return volume 3", "hi", "注文 12345 はどこですか", "let me talk to a human")
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in rows))
    return path


VNNI = ("avx2", "fma", "avx512f", "avx512_vnni")


@pytest.fixture
def artifact(tiny_onnx: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_onnx / "onnx-int8", tmp_path / "onnx-int8"))


@pytest.fixture(scope="module")
def made_for(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The tiny BERT's INT8 for a box without VNNI and for one with it."""
    found = {}
    for name, machine in (("edge", machine_of(find_target("edge-x86"))), ("vnni", described_machine("x86_64", VNNI))):
        folder = tmp_path_factory.mktemp(name)
        plan = make_plan(inspect(tiny_bert), ["onnx"], ["int8"], machine)
        write_texts(folder / "few.jsonl")
        resources, requests = gather(plan, None, folder / "few.jsonl", {}, 0, machine)
        (found[name],) = execute(plan, resources, requests, folder)
    return found


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    return write_texts(tmp_path / "texts.jsonl")


@x86
@qemu
def test_answers_of_an_emulated_processor_are_counted_and_kept_in_the_artifact(
    run_mct: RunMct, made_for: dict[str, Path], texts: Path
) -> None:
    artifact = made_for["edge"]
    before, digest = json.loads((artifact / "mct.json").read_text()), identify(artifact).digest
    asked = ("targets", "emulate", artifact, "--target", "edge-x86", "--data", texts, "--json")
    done = run_mct(*asked)
    check = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert (check["agreed"], check["of"], check["target"], check["data"]) == (5, 5, "edge-x86", "texts.jsonl")
    assert check["how"].startswith("qemu-x86_64 ") and check["how"].endswith("as Haswell")
    assert 0 <= check["max_difference"] < 0.01
    (kept,) = read_artifact(artifact).checked
    assert (kept.agreed, kept.of, kept.how) == (5, 5, check["how"])
    after = json.loads((artifact / "mct.json").read_text())
    assert {name: value for name, value in after.items() if name != "checked"} == before
    assert identify(artifact).digest == digest, "a check changes nothing of what it answers"


@x86
@qemu
def test_sums_that_saturate_on_the_target_are_found(made_for: dict[str, Path], texts: Path) -> None:
    """Where this machine has VNNI and the target has not, what is made for the one answers otherwise on the other."""
    if arithmetic_of(probe_machine()).saturates:
        pytest.skip("this machine has no VNNI either")
    found = [
        emulate(made_for[name], find_target("edge-x86"), read_asked(made_for[name], texts)).max_difference or 0.0
        for name in ("edge", "vnni")
    ]
    assert found[0] < 0.01 < 0.1 < found[1], found


@x86
@qemu
def test_the_emulated_processor_is_the_targets_and_not_this_one(tmp_path: Path) -> None:
    """What a program under it is told of its instruction sets, and that it runs as one without them."""
    emulator = find_emulator(find_target("edge-x86"), "onnxruntime")
    code = "from mct.targets.machine import probe_machine; print(*probe_machine().instruction_sets)"
    done = subprocess.run([*emulator.python, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["avx2", "fma"]


def test_openvino_keeps_to_avx2_by_its_own_switch_where_there_is_no_emulator(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    if platform.machine() in X86:
        found = find_emulator(find_target("edge-x86"), "openvino")
        assert found.environment == {"ONEDNN_MAX_CPU_ISA": "AVX2"} and "own switch" in found.how
    for name, distribution in (("edge-x86", "onnxruntime"), ("edge-arm", "openvino")):
        with pytest.raises(MctError, match="needs qemu's user mode") as refusal:
            find_emulator(find_target(name), distribution)
        assert "apt-get install" in refusal.value.hint


def test_what_cannot_be_emulated_is_one_line(
    run_mct: RunMct, artifact: Path, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own.toml"
    own.write_text('[new]\ndevice = "cpu"\nabout = ""\narchitecture = "x86_64"\ninstruction_sets = ["avx512f"]\n')
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cases = [
        ((artifact, "--target", "cpu"), "there is nothing to emulate"),
        ((artifact, "--target", "gpu"), "there is nothing to emulate"),
        ((artifact, "--target", "new", "--targets", own), "no processor that is emulated has exactly avx512f"),
        ((artifact, "--target", "nowhere"), "unknown target"),
        ((tiny_bert, "--target", "edge-x86"), "has no mct.json"),
        ((artifact, "--target", "edge-x86", "--data", tmp_path / "none.jsonl"), "none.jsonl"),
    ]
    for words, says in cases:
        done = run_mct("targets", "emulate", *words)
        lines = done.stderr.strip().splitlines()
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert says in lines[-2] and lines[-1].startswith("hint:"), done.stderr
    assert not (tmp_path / "cache").exists()


@qemu_arm
@pytest.mark.skipif(platform.machine() == "aarch64", reason="this is an ARM machine")
def test_a_python_of_another_architecture_is_brought_only_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing can be fetched, one line says so and nothing is left behind."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(MctError, match="there is no Python for aarch64 with onnxruntime here") as refusal:
        find_emulator(find_target("edge-arm"), "onnxruntime")
    assert "--install" in refusal.value.hint
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("qemu-aarch64-static", "qemu-aarch64"):
        if found := shutil.which(name):
            (tools / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(MctError, match="apt-get is not here") as without:
        find_emulator(find_target("edge-arm"), "onnxruntime", install=True)
    assert "Debian" in without.value.hint
    assert not list((tmp_path / "cache").rglob("*Python*")) and not list((tmp_path / "cache").rglob("aarch64*"))


@x86
@qemu_arm
def test_answers_of_an_arm_processor_where_its_python_was_brought(tiny_bert: Path, tmp_path: Path) -> None:
    arm = find_target("edge-arm")
    try:
        emulator = find_emulator(arm, "onnxruntime")
    except MctError as missing:
        pytest.skip(f"{missing.message}: {missing.hint}")
    assert "cortex-a76" in emulator.how
    plan = make_plan(inspect(tiny_bert), ["onnx"], ["int8"], machine_of(arm))
    texts = write_texts(tmp_path / "few.jsonl")
    resources, requests = gather(plan, None, texts, {}, 0, machine_of(arm))
    (artifact,) = execute(plan, resources, requests, tmp_path / "out")
    check = emulate(artifact, arm, read_asked(artifact, texts))
    assert (check.agreed, check.of) == (5, 5) and read_artifact(artifact).checked == (check,)


@x86
@qemu
def test_a_side_that_dies_leaves_the_artifact_as_it_was(artifact: Path, texts: Path) -> None:
    before = (artifact / "mct.json").read_bytes()
    asked = read_asked(artifact, texts)
    broken = Asked((*asked.requests[:1], 5), asked.data, asked.sha256)
    with pytest.raises(MctError, match="answers here"):
        emulate(artifact, find_target("edge-x86"), broken)
    assert (artifact / "mct.json").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"agreed": 6}, "6 of 5"),
        ({"of": 0}, "of"),
        ({"how": 5}, "how"),
        ({"max_difference": -1.0}, "max_difference"),
    ],
)
def test_a_check_that_cannot_be_is_refused(artifact: Path, change: dict[str, object], says: str) -> None:
    check = {
        "target": "edge-arm", "how": "qemu", "agreed": 5, "of": 5, "max_difference": 0.1, "beside": "x86_64",
        "data": "t.jsonl", "sha256": "", "runtime": "onnxruntime",
    }  # fmt: skip
    manifest = json.loads((artifact / "mct.json").read_text())
    (artifact / "mct.json").write_text(json.dumps(manifest | {"checked": [check]}))
    assert read_artifact(artifact).checked[0].of == 5
    (artifact / "mct.json").write_text(json.dumps(manifest | {"checked": [check | change]}))
    with pytest.raises(MctError, match=says):
        read_artifact(artifact)
