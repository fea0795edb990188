"""How long work tells that it goes on: a callable that takes a stage and the share done.

Every long function takes a `Report`; the command line gives it one that draws a bar, with the time left, on stderr.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Report = Callable[[str, float], None]


def silent(stage: str, share: float) -> None:
    """A `Report` that says nothing: for tests and library use."""


def part(report: Report, start: float, end: float) -> Report:
    """A `Report` for a part of longer work: its 0 to 1 becomes `start` to `end` of the whole."""
    return lambda stage, share: report(stage, start + (end - start) * share)


@contextmanager
def shown() -> Iterator[Report]:
    """A `Report` on stderr: a bar on a terminal, else a line at each new stage."""
    if not sys.stderr.isatty():
        yield _line_by_line()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:<40}"), BarColumn(), TimeElapsedColumn(), TextColumn("left"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("starting", total=1.0)
        yield lambda stage, share: progress.update(task, description=stage, completed=share)


def _line_by_line() -> Report:
    started, last = time.monotonic(), ""

    def report(stage: str, share: float) -> None:
        nonlocal last
        if stage == last:
            return
        last = stage
        elapsed = time.monotonic() - started
        left = f", about {elapsed * (1 - share) / share:.0f} s left" if 0.02 < share < 1 else ""
        print(f"[{elapsed:5.0f} s] {stage} ({share:.0%}{left})", file=sys.stderr, flush=True)

    return report
