"""The ways to a target: one row a transport, whose leaf opens the site where that target's workers run.

A new way is one file and one row: `open(target, subjects, report)` gives a context manager of a `Site`, which makes
ready on entering (connect, copy, start a server) and clears away on leaving, whatever happened. It raises MctError
where the target cannot be reached.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mct.bench.transport.site import HERE, Site
from mct.models.progress import Report, silent
from mct.models.tables import load, unknown

if TYPE_CHECKING:
    from mct.bench.samples.subject import Subject
    from mct.targets.target import Target

TRANSPORTS = {
    "here": "mct.bench.transport.table:open_here",
    "ssh": "mct.bench.transport.ssh:open_ssh",
    "node": "mct.bench.transport.web:open_node",
    "browser": "mct.bench.transport.web:open_browser",
}


@contextmanager
def open_site(target: Target, subjects: Sequence[Subject], report: Report = silent) -> Iterator[Site]:
    """Where the target's workers run, ready for these subjects; gone afterwards. MctError where it cannot be had."""
    if target.transport not in TRANSPORTS:
        raise unknown("transport", target.transport, TRANSPORTS)
    with load(TRANSPORTS[target.transport])(target, subjects, report) as site:
        yield site


@contextmanager
def open_here(target: Target, subjects: Sequence[Subject], report: Report) -> Iterator[Site]:
    """This machine, which has nothing to make ready."""
    yield HERE
