"""The command of this room: `mct targets emulate`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from mct.models.command_line import FILE, FOLDER, print_json
from mct.targets.commands import targets


@targets.command("emulate")
@click.argument("artifact", type=FOLDER)
@click.option("--target", required=True, help="Whose processor to emulate: edge-x86, edge-arm, or one of your own.")
@click.option("--targets", "targets_file", type=FILE, help="More targets (TOML).")
@click.option("--data", type=FILE, help="What to ask.  [default: built-in shop messages]")
@click.option("--most", type=click.IntRange(2), default=300, show_default=True, help="Most requests to ask.")
@click.option("--install", is_flag=True, help="Bring the Python and the runtime of another architecture (250 MB).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def targets_emulate(
    artifact: Path, target: str, targets_file: Path | None, data: Path | None, most: int, install: bool, as_json: bool
) -> int:
    """Check the answers of ARTIFACT on a processor that is not here, by emulation. Speed is not measured.

    Compares them with those given here, and writes into the artifact's mct.json how that came out. Exits with 0 when
    every answer is the same, with 1 when one is not.
    """
    from mct.models.progress import shown
    from mct.models.tables import load
    from mct.targets.target import find_target

    on = find_target(target, targets_file)
    asked = load("mct.bench.emulation.emulate:read_asked")(artifact, data, most)
    with shown() as report:
        check = load("mct.bench.emulation.emulate:emulate")(artifact, on, asked, install, report)
    if as_json:
        print_json(asdict(check))
    else:
        click.echo(load("mct.bench.emulation.emulate:describe")(check, artifact))
    return 0 if check.agreed == check.of else 1
