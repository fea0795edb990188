"""What a user installs: the wheel in a clean environment without torch, a runtime by the line that a hint prints."""

import json
import shlex
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = {"models", "targets", "compress", "bench", "release"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: setuptools leaves files in the source, where another worker may be building as well."""
    folder = tmp_path_factory.mktemp("wheel")
    aside = shutil.ignore_patterns(".*", "tests", "results", "build", "*.egg-info", "__pycache__")
    source = shutil.copytree(ROOT, folder / "source", ignore=aside)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a clean environment with the wheel, no extra and nothing else."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder)
    python = folder / "bin" / "python"
    pip_install(python, wheel, "mangaassist-mct")
    return python


@pytest.fixture(scope="module")
def python(bare: Path, wheel: Path) -> Path:
    """The same, once what a hint told to type was typed: the runtime for ONNX is there."""
    done = subprocess.run([bare.parent / "mct", "targets", "limit", "--again"], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    words = shlex.split(done.stderr.splitlines()[-1])
    assert words[:3] == ["hint:", "pip", "install"]
    pip_install(bare, wheel, *words[3:])
    return bare


def pip_install(python: Path, wheel: Path, *words: str) -> None:
    """`pip install` as a hint has it; the distribution itself comes from the wheel, since that is what is tried."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "-q",
        "-c",
        str(ROOT / "constraints.txt"),
    ]
    command += ["--no-compile", "--find-links", str(wheel.parent), *words]
    subprocess.run(command, check=True, capture_output=True)


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    ours = {name for name in names if ".dist-info/" not in name}
    assert {name.split("/")[0] for name in ours} == {"mct", "mangaassist_mct"}
    assert {name.split("/")[1] for name in ours if name.count("/") == 2} == ROOMS
    assert {"mct/__init__.py", "mct/cli.py", "mct/py.typed", "mct/targets/budgets.toml"} <= ours
    assert not any({"tests", "results", "examples"} & set(name.split("/")) for name in ours)


def test_an_onnx_artifact_is_benched_without_torch(python: Path, tiny_onnx: Path, tmp_path: Path) -> None:
    rows = [{"text": f"where is order {number}", "label": "order_tracking"} for number in range(50)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    missing = "import importlib.util as u; print([n for n in ('torch', 'transformers') if u.find_spec(n)])"
    assert subprocess.run([python, "-c", missing], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    command = [python.parent / "mct", "bench", tiny_onnx / "onnx-int8", "--data", tmp_path / "rows.jsonl"]
    command += ["--max-seconds", "2", "--json", tmp_path / "result.json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    artifact = json.loads((tmp_path / "result.json").read_text())["artifacts"][0]
    assert artifact["runtime"] == "onnxruntime"
    assert artifact["latency"]["n"] >= 72


def test_a_command_that_needs_torch_says_how_to_get_it(python: Path, tiny_bert: Path, tmp_path: Path) -> None:
    command = [python.parent / "mct", "compress", tiny_bert, "-o", tmp_path / "out", "--format", "onnx"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "pip install 'mangaassist-mct[compress]'" in done.stderr
