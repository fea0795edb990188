"""The command line's frame: which commands there are, and how an error ends.

Each room has its commands in one light file; they import what they need when they are called. Data goes to stdout,
progress and messages to stderr. Nothing heavy is imported: `mct --help` must answer at once.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, NoReturn

import click

from mct import MctError, __version__
from mct.bench.commands import bench, compare, demo, gate, history, report, run_artifact
from mct.bench.emulation.commands import targets_emulate  # noqa: F401 - joins the group of targets
from mct.compress.commands import compress
from mct.models.command_line import Commands, one_line
from mct.models.commands import models
from mct.release.decision.commands import decide
from mct.release.inspection.commands import behave, explain
from mct.release.pipeline.commands import pipeline
from mct.release.planning.commands import plan
from mct.release.promotion.commands import release
from mct.release.synthesis.commands import data
from mct.release.watching.commands import watch
from mct.targets.commands import targets

if TYPE_CHECKING:
    from types import FrameType

BAD_INPUT = 2
BY_SIGNAL = 128
"""What shells add to a signal's number: 130 after Ctrl-C, 143 after SIGTERM."""
AGAIN_S = 0.05
ONE_WISH_S = 1.0
"""Signals closer together than this are one wish: Ctrl-C pressed twice must not interrupt the clearing up."""
LONGEST_MESSAGE = 600


def main() -> NoReturn:
    """Entry point: run a command; what a user can mend becomes one line, a hint and exit code 2."""
    interrupts = listen_for_interrupts()
    try:
        os.getcwd()
    except FileNotFoundError:
        _refuse("the folder that you are in is not there any more", "cd to another one")
    try:
        result = commands.main(prog_name="mct", standalone_mode=False)
        _ignore_interrupts()
        sys.exit(result if isinstance(result, int) else 0)
    except MctError as error:
        _refuse(error.message, error.hint)
    except (click.exceptions.Abort, KeyboardInterrupt):
        _stop_interrupted(interrupts)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(BAD_INPUT)
    except click.ClickException as error:
        where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "mct"
        _refuse(error.format_message(), f"see {where} --help")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        from mct.models.writing.full_disk import MENDED_BY

        if error.errno not in MENDED_BY:
            raise
        _refuse(f"{error.strerror}: {error.filename or 'an output file'}", MENDED_BY[error.errno])
    except Exception:
        if not interrupts:
            raise
        _stop_interrupted(interrupts)  # a library that was interrupted while it was loading raises errors of its own


def listen_for_interrupts() -> list[int]:
    """Let SIGINT and SIGTERM raise KeyboardInterrupt; their numbers are added to the list that is given back.

    Not while a library is being imported: one written in C++ cannot pass the exception on, and ends the process by an
    abort. The signal is then sent again, until the import is through; so it is where the exception was raised in a
    callback or a destructor, out of which Python lets none.
    """
    seen: list[int] = []
    raised: list[float] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        if _is_importing(frame):
            _send_again(number)
        elif not raised or time.monotonic() - raised[-1] > ONE_WISH_S:
            raised.append(time.monotonic())
            raise KeyboardInterrupt

    def unraisable(lost: sys.UnraisableHookArgs) -> None:
        if isinstance(lost.exc_value, KeyboardInterrupt) and seen:
            raised.clear()
            _send_again(seen[-1])
        else:
            sys.__unraisablehook__(lost)

    sys.unraisablehook = unraisable
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    return seen


def _send_again(number: int) -> None:
    threading.Timer(AGAIN_S, signal.pthread_kill, [threading.main_thread().ident, number]).start()


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _refuse(message: str, hint: str, code: int = BAD_INPUT) -> NoReturn:
    said = one_line(message)
    if len(said) > LONGEST_MESSAGE:
        said = f"{said[: LONGEST_MESSAGE // 2]} … {said[-LONGEST_MESSAGE // 4 :]}"
    click.echo(f"error: {said}", err=True)
    if hint:
        click.echo(f"hint: {one_line(hint)}", err=True)
    sys.exit(code)


def _ignore_interrupts() -> None:
    """The work is done: a signal while the interpreter takes itself down must not turn it into a failure."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _stop_interrupted(numbers: list[int]) -> NoReturn:
    """Leave at once with our own exit code: after an interrupt inside `exec` CPython would end itself by the signal."""
    code = BY_SIGNAL + (numbers[0] if numbers else signal.SIGINT)
    try:
        _refuse("interrupted", "nothing half-written was left behind; run the command again", code)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


SETTINGS = {
    "help_option_names": ["-h", "--help"],
    "max_content_width": 100,
    "obj": {"search": "mct.bench.search.asking:search_as_asked"},  # of a room to the right of the command that opens it
}


@click.group(cls=Commands, context_settings=SETTINGS)
@click.version_option(__version__, prog_name="mct")
def commands() -> None:
    """Take any fine-tuned checkpoint to the fastest artifact that provably meets its budget."""


# In the order of the work.
for command in (
    demo, models, data, compress, bench, run_artifact, compare, report, history, explain, behave, gate, release, watch,
    pipeline, decide, plan, targets,
):  # fmt: skip
    commands.add_command(command)


if __name__ == "__main__":
    main()
