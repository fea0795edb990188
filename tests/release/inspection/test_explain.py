"""`mct explain` and `mct behave` as they are typed: every task kind, what they find, refuse and write."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mct import MctError
from mct.bench.samples.subject import identify
from mct.release.inspection.explain import Job, explain
from mct.release.inspection.explanation import read_report, require_about

Run = Callable[..., subprocess.CompletedProcess[str]]
Specimens = Callable[[str], Any]
TASKS = (
    "sequence-classification", "multi-label-classification", "token-classification", "multi-head", "embedding-head",
    "sentence-embedding", "pair-scoring", "reward", "causal-lm",
)  # fmt: skip
HOSTILE = "<script>alert(1)</script> where | is `my` order </style> {{ 7*7 }} &lt; \u202e"
TEST = (
    '[[test]]\nname = "<b>capitals</b>"\nkind = "invariance"\nchange = "case"\ntext = ["where is my order", "a box"]\n'
)
STRICT = (
    TEST + 'most_failures = 0.001\n[[test]]\nname = "never"\nkind = "minimum"\nnever = "{label}"\nmost_failures = 0.1\n'
)


@pytest.fixture(scope="module")
def router(specimen: Specimens, tiny_onnx: Path) -> tuple[Path, Path, Path]:
    """A classifier, its INT8 artifact, and rows to ask."""
    found = specimen("sequence-classification")
    return found.folder, tiny_onnx / "onnx-int8", found.data


@pytest.mark.parametrize("task", TASKS)
def test_a_model_beside_itself_differs_in_nothing(task: str, specimen: Specimens, tmp_path: Path) -> None:
    """Every task kind: no flip, no drift, and gradients that add up."""
    found = specimen(task)
    copy = Path(shutil.copytree(found.folder, tmp_path / "copy"))
    told = explain(Job(found.folder, copy, found.data, examples=6, without=frozenset({"layers"})))
    assert told.flips.rate.count == 0 and told.flips.rate.n == 8
    assert told.attribution is not None and told.attribution.drift.value == 0
    assert told.attribution.gap is not None and told.attribution.gap < 0.05, told.attribution.gap
    assert all(word.original == word.artifact for each in told.attribution.examples for word in each.words)
    assert "floor" in told.left_out  # fp32 beside fp32 rounds nothing
    json.dumps(told.as_json(), allow_nan=False)


def test_all_that_there_is_to_say_of_an_int8_artifact(
    router: tuple[Path, Path, Path], run_mct: Run, tmp_path: Path
) -> None:
    original, artifact, data = router
    (tmp_path / "tests.toml").write_text(TEST)
    out = tmp_path / "an odd näme"
    done = run_mct(
        "explain", original, artifact, "--data", data, "--tests", tmp_path / "tests.toml", "--examples", 5, "-o", out
    )
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in out.iterdir() if not path.name.startswith(".")) == [
        "explain.html", "explain.json", "explain.md",
    ] or (out / "explain.json").is_file()  # fmt: skip
    assert done.stdout == (out / "explain.md").read_text(encoding="utf-8")
    told = json.loads((out / "explain.json").read_text(encoding="utf-8"))
    assert (told["schema"], told["kind"], told["outcome"]) == (1, "mct-explain", "inconclusive")
    assert told["digest"] == identify(artifact).digest
    assert told["attribution"]["floor_bits"] == 8 and told["attribution"]["drift"]["n"] == 5
    assert {part["layer"] for part in told["sensitivity"]["parts"]} >= {"layer 0", "layer 1"}
    assert told["behaviour"][0]["test"]["name"] == "<b>capitals</b>"
    report = read_report(out / "explain.json")
    require_about(report, told["digest"], out)
    with pytest.raises(MctError, match="another artifact"):
        require_about(report, "0" * 64, out)


def test_a_row_that_is_repeated_is_one_example(router: tuple[Path, Path, Path], tmp_path: Path) -> None:
    """One text three hundred times says no more of flips than once; what differs keeps its place in the file."""
    original, artifact, data = router
    first, *_, last = data.read_text().splitlines(keepends=True)
    (tmp_path / "one.jsonl").write_text(first * 300 + last)
    left = frozenset({"layers", "gradients", "spurious words"})
    told = explain(Job(original, artifact, tmp_path / "one.jsonl", examples=2, without=left))
    assert (told.rows, told.repeated, told.flips.rate.n) == (301, 299, 2)
    assert told.attribution is not None and {each.row for each in told.attribution.examples} == {0, 300}
    assert told.as_json()["original"]["origin"]["equals"] in told.as_json()["artifact"]["origin"]["weights"]


def test_json_alone_on_stdout(router: tuple[Path, Path, Path], run_mct: Run) -> None:
    original, artifact, data = router
    done = run_mct("explain", original, artifact, "--data", data, "--examples", 2, "--without", "layers", "--json")
    assert json.loads(done.stdout)["rows"] == 8


def test_hostile_texts_do_nothing_on_the_page(router: tuple[Path, Path, Path], run_mct: Run, tmp_path: Path) -> None:
    original, _, data = router
    other = Path(shutil.copytree(original, tmp_path / "<img src=x onerror=alert(1)>"))
    _disturb(other)
    rows = [json.loads(line) | {"text": f"{HOSTILE} {at}"} for at, line in enumerate(data.read_text().splitlines())]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "tests.toml").write_text(
        TEST.replace("where is my order", HOSTILE.replace("{{ 7*7 }}", "").replace("\u202e", ""))
    )
    done = run_mct(
        "explain", original, other, "--data", tmp_path / "rows.jsonl", "--tests", tmp_path / "tests.toml",
        "--without", "layers", "-o", tmp_path / "out",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "out" / "explain.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;" in page and "{{ 7*7 }}" in page
    assert not re.search(r"<script|<img|onerror=(?!alert\(1\)&gt;)|javascript:|https?://(?!www\.w3\.org)", page)
    assert page.count("</style>") == 1 and "default-src 'none'" in page
    assert "| where |" not in done.stdout and "<script" not in done.stdout


def _disturb(folder: Path) -> None:
    """Other weights of the last layer: other answers."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    tensors["classifier.weight"] = -tensors["classifier.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def test_limits_decide_the_exit_code(router: tuple[Path, Path, Path], run_mct: Run, tmp_path: Path) -> None:
    original, _, data = router
    other = Path(shutil.copytree(original, tmp_path / "other"))
    _disturb(other)
    (tmp_path / "limits.toml").write_text(
        "[none]\nflips_max = 0.0\n[all]\nflips_max = 1.0\n[some]\nflips_max = 0.05\n"
        "[drift]\nattribution_drift_max = 0.2\n"
    )

    def code(second: Path, name: str) -> int:
        return run_mct(
            "explain", original, second, "--data", data, "--limits", name, "--limits-file", tmp_path / "limits.toml",
            "--examples", 8, "--without", "layers",
        ).returncode  # fmt: skip

    same = Path(shutil.copytree(original, tmp_path / "same"))
    assert [code(other, "none"), code(same, "some"), code(same, "all")] == [1, 3, 0]
    assert code(other, "drift") == 1


