"""`pipeline.toml`: the way from a scenario to a release as one file, a command of mct a step.

    [[steps]]
    name = "build"
    run = "models build intent-router --size small -o work/router"
    writes = ["work/router"]

    [[steps]]
    name = "bench"
    run = "bench work/out/onnx-int8 --budget intent-router --baseline work/router --results work/results"
    writes = ["work/results"]
    accept = [3]

`run` is what would be typed after `mct`, so that every step can be tried by hand. `writes` are the files and folders
that it leaves; every other word that names a file or folder is read, and so is what `reads` names. `accept` are exit
codes beside 0 with which the next step begins all the same. Paths start from the file's folder.
"""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from mct import MctError
from mct.models.data.declared import Name, read_toml

HINT = 'a pipeline is [[steps]], each with name = "build" and run = "models build intent-router -o router"'
StepName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class Step(Struct, frozen=True, forbid_unknown_fields=True):
    """One command, what it leaves, what it reads beside its words, and which exit codes it may end with."""

    name: StepName
    run: Name
    writes: tuple[Name, ...] = ()
    reads: tuple[Name, ...] = ()
    accept: tuple[Annotated[int, Meta(ge=1, le=3)], ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """As a shell would cut them; nothing is expanded."""
        return tuple(shlex.split(self.run))


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    steps: Annotated[tuple[Step, ...], Meta(min_length=1)]


def read_pipeline(path: Path) -> tuple[Step, ...]:
    """The steps of a file, in order. MctError where it is none."""
    steps = read_toml(path, _File, HINT).steps
    names = Counter(step.name for step in steps)
    if twice := [name for name, count in names.items() if count > 1]:
        raise MctError(f"{path} has two steps called {twice[0]}", "give each a name of its own")
    for step in steps:
        try:
            words = step.words
        except ValueError as error:
            raise MctError(f"{path}: step {step.name}: {error}", "close every quote in `run`") from error
        if any("\0" in word for word in (*words, *step.reads, *step.writes)):
            raise MctError(f"{path}: step {step.name} has a NUL in a word", "no name and no option can have one")
        if not words or words[0] == "mct":
            raise MctError(
                f"{path}: step {step.name} runs {step.run!r}", "write what comes after mct, like: compress DIR -o OUT"
            )
        if words[0] == "pipeline":
            raise MctError(f"{path}: step {step.name} runs a pipeline", "write its steps here")
        if 2 in step.accept:
            raise MctError(f"{path}: step {step.name} accepts exit code 2", "that is bad input: mend it")
    return steps
