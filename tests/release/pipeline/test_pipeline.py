"""A pipeline runs what is not done, keeps what is, and stops where something does not pass."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mct import MctError
from mct.release.pipeline.pipeline_file import Step, read_pipeline
from mct.release.pipeline.running import _alone
from mct.release.pipeline.steps import Done, is_asked_anew, is_there, key_of, left_by, place_of
from mct.release.promotion.moves import add, move
from mct.release.promotion.releases import Moved
from mct.release.promotion.store import open_store

Run = Callable[..., "subprocess.CompletedProcess[str]"]
VERDICT = "a" * 64
LABELS = ("order_tracking", "returns", "other")


@pytest.fixture
def made(tmp_path: Path, tiny_bert: Path) -> Path:
    """A folder with a whole pipeline: from a checkpoint to production."""
    texts = ["where is my order", "i want to return volume 3", "hi", "let me talk to a human now"]
    lines = [json.dumps({"text": text, "label": LABELS[place % 3]}) for place, text in enumerate(texts * 30)]
    (tmp_path / "test.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "budgets.toml").write_text('[any]\ntask = "sequence-classification"\np95_ms = 5000.0\n')
    (tmp_path / "release.toml").write_text(
        '[production]\nbudgets = ["any"]\nresults = ["results"]\nbudgets_file = "budgets.toml"\ndata = ["test.jsonl"]\n'
    )
    (tmp_path / "pipeline.toml").write_text(f"""
[[steps]]
name = "compress"
run = "compress '{tiny_bert}' -o out --format onnx --precision fp32 --eval test.jsonl"
writes = ["out"]

[[steps]]
name = "bench"
run = "bench out/onnx-fp32 --data test.jsonl --budget any --budgets budgets.toml --results results --max-seconds 1"
writes = ["results"]

[[steps]]
name = "add"
run = "release add out/onnx-fp32 --name router --store releases"

[[steps]]
name = "gate"
run = "release gate router --to production --store releases"

[[steps]]
name = "promote"
run = "release promote router --to production --store releases"

