"""A pipeline run from its first step that is not done to the first that does not pass.

Each step is the command itself, called in this process as the command line calls it: what a step can do, and what it
refuses, is what its command can and does. Every step is looked up and its options are read before the first one runs.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click

from mct import MctError
from mct.models.tables import unknown
from mct.models.writing.drafts import make_folder
from mct.release.pipeline.pipeline_file import Step, read_pipeline
from mct.release.pipeline.steps import Done, Place, is_asked_anew, is_there, key_of, left_by, names_of, place_of

TRIES = 1000
State = Literal["kept", "done", "stopped", "to do", "not reached"]


@dataclass(frozen=True)
class Stage:
    """A step and what became of it; `code` is its exit code, None where it was not run."""

    step: str
    run: str
    state: State
    code: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Run:
    """A whole run; `code` is that of the step that stopped it, 0 where none did."""

    stages: tuple[Stage, ...]
    code: int

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"code": self.code, "steps": [vars(each) for each in self.stages]}


def run_pipeline(path: Path, root: click.Group, dry_run: bool = False) -> Run:
    """Run a pipeline's steps with the commands of `root`. With `dry_run` only say which would be run.

    MctError before anything runs where a step names no command, or options that it does not have; and from whatever
    step meets bad input, with what was done before it kept.
    """
    steps = read_pipeline(path)
    for step in steps:
        _resolve(step, root)
    place = place_of(path)
    if dry_run:
        return _foreseen(steps, place)
    with _alone(place), chdir(place.folder):
        return _run(steps, place, root)


def _run(steps: Sequence[Step], place: Place, root: click.Group) -> Run:
    stages: list[Stage] = []
    keys: dict[str, str] = {}
    for number, step in enumerate(steps, start=1):
        keys[step.name] = key = key_of(step, keys, place, names_of(steps[: number - 1]))
        done = place.done(step)
        if done is not None and done.key == key and is_there(done, place) and not is_asked_anew(step):
            stages.append(Stage(step.name, step.run, "kept", done.code, done.seconds))
            continue
        print(f"[{number}/{len(steps)}] {step.name}: mct {step.run}", file=sys.stderr, flush=True)
        began = time.monotonic()
        code = _call(step, root)
        seconds = round(time.monotonic() - began, 3)
        if code and code not in step.accept:
            rest = [Stage(each.name, each.run, "not reached") for each in steps[number:]]
            return Run((*stages, Stage(step.name, step.run, "stopped", code, seconds), *rest), code)
        place.keep(step, Done(key, code, seconds, left_by(step, place)))
        stages.append(Stage(step.name, step.run, "done", code, seconds))
    return Run(tuple(stages), 0)


def _foreseen(steps: Sequence[Step], place: Place) -> Run:
    """What a run would do: from the first step that is not done on, whatever hangs on it."""
    stages: list[Stage] = []
    keys: dict[str, str] = {}
    stale: set[str] = set()
    with chdir(place.folder):
        for number, step in enumerate(steps):
            before = names_of(steps[:number])
            keys[step.name] = key_of(step, keys, place, before)
            done = place.done(step)
            kept = done is not None and done.key == keys[step.name] and is_there(done, place) and not stale
            if not kept:
                stale.add(step.name)
            kept &= not is_asked_anew(step)
            stages.append(Stage(step.name, step.run, "kept" if kept else "to do", done.code if kept and done else None))
    return Run(tuple(stages), 0)


def _call(step: Step, root: click.Group) -> int:
    """The command's exit code. What it prints goes to stderr: stdout is the pipeline's."""
    try:
        with redirect_stdout(sys.stderr):
            result = root.main(list(step.words), prog_name="mct", standalone_mode=False)
    except MctError as error:
        raise MctError(f"step {step.name}: {error.message}", error.hint) from error
    except click.ClickException as error:
        raise MctError(f"step {step.name}: {error.format_message()}", f"see mct {step.words[0]} --help") from error
    return result if isinstance(result, int) else 0


def _resolve(step: Step, root: click.Group) -> None:
    """MctError where a step's words are no command, or name options that it does not have."""
    command: click.Command = root
    words = list(step.words)
    context = click.Context(root, info_name="mct")
    while isinstance(command, click.Group):
        known = command.list_commands(context)
        name = words.pop(0) if words else ""
        found = command.get_command(context, name)
        if found is None:
            raise unknown(f"command in step {step.name}:", name, known)
        context, command = click.Context(found, parent=context, info_name=name), found
    try:
        command.make_parser(context).parse_args(words)
    except click.UsageError as error:
        raise MctError(f"step {step.name}: {error.format_message()}", f"see {context.command_path} --help") from error


@contextmanager
def _alone(place: Place) -> Iterator[None]:
    """Hold the pipeline's lock; its folder stays only if something is kept there. MctError where another run has it."""
    handle = _lock(place)
    try:
        yield
    finally:
        with suppress(OSError):  # not empty
            place.state.rmdir()
        os.close(handle)


def _lock(place: Place) -> int:
    """The state folder, locked and open; anew where a run that ends removed it in between."""
    for _ in range(TRIES):
        make_folder(place.state.parent)
        with suppress(FileExistsError):
            place.state.mkdir()
        try:
            handle = os.open(place.state, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        except NotADirectoryError:
            break
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(handle), os.stat(place.state)):
                return handle
        except BlockingIOError as error:
            os.close(handle)
            raise MctError(f"{place.state.name} is running already", "wait for that run to end") from error
        except FileNotFoundError:
            pass
        os.close(handle)
    raise MctError(f"{place.state} is no folder, or does not stay one", "see what is there")
