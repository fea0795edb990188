"""Reports of stored runs: one table of formats, each made by its own file.

Reads only what the store holds; measures nothing and judges nothing anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mct.bench.store.reading import StoredRun
from mct.models.tables import load, unknown

if TYPE_CHECKING:
    from mct.bench.report.change import Changes


@dataclass(frozen=True)
class Format:
    """A kind of report: `make` ("module:function") turns a `Report` into text, or bytes; `extra` is what it needs."""

    name: str
    make: str
    extra: str = ""


FORMATS = (
    Format("markdown", "mct.bench.report.markdown:as_markdown"),
    Format("html", "mct.bench.report.html:as_html", "report"),
    Format("png", "mct.bench.report.plots:as_png", "report"),
    Format("json", "mct.bench.report.plain:as_json"),
    Format("csv", "mct.bench.report.plain:as_csv"),
)


@dataclass(frozen=True)
class Report:
    """What is reported: runs, and for each of them what changed since the earlier run (None where none was given)."""

    runs: tuple[StoredRun, ...]
    changes: tuple[Changes | None, ...]


def headline(run: StoredRun) -> str:
    """The outcome of a run in one line. The baseline, there to be compared with, does not count unless it is alone."""
    counted = [entry for entry in run.entries if entry["artifact"] != run.baseline] or run.entries
    outcomes = [entry["verdict"]["outcome"] for entry in counted if entry["verdict"]]
    if not outcomes:
        return "Measured without a budget: nothing was judged"
    passed, failed, undecided = (outcomes.count(outcome) for outcome in ("pass", "fail", "inconclusive"))
    said = f"{passed} of {len(outcomes)} {'meets' if passed == 1 else 'meet'} the budget {run.budget['name']}"
    said += f", {failed} {'misses' if failed == 1 else 'miss'} it" if failed else ""
    return said + (f", {undecided} cannot be decided" if undecided else "")


def render(
    runs: Sequence[StoredRun], format: str, baseline: StoredRun | None = None, allow_different: bool = False
) -> str | bytes:
    """Report `runs` as `format` (a name of `FORMATS`), with the change of P95 since `baseline` where one is given.

    Runs of different fingerprints are compared only with `allow_different`. MctError for an unknown format or a missing
    library.
    """
    formats = {known.name: known for known in FORMATS}
    if format not in formats:
        raise unknown("report format", format, formats)
    row = formats[format]
    changes: tuple[Changes | None, ...] = (None,) * len(runs)
    if baseline is not None:
        from mct.bench.report.change import find_changes

        changes = tuple(find_changes(run, baseline, allow_different) for run in runs)
    made: str | bytes = load(row.make, row.extra)(Report(tuple(runs), changes))
    return made