[[steps]]
name = "drawn"
run = "targets list"
""")
    return tmp_path


def states(run: Run, *words: object) -> tuple[int, dict[str, str], Any]:
    done = run("pipeline", "run", *words, "--json")
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    return done.returncode, {each["step"]: each["state"] for each in found["steps"]}, found


def test_from_a_checkpoint_to_production_and_nothing_again(made: Path, run_mct: Run) -> None:
    file = made / "pipeline.toml"
    code, before, _ = states(run_mct, file, "--dry-run")
    assert (code, set(before.values())) == (0, {"to do"}) and not (made / "out").exists()
    code, found, _ = states(run_mct, file)
    assert (code, set(found.values())) == (0, {"done"})
    shown = run_mct("release", "show", "router", "--store", made / "releases", "--path")
    assert shown.returncode == 0 and (Path(shown.stdout.strip()) / "mct.json").is_file()
    asked = {"compress": "kept", "bench": "kept", "add": "to do", "gate": "to do", "promote": "to do", "drawn": "kept"}
    assert states(run_mct, file, "--dry-run")[1] == asked
    code, again, _ = states(run_mct, file)
    assert (code, again) == (0, {step: state.replace("to do", "done") for step, state in asked.items()})
    assert len(list((made / "results").glob("*.json"))) == 1, "nothing was measured a second time"

    # another gate: what hangs on it is done again, and stops where it does not pass
    (made / "release.toml").write_text((made / "release.toml").read_text() + "targets = 2\n")
    code, found, _ = states(run_mct, file)
    assert code == 3 and found == {
        "compress": "kept", "bench": "kept", "add": "done", "gate": "stopped", "promote": "not reached",
        "drawn": "not reached",
    }  # fmt: skip

    # what a step left was changed: it is done again
    (made / "release.toml").write_text((made / "release.toml").read_text().replace("targets = 2\n", ""))
    next((made / "results").glob("*.json")).unlink()
    _, found, _ = states(run_mct, file, "--dry-run")
    assert found["compress"] == "kept" and found["bench"] == "to do"


def test_what_is_read_beside_what_a_step_names_makes_it_be_done_again(tmp_path: Path) -> None:
    """The documents that rows name, a data card, the base of an adapter: no word of the step names these."""
    place = place_of(tmp_path / "pipeline.toml")
    for folder in ("train", "adapter/second", "base", "base-of-second"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "train" / "pairs.jsonl").write_text('{"query": "q", "doc_id": "d1", "grade": 1}\n')
    for folder, base in (("adapter", "base"), ("adapter/second", "elsewhere/base-of-second")):
        (tmp_path / folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base}))
        (tmp_path / Path(base).name / "config.json").write_text("{}")
    step = Step("compress", "compress adapter -o out --data train/pairs.jsonl", ("out",))
    keys = [key_of(step, {}, place, {})]
    for name in ("train/docs.jsonl", "train/pairs.jsonl.card.json", "base/config.json", "base-of-second/config.json"):
        for content in ('{"doc_id": "d1", "doc": "one"}', '{"doc_id": "d1", "doc": "another"}'):
            (tmp_path / name).write_text(content)
            keys.append(key_of(step, {}, place, {}))
    assert len(set(keys)) == len(keys)
    assert key_of(step, {"fetch": "f" * 64, "other": "0" * 64}, place, {"base": "fetch"}) != keys[-1]
    (tmp_path / "train" / "notes.txt").write_text("what nobody reads")
    assert key_of(step, {}, place, {}) == keys[-1]


def test_what_a_recipe_names_makes_its_step_be_done_again(tmp_path: Path) -> None:
    """A student's encoder is named in the recipe alone."""
    place = place_of(tmp_path / "pipeline.toml")
    for folder in ("router", "encoder"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config.json").write_text("{}")
    (tmp_path / "recipe.toml").write_text('[[steps]]\npass = "pretrained-student"\nmodel = "encoder"\nabout = "."\n')
    step = Step("compress", "compress router --recipe recipe.toml -o out", ("out",))
    before = key_of(step, {}, place, {})
    (tmp_path / "notes.txt").write_text("what nobody names")
    assert key_of(step, {}, place, {}) == before
    (tmp_path / "encoder" / "config.json").write_text('{"changed": 1}')
    changed = key_of(step, {}, place, {})
    assert changed != before
    assert key_of(step, {"fetch": "f" * 64, "other": "0" * 64}, place, {"encoder": "fetch"}) != changed, "it follows it"
    (tmp_path / "recipe.toml").write_text("no recipe")
    assert key_of(step, {}, place, {}) not in {before, changed}


def test_a_drill_and_a_plan_are_of_what_is_there_now(tmp_path: Path, run_mct: Run, artifacts: tuple[Path, ...]) -> None:
    store = open_store(tmp_path / "releases")
    add(store, artifacts, "router")
    move(store, store.track("router"), Moved(1, "production", "promote", VERDICT), "")
    (tmp_path / "pipeline.toml").write_text(
        '[[steps]]\nname = "drill"\nrun = "release drill router --store releases"\n'
        '[[steps]]\nname = "plan"\nrun = "plan reranker --size tiny --work work --store releases"\n'
    )
    for version in (1, 2):
        assert states(run_mct, tmp_path / "pipeline.toml")[:2] == (0, {"drill": "done", "plan": "done"})
        drill = store.track("router").last_drill()
        assert drill is not None and drill[0].number == len(store.track("router").entries), version
        move(store, store.track("router"), Moved(version + 1, "production", "promote", VERDICT), "")


@pytest.mark.parametrize(
    ("run", "anew"),
    [
        ("release publish router --mlflow http://127.0.0.1:9", True), ("release drill router", True),
        ("plan --run", True), ("release verify router", False), ("release rollback router", False),
        ("compress router -o out", False),
    ],
)  # fmt: skip
def test_what_can_be_run_twice_and_follows_what_changed_is_run_every_time(run: str, anew: bool) -> None:
    assert is_asked_anew(Step("one", run)) is anew


def test_a_kill_loses_one_step_and_two_at_once_are_refused(tmp_path: Path, run_mct: Run, tiny_onnx: Path) -> None:
    """The second step measures for a minute; the first is light."""
    texts = "".join(json.dumps({"text": text, "label": "other"}) + "\n" for text in ["where is my order", "hi"] * 40)
    (tmp_path / "test.jsonl").write_text(texts)
    file = tmp_path / "pipeline.toml"
    bench = f"bench '{tiny_onnx / 'onnx-fp32'}' --data test.jsonl --results results --max-seconds 60"
    file.write_text(
        '[[steps]]\nname = "list"\nrun = "targets list"\n'
        f'[[steps]]\nname = "bench"\nrun = "{bench}"\nwrites = ["results"]\n'
    )
    words = [sys.executable, "-m", "mct.cli", "pipeline", "run", str(file)]
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    listed = tmp_path / ".mct" / "pipeline" / "pipeline.toml" / "list.json"
    while not listed.exists() and child.poll() is None:
        time.sleep(0.02)
    assert child.poll() is None
    again = run_mct("pipeline", "run", file)
    assert again.returncode == 2 and "running already" in again.stderr
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    code, found, _ = states(run_mct, file, "--dry-run")
    assert code == 0 and found == {"list": "kept", "bench": "to do"}
    file.write_text(file.read_text().replace("--max-seconds 60", "--max-seconds 0.5"))
    code, found, _ = states(run_mct, file)
    assert code == 0 and found == {"list": "kept", "bench": "done"}


def test_an_accepted_code_goes_on(tmp_path: Path, run_mct: Run) -> None:
    file = tmp_path / "pipeline.toml"
    step = '[[steps]]\nname = "check"\nrun = "targets check"\naccept = [3]\n'
    file.write_text(step + '[[steps]]\nname = "list"\nrun = "targets list"\n')
    code, found, _ = states(run_mct, file)
    assert (code, found["list"]) == (0, "done")


@pytest.mark.parametrize(
    ("run", "said"),
    [
        ("compres x -o y", "did you mean compress"),
        ("compress x -o y --fromat onnx", "fromat"),
        ("models buidl x", "build"),
        ("pipeline run other.toml", "runs a pipeline"),
        ("mct bench x", "after mct"),
        ("bench 'x", "quotation"),
        ("", "length >= 1"),
        ("bench", "Missing argument|step one"),
        ("bench x\0y", "NUL in a word"),
    ],
)
def test_what_no_step_can_run_is_refused_before_any_does(tmp_path: Path, run_mct: Run, run: str, said: str) -> None:
    file = tmp_path / "pipeline.toml"
    file.write_text(
        f'[[steps]]\nname = "zero"\nrun = "targets list"\n[[steps]]\nname = "one"\nrun = {json.dumps(run)}\n'
    )
    done = run_mct("pipeline", "run", file)
    assert done.returncode == 2 and re.search(said, done.stderr), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "text",
    [
        "", "steps = []", "[[steps]]\nname = 'a'", "[[steps]]\nname = 'a/b'\nrun = 'targets list'", "steps = 3",
        "[[steps]]\nname = 'a'\nrun = 'targets list'\n[[steps]]\nname = 'a'\nrun = 'targets list'",
        "[[steps]]\nname = 'a'\nrun = 'targets list'\naccept = [2]",
        "[[steps]]\nname = 'a'\nrun = 'targets list'\nif = 3",
    ],
)  # fmt: skip
def test_a_file_that_is_no_pipeline_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pipeline.toml"
    path.write_text(text)
    with pytest.raises(MctError):
        read_pipeline(path)


