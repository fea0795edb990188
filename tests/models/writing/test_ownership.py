"""Only what mct wrote itself, and nobody changed since, is replaced: whatever else is there is refused and stays."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mct import MctError
from mct.models.writing.ownership import list_files, require_container, require_output, require_replaceable


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    folder = tmp_path / "router"
    (folder / "data").mkdir(parents=True)
    for name in ("config.json", "data/train.jsonl"):
        (folder / name).write_text(name)
    list_files(folder)
    return folder


def test_what_mct_wrote_may_be_replaced(ours: Path) -> None:
    assert require_replaceable(ours) == ours
    assert require_replaceable(ours.parent / "new") == ours.parent / "new"


def test_what_was_lost_can_be_made_again(ours: Path) -> None:
    (ours / "config.json").unlink()
    require_replaceable(ours)


CHANGES: list[tuple[str, Callable[[Path], object]]] = [
    ("did not write the notes.txt", lambda ours: (ours / "notes.txt").write_text("mine")),
    ("did not write the data/mine.jsonl", lambda ours: (ours / "data" / "mine.jsonl").write_text("mine")),
    ("its config.json was changed", lambda ours: (ours / "config.json").write_text("{}")),
    ("did not write the data/link", lambda ours: (ours / "data" / "link").symlink_to("/etc")),
    ("did not write the pipe", lambda ours: os.mkfifo(ours / "pipe")),
    ("its data/train.jsonl was changed", lambda ours: _replaced_by_a_link(ours / "data" / "train.jsonl")),
    ("did not write the config.json", lambda ours: (ours / "mct-files.json").unlink()),
    ("did not write the config.json", lambda ours: (ours / "mct-files.json").write_text("[" * 100_000)),
    ("its config.json was changed", lambda ours: (ours / "mct.json").write_text('{"files": {"config.json": 1}}')),
]


def _replaced_by_a_link(path: Path) -> None:
    copy = path.parent.parent.parent / "copy"
    path.rename(copy)
    path.symlink_to(copy)


@pytest.mark.parametrize(("says", "change"), CHANGES)
def test_what_somebody_else_wrote_is_refused(ours: Path, says: str, change: Callable[[Path], object]) -> None:
    change(ours)
    with pytest.raises(MctError, match=says):
        require_replaceable(ours)


@pytest.mark.parametrize("path", [".", "..", "sub/..", "/", "~", "~/..", "file", "link", "broken", "/proc", "file/new"])
def test_no_place_for_a_folder(ours: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where the folder is mct's own: somebody stands in it, or comes by a link, or it is no folder at all."""
    monkeypatch.chdir(ours)
    home = ours.parent / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    (ours.parent / "file").write_text("mine")
    (ours.parent / "link").symlink_to(ours)
    (ours.parent / "broken").symlink_to("nowhere")
    given = Path(path).expanduser()
    if path not in {".", "..", "sub/.."}:
        given = ours.parent / given
    with pytest.raises(MctError) as refusal:
        require_replaceable(given)
    assert refusal.value.hint
    assert (ours / "config.json").read_text() == "config.json"


def test_a_link_on_the_way_is_followed(ours: Path) -> None:
    (ours.parent / "link").symlink_to(ours.parent)
    assert require_replaceable(ours.parent / "link" / "router") == ours


@pytest.mark.parametrize("reads", ["router", "router/data", ".", "router/data/train.jsonl"])
def test_what_is_read_is_neither_replaced_nor_written_into(ours: Path, reads: str) -> None:
    with pytest.raises(MctError, match=r"is or holds|which is read"):
        require_replaceable(ours, [ours.parent / reads])


def test_a_hub_name_is_no_folder(ours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ours.parent)
    require_replaceable(Path("distilbert-base-uncased"), [Path("distilbert-base-uncased")])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere: run the tests as another user")
def test_without_the_right_to_write(tmp_path: Path) -> None:
    (tmp_path / "protected.json").touch(mode=0o400)
    with pytest.raises(MctError, match="not to be written"):
        require_output(tmp_path / "protected.json")
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(MctError, match="nothing can be written"):
            require_replaceable(tmp_path / "new" / "folder")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("path", ["folder", "folder/result.json", "data.jsonl", "data.jsonl/result.json", "link"])
def test_no_place_for_an_output_file(tmp_path: Path, path: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "data.jsonl").write_text("mine")
    (tmp_path / "link").symlink_to("data.jsonl")
    with pytest.raises(MctError):
        require_output(tmp_path / path, [tmp_path / "data.jsonl", tmp_path / "folder"])
    require_output(tmp_path / "new" / "result.json", [tmp_path / "folder"])
    require_output(None)


def test_what_is_open_already_takes_output() -> None:
    require_output(Path("/dev/null"))
    require_output(Path("/dev/stdout"))


@pytest.mark.parametrize("path", ["artifact", "artifact/results", "file", "file/results"])
def test_no_place_for_results(tmp_path: Path, path: str) -> None:
    (tmp_path / "artifact").mkdir()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(MctError):
        require_container(tmp_path / path, [tmp_path / "artifact"])
    require_container(tmp_path, [tmp_path / "artifact"])
    require_container(tmp_path / "new" / "results")


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_a_folder_mounted_from_the_same_disk_is_refused(tmp_path: Path) -> None:
    """`os.path.ismount` compares disks, and after hours of work the system would not let the folder be replaced."""
    code = (
        "from pathlib import Path; from mct import MctError\n"
        "from mct.models.writing.ownership import require_replaceable\n"
        "try:\n    require_replaceable(Path('a b'))\nexcept MctError as error:\n    print(error.message)\n"
    )
    (tmp_path / "a b").mkdir()
    (tmp_path / "other").mkdir()
    inside = 'mount --bind other "a b" && exec "$0" -c "$1"'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", inside, sys.executable, code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"this system lets nobody mount: {done.stderr}")
    assert "where a disk is mounted" in done.stdout
