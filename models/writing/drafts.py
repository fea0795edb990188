"""Drafts: hidden files and folders in which something is made until it is whole.

A run that is killed cannot clear up, so the next one that writes into the same folder does, and must not touch what a
run that is still alive is making. Each draft is therefore locked (flock) by the process that makes it. The kernel lets
go of the lock however that process ends, and unlike a process number it means the same in every container that shares
the folder: what can be locked is dead.

Two runs may so make the same thing side by side: neither sees the other's draft, and what is finished last stays.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mct import MctError
from mct.models.writing.full_disk import full_disk_explained

DRAFT = ".mct-draft"
PREDECESSOR = ".mct-old"
"""Of what is on its way out where two names cannot change places in one step: see mct.models.writing.replacing."""


@contextmanager
def draft_folder(folder: Path, name: str) -> Iterator[Path]:
    """Yield an empty hidden folder in `folder` (made if need be), for what will be called `name`; gone afterwards."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    make_folder(folder)
    clear_dead_drafts(folder)
    try:
        with _alive(lambda: _new_folder(folder, name)) as draft, full_disk_explained(folder):
            yield draft
    finally:
        for path in missing:
            with suppress(OSError):  # something lies in it by now
                path.rmdir()


@contextmanager
def draft_file(folder: Path, name: str) -> Iterator[Path]:
    """Yield an empty hidden file in `folder` (made if need be), for what will be called `name`; gone afterwards."""
    make_folder(folder)
    clear_dead_drafts(folder)
    with _alive(lambda: _new_file(folder, name)) as draft, full_disk_explained(folder):
        yield draft


def make_folder(folder: Path) -> None:
    """Make a folder and those above it. MctError where a file is in the way, or the system takes no folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:
        raise MctError(f"no folder {folder} can be made", "give a folder on a disk that can be written") from error
    except (FileExistsError, NotADirectoryError) as error:
        raise MctError(f"{error.filename} is no folder, so nothing can be put into it", "give another place") from error


def clear_dead_drafts(folder: Path) -> None:
    """Remove what dead runs left in `folder`; a predecessor whose successor never came gets its name back."""
    for entry in _entries(folder):
        if entry.name.startswith(".") and entry.name.endswith((DRAFT, PREDECESSOR)):
            with suppress(OSError), _locked(entry, fcntl.LOCK_NB):
                if entry.name.endswith(PREDECESSOR):
                    _restore(entry)
                remove(entry)


@contextmanager
def predecessor(final: Path) -> Iterator[Path]:
    """Yield the hidden name under which `final` may wait for its successor, safe from other runs; then remove it.

    Where that fails it is left: clear_dead_drafts gives it its name back.
    """
    with _locked(final):
        waiting = final.parent / f".{final.name}.{os.urandom(4).hex()}{PREDECESSOR}"
        yield waiting
        remove(waiting)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _restore(waiting: Path) -> None:
    final = waiting.with_name(waiting.name.removesuffix(PREDECESSOR).rpartition(".")[0].removeprefix("."))
    if not os.path.lexists(final):
        os.rename(waiting, final)


@contextmanager
def _alive(make: Callable[[], Path]) -> Iterator[Path]:
    """What `make` makes, locked as long as this lasts and removed afterwards, unless it got another name."""
    draft, handle = _claim(make)
    try:
        yield draft
    finally:
        remove(draft)
        os.close(handle)


def _claim(make: Callable[[], Path]) -> tuple[Path, int]:
    """A new draft and the handle that holds its lock; another one where a run took it for dead before it was locked."""
    while True:
        draft = make()
        with suppress(FileNotFoundError):
            handle = _lock(draft)
            if draft.exists():
                return draft, handle
            os.close(handle)


@contextmanager
def _locked(path: Path, unless_held: int = 0) -> Iterator[None]:
    """Hold the lock of a file or folder. With LOCK_NB, OSError where another process has it or there are no locks."""
    handle = _lock(path, unless_held)
    try:
        yield
    finally:
        os.close(handle)


def _lock(path: Path, unless_held: int = 0) -> int:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | unless_held)
    except OSError:  # some network file systems have no locks: nothing is taken for dead there
        if unless_held:
            os.close(handle)
            raise
    return handle


def _new_folder(folder: Path, name: str) -> Path:
    try:
        draft = Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=DRAFT, dir=folder))
    except FileNotFoundError as error:  # the folder is there: a file system of the kernel's own
        raise MctError(f"no folder can be made in {folder}", "give a folder on a disk that can be written") from error
    draft.chmod(0o755)
    return draft


def _new_file(folder: Path, name: str) -> Path:
    handle, draft = tempfile.mkstemp(prefix=f".{name}.", suffix=DRAFT, dir=folder)
    os.close(handle)
    return Path(draft)


def remove(path: Path) -> None:
    """Remove a file or a whole folder, as far as that can be done; a link itself, never what it leads to."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