def test_an_artifact_as_the_original_leaves_out_what_torch_alone_can(
    router: tuple[Path, Path, Path], tiny_onnx: Path
) -> None:
    _, artifact, data = router
    told = explain(Job(tiny_onnx / "onnx-fp32", artifact, data, examples=4))
    assert {"gradients", "floor", "layers"} <= told.left_out.keys()
    assert told.attribution is not None and told.attribution.floor is None
    assert all("checkpoint" in told.left_out[name] for name in ("gradients", "floor", "layers"))


def test_the_time_cap_is_said(router: tuple[Path, Path, Path]) -> None:
    original, artifact, data = router
    told = explain(Job(original, artifact, data, examples=8, seconds=1e-9, without=frozenset({"layers"})))
    assert told.attribution is not None and told.attribution.cut_short and len(told.attribution.examples) == 1


def test_the_same_seed_finds_the_same(router: tuple[Path, Path, Path]) -> None:
    original, artifact, data = router
    job = Job(original, artifact, data, examples=4, seed=3, without=frozenset({"layers"}))
    first, again = (explain(job).as_json() | {"created": "", "seconds": 0} for _ in range(2))
    assert first == again


REFUSED: list[tuple[list[str], str]] = [
    (["{original}", "{original}/nowhere", "--data", "{data}"], "does not exist"),
    (["{original}", "{tagger}", "--data", "{data}"], "different tasks"),
    (["{original}", "{artifact}", "--data", "{tmp}/empty.jsonl"], "no rows"),
    (["{original}", "{artifact}", "--data", "{tmp}/strange.jsonl"], "'retruns'"),
    (["{original}", "{artifact}", "--data", "{data}", "--tests", "{tmp}/none.toml"], "does not exist"),
    (["{original}", "{artifact}", "--data", "{data}", "--tests", "intent-router"], "label"),
    (["{original}", "{artifact}", "--data", "{data}", "--limits", "nobody"], "unknown limits"),
    (["{original}", "{artifact}", "--data", "{data}", "--limits-file", "{data}"], "none is named"),
    (["{original}", "{artifact}", "--data", "{data}", "--examples", "0"], "--examples"),
    (["{original}", "{artifact}", "--data", "{data}", "--seconds", "nan"], "--seconds"),
    (["{original}", "{artifact}", "--data", "{data}", "-o", "{tmp}/mine"], "thesis.tex"),
    (["{original}", "{artifact}", "--data", "{data}", "-o", "{original}"], "cannot be replaced"),
    (["{original}", "{artifact}"], "--data"),
]


