"""Which steps are done: each is known by one digest of its words, what it reads and the versions that do the work.

A step whose digest is that of a finished run, and what that left is still there unchanged, is not run again. What a
step reads is every file that its words name, and what goes with one by its form: the documents that a data file's rows
name, its card, the base of an adapter, the files and folders that a recipe or another TOML file names; it follows the
steps that left these. A step that names nothing of an earlier one (a gate, a promotion) comes after all of them.
Folders that only grow, as a store of results, may have grown.

What asks a gate, makes a plan, or goes by a store of releases, is run every time: release.toml, results and what is in
production lie beside the pipeline and change without it.
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from msgspec import Struct

from mct import MctError, __version__
from mct.models.checkpoints.adapters import CONFIG, MODEL_CONFIG
from mct.models.data.card import card_path
from mct.models.data.declared import Digest, Name, read_json
from mct.models.data.files import SUFFIXES
from mct.models.writing.folders import sha256, write_json
from mct.release.pipeline.pipeline_file import Step

STATE = Path(".mct/pipeline")
STORES = frozenset({"--store", "--results"})
"""Options whose folder other steps add to: what lies there is none of a step's input."""
ASKED_ANEW = (
    ("release", "add"), ("release", "gate"), ("release", "promote"), ("release", "drill"), ("release", "fetch"),
    ("release", "publish"), ("gate",), ("decide",), ("watch",), ("plan",),
)  # fmt: skip
"""The commands that are run every time; a drill among them, as one of before says little of what is in production now.
Of the others on a store, verify makes an artifact, and a second rollback would go back further: they are done once.
"""


class Done(Struct, frozen=True, forbid_unknown_fields=True):
    """A finished step: its digest, its exit code, the seconds it took, and the files that it left by their SHA-256."""

    key: Digest
    code: int
    seconds: float
    files: dict[Name, Digest]


class _Adapter(Struct, frozen=True):
    """Of `adapter_config.json`, what its base is called; whether it is sound, the step itself finds out."""

    base_model_name_or_path: str | None = None


@dataclass(frozen=True)
class Place:
    """Where a pipeline runs, and where it keeps what is done."""

    folder: Path
    state: Path

    def done(self, step: Step) -> Done | None:
        """What is known of a step; None where it was never finished."""
        path = self.state / f"{step.name}.json"
        return read_json(path, Done, f"remove {path}: its step is run again then") if path.exists() else None

    def keep(self, step: Step, done: Done) -> None:
        """Note that a step is finished."""
        value = {"key": done.key, "code": done.code, "seconds": done.seconds, "files": done.files}
        write_json(self.state / f"{step.name}.json", value)


def place_of(path: Path) -> Place:
    """The place of a pipeline file; its state lies under `.mct/pipeline` beside it, by its own name."""
    folder = path.resolve().parent
    return Place(folder, folder / STATE / path.name)


