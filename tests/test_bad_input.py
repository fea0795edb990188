"""Bad input: one clear line, a hint, exit code 2, and nothing lost or half-written. Each case as a user meets it."""

import json
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mct.compress.run.steps import STEPS

Run = Callable[..., subprocess.CompletedProcess[str]]


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a refusal, after checking its form."""
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert [line.partition(":")[0] for line in lines[-2:]] == ["error", "hint"], done.stderr
    return lines[-2] + "\n" + lines[-1]


@pytest.fixture
def folder(tiny_bert: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bert, tmp_path / "bert"))


@pytest.fixture(scope="module")
def artifact(tiny_onnx: Path) -> Path:
    return tiny_onnx / "onnx-int8"


def write(path: Path, *rows: dict[str, str]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_folder_that_is_no_checkpoint(run_mct: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "no checkpoint" in refused(run_mct("compress", tmp_path / "empty", "-o", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_truncated_checkpoint(run_mct: Run, folder: Path, tmp_path: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert "truncated" in refused(run_mct("compress", folder, "-o", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_pickle_is_refused_with_the_command_that_converts_it(run_mct: Run, folder: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    AutoModelForSequenceClassification.from_pretrained(folder)  # it loads before, and after the hint was followed
    (folder / "model.safetensors").unlink()
    import torch

    torch.save(
        AutoModelForSequenceClassification.from_config(_config(folder)).state_dict(), folder / "pytorch_model.bin"
    )
    said = refused(run_mct("models", "inspect", folder))
    assert "pickle" in said
    command = said.partition('python -c "')[2].rpartition('"')[0]
    subprocess.run([sys.executable, "-c", command], check=True, capture_output=True)
    assert run_mct("models", "inspect", folder).returncode == 0


def _config(folder: Path) -> object:
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(folder)


def test_an_unknown_label(run_mct: Run, artifact: Path, tmp_path: Path) -> None:
    data = write(tmp_path / "rows.jsonl", {"text": "hello", "label": "returns"}, {"text": "hi", "label": "retruns"})
    assert "'retruns'" in refused(run_mct("bench", artifact, "--data", data))


def test_an_empty_file(run_mct: Run, artifact: Path, tmp_path: Path) -> None:
    assert "no rows" in refused(run_mct("bench", artifact, "--data", write(tmp_path / "rows.jsonl")))


def test_a_missing_column(run_mct: Run, artifact: Path, tmp_path: Path) -> None:
    data = write(tmp_path / "rows.jsonl", {"utterance": "hello", "label": "returns"})
    said = refused(run_mct("bench", artifact, "--data", data))
    assert "no 'text'" in said and "--field text=" in said


def test_a_changed_byte(run_mct: Run, artifact: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(artifact, tmp_path / "copy"))
    model = next(copy.rglob("*.onnx"))
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    data = write(tmp_path / "rows.jsonl", {"text": "hello", "label": "returns"})
    assert "has changed" in refused(run_mct("bench", copy, "--data", data))


@pytest.mark.parametrize(
    ("option", "name", "suggestion"), [("--target", "cpuu", "cpu"), ("--budget", "intent-ruoter", "intent-router")]
)
def test_an_unknown_name(run_mct: Run, artifact: Path, tmp_path: Path, option: str, name: str, suggestion: str) -> None:
    data = write(tmp_path / "rows.jsonl", {"text": "hello", "label": "returns"})
    said = refused(run_mct("bench", artifact, "--data", data, option, name))
    assert f"did you mean {suggestion}" in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["compres"], "compress"),
        (["bench"], "--help"),
        (["compress", "x", "-o", "y", "--fromat", "onnx"], "--format"),
        (["models", "build", "intent-ruoter"], "intent-router"),
        (["models", "build", "intent-router", "--size", "tiny", "--seed", str(2**70)], "--seed"),
        (["models", "inspect", "nowhere"], "does not exist"),
    ],
)
def test_a_mistyped_command(run_mct: Run, words: list[str], says: str) -> None:
    assert says in refused(run_mct(*words))


def test_a_format_that_does_not_exist(run_mct: Run, folder: Path, tmp_path: Path) -> None:
    assert "onnx" in refused(run_mct("compress", folder, "-o", tmp_path / "out", "--format", "onx"))


def test_building_into_a_folder_of_somebody_elses(run_mct: Run, tmp_path: Path) -> None:
    """The folder was once deleted with all it held, after minutes of training."""
    (tmp_path / "thesis.tex").write_text("mine")
    said = refused(run_mct("models", "build", "intent-router", "--size", "tiny", "-o", tmp_path))
    assert "did not write the thesis.tex" in said
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_artifact_in_the_way_of_somebody_elses_folder(run_mct: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "onnx-int8").mkdir(parents=True)
    (tmp_path / "out" / "onnx-int8" / "notes.txt").write_text("mine")
    assert "notes.txt" in refused(run_mct("compress", folder, "-o", tmp_path / "out", "--format", "onnx"))
    assert [path.name for path in (tmp_path / "out").rglob("*")] == ["onnx-int8", "notes.txt"]


@pytest.mark.parametrize("out", ["file", "file/below", "bert/out"])
def test_no_place_for_artifacts(run_mct: Run, folder: Path, tmp_path: Path, out: str) -> None:
    (tmp_path / "file").write_text("mine")
    refused(run_mct("compress", folder, "-o", tmp_path / out, "--format", "onnx"))
    assert (tmp_path / "file").read_text() == "mine"
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("option", "path"),
    [
        ("--json", "."), ("--json", "rows.jsonl"), ("--json", "rows.jsonl/result.json"), ("--json", "made/result.json"),
        ("--results", "rows.jsonl"), ("--results", "made/results"),
    ],
)  # fmt: skip
def test_no_place_for_a_result(run_mct: Run, artifact: Path, tmp_path: Path, option: str, path: str) -> None:
    data = write(tmp_path / "rows.jsonl", {"text": "hello", "label": "returns"})
    (tmp_path / "made").symlink_to(artifact)
    before = data.read_text(), sorted(artifact.rglob("*"))
    refused(run_mct("bench", artifact, "--data", data, option, tmp_path / path))
    assert (data.read_text(), sorted(artifact.rglob("*"))) == before


def test_no_place_for_a_report(run_mct: Run, tmp_path: Path) -> None:
    stored = Path(shutil.copy(Path(__file__).parent / "bench" / "result_example.json", tmp_path / "result.json"))
    content = stored.read_text()
    assert "is a folder" in refused(run_mct("report", stored, "-o", tmp_path))
    assert "which is read" in refused(run_mct("report", stored, "-o", stored))
    assert stored.read_text() == content


def limited() -> None:
    """In the child, before it starts: as on a disk with a thousand bytes left."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))


