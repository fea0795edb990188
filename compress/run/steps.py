"""Finished steps, kept until everything is made: a kill loses one step, and recipes that begin alike share them.

A step's key is the digest of all that decides what it makes: what it starts from, its pass and options, its texts, the
seed, the machine it is made for, the versions of the libraries. What it made lies under that key in the folder `.steps`
beside the artifacts, whole or not at all, and goes when all artifacts are there. A run that finds the folder in use by
another one keeps its steps for itself. What steps found out on the way, and others would find out again (a teacher's
answers), lies in the folder `shared` among them.
"""

import fcntl
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from msgspec import Struct

import mct
from mct import MctError
from mct.compress.plan.passes import START, Pass, Product, Resources
from mct.compress.plan.plan import Resolved
from mct.compress.run.lineage import content_digest
from mct.compress.run.products import checked_product
from mct.models.checkpoints.hub import find_pinned
from mct.models.data.declared import Digest, read_json
from mct.models.data.inside import list_files
from mct.models.tables import owner_of
from mct.models.writing.drafts import DRAFT, draft_folder, make_folder, remove
from mct.models.writing.folders import digest, write_json
from mct.models.writing.folders import sha256 as file_sha256
from mct.models.writing.replacing import NOT_EMPTY

STEPS = ".steps"
FILES, RECORD, SHARED = "files", "product.json", "shared"
KEY = re.compile(r"[0-9a-f]{64}")


class _Record(Struct, frozen=True):
    gives: str
    model: str
    settings: dict[str, Any]
    notes: dict[str, Any]
    sha256: Digest


@dataclass(frozen=True)
class Steps:
    """The folder of finished steps; `sound` are those that this run made, or looked into."""

    folder: Path
    sound: set[str] = field(default_factory=set)

    @property
    def shared(self) -> Path:
        """The folder for what others may use, made by whoever has something to put there."""
        return self.folder / SHARED

    def find(self, key: str) -> Product | None:
        """What the step of that key made; None where it was not finished, or is no longer what was made."""
        entry = self.folder / key
        record = _record_of(entry)
        if record is None or (key not in self.sound and not _is_sound(entry / FILES, record)):
            return None
        self.sound.add(key)
        return Product(entry / FILES, record.model, record.settings, record.notes)

    def make(self, key: str, row: Pass, run: Callable[[Path], Any]) -> Product:
        """Let `run` fill an empty folder, and keep that; gives what `find` will. MctError where that cannot be kept.

        What another process finished meanwhile under the same key stays: somebody may be reading it.
        """
        with draft_folder(self.folder, key[:12]) as draft:
            (draft / FILES).mkdir()
            product = checked_product(run(draft / FILES), draft / FILES, row)
            said = {"gives": row.gives, "model": product.model, "settings": product.settings, "notes": product.notes}
            write_json(draft / RECORD, said | {"sha256": _digest_of(draft / FILES, said)})
            if (theirs := self.find(key)) is not None:
                return theirs
            self.forget(key)
            with suppress(FileExistsError):  # another one was first in this very moment
                _rename(draft, self.folder / key)
        found = self.find(key)
        assert found is not None
        return found

    def forget(self, key: str) -> None:
        """Take a step away in one step: what a kill leaves of it then is a draft, which the next run clears."""
        entry = self.folder / key
        if os.path.lexists(entry):
            gone = entry.with_name(f".{key[:12]}.{os.urandom(4).hex()}{DRAFT}")
            os.rename(entry, gone)
            remove(gone)


def _rename(draft: Path, entry: Path) -> None:
    """Give a finished step its name. FileExistsError where another one has it."""
    try:
        os.rename(draft, entry)
    except OSError as error:
        if error.errno in NOT_EMPTY:
            raise FileExistsError(error.errno, error.strerror, str(entry)) from error
        raise


def _record_of(entry: Path) -> _Record | None:
    """What an entry says of itself; None for what is no finished step of ours."""
    if entry.is_symlink() or not (entry / RECORD).is_file():
        return None
    try:
        return read_json(entry / RECORD, _Record)
    except MctError:
        return None


def _is_sound(files: Path, record: _Record) -> bool:
    said = {"gives": record.gives, "model": record.model, "settings": record.settings, "notes": record.notes}
    try:
        return _digest_of(files, said) == record.sha256
    except (MctError, OSError):
        return False


def _digest_of(files: Path, said: Mapping[str, Any]) -> str:
    """One SHA-256 over all files of a step and what it says of them."""
    written = sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    return digest({RECORD: written} | {f"{FILES}/{name}": file_sha256(files / name) for name in list_files(files)})


def step_key(before: str, step: Resolved, resources: Resources, versions: Mapping[str, str]) -> str:
    """The key of a step that follows on what has the key `before` (a checkpoint's digest, to begin with)."""
    rows = resources.calibration.rows if resources.calibration and step.row.texts != "none" else ()
    machine = resources.machine
    options = step.effective_options
    named = [content_digest(find_pinned(options[each.name])) for each in step.row.named]
    decides = [
        before, step.row.name, step.row.gives, step.row.run, options, named, list(map(dict, rows)),
        resources.seed, mct.__version__, owner_of(step.row.run), dict(versions),
        [machine.cpu, machine.architecture, sorted(machine.instruction_sets)],
    ]  # fmt: skip
    return sha256(json.dumps(decides, sort_keys=True, default=str).encode()).hexdigest()


@contextmanager
def kept_steps(out: Path) -> Iterator[Steps]:
    """The folder of finished steps below `out`; it goes where all went well.

    After an error checkpoints stay, which may have taken training; after a kill everything: the same command goes on.
    """
    folder = out / STEPS
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    make_folder(folder)
    try:
        with _held(folder) as is_ours:
            if is_ours:
                yield from _cleared_up(folder)
                return
        with draft_folder(out, STEPS.strip(".")) as draft:
            yield Steps(draft)
    finally:
        for path in missing:
            with suppress(OSError):  # something lies in it by now
                path.rmdir()


@contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Whether this process alone may use the folder, as long as this lasts."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
    except OSError as error:
        raise MctError(
            f"{folder} is no folder of ours: {error.strerror}", "move it away, or give another -o"
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_ours = os.path.samestat(os.fstat(handle), os.stat(folder))  # another run may just have taken it away
    except OSError:
        is_ours = False
    try:
        yield is_ours
    finally:
        os.close(handle)


def _cleared_up(folder: Path) -> Iterator[Steps]:
    try:
        yield Steps(folder)
    except Exception:
        _clear(folder, keep=(START,))
        raise
    _clear(folder, keep=())


def _clear(folder: Path, keep: Sequence[str]) -> None:
    """Remove finished steps but those that gave a form to keep, and the folder where nothing is left in it."""
    for entry in folder.iterdir():
        record = _record_of(entry) if KEY.fullmatch(entry.name) else None
        if record is not None and record.gives not in keep:
            Steps(folder).forget(entry.name)
    if not keep and (folder / SHARED).is_dir():
        remove(folder / SHARED)
    with suppress(OSError):
        folder.rmdir()