def test_names_that_no_file_can_have_are_refused(tmp_path: Path, run_mct: Run) -> None:
    for step in (
        'run = "targets list"\nwrites = ["a\\u0000b"]', 'run = "targets list"\nreads = ["a\\u0000b"]',
        f'run = "bench {"x" * 300}"', f'run = "targets list"\nwrites = ["{"x" * 300}"]',
    ):  # fmt: skip
        (tmp_path / "pipeline.toml").write_text(f'[[steps]]\nname = "one"\n{step}\n')
        done = run_mct("pipeline", "run", tmp_path / "pipeline.toml")
        assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    (tmp_path / "pipeline.toml").write_text(f'[[steps]]\nname = "one"\nrun = "targets list"\nreads = ["{"x" * 300}"]\n')
    assert run_mct("pipeline", "run", tmp_path / "pipeline.toml").returncode == 0


def test_a_store_of_results_is_none_of_a_step_s_input_however_it_is_given(tmp_path: Path) -> None:
    """It grows with each step that measures."""
    place = place_of(tmp_path / "pipeline.toml")
    for run in ("bench x --results results", "bench x --results=results"):
        step = Step("bench", run)
        before = key_of(step, {}, place, {})
        (tmp_path / "results").mkdir(exist_ok=True)
        (tmp_path / "results" / f"{len(run)}.json").write_text("{}")
        assert key_of(step, {}, place, {}) == before


def test_a_step_that_leaves_nothing_of_what_it_said_stops(tmp_path: Path, run_mct: Run) -> None:
    (tmp_path / "pipeline.toml").write_text('[[steps]]\nname = "list"\nrun = "targets list"\nwrites = ["nothing"]\n')
    done = run_mct("pipeline", "run", tmp_path / "pipeline.toml")
    assert done.returncode == 2 and "did not write nothing" in done.stderr


