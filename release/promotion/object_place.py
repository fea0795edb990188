"""A store of releases on object storage, through fsspec: S3, Google Cloud Storage, Azure, SSH, memory and many more.

An object appears whole or not at all, which is what `write` needs. `create` asks for a conditional write (only where
there is nothing: If-None-Match on S3, ifGenerationMatch on Google's), which fsspec calls `mode="create"`. What knows no
such write is asked whether the name is free, written, and read again: of two that write in the same moment the later
one wins and the other finds another's content, unless it looks before the other writes. That is the weaker promise.

A folder is its files under a common beginning; its mct.json is written last, so where that is, all are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec

from mct import MctError
from mct.models.tables import missing_library
from mct.models.writing.full_disk import full_disk_explained

CONDITIONAL = ("memory", "s3", "s3a", "gs", "gcs", "abfs", "az")
"""Whose `pipe_file` refuses an existing name by itself where it is told to create."""


@dataclass(frozen=True)
class ObjectPlace:
    """A beginning of names on a file system of fsspec."""

    files: Any
    root: str
    address: str
    conditional: bool

    def read(self, name: str) -> bytes | None:
        """What an object holds; None where there is none."""
        try:
            with _reaching(self.address, FileNotFoundError):
                return bytes(self.files.cat_file(self._at(name)))
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Write an object; a reader sees the old content or the new."""
        with _reaching(self.address):
            self._above(name)
            self.files.pipe_file(self._at(name), content)

    def create(self, name: str, content: bytes) -> bool:
        """Write an object unless the name is taken already: False then."""
        with _reaching(self.address):
            return self._created(name, content)

    def _created(self, name: str, content: bytes) -> bool:
        self._above(name)
        place = self._at(name)
        self.files.invalidate_cache()
        if self.files.exists(place):
            return False
        if self.conditional:
            try:
                self.files.pipe_file(place, content, mode="create")
            except FileExistsError:
                return False
            except OSError as error:
                if "PreconditionFailed" in repr(error) or "412" in str(error):
                    return False
                raise
            return True
        self.files.pipe_file(place, content)
        self.files.invalidate_cache()
        return bytes(self.files.cat_file(place)) == content

    def names(self, folder: str) -> list[str]:
        """What lies under a beginning of names, in order."""
        try:
            with _reaching(self.address, FileNotFoundError, NotADirectoryError):
                self.files.invalidate_cache()
                found = self.files.ls(self._at(folder), detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted({str(each).rstrip("/").rpartition("/")[2] for each in found} - {""})

    def take_in(self, folder: Path, name: str, files: Sequence[str], last: str) -> bool:
        """Copy these files of a folder of this disk, unless something is there already: False then.

        Where `last` is not, there is nothing: a copy was cut off. Of two at once the first one's `last` stays.
        """
        if self.read(f"{name}/{last}") is not None:
            return False
        self._put(folder, name, files)
        return self.create(f"{name}/{last}", (folder / last).read_bytes())

    def mend(self, folder: Path, name: str, files: Sequence[str], last: str, content: bytes) -> None:
        """Put these files, and `content` as `last`, in the place of what is there, object by object."""
        self._put(folder, name, files)
        self.write(f"{name}/{last}", content)

    def _put(self, folder: Path, name: str, files: Sequence[str]) -> None:
        with _reaching(self.address):
            for file in files:
                self._above(f"{name}/{file}")
                self.files.put_file(str(folder / file), self._at(f"{name}/{file}"))

    def hand_out(self, name: str, files: Sequence[str], folder: Path) -> None:
        """Copy these files into a folder of this disk."""
        for file in files:
            with _reaching(self.address, FileNotFoundError, MctError), full_disk_explained(folder):
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                self.files.get_file(self._at(f"{name}/{file}"), str(folder / file))

    def on_disk(self, name: str) -> Path | None:
        """Nothing of it is on this disk."""
        return None

    def _at(self, name: str) -> str:
        return f"{self.root}/{name}"

    def _above(self, name: str) -> None:
        """The folder that a name stands in, for file systems that have such."""
        self.files.makedirs(self._at(name).rpartition("/")[0], exist_ok=True)


@contextmanager
def _reaching(address: str, *told: type[Exception]) -> Iterator[None]:
    """MctError where a storage cannot be asked; each library has errors of its own for that. `told` are answers."""
    try:
        yield
    except told:
        raise
    except Exception as error:
        raise MctError(
            f"{address} cannot be reached: {str(error) or type(error).__name__}",
            "see that it is there, that you may write to it, and that its library finds your credentials",
        ) from error


def open_object_place(address: str) -> ObjectPlace:
    """The place of a URL. MctError where fsspec knows no such kind, lacks the library for it, or cannot open it."""
    try:
        files, root = fsspec.core.url_to_fs(address)
    except ImportError as error:
        if error.name:
            raise missing_library(error.name, "") from error
        raise MctError(f"{address} cannot be opened: {error}", "install the library it names") from error
    except Exception as error:  # archives, caches and sites that are no place by their address alone, each in its way
        raise MctError(
            f"{address} cannot be opened: {str(error) or type(error).__name__}",
            "a folder, or a URL like s3://bucket/releases",
        ) from error
    return ObjectPlace(files, root.rstrip("/"), address, address.partition("://")[0] in CONDITIONAL)