def key_of(step: Step, before: Mapping[str, str], place: Place, written: Mapping[str, str]) -> str:
    """The digest of a step after `before`, the keys of earlier ones; `written` maps what those leave to their names."""
    named = {*step.reads, *_named(step, place)}
    reads = sorted({*named, *(beside for name in named for beside in _beside(name, place))} - set(step.writes))
    follows = sorted(
        {written[path] for read in reads for path in written if _within(read, path) or _within(path, read)}
    )
    said = {
        "words": step.words,
        "reads": {read: _content(place.folder / read, place) for read in reads},
        "follows": {name: before[name] for name in follows} if follows else dict(before),
        "mct": __version__,
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def is_asked_anew(step: Step) -> bool:
    """Whether a step is run though it was finished before."""
    return any(step.words[: len(words)] == words for words in ASKED_ANEW)


def left_by(step: Step, place: Place) -> dict[str, str]:
    """The files that a step left, by their SHA-256. MctError where it did not leave what it said."""
    found: dict[str, str] = {}
    for name in step.writes:
        if not _exists(place.folder / name):
            raise MctError(f"step {step.name} did not write {name}", "correct its `writes`")
        found |= _files(place.folder / name, name, place)
    return found


def is_there(done: Done, place: Place) -> bool:
    """Whether all that a finished step left is as it left it."""
    for name, was in done.files.items():
        path = place.folder / name
        if was != (sha256(path) if path.is_file() else _where(path, place) if path.is_dir() else ""):
            return False
    return True


def _named(step: Step, place: Place) -> set[str]:
    """The words that name something on this disk."""
    words = [word for before, word in pairwise(step.words) if STORES.isdisjoint({before, word.partition("=")[0]})]
    words = [word.partition("=")[2] if word.startswith("--") and "=" in word else word for word in words]
    return {word for word in words if word and not word.startswith("-") and _exists(place.folder / word)}


def _beside(name: str, place: Place) -> Iterator[str]:
    """What is read with a file or folder though no word names it."""
    path = place.folder / name
    if not _exists(path):
        return
    if path.is_file() and name.endswith(SUFFIXES):
        beside = (*(path.with_name(f"docs{suffix}") for suffix in SUFFIXES), card_path(path))
        yield from (os.path.join(os.path.dirname(name), each.name) for each in beside if each.is_file())
    if path.is_file() and name.endswith(".toml"):
        yield from (each for each in _strings_of(path) if _is_below(each, place))
    for found in (path, *sorted(path.iterdir())) if path.is_dir() else ():
        if (found / CONFIG).is_file():
            base = Path(read_json(found / CONFIG, _Adapter).base_model_name_or_path or "").name
            if base and (path.resolve().parent / base / MODEL_CONFIG).is_file():
                yield os.path.relpath(path.resolve().parent / base, place.folder)


def _strings_of(path: Path) -> list[str]:
    """What a TOML file says; nothing of one that is none, which the step itself finds out."""
    try:
        return list(_strings(tomllib.loads(path.read_text(encoding="utf-8"))))
    except (OSError, ValueError, RecursionError):
        return []


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _strings(each)


def _is_below(word: str, place: Place) -> bool:
    """Whether a word names a file or a model's folder, and not the folder of the pipeline or one that holds it."""
    path = place.folder / word
    if not word or not _exists(path) or place.folder.is_relative_to(path.resolve()):
        return False
    return path.is_file() or any((path / name).is_file() for name in (MODEL_CONFIG, CONFIG))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a word too long for a name
        return False


def _within(path: str, folder: str) -> bool:
    one, other = os.path.normpath(path), os.path.normpath(folder)
    return one == other or one.startswith(other + os.sep)


def _content(path: Path, place: Place) -> str:
    """One SHA-256 over a file or folder; "" where nothing is there."""
    if not _exists(path):
        return ""
    return hashlib.sha256(json.dumps(_files(path, "", place), sort_keys=True).encode()).hexdigest()


def _files(path: Path, name: str, place: Place) -> dict[str, str]:
    """Every file of a folder, or the file itself, by what it holds, links followed; hidden ones are none of it."""
    try:
        return {name: sha256(path)} if path.is_file() else dict(_below(path, name, place, {path.resolve()}))
    except OSError as error:
        raise MctError(
            f"{error.filename or path} cannot be read: {error.strerror}", f"see what is at {path}"
        ) from error


def _below(folder: Path, name: str, place: Place, seen: set[Path]) -> Iterator[tuple[str, str]]:
    """The files below a folder. One `seen` before, or a link to one that holds the pipeline, counts by where it is."""
    for path in sorted(folder.iterdir()):
        inside = str(Path(name, path.name))
        if path.name.startswith("."):
            continue
        if path.is_file():
            yield inside, sha256(path)
        elif path.is_dir():
            real = path.resolve()
            if real in seen or (path.is_symlink() and place.folder.is_relative_to(real)):
                yield inside, _where(path, place)
            else:
                seen.add(real)
                yield from _below(path, inside, place, seen)


def _where(folder: Path, place: Place) -> str:
    """The SHA-256 of where a folder is, links followed."""
    return hashlib.sha256(os.fsencode(os.path.relpath(folder.resolve(), place.folder))).hexdigest()


def names_of(steps: Sequence[Step]) -> dict[str, str]:
    """What each path that a step leaves is left by."""
    return {path: step.name for step in steps for path in step.writes}
