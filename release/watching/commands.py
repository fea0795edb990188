"""The command of this room: `mct watch`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mct.models.command_line import EXIT_CODES, FILE, FOLDER, Number, print_json


@click.command()
@click.argument("logs", type=FILE, nargs=-1, required=True)
@click.option(
    "--release",
    "ref",
    required=True,
    help="What answered: NAME (its production), NAME@VERSION or an artifact's folder (./NAME).",
)
@click.option(
    "--reference",
    "references",
    type=FILE,
    multiple=True,
    help="Logs of the time before.  [default: the release's evidence]",
)
@click.option(
    "--results", type=FOLDER, default=Path(".mct/results"), show_default=True, help="Where an artifact's results lie."
)
@click.option(
    "--margin",
    type=Number(min=0),
    default=20.0,
    show_default=True,
    help="Per cent by which requests may be slower than P95 was.",
)
@click.option(
    "--store",
    "address",
    default=".mct/releases",
    show_default=True,
    envvar="MCT_RELEASES",
    help="Folder or URL of the releases.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def watch(
    logs: tuple[Path, ...], ref: str, references: tuple[Path, ...], results: Path, margin: float, address: str,
    as_json: bool,
) -> int:  # fmt: skip
    """Hold production's LOGS against the evidence of its release: lengths, answers, confidence, deferral, P95.

    Each run looks at the rows that no earlier one has seen, and counts as a look: all looks with one reference and
    margin together raise a false alarm in at most 5 % of releases that did not change.

    Exits with 0 without one, 1 with one, 3 with too few rows, or none that hold answers as the reference does, or
    confidences as an earlier look did.
    """
    from mct.models.tables import load

    watched, name = load("mct.release.watching.job:watch_logs")(logs, ref, references, results, margin / 100, address)
    _show(watched, name, as_json)
    return EXIT_CODES[watched.outcome]


def _show(watched: Any, name: str, as_json: bool) -> None:
    from mct.release.watching.describe import describe

    print_json({"release": name} | watched.as_json()) if as_json else click.echo(describe(watched, name), nl=False)
