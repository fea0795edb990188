"""A folder appears complete or not at all, replaces only what mct wrote, and no kill leaves neither old nor new."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mct import MctError
from mct.models.writing import ownership, replacing
from mct.models.writing.ownership import require_replaceable
from mct.models.writing.replacing import appearing


def make(final: Path, content: str) -> None:
    with appearing(final) as draft:
        (draft / "weights").write_text(content)


@pytest.fixture(params=["in one step", "stepping aside"])
def final(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a folder of ours lies, on a file system that can exchange names and on one that cannot."""
    if request.param == "stepping aside":
        monkeypatch.setattr(replacing, "exchange", lambda one, other: False)
    make(tmp_path / "artifact", "old")
    return tmp_path / "artifact"


def test_a_folder_appears_when_its_block_ends(tmp_path: Path) -> None:
    final = tmp_path / "out" / "artifact"
    with appearing(final) as draft:
        (draft / "file").write_text("new")
        assert not final.exists()
    assert (final / "file").read_text() == "new"
    assert [path.name for path in final.parent.iterdir()] == ["artifact"]


def test_a_folder_is_replaced_whole(final: Path) -> None:
    with appearing(final) as draft:
        (draft / "other").write_text("new")
    assert {path.name for path in final.iterdir()} == {"other", "mct-files.json"}
    assert list(final.parent.iterdir()) == [final]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_what_was_there(final: Path, failure: type[BaseException]) -> None:
    with pytest.raises(failure), appearing(final) as draft:
        (draft / "weights").write_text("half")
        raise failure
    assert (final / "weights").read_text() == "old"
    assert list(final.parent.iterdir()) == [final]


def test_folders_made_on_the_way_go_with_a_failure(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), appearing(tmp_path / "a" / "b" / "artifact"):
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "artifact").mkdir()
    make(tmp_path / "artifact", "new")
    assert (tmp_path / "artifact" / "weights").read_text() == "new"


def test_what_somebody_put_there_during_the_work_is_kept(final: Path) -> None:
    with pytest.raises(MctError, match=r"did not write the notes\.txt"), appearing(final) as draft:
        (draft / "weights").write_text("new")
        (final / "notes.txt").write_text("mine")
    assert (final / "notes.txt").read_text() == "mine"
    assert (final / "weights").read_text() == "old"
    assert list(final.parent.iterdir()) == [final]


def test_two_at_once_leave_one_another_alone_and_the_last_stays(final: Path) -> None:
    with appearing(final) as first:
        (first / "weights").write_text("first")
        make(final, "second")
        assert (final / "weights").read_text() == "second"
        assert (first / "weights").read_text() == "first"
    assert (final / "weights").read_text() == "first"
    assert list(final.parent.iterdir()) == [final]


def test_what_a_dead_run_left_goes_and_what_it_moved_aside_comes_back(tmp_path: Path) -> None:
    make(tmp_path / "artifact", "old")
    for name in (".artifact.abc12345.mct-draft", ".artifact.abc12345.mct-old", ".gone.v2.abc12345.mct-old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights").write_text(name)
    make(tmp_path / "artifact", "new")
    assert {path.name for path in tmp_path.iterdir()} == {"artifact", "gone.v2"}
    assert (tmp_path / "gone.v2" / "weights").read_text() == ".gone.v2.abc12345.mct-old"


def test_hidden_things_of_others_stay(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder = tmp_path / "folder"
    for name in (".drafts.mine", ".artifact.part", "draft.mct-draft"):
        (folder / name).mkdir(parents=True)
    (folder / ".link.abc.mct-draft").symlink_to(elsewhere)
    make(folder / "artifact", "new")
    assert {".drafts.mine", ".artifact.part", "draft.mct-draft"} < {path.name for path in folder.iterdir()}
    assert elsewhere.is_dir()


KILLER = """
import json, os, sys
from pathlib import Path
from mct.models.writing import ownership
from mct.models.writing import replacing
from mct.models.writing.ownership import require_replaceable
from mct.models.writing.drafts import clear_dead_drafts

def make(content):
    with replacing.appearing(final) as draft:
        (draft / "data").mkdir()
        for name in ("weights", "data/rows"):
            (draft / name).write_text(content)

def killed(step):
    "Whether the step was reached: the process ends there as by SIGKILL, nothing is cleared up."
    child = os.fork()
    if child == 0:
        steps = iter(range(1, step + 1))
        def at_every_step(event, arguments):
            if next(steps, step) == step:
                os._exit(9)
        sys.addaudithook(at_every_step)
        make("new")
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9

def found(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}

folder, in_one_step = Path(sys.argv[1]), sys.argv[2] == "in one step"
final = folder / "artifact"
if not in_one_step:
    replacing.exchange = lambda one, other: False
step, states, after = 0, [], []
(folder / "mine.txt").write_text("mine")
while True:
    step += 1
    make("old")
    reached = killed(step)
    states.append(found(final) if final.exists() else None)
    clear_dead_drafts(folder)
    after.append(found(final))
    make("next")
    assert sorted(path.name for path in folder.iterdir()) == ["artifact", "mine.txt"], (step, os.listdir(folder))
    if not reached:
        break
print(json.dumps([states, after]))
"""


@pytest.mark.parametrize("how", ["in one step", "stepping aside"])
def test_killed_at_any_step_the_old_or_the_new_is_there(tmp_path: Path, how: str) -> None:
    """A process of its own ends at its first, second, … call of the system; each time the next run goes through."""
    done = subprocess.run([sys.executable, "-c", KILLER, tmp_path, how], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    at_once, after_next_run = json.loads(done.stdout)
    assert len(at_once) > 40
    whole = [{"weights": content, "data/rows": content} for content in ("old", "new")]
    for states in [after_next_run, *([at_once] if how == "in one step" else [])]:
        kept = [{name: text for name, text in state.items() if name != "mct-files.json"} for state in states]
        assert all(state in whole for state in kept)
        assert kept[0] == whole[0] and kept[-1] == whole[1]
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_two_runs_may_make_the_same_thing_side_by_side(final: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another run puts its folder there while the list of the one before was read, and its files not yet."""
    hashed = ownership.sha256

    def overtaken(path: Path) -> str:
        monkeypatch.setattr(ownership, "sha256", hashed)
        make(final, "theirs")
        return hashed(path)

    monkeypatch.setattr(ownership, "sha256", overtaken)
    require_replaceable(final)
    assert (final / "weights").read_text() == "theirs"
