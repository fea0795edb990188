"""The commands of this room: `mct models list` and `build`; and the options by which others ask of adapters."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from mct import MctError
from mct.models.command_line import FOLDER, SEED, Commands, print_json

_OF_ADAPTERS = (
    click.option(
        "--base", type=FOLDER, help="The base of an adapter, a folder or a name on the hub, where it is not beside it."
    ),
    click.option("--adapter", help="Which adapter of several, or a mix: a=0.7,b=0.3."),
    click.option(
        "--base-quant",
        type=click.Choice(["nf4", "fp4"]),
        help="The adapter was trained on a base in these 4-bit numbers (QLoRA), and the one given is whole.",
    ),
    click.option(
        "--labels", default="", help="Comma-separated labels of an adapter's head, in the order of its outputs."
    ),
)


def telling(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say of an adapter what its folder does not; `command` gets them as one value, `told`."""

    @wraps(command)
    def gathered(
        *args: Any, base: Path | None, adapter: str | None, base_quant: Any, labels: str, **kwargs: Any
    ) -> Any:
        from mct.models.checkpoints.adapted import Told

        if adapter == "":
            raise MctError("--adapter names none", "leave it out, or name one")
        named = tuple(label.strip() for label in labels.split(",")) if labels else ()
        return command(*args, told=Told("", adapter or "", base, base_quant or "", named), **kwargs)

    for option in reversed(_OF_ADAPTERS):
        gathered = option(gathered)
    return gathered


@click.group(cls=Commands)
def models() -> None:
    """Scenarios, and the checkpoints they stand for."""


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def models_list(as_json: bool) -> None:
    """List the MangaAssist scenarios."""
    from dataclasses import asdict

    from mct.models.scenarios.table import SCENARIOS

    if as_json:
        print_json([asdict(scenario) for scenario in SCENARIOS])
        return
    for scenario in SCENARIOS:
        variants = f"; {', '.join(scenario.variants)}" if scenario.variants else ""
        built = f"  (build: {', '.join(scenario.sizes)}{variants})" if scenario.build else ""
        click.echo(f"{scenario.number}  {scenario.name:<18} {scenario.technique:<36} {scenario.task}{built}")


@models.command("build")
@click.argument("scenario")
@click.option("-o", "--out", type=FOLDER, help="Folder for the checkpoint.  [default: SCENARIO-SIZE]")
@click.option("--size", default="small", show_default=True, help="tiny, small or full.")
@click.option("--variant", default="", help="Which of its techniques, where a scenario has several (see models list).")
@click.option("--base", help="Start from this model instead: a folder or a hub name.")
@click.option("--seed", type=SEED, default=0, show_default=True)
def models_build(scenario: str, out: Path | None, size: str, variant: str, base: str | None, seed: int) -> None:
    """Build a scenario's checkpoint with its real technique."""
    from mct.models.progress import shown
    from mct.models.scenarios.table import SCENARIOS, find_scenario
    from mct.models.tables import load
    from mct.models.writing.ownership import require_replaceable

    row = find_scenario(scenario)
    if not row.build:
        buildable = ", ".join(other.name for other in SCENARIOS if other.build)
        raise MctError(f"scenario {scenario} has no recipe yet", f"these have one: {buildable}")
    if variant and variant not in row.variants:
        raise MctError(
            f"scenario {scenario} has no variant {variant!r}", f"variants: {', '.join(row.variants) or 'none'}"
        )
    folder = out or Path(f"{scenario}-{size}")
    told = {"variant": variant} if variant else {}
    require_replaceable(folder, [Path(base)] if base else [])  # here too, since the libraries take seconds to load
    with shown() as report:
        load(row.build, row.extra)(size, folder, seed, report, base=base, **told)
    click.echo(folder)
