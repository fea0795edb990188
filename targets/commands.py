"""The commands of this room: `mct targets list`, `probe` and `check`."""

from __future__ import annotations

from pathlib import Path

import click

from mct.models.command_line import EXIT_CODES, FILE, Commands, harmless, one_line, print_json


@click.group(cls=Commands)
def targets() -> None:
    """Known targets, and what this machine can do."""


@targets.command("list")
@click.option("--targets", "targets_file", type=FILE, help="More targets (TOML).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def targets_list(targets_file: Path | None, as_json: bool) -> None:
    """List the known targets."""
    from mct.targets.runtimes.table import runtimes_of
    from mct.targets.target import load_targets

    found = load_targets(targets_file).values()
    for target in found:
        runtimes_of(target)
    if as_json:
        print_json([target.as_json() for target in found])
        return
    for target in found:
        click.echo(f"{one_line(target.name):<10} {target.device:<6} {one_line(target.about)}")


@targets.command("check")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def targets_check(as_json: bool) -> int:
    """Say whether this machine is fit to measure on, and what to type to make it so.

    A line each for clock, shared cores, others' load, quota and memory. Exits with 0 when nothing speaks against it,
    with 3 when something does; what the machine does not show is unknown and counts for neither.
    """
    from mct.targets.fitness import check_fitness

    found = check_fitness()
    if as_json:
        print_json(found.as_json())
    else:
        click.echo(found.describe())
    return EXIT_CODES["pass" if found.fit else "inconclusive"]


@targets.command("probe")
@click.option("--target", help="Another machine: ssh:HOST, or a target that is reached so.  [default: this machine]")
@click.option("--targets", "targets_file", type=FILE, help="More targets (TOML).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def targets_probe(target: str | None, targets_file: Path | None, as_json: bool) -> None:
    """Say what this machine is, what it lets this process use, and what can run on it.

    CPU, cores, caches, instruction sets, clock, memory, GPUs; the runtimes with what each computes in here; Node and a
    browser; and the line that brings what is missing.
    """
    from mct.targets.elsewhere.asking import probe_elsewhere
    from mct.targets.machine import probe_machine
    from mct.targets.probe import probe
    from mct.targets.runtimes.table import runtime_states

    if target is not None and (told := probe_elsewhere(target, targets_file)) is not None:
        if as_json:
            print_json(told.values)
        else:
            click.echo("\n".join(map(harmless, told.text.splitlines())))
        return
    found = probe(runtime_states(probe_machine()))
    if as_json:
        print_json(found.as_json())
    else:
        click.echo(found.describe())
