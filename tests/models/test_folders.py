"""What is written appears complete or not at all."""

from pathlib import Path

import pytest

from mct.models.folders import appearing, write_atomically


def test_a_folder_appears_when_its_block_ends(tmp_path: Path) -> None:
    final = tmp_path / "out" / "artifact"
    with appearing(final) as draft:
        (draft / "file").write_text("new")
        assert not final.exists()
    assert (final / "file").read_text() == "new"
    assert [path.name for path in final.parent.iterdir()] == ["artifact"]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_what_was_there(tmp_path: Path, failure: type[BaseException]) -> None:
    final = tmp_path / "artifact"
    with appearing(final) as draft:
        (draft / "file").write_text("old")
    with pytest.raises(failure), appearing(final) as draft:
        (draft / "file").write_text("half")
        raise failure
    assert (final / "file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["artifact"]


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    final = tmp_path / "artifact"
    for content in ("one", "two"):
        with appearing(final) as draft:
            (draft / content).write_text(content)
    assert [path.name for path in final.iterdir()] == ["two"]
    assert [path.name for path in tmp_path.iterdir()] == ["artifact"]


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "half \ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
