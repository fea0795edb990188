"""A whole search at a tiny size, in the processes that users run it in."""

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mct.bench.search.asking import seconds_of
from mct.bench.search.space import shapes_of
from mct.cli import commands
from mct.compress.plan.recipe import read_recipe
from mct.compress.run.artifact import read_artifact
from mct.models.checkpoints.checkpoint import inspect
from mct.models.scenarios.shop.intents import generate

BUDGETS = """
[enough]
task = "sequence-classification"
p95_ms = 1000.0
quality_max_drop = 0.5

[plenty]
task = "sequence-classification"
p95_ms = 900.0
quality_max_drop = 0.6

[impossible]
task = "sequence-classification"
p95_ms = 0.001
"""
TARGETS = """
[shop-box]
device = "cpu"
about = "the box under the counter, which has one runtime"
runtimes = ["onnxruntime"]
"""
AUTO = (
    "--auto",
    "--target",
    "shop-box",
    "--targets",
    "targets.toml",
    "--budgets",
    "budgets.toml",
    "--data",
    "train.jsonl",
    "--eval",
    "test.jsonl",
    "--workers",
    "2",
)


def mct(*arguments: str, cwd: Path, **more: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mct.cli", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, **more)


@pytest.fixture(scope="module")
def shop(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint, rows with its labels, and two budgets."""
    folder = tmp_path_factory.mktemp("search")
    shutil.copytree(tiny_bert, folder / "router")
    labels = inspect(tiny_bert).labels
    made = generate(0, production=400, synthetic=80)
    for name, rows in (("train", made.train[:240]), ("test", made.test[:120])):
        lines = [{"text": row["text"], "label": labels[len(row["text"]) % len(labels)]} for row in rows]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "budgets.toml").write_text(BUDGETS)
    (folder / "targets.toml").write_text(TARGETS)
    return folder


@dataclass(frozen=True)
class Search:
    """One that was killed once its first candidates were there, and begun again: those, and what it ended with."""

    made_before: dict[Path, int]
    front: dict[str, Any]


@pytest.fixture(scope="module")
def search(shop: Path) -> Search:
    """A search with an easy budget."""
    command = [sys.executable, "-m", "mct.cli", "compress", "router", "-o", "out", *AUTO, "--budget", "enough"]
    command += ["--time", "45s", "--json"]
    process = subprocess.Popen(command, cwd=shop, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and len(made_in(shop / "out")) < 2:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = made_in(shop / "out")
    done = subprocess.run(command, cwd=shop, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Search(before, json.loads(done.stdout))


def made_in(out: Path) -> dict[Path, int]:
    """When each candidate's artifact was written."""
    return {path: path.stat().st_mtime_ns for path in out.glob(".search/*/made/*/*/mct.json")}


@pytest.fixture(scope="module")
def found(search: Search) -> dict[str, Any]:
    """What it ended with."""
    return search.front


def test_it_ends_with_a_winner_and_its_evidence(shop: Path, found: dict[str, Any]) -> None:
    winner = read_artifact(shop / "out" / "winner")
    judged = found["judged"]["result"]
    entry = next(each for each in judged["artifacts"] if found["judged"]["names"].get(each["path"]) == found["winner"])
    assert entry["verdict"]["outcome"] == "pass" and f"{winner.format}-{winner.precision}" in found["winner"]
    lines = (shop / "test.jsonl").read_text().splitlines()
    assert judged["data"]["rows"] == len(lines), "judged on all rows of --eval"
    assert found["winner"] in found["why"] and "fastest" in found["why"]
    assert json.loads((shop / "out" / "front.json").read_text()) == found
    for page in ("front.md", "front.html"):
        assert found["winner"].partition(",")[0] in (shop / "out" / page).read_text()


def test_every_candidate_has_a_recipe_or_a_reason(found: dict[str, Any]) -> None:
    assert len(found["candidates"]) > 3
    for row in found["candidates"]:
        assert row["recipe"] or row["fate"], row["name"]


def test_its_recipe_makes_the_same_bytes_again(shop: Path, found: dict[str, Any]) -> None:
    data = ("--data", "out/data/train.jsonl", "--eval", "out/data/final.jsonl")
    done = mct("compress", "router", "-o", "again", "--recipe", "out/winner.toml", *data, cwd=shop)
    assert done.returncode == 0, done.stderr
    (again,) = (shop / "again").iterdir()
    assert read_artifact(again).files == read_artifact(shop / "out" / "winner").files
    assert (again / "mct.json").read_bytes() == (shop / "out" / "winner" / "mct.json").read_bytes()
    assert read_recipe(again) == read_recipe(shop / "out" / "winner.toml")


def test_the_same_command_repeats_nothing(shop: Path, found: dict[str, Any]) -> None:
    done = mct("compress", "router", "-o", "out", *AUTO, "--budget", "enough", "--time", "45s", "--json", cwd=shop)
    again = json.loads(done.stdout)
    assert done.returncode == 0 and again["winner"] == found["winner"]
    assert again["judged"] == found["judged"], "one look at the rows to judge on"
    assert again["spent_s"]["timing"] - found["spent_s"]["timing"] < 0.2 * found["spent_s"]["timing"]


def test_another_budget_takes_what_was_made_and_taught(shop: Path, found: dict[str, Any]) -> None:
    shutil.copytree(shop / "out", shop / "other")
    before = made_in(shop / "other")
    done = mct("compress", "router", "-o", "other", *AUTO, "--budget", "plenty", "--time", "45s", "--json", cwd=shop)
    front = json.loads(done.stdout)
    assert done.returncode == 0 and front["winner"], done.stderr
    after = made_in(shop / "other")
    assert before and all(after[path] == moment for path, moment in before.items())
    assert front["judged"]["looks"] == found["judged"]["looks"] + 1, "the rows to judge on are the same"


def test_a_budget_that_nothing_can_meet_ends_before_anything_is_taught(shop: Path) -> None:
    done = mct("compress", "router", "-o", "none", *AUTO, "--budget", "impossible", "--time", "45m", "--json", cwd=shop)
    front = json.loads(done.stdout)
    assert done.returncode == 1 and front["winner"] is None
    assert "teaching" not in front["spent_s"] and "0.001 ms" in front["why"]
    assert not (shop / "none" / "winner").exists() and (shop / "none" / "front.html").is_file()


def test_a_killed_search_repeats_nothing_that_was_there(shop: Path, search: Search) -> None:
    after = made_in(shop / "out")
    assert search.made_before and all(after[path] == moment for path, moment in search.made_before.items())


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--time", "soon"), "which is no time"),
        (("--time", "3s"), "nothing can be tried"),
        (("--budget", "reranker"), "budget reranker is for pair-scoring"),
        (("--format", "onnx"), "--auto finds out by itself what --format says"),
        (("--always", "nobody"), "unknown label 'nobody'"),
        (("--engine", "ray://there"), "should be a cluster's address"),
        (("--target", "gpu"), "gpu needs an NVIDIA GPU"),
    ],
)
def test_what_makes_no_search_is_refused(
    shop: Path, more: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    asked = ["compress", "router", "-o", "refused", *AUTO, "--budget", "enough", *more]
    done = CliRunner().invoke(commands, asked, standalone_mode=False)
    assert done.exception is not None and said in getattr(done.exception, "message", str(done.exception))
    assert not (shop / "refused" / "winner").exists()


def test_a_link_in_its_place_is_not_followed(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shop)
    (shop / "elsewhere").mkdir()
    (shop / "linked").mkdir()
    (shop / "linked" / ".search").symlink_to(shop / "elsewhere")
    asked = ["compress", "router", "-o", "linked", *AUTO, "--budget", "enough"]
    done = CliRunner().invoke(commands, asked, standalone_mode=False)
    assert "is a link" in getattr(done.exception, "message", "")
    assert not list((shop / "elsewhere").iterdir())


@pytest.mark.parametrize("option", ["--budget", "--dev", "--engine", "--always"])
def test_what_a_search_is_told_needs_a_search(shop: Path, option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shop)
    value = "train.jsonl" if option == "--dev" else "enough"
    done = CliRunner().invoke(commands, ["compress", "router", "-o", "x", option, value], standalone_mode=False)
    assert "is for a search" in getattr(done.exception, "message", "")


@pytest.mark.parametrize(("written", "seconds"), [("90s", 90.0), ("45m", 2700.0), ("1.5h", 5400.0)])
def test_a_time_is_written_with_its_unit(written: str, seconds: float) -> None:
    assert seconds_of(written) == seconds


def test_the_checkpoint_itself_is_the_first_shape(tiny_bert: Path) -> None:
    shapes = shapes_of(inspect(tiny_bert), trims=True)
    assert shapes[0].name == "whole" and not shapes[0].taught and not shapes[0].steps
    assert len({shape.name for shape in shapes}) == len(shapes) > 1
    whole = shapes_of(inspect(tiny_bert), trims=False)
    assert {shape.name for shape in whole} == {shape.name for shape in shapes} - {"whole, trimmed"}
    assert not any(step.name == "trim-vocabulary" for shape in whole for step in shape.steps)
