"""The commands of this room: `mct pipeline run`."""

from __future__ import annotations

from pathlib import Path

import click

from mct.models.command_line import FILE, Commands, print_json

MARKS = {"kept": "=", "done": "✓", "stopped": "✗", "to do": "→", "not reached": "·"}


@click.group(cls=Commands)
def pipeline() -> None:
    """From a scenario to a release as one file, which goes on where it stopped."""


@pipeline.command("run")
@click.argument("file", type=FILE, default=Path("pipeline.toml"))
@click.option("--dry-run", is_flag=True, help="Say which steps would be run, and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def pipeline_run(context: click.Context, file: Path, dry_run: bool, as_json: bool) -> int:
    """Run the steps of FILE in order, each a command of mct; what is done and unchanged is not run again.

    Gates, decisions, plans, looks at production, and what is added to, promoted, drilled, fetched or published from a
    store of releases are run every time. Stops at the first step that does not pass, with its exit code.
    """
    from mct.release.pipeline.running import run_pipeline

    root = context.find_root().command
    assert isinstance(root, click.Group)
    run = run_pipeline(file, root, dry_run)
    if as_json:
        print_json(run.as_json())
        return run.code
    for stage in run.stages:
        took = "" if stage.seconds is None else f"  {stage.seconds:.1f} s"
        code = "" if not stage.code else f"  exit code {stage.code}"
        click.echo(f"{MARKS[stage.state]} {stage.step:<12} {stage.state:<11} mct {stage.run}{took}{code}")
    return run.code