def test_a_report_on_a_full_disk(run_mct: Run, tmp_path: Path) -> None:
    stored, out = Path(__file__).parent / "bench" / "result_example.json", tmp_path / "report.json"
    out.write_text("old")
    done = run_mct("report", stored, "--format", "json", "-o", out, preexec_fn=limited)
    assert f"writing into {tmp_path} failed: File too large" in refused(done)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_a_bench_on_a_full_disk(run_mct: Run, artifact: Path, tmp_path: Path) -> None:
    data = write(tmp_path / "rows.jsonl", *[{"text": "where is my order", "label": "returns"}] * 300)
    done = run_mct("bench", artifact, "--data", data, "--results", tmp_path / "results", preexec_fn=limited)
    assert f"writing into {tmp_path / 'results'} failed: File too large" in refused(done)


def test_a_missing_library_names_the_pip_line(folder: Path, tmp_path: Path) -> None:
    """As in an environment without torch: the import is made to fail, in a process of its own."""
    code = (
        "import sys; sys.modules['torch'] = None; sys.argv = ['mct', 'compress', *sys.argv[1:]]; "
        "from mct.cli import main; main()"
    )
    command = [sys.executable, "-c", code, str(folder), "-o", str(tmp_path / "out"), "--format", "onnx"]
    said = refused(subprocess.run(command, capture_output=True, text=True))
    assert "torch" in said and "pip install 'mangaassist-mct[compress]'" in said


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("reached", "number"),
    [("libtorch_cpu", signal.SIGINT), ("onnx-int8: export-onnx", signal.SIGTERM), ("checking gguf", signal.SIGINT)],
)
def test_an_interrupt_leaves_nothing(folder: Path, tmp_path: Path, reached: str, number: signal.Signals) -> None:
    """At three points that are watched for, however long the way there takes: a library loaded, a stage announced."""
    out = tmp_path / "out"
    command = [sys.executable, "-m", "mct.cli", "compress", str(folder), "-o", str(out), "--format", "onnx,gguf"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        if reached.startswith("lib"):
            wait_for_library(process.pid, reached)
        else:
            next(line for line in process.stderr if reached in line)
        process.send_signal(number)
        stderr = process.stderr.read()
    left = {path.name for path in out.iterdir()} if out.exists() else set()
    assert left <= {"onnx-int8", "gguf-q8_0", STEPS}, "only whole artifacts and finished steps may stay"
    assert all((out / name / "mct.json").is_file() for name in left - {STEPS})
    if process.returncode == 0:  # it came after the work was done
        assert left == {"onnx-int8", "gguf-q8_0"}
    else:
        assert process.returncode == 128 + number, stderr
        assert stderr.splitlines()[-2:] == [
            "error: interrupted",
            "hint: nothing half-written was left behind; run the command again",
        ]


def test_an_interrupt_in_a_callback_or_a_destructor_is_not_lost(tmp_path: Path) -> None:
    """Python lets no exception out of these: it prints it, and goes on as if nothing had been."""
    code = (
        "import os, signal, threading\n"
        "from mct.cli import listen_for_interrupts\n"
        "class Closing:\n    def __del__(self): os.kill(os.getpid(), signal.SIGTERM)\n"
        "listen_for_interrupts()\n"
        "closing = Closing()\n"
        "try:\n    del closing; threading.Event().wait(60); print('lost')\n"
        "except KeyboardInterrupt: print('interrupted')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("interrupted\n", "")


def test_pressed_twice_it_does_not_interrupt_the_clearing_up() -> None:
    code = (
        "import os, signal\n"
        "from mct.cli import listen_for_interrupts\n"
        "listen_for_interrupts()\n"
        "try:\n    os.kill(os.getpid(), signal.SIGINT)\n"
        "finally:\n    os.kill(os.getpid(), signal.SIGINT); print('cleared up')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "cleared up\n"


def wait_for_library(pid: int, name: str) -> None:
    while name not in Path(f"/proc/{pid}/maps").read_text():
        time.sleep(0.01)


def test_an_import_is_never_torn_apart_by_an_interrupt(tmp_path: Path) -> None:
    """A library written in C++ would end the whole process by an abort (pybind11 does, while it makes its types)."""
    (tmp_path / "library.py").write_text(
        "import os, signal\n"
        "try:\n    os.kill(os.getpid(), signal.SIGINT)\n    print('whole')\n"
        "except KeyboardInterrupt:\n    print('torn apart')\n"
    )
    code = (
        "import sys, threading; from mct.cli import listen_for_interrupts; listen_for_interrupts()\n"
        f"sys.path.append({str(tmp_path)!r})\n"
        "try:\n    import library; threading.Event().wait(60); print('never interrupted')\n"
        "except KeyboardInterrupt:\n    print('then interrupted')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["whole", "then interrupted"], done.stderr


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("", "the name of a file or folder is empty"),
        ("\udcff", "is not UTF-8 text: rename it"),
        ("/proc/mct", "no folder /proc/mct/.steps can be made"),
    ],
)
def test_a_place_that_no_library_could_write_to(run_mct: Run, folder: Path, out: str, said: str) -> None:
    place = out if out in {"", "/proc/mct"} else folder.parent / out
    assert said in refused(run_mct("compress", folder, "-o", place, "--format", "onnx"))


def test_a_way_back_through_a_folder_that_is_not_there(run_mct: Run, folder: Path, tmp_path: Path) -> None:
    done = run_mct("compress", folder, "-o", tmp_path / "new" / "..", "--format", "onnx", "--precision", "fp32")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "onnx-fp32" / "mct.json").is_file() and not (tmp_path / "new").exists()


def test_a_stranger_s_names_do_not_steer_the_terminal(run_mct: Run, folder: Path, tmp_path: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["id2label"]["0"] = "\x1b[2Jreturns\u202e"
    (folder / "config.json").write_text(json.dumps(config | {"label2id": None}))
    done = run_mct("models", "inspect", folder)
    assert r"\x1b[2Jreturns\u202e" in done.stdout and "\x1b" not in done.stdout
    (tmp_path / "r.toml").write_text(f'[[steps]]\npass = "\\u001b[31m{"x" * 9999}"\n')
    said = refused(run_mct("compress", folder, "-o", tmp_path / "out", "--recipe", tmp_path / "r.toml"))
    assert "\x1b" not in said and len(said) < 1500


def test_a_checkpoint_is_asked_for_and_no_recipe_leaves_one(run_mct: Run, folder: Path, tmp_path: Path) -> None:
    said = refused(run_mct("compress", folder, "-o", tmp_path / "out", "--format", "checkpoint"))
    assert "there is no recipe that ends in a checkpoint" in said


def test_a_current_folder_that_was_removed(tmp_path: Path) -> None:
    """Every path that is not absolute would be nowhere."""
    (tmp_path / "gone").mkdir()
    code = f"cd {tmp_path}/gone && rmdir ../gone && exec {sys.executable} -m mct.cli models list"
    done = subprocess.run(["sh", "-c", code], capture_output=True, text=True)
    assert "is not there any more" in refused(done)
