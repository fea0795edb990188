"""Files that are written appear complete or not at all."""

import os
from pathlib import Path

import pytest

from mct import MctError
from mct.models.writing.folders import write_atomically, write_together


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "half \ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_files_that_belong_together_are_all_replaced_or_none(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    write_together({one: b"old", two: b"old"})
    (tmp_path / "folder").mkdir()
    with pytest.raises(MctError, match="is a folder"):
        write_together({one: b"new", two: b"new", tmp_path / "folder": b"new"})
    assert (one.read_bytes(), two.read_bytes(), len(list(tmp_path.iterdir()))) == (b"old", b"old", 3)


def test_the_next_write_removes_what_a_dead_one_left(tmp_path: Path) -> None:
    (tmp_path / ".report.html.abc12345.mct-draft").write_text("half")
    write_atomically(tmp_path / "report.html", "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_link_stays_one_and_what_it_leads_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    write_atomically(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"


def test_a_pipe_is_written_into_and_not_replaced(tmp_path: Path) -> None:
    """Replaced, /dev/null and /dev/stdout would be files from then on, for every program of the machine."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_atomically(pipe, "said")
    assert os.read(end, 10) == b"said"
    assert pipe.is_fifo()
    os.close(end)


@pytest.mark.parametrize("path", ["folder", "file/below"])
def test_no_file_can_be_put_there(tmp_path: Path, path: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(MctError, match=r"is a folder|is no folder"):
        write_atomically(tmp_path / path, "text")
    assert (tmp_path / "file").read_text() == "mine"
