"""How long work tells that it goes on: a callable that takes a stage and the share done.

Every long function takes a `Report`; the command line gives one that draws a bar with the time left on stderr.
"""

from collections.abc import Callable

Report = Callable[[str, float], None]


def silent(stage: str, share: float) -> None:
    """A `Report` that says nothing: for tests and library use."""