@pytest.mark.parametrize(("words", "says"), REFUSED, ids=[says for _, says in REFUSED])
def test_what_the_user_can_mend_is_one_line(
    words: list[str], says: str, router: tuple[Path, Path, Path], specimen: Specimens, run_mct: Run, tmp_path: Path
) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "strange.jsonl").write_text('{"text": "a", "label": "retruns"}\n')
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("mine")
    places = dict(zip(("original", "artifact", "data"), router, strict=True))
    tagger = specimen("token-classification").folder
    before = sorted(os.listdir(router[0])), (tmp_path / "mine" / "thesis.tex").read_text()
    done = run_mct("explain", *(word.format(**places, tmp=tmp_path, tagger=tagger) for word in words))
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 2 and done.stdout == "", done.stderr
    assert [line.partition(":")[0] for line in lines[-2:]] == ["error", "hint"] and says in "\n".join(lines[-2:])
    assert before == (sorted(os.listdir(router[0])), (tmp_path / "mine" / "thesis.tex").read_text())


def test_behaviour_of_one_model_alone(router: tuple[Path, Path, Path], run_mct: Run, tmp_path: Path) -> None:
    original, artifact, _ = router
    answered = json.loads(run_mct("run", artifact, "where is my box").stdout)["answer"]
    (tmp_path / "tests.toml").write_text(STRICT.replace("{label}", answered) + 'text = ["where is my box"]\n')
    done = run_mct(
        "behave", artifact, "--tests", tmp_path / "tests.toml", "--against", original, "-o", tmp_path / "out", "--json"
    )
    told = json.loads(done.stdout)
    assert told == json.loads((tmp_path / "out" / "behave.json").read_text())
    assert told["kind"] == "mct-behave" and [each["artifact"]["count"] for each in told["behaviour"]] == [0, 1]
    assert done.returncode == 3  # one case of one does not show that more than a tenth fails, at 5 % over two lines
    assert run_mct("behave", artifact, "--tests", tmp_path / "tests.toml", "--most-failures", 100).returncode == 3
    (tmp_path / "tests.toml").write_text(TEST)
    assert run_mct("behave", artifact, "--tests", tmp_path / "tests.toml").returncode == 3, "nothing has a limit"
    assert run_mct("behave", artifact, "--tests", tmp_path / "tests.toml", "--most-failures", 100).returncode == 0
