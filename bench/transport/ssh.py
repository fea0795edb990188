"""Another machine's workers: a folder copied there, and for each worker a connection whose pipes lead to it.

What is asked and answered is as it is here; what the machine is, what its libraries are and how it holds a process to
its memory is read there. A model whose runtime is not there has an obstacle with the line that brings it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

from mct.bench.samples.measurement import Failure
from mct.bench.samples.subject import Subject
from mct.bench.transport.site import Command, Site, Wanted
from mct.bench.worker.facts import NEEDED, OF_CHECKPOINTS, Facts
from mct.compress.run.artifact import MANIFEST
from mct.models.data.declared import declared
from mct.models.progress import Report
from mct.targets.runtimes.table import runtime_for
from mct.targets.ssh.address import parse_address
from mct.targets.ssh.connection import Remote, explained
from mct.targets.ssh.folder import RemoteFolder, opened, python_words
from mct.targets.target import Target

NOT_NEEDED = ("data",)
"""Folders of a checkpoint that no runtime reads."""


@contextmanager
def open_ssh(target: Target, subjects: Sequence[Subject], report: Report) -> Iterator[Site]:
    """A site on the target's host, gone from there afterwards unless the target keeps it. MctError: see above."""
    remote = remote_of(target)
    places = {subject.path: f"models/{number}" for number, subject in enumerate(subjects)}
    with opened(remote, {}, report=report) as bare:
        facts = facts_of(bare)
    able = [subject for subject in subjects if _missing(facts, remote, subject) is None]
    files = {name: path for subject in able for name, path in files_of(subject, places).items()}
    with opened(remote, files, target.keep_remote, report) as folder:
        if target.keep_remote:
            report(f"left on {remote.name}: {folder.path}", 0.0)
        yield Site(
            lambda: facts, _starter(folder, places), lambda subject: _missing(facts, remote, subject),
            lambda code, said: _lost(folder, code, said), here=False,
        )  # fmt: skip


def remote_of(target: Target) -> Remote:
    """The machine of a target over ssh."""
    return Remote(parse_address(target.host), target.python)


def facts_of(folder: RemoteFolder) -> Facts:
    """What that machine says of itself."""
    said = folder.run("mct.bench.worker.facts")
    return declared(said, Facts, f"what {folder.remote.name} says of itself", "is its Python sound?")


def files_of(subject: Subject, places: dict[Path, str]) -> dict[str, Path]:
    """The files that run a subject, by their names in the bundle; an adapter's base has a place of its own."""
    found = _below(subject.path, places[subject.path]) if subject.format == "checkpoint" else {
        f"{places[subject.path]}/{name}": subject.path / name for name in (*subject.files, MANIFEST)
    }  # fmt: skip
    base = subject.executable.settings.get("base")
    if base and Path(base) not in places and Path(base).is_dir():
        places[Path(base)] = f"models/base-{len(places)}"
        found |= _below(Path(base), places[Path(base)])
    return found


def _below(folder: Path, place: str) -> dict[str, Path]:
    """Every file of a checkpoint but its data, hidden ones left out."""
    return {
        f"{place}/{path.relative_to(folder).as_posix()}": path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.relative_to(folder).parts[0] not in NOT_NEEDED
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def _starter(folder: RemoteFolder, places: dict[Path, str]) -> Callable[[Wanted], Command]:
    def command(wanted: Wanted) -> Command:
        there = folder.ready()
        setting, place = wanted.setting, f"{there}/{places[wanted.subject.path]}"
        words = (
            there, str(setting.threads), str(setting.memory_mb if wanted.timed else 0),
            place if wanted.timed and wanted.round == 0 else "-",
        )  # fmt: skip
        argv = folder.remote.command(python_words(folder.remote, there, "mct.bench.worker.remote", words))
        return Command(argv, dict(os.environ), _told(wanted, there, place, places), limited_here=False)

    return command


def _told(wanted: Wanted, there: str, place: str, places: dict[Path, str]) -> dict[str, Any]:
    """The job's folders as they are called there."""
    executable, setting = wanted.subject.executable, wanted.setting
    settings = dict(executable.settings)
    if "base" in settings and Path(settings["base"]) in places:
        settings["base"] = f"{there}/{places[Path(settings['base'])]}"
    told: dict[str, Any] = {"executable": asdict(executable) | {"folder": place, "settings": settings}}
    for name in ("original", "original_kept"):
        if kept := getattr(setting, name):
            told[name] = f"{there}/{PurePosixPath(kept).name}"
    return told


def _missing(facts: Facts, remote: Remote, subject: Subject) -> Failure | None:
    """Why a subject cannot run there; None where all that it needs is installed."""
    opener = OF_CHECKPOINTS if subject.format == "checkpoint" else ()
    needed = (runtime_for(subject.format).distribution, *NEEDED, *opener)
    absent = [name for name in needed if name not in facts.libraries]
    if not absent:
        return None
    return Failure(
        f"{remote.name} has no {absent[0]} for its Python ({remote.python})",
        f"there: {remote.python} -m pip install {' '.join(absent)}",
    )


def _lost(folder: RemoteFolder, code: int, said: Sequence[str]) -> Failure | None:
    error = explained(folder.remote, code, said)
    if error is None and folder.is_gone():
        return Failure(f"the connection to {folder.remote.name} broke")
    return None if error is None else Failure(error.message, error.hint)
