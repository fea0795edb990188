"""Finished steps, kept until everything is made: a kill loses one step, and recipes that begin alike share them.

A step's key is the digest of all that decides what it makes: what it starts from, its pass and options, its texts, the
seed, the machine it is made for, the versions of the libraries. What it made lies under that key in the folder `.steps`
beside the artifacts, whole or not at all, and goes when all artifacts are there. A run that finds the folder in use by
another one keeps its steps for itself.
"""

import fcntl
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from msgspec import Struct

from mct import MctError
from mct.compress.plan.passes import START, Product, Resources
from mct.compress.plan.plan import Resolved
from mct.models.data.declared import read_json
from mct.models.writing.drafts import draft_folder, make_folder
from mct.models.writing.folders import write_json

STEPS = ".steps"
FILES, RECORD = "files", "product.json"
KEY = re.compile(r"[0-9a-f]{64}")


class _Record(Struct, frozen=True):
    gives: str
    model: str
    settings: dict[str, Any]
    notes: dict[str, Any]


@dataclass(frozen=True)
class Steps:
    """The folder of finished steps."""

    folder: Path

    def find(self, key: str) -> Product | None:
        """What the step of that key made; None where it was not finished."""
        if not (self.folder / key / RECORD).is_file():
            return None
        found = read_json(self.folder / key / RECORD, _Record, f"remove {self.folder}")
        return Product(self.folder / key / FILES, found.model, found.settings, found.notes)

    def make(self, key: str, gives: str, run: Callable[[Path], Product]) -> Product:
        """Let `run` fill an empty folder, and keep that; gives what `find` will."""
        with draft_folder(self.folder, key[:12]) as draft:
            (draft / FILES).mkdir()
            product = run(draft / FILES)
            record = {"gives": gives, "model": product.model, "settings": product.settings, "notes": product.notes}
            write_json(draft / RECORD, record)
            with suppress(FileExistsError, NotADirectoryError):
                os.rename(draft, self.folder / key)
        found = self.find(key)
        assert found is not None
        return found


def step_key(before: str, step: Resolved, resources: Resources, versions: Mapping[str, str]) -> str:
    """The key of a step that follows on what has the key `before` (a checkpoint's digest, to begin with)."""
    rows = resources.calibration.rows if resources.calibration and step.row.texts != "none" else ()
    machine = resources.machine
    decides = [
        before, step.row.name, step.row.gives, step.row.run, step.settings, list(map(dict, rows)), resources.seed,
        [machine.cpu, machine.architecture, sorted(machine.instruction_sets)], dict(versions),
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
    handle = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_ours = True
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
        if KEY.fullmatch(entry.name) and _gives(entry) not in keep:
            shutil.rmtree(entry)
    with suppress(OSError):
        folder.rmdir()


def _gives(entry: Path) -> str:
    try:
        return read_json(entry / RECORD, _Record).gives
    except MctError:
        return ""