def test_what_a_link_in_a_folder_leads_to_is_read(tmp_path: Path) -> None:
    """As in a cache of the hub. A link to a folder above leads nowhere new."""
    for name in ("one", "other"):
        (tmp_path / name).write_text(name)
    for folder in ("rows", "elsewhere"):
        (tmp_path / folder).mkdir()
    link, far = tmp_path / "rows" / "in.jsonl", tmp_path / "elsewhere" / "far.jsonl"
    link.symlink_to("../one")
    (tmp_path / "rows" / "again").symlink_to("../rows")
    (tmp_path / "rows" / "loop").symlink_to("loop")
    (tmp_path / "rows" / "beside").symlink_to("../elsewhere")
    far.write_text("far")
    step, place = Step("check", "data check x", reads=("rows",)), place_of(tmp_path / "pipeline.toml")
    keys = [key_of(step, {}, place, {})]
    link.unlink()
    link.symlink_to("../other")
    keys.append(key_of(step, {}, place, {}))
    far.write_text("further")
    keys.append(key_of(step, {}, place, {}))
    assert len(set(keys)) == 3 and keys[-1] == key_of(step, {}, place, {})


def test_a_folder_counts_once_and_one_that_holds_the_pipeline_by_its_name(tmp_path: Path) -> None:
    """Folders of which each links to all others are walked once each, and a link to / is not."""
    place, rows = place_of(tmp_path / "in" / "pipeline.toml"), tmp_path / "in" / "rows"
    rows.mkdir(parents=True)
    for number in range(12):
        (rows / f"{number}").mkdir()
        for other in range(12):
            (rows / f"{number}" / f"to {other}").symlink_to(f"../{other}")
    (rows / "11" / "a.jsonl").write_text("a")
    (rows / "root").symlink_to("/")
    step = Step("check", "data check x", reads=("rows",))
    keys = [key_of(step, {}, place, {})]
    done = Done("0" * 64, 0, 0.0, left_by(Step("check", "data check x", writes=("rows",)), place))
    assert is_there(done, place) and sum(name.endswith("a.jsonl") for name in done.files) == 1
    (rows / "root").unlink()
    (rows / "root").symlink_to(tmp_path)
    keys.append(key_of(step, {}, place, {}))
    assert not is_there(done, place)
    (tmp_path / "beside").write_text("none of it")
    assert keys[-1] == key_of(step, {}, place, {})
    (rows / "0" / "to 1").unlink()
    keys.append(key_of(step, {}, place, {}))
    assert len(set(keys)) == 3


def test_what_cannot_be_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> str:
        raise OSError(errno.EIO, "Input/output error", str(path))

    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "a.jsonl").write_text("a")
    monkeypatch.setattr("mct.release.pipeline.steps.sha256", refuse)
    with pytest.raises(MctError, match=r"rows/a\.jsonl cannot be read: Input/output error"):
        key_of(Step("check", "data check x", reads=("rows",)), {}, place_of(tmp_path / "pipeline.toml"), {})


def test_runs_that_begin_while_another_ends_hold_the_lock_or_are_refused(tmp_path: Path) -> None:
    place, inside, most = place_of(tmp_path / "pipeline.toml"), [], []

    def run(_: int) -> int:
        held = 0
        for _ in range(500):
            try:
                with _alone(place):
                    inside.append(1)
                    most.append(len(inside))
                    held += place.state.is_dir()
                    inside.pop()
            except MctError as error:
                assert "is running already" in error.message
        return held

    with ThreadPoolExecutor(4) as pool:
        held = sum(pool.map(run, range(4)))
    assert held == len(most) > 0 and max(most) == 1 and not place.state.exists()


@pytest.mark.parametrize("link", [False, True])
def test_what_is_in_the_way_of_the_state_is_named(tmp_path: Path, run_mct: Run, link: bool) -> None:
    state = place_of(tmp_path / "pipeline.toml").state
    state.parent.mkdir(parents=True)
    state.symlink_to("nowhere") if link else state.write_text("")
    (tmp_path / "pipeline.toml").write_text('[[steps]]\nname = "list"\nrun = "targets list"\n')
    done = run_mct("pipeline", "run", tmp_path / "pipeline.toml")
    assert done.returncode == 2 and "pipeline.toml is no folder" in done.stderr


def test_a_first_step_that_is_refused_leaves_nothing(tmp_path: Path, run_mct: Run) -> None:
    file = tmp_path / "pipeline.toml"
    file.write_text('[[steps]]\nname = "bench"\nrun = "bench nothing --data nothing.jsonl"\n')
    assert run_mct("pipeline", "run", file).returncode == 2
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [file]
    assert not place_of(file).state.exists()
