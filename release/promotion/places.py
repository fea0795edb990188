"""Where a store of releases lies: a folder of this disk, or whatever fsspec reaches by its address.

A store asks six things of its place, and no more: read a file, write it whole, write it only where nothing is, list
names, take in or hand out a folder, and put a good copy of one in the place of a damaged one. What a store's order
rests on is `create`: of two that create the same name one wins and the other is told so, whatever gets killed. On a
disk that is a link to a finished file, which the kernel makes or refuses in one step; on object storage it is a
conditional write.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from mct import MctError
from mct.models.data.declared import read_bytes
from mct.models.tables import load
from mct.models.writing.drafts import draft_file, draft_folder
from mct.models.writing.folders import write_bytes_atomically
from mct.models.writing.replacing import change_places

STORE = ".mct/releases"


class Place(Protocol):
    """What a store lies in. Names are relative, with `/` between their parts."""

    @property
    def address(self) -> str:
        """How a person names it."""

    def read(self, name: str) -> bytes | None:
        """What a file holds; None where there is none."""

    def write(self, name: str, content: bytes) -> None:
        """Write a file so that a reader sees the old content or the new."""

    def create(self, name: str, content: bytes) -> bool:
        """Write a file, whole, unless the name is taken already: False then."""

    def names(self, folder: str) -> list[str]:
        """What lies in a folder, in order; nothing where there is none."""

    def take_in(self, folder: Path, name: str, files: Sequence[str], last: str) -> bool:
        """Copy these files of a folder of this disk, `last` last, unless something is there already: False then."""

    def mend(self, folder: Path, name: str, files: Sequence[str], last: str, content: bytes) -> None:
        """Put these files, and `content` as `last`, in the place of what is there."""

    def hand_out(self, name: str, files: Sequence[str], folder: Path) -> None:
        """Copy these files into a folder of this disk."""

    def on_disk(self, name: str) -> Path | None:
        """Where a name lies on this disk; None where it does not."""


@dataclass(frozen=True)
class DiskPlace:
    """A folder. It appears when something is first written to it."""

    root: Path

    @property
    def address(self) -> str:
        """The folder."""
        return str(self.root)

    def read(self, name: str) -> bytes | None:
        """What a file holds; None where there is none."""
        path = self.root / name
        return read_bytes(path) if os.path.lexists(path) else None

    def write(self, name: str, content: bytes) -> None:
        """Write a file so that a reader sees the old content or the new."""
        write_bytes_atomically(self.root / name, content)

    def create(self, name: str, content: bytes) -> bool:
        """Write a file, whole, unless the name is taken already: False then. It outlives a loss of power."""
        final = self.root / name
        with draft_file(final.parent, final.name) as draft:
            with draft.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.chmod(0o644)
            created = _linked(draft, final)
        _settle(final.parent)
        return created

    def names(self, folder: str) -> list[str]:
        """What lies in a folder, in order, hidden files not; nothing where there is none."""
        path = self.root / folder
        return sorted(each.name for each in path.iterdir() if each.name[0] != ".") if path.is_dir() else []

    def take_in(self, folder: Path, name: str, files: Sequence[str], last: str) -> bool:
        """Copy these files of a folder of this disk, unless something is there already: False then."""
        final = self.root / name
        if os.path.lexists(final):
            return False
        with draft_folder(final.parent, final.name) as draft:
            _copy(folder, (*files, last), draft)
            try:
                os.rename(draft, final)
            except OSError:
                if os.path.lexists(final):  # somebody else brought the same just now
                    return False
                raise
        return True

    def mend(self, folder: Path, name: str, files: Sequence[str], last: str, content: bytes) -> None:
        """Put these files, and `content` as `last`, in the place of what is there: in one step, once all are whole."""
        final = self.root / name
        with draft_folder(final.parent, final.name) as draft:
            _copy(folder, files, draft)
            (draft / last).write_bytes(content)
            change_places(draft, final)

    def hand_out(self, name: str, files: Sequence[str], folder: Path) -> None:
        """Copy these files into a folder of this disk."""
        _copy(self.root / name, files, folder)

    def on_disk(self, name: str) -> Path | None:
        """Where a name lies on this disk."""
        return self.root / name


def open_place(address: str) -> Place:
    """The place of an address: a folder, or a URL of fsspec (`s3://bucket/releases`, which needs the extra)."""
    if not address:
        raise MctError("no place for releases is named", "leave --store out, or give a folder or a URL")
    scheme, separator, _ = address.partition("://")
    if not separator:
        return _disk_place(Path(address))
    if scheme in {"file", "local"}:
        return _disk_place(Path(unquote(urlsplit(address).path) if scheme == "file" else address.partition("://")[2]))
    if not scheme or not address.partition("://")[2].strip("/"):
        raise MctError(f"{address} names no place for releases", "a folder, or a URL like s3://bucket/releases")
    place: Place = load("mct.release.promotion.object_place:open_object_place", "release")(address)
    return place


def _disk_place(root: Path) -> DiskPlace:
    """MctError where a file has the name, or that of a folder above."""
    there = next(path for path in (root, *root.parents, Path("/")) if os.path.lexists(path))
    if not there.is_dir():
        raise MctError(f"{there} is a file, and no store of releases", "give the folder of one, or of one to be made")
    return DiskPlace(root)


def _linked(draft: Path, final: Path) -> bool:
    """Give a finished file its name unless that is taken; by a lock where the file system has no second names."""
    try:
        os.link(draft, final)
    except FileExistsError:
        return False
    except OSError:
        return _moved_under_lock(draft, final)
    return True


def _moved_under_lock(draft: Path, final: Path) -> bool:
    handle = os.open(final.parent, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.path.lexists(final):
            return False
        os.rename(draft, final)
        return True
    finally:
        os.close(handle)


def _settle(folder: Path) -> None:
    """Have the disk keep a folder's new name through a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:  # a file system that has no such call for folders
        pass
    finally:
        os.close(handle)


def _copy(source: Path, files: Sequence[str], target: Path) -> None:
    for name in files:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)
