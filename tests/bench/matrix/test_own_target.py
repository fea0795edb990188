"""A stranger's target file in a stranger's folder: compressed for, measured on beside others, and told by its name."""

import json
from pathlib import Path
from typing import Any

import pytest

from mct.bench.matrix.stored import read_matrix
from mct.models.checkpoints.checkpoint import inspect

OWN = """[till]
device = "cpu"
about = "the till, that has one runtime"
threads = 1
memory_mb = 4000
runtimes = ["onnxruntime"]
price_per_hour = 0.02
[till.budgets.easy]
p95_ms = 900.0
[elsewhere]
device = "cpu"
about = "nobody answers there"
transport = "ssh"
host = "127.0.0.1:1"
"""


@pytest.fixture(scope="module")
def shop(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a target file, a budget and texts."""
    folder = tmp_path_factory.mktemp("a shop's own")
    labels = inspect(tiny_bert).labels
    texts = [f"where is order {number} please" for number in range(40)]
    rows = [{"text": text, "label": labels[number % len(labels)]} for number, text in enumerate(texts)]
    (folder / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "targets.toml").write_text(OWN)
    (folder / "budgets.toml").write_text('[easy]\ntask = "sequence-classification"\np95_ms = 0.001\n')
    return folder


def test_one_file_serves_compress_and_a_bench_of_several(
    shop: Path, tiny_bert: Path, run_mct: Any, tmp_path: Path
) -> None:
    own = ("--targets", shop / "targets.toml")
    words = ("--format", "onnx", "--precision", "fp32", "--data", shop / "texts.jsonl")
    made = run_mct("compress", tiny_bert, "-o", tmp_path / "out", "--target", "till", *own, *words)
    assert made.returncode == 0, made.stderr
    asked = ("--data", shop / "texts.jsonl", "--budgets", shop / "budgets.toml", "--budget", "easy", "--max-seconds", 3)
    done = run_mct(
        "bench", tmp_path / "out" / "onnx-fp32", "--target", "till,elsewhere,cpu-1", *own, *asked,
        "--results", tmp_path / "results", "--json", tmp_path / "matrix.json",
    )  # fmt: skip
    assert done.returncode == 1, f"one of them cannot be reached: {done.stderr}"
    matrix = read_matrix(tmp_path / "matrix.json")
    till, elsewhere, alone = matrix.targets
    assert till.cells[0].outcome == "pass" != alone.cells[0].outcome, "it has a limit of its own"
    assert till.choice is not None and till.choice.fastest == "onnx-fp32"
    assert till.cells[0].cost_per_1000 and alone.cells[0].flips == 0
    assert elsewhere.failure is not None and "takes no ssh connection" in elsewhere.failure.message
    assert "- **till**: **onnx-fp32**" in done.stdout and "- **elsewhere**: not measured" in done.stdout
    (stored,) = (tmp_path / "results" / "matrix").glob("*.json")
    page = run_mct("report", stored, "--format", "html", "-o", tmp_path / "page.html")
    assert page.returncode == 0 and "<svg" in (tmp_path / "page.html").read_text()
    assert "### mct: 1 artifacts" in run_mct("report", stored).stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--target", "cpu,cpu"), "given twice"),
        (("--target", "cpu,"), "leaves a target without its name"),
        (("--target", "cpu,cqu-1"), "did you mean cpu-1"),
        (("--target", "cpu,cpu-1", "--offline"), "measured on one target"),
        (("--target", "ssh:a b"), "no host to reach by ssh"),
    ],
)
def test_what_is_no_list_of_targets_is_one_line(
    words: tuple[str, ...], message: str, tiny_onnx: Path, shop: Path, run_mct: Any
) -> None:
    done = run_mct("bench", tiny_onnx, "--data", shop / "texts.jsonl", *words)
    assert done.returncode == 2 and message in done.stderr
    assert done.stderr.count("\n") <= 2 and "hint:" in done.stderr
