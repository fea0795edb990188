"""Nothing is read through a link that leaves a folder, and nothing but plain files: on a pipe one waits for ever."""

import os
import shutil
import socket
from pathlib import Path

import pytest

from mct import MctError
from mct.models.checkpoints.checkpoint import inspect
from mct.models.data.inside import list_files


@pytest.fixture
def folder(tiny_bert: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bert, tmp_path / "bert"))


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("the key to everything")
    return path


def test_files_are_listed_by_their_path_in_the_folder(folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "train.jsonl").write_text("")
    assert list_files(folder) == (
        "config.json", "data/train.jsonl", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["vocab.txt", "tokenizer.json", "data/train.jsonl"])
@pytest.mark.parametrize("relative", [True, False])
def test_a_link_out_of_a_checkpoint_is_refused(folder: Path, secret: Path, name: str, relative: bool) -> None:
    link = folder / name
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(os.path.relpath(secret, link.parent) if relative else secret)
    with pytest.raises(MctError, match=r"leads out of its folder, to .*secret"):
        inspect(folder)


def test_a_linked_folder_and_links_by_way_of_others_are_refused(folder: Path, secret: Path, tmp_path: Path) -> None:
    (folder / "data").symlink_to(tmp_path)
    with pytest.raises(MctError, match="leads out"):
        inspect(folder)
    (folder / "data").unlink()
    (folder / "a").symlink_to("b")
    (folder / "b").symlink_to(secret)
    with pytest.raises(MctError, match="leads out"):
        inspect(folder)


@pytest.mark.parametrize("target", ["nowhere", "vocab.txt", "."])
def test_a_link_that_ends_at_no_file_is_refused(folder: Path, target: str) -> None:
    (folder / "vocab.txt").symlink_to(target)
    with pytest.raises(MctError, match=r"leads nowhere|no plain file"):
        inspect(folder)


def test_a_link_that_stays_inside_is_a_file_like_any_other(folder: Path, tmp_path: Path) -> None:
    (folder / "weights").mkdir()
    (folder / "model.safetensors").rename(folder / "weights" / "part")
    (folder / "model.safetensors").symlink_to("weights/part")
    (tmp_path / "by-another-name").symlink_to(folder)
    assert inspect(tmp_path / "by-another-name").task == "sequence-classification"


def test_a_pipe_a_socket_and_a_device_are_refused_and_not_waited_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(folder / "vocab.txt")
    with pytest.raises(MctError, match="a pipe, a socket or a device"):
        inspect(folder)
    (folder / "vocab.txt").unlink()
    monkeypatch.chdir(folder)  # a socket's name may not be long
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("vocab.txt")
        with pytest.raises(MctError, match="a pipe, a socket or a device"):
            inspect(folder)
    (folder / "vocab.txt").unlink()
    (folder / "vocab.txt").symlink_to("/dev/zero")
    with pytest.raises(MctError, match="leads out"):
        inspect(folder)


def test_a_snapshot_of_the_hubs_cache_may_link_to_its_own_blobs_alone(
    folder: Path, secret: Path, tmp_path: Path
) -> None:
    cached = tmp_path / "hub" / "models--shop--router"
    snapshot = cached / "snapshots" / "0a1b"
    (cached / "blobs").mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for file in folder.iterdir():
        shutil.copyfile(file, cached / "blobs" / file.name)
        (snapshot / file.name).symlink_to(f"../../blobs/{file.name}")
    assert inspect(snapshot).task == "sequence-classification"
    (cached / "blobs" / "tokenizer.json").unlink()
    (cached / "blobs" / "tokenizer.json").symlink_to(secret)
    with pytest.raises(MctError, match="leads out"):
        inspect(snapshot)
    (cached / "blobs").rename(tmp_path / "elsewhere")
    (cached / "blobs").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MctError, match="leads out"):
        inspect(snapshot)
