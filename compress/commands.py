"""The commands of this room: `mct compress`, and what it adds to `mct models`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mct import MctError
from mct.models.command_line import FILE, FOLDER, REVISION, SEED, one_line, print_json, renames_of
from mct.models.commands import models, telling
from mct.models.tables import load

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from mct.models.checkpoints.adapted import Told


@models.command("inspect")
@click.argument("folder", type=FOLDER)
@click.option("--revision", help=REVISION)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def models_inspect(folder: Path, revision: str | None, as_json: bool) -> None:
    """Say what FOLDER is, or a name on the hub: a checkpoint or an artifact, its technique, task, labels and size."""
    from mct.compress.run.artifact import is_artifact, read_artifact
    from mct.compress.run.describe import artifact_json, describe_artifact, describe_folder, folder_json
    from mct.models.checkpoints.hub import find_folder

    found = find_folder(folder, revision)
    if is_artifact(found):
        artifact = read_artifact(found)
        facts, values = describe_artifact(artifact, found), artifact_json(artifact, found)
    else:
        facts, values = describe_folder(found), folder_json(found)
    if as_json:
        print_json(values)
        return
    for name, fact in facts.items():
        click.echo(f"{name:<15} {one_line(fact)}")


@models.command("formats")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def models_formats(as_json: bool) -> None:
    """Say which formats and precisions each task kind can be compressed to."""
    from mct.compress.plan.plan import supported
    from mct.compress.plan.support import support_markdown
    from mct.models.tasks.table import tasks

    if as_json:
        print_json({task.name: supported(task.name) for task in tasks() if not task.said_by_rows})
    else:
        click.echo(support_markdown(), nl=False)


@models.command("families")
def models_families() -> None:
    """Say which families each format holds, and by which of its graphs."""
    from mct.compress.plan.support import families_markdown

    click.echo(families_markdown(), nl=False)


@models.command("route")
@click.argument("folder", type=FOLDER)
@click.argument("route")
@click.option("-o", "--out", type=FOLDER, required=True, help="Folder for the embedder.")
@click.option("--revision", help=REVISION)
def models_route(folder: Path, route: str, out: Path, revision: str | None) -> None:
    """Write one ROUTE of a router of queries and documents as an ordinary embedder."""
    from mct.compress.merge.take_route import take_route
    from mct.models.checkpoints.hub import find_folder

    take_route(find_folder(folder, revision), route, out)
    click.echo(out)


def find_checkpoint(checkpoint: Path, revision: str | None) -> Path:
    """The folder that is meant: on this disk, or fetched from the hub."""
    from mct.models.checkpoints.hub import find_folder

    return find_folder(checkpoint, revision)


def _show_passes(ctx: click.Context, option: click.Parameter, wanted: bool) -> None:
    """Print the table of passes, and stop."""
    from mct.compress.run.describe import describe_passes

    if wanted:
        click.echo(describe_passes(), nl=False)
        ctx.exit()


@click.command()
@click.argument("checkpoint", type=FOLDER)
@click.option("-o", "--out", type=FOLDER, required=True, help="Folder for the artifacts, one folder each.")
@click.option("--revision", help=REVISION)
@click.option("--format", "formats", help="Comma-separated formats.  [default: onnx,openvino,gguf]")
@click.option("--precision", "precisions", help="Comma-separated precisions.  [default: int8]")
@click.option(
    "--recipe",
    "recipe_file",
    type=FILE,
    help="Steps to take, a TOML file; or an artifact's folder, to make the same again.",
)
@click.option(
    "--data", type=FILE, help="Texts to calibrate on and to keep the words of.  [default: CHECKPOINT/data/train.jsonl]"
)
@click.option(
    "--eval",
    "eval_file",
    type=FILE,
    help="Texts to check parity on.  [default: CHECKPOINT/data/test.jsonl, or a fifth of --data]",
)
@telling
@click.option(
    "--keep-adapter",
    is_flag=True,
    help="Keep adapters beside their base in one artifact, to be swapped by name: all, or those of --adapter a,b.",
)
@click.option(
    "--technique", default="", help="How it was fine-tuned, where its folder does not tell (raft, continual)."
)
@click.option("--field", "fields", multiple=True, help="Rename a column: text=utterance. May be repeated.")
@click.option("--target", default="cpu", show_default=True, help="Make it for this target's instruction sets.")
@click.option("--targets", "targets_file", type=FILE, help="More targets (TOML).")
@click.option("--seed", type=SEED, help="Of all that is drawn by chance.  [default: the recipe's, or 0]")
@click.option("--plan", "plan_only", is_flag=True, help="Print what would be done as recipes, and stop.")
@click.option(
    "--passes",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_passes,
    help="Print every pass that a recipe may name, with its options, and stop.",
)
@click.option("--auto", is_flag=True, help="Search for the fastest artifact that is shown to meet --budget.")
@click.option("--budget", help="Of --auto: the budget to meet.")
@click.option("--budgets", "budgets_file", type=FILE, help="More budgets, or other limits (TOML).")
@click.option("--time", "allowed", default="45m", show_default=True, help="Of --auto: how long it may take (90s, 2h).")
@click.option("--dev", type=FILE, help="Of --auto: rows to choose by that CHECKPOINT was not trained on.")
@click.option("--always", multiple=True, help="Of --auto: a label that no first stage of a cascade gives by itself.")
@click.option("--workers", type=click.IntRange(0), default=0, help="Of --auto: processes.  [default: one a thread]")
@click.option("--engine", default="", help="Of --auto: a Dask cluster to work on, dask://HOST:PORT.")
@click.option("--json", "as_json", is_flag=True, help="Print the artifacts as JSON.")
@click.pass_obj
def compress(
    rooms: Mapping[str, str] | None, /,
    checkpoint: Path, out: Path, revision: str | None, formats: str | None, precisions: str | None,
    recipe_file: Path | None, data: Path | None, eval_file: Path | None, told: Told, keep_adapter: bool, technique: str,
    fields: tuple[str, ...], target: str, targets_file: Path | None, seed: int | None, plan_only: bool, as_json: bool,
    auto: bool, **of_search: Any,
) -> int:  # fmt: skip
    """Turn CHECKPOINT, a folder or a name on the hub, into artifacts, each checked against it on real texts.

    A recipe that ends in a checkpoint goes before each format; --format checkpoint keeps that checkpoint itself. With
    --auto recipes are searched: OUT/winner is the fastest artifact that was shown to meet the budget, OUT/front.md says
    what else there was. It exits with 0 then, with 1 where nothing can meet it, with 3 where nothing was shown to.
    """
    told = replace(told, technique=technique, keep=keep_adapter)
    if auto:
        by_hand = {"--format": formats, "--precision": precisions, "--recipe": recipe_file, "--plan": plan_only}
        if given := [name for name, value in {**by_hand, "--keep-adapter": keep_adapter}.items() if value]:
            raise MctError(f"--auto finds out by itself what {given[0]} says", "give one of the two")
        searched: int = load((rooms or {})["search"])(
            checkpoint=find_checkpoint(checkpoint, revision), out=out, told=told, data=data, evaluation=eval_file,
            renames=renames_of(fields), target=target, targets_file=targets_file, seed=seed or 0, as_json=as_json,
            **of_search,
        )  # fmt: skip
        return searched
    if said := [f"--{name}" for name in ("budget", "dev", "engine", "always", "workers") if of_search[name]]:
        raise MctError(f"{said[0]} is for a search", "add --auto")

    from mct.compress.plan.plan import make_plan
    from mct.compress.plan.recipe import read_recipe
    from mct.compress.plan.support import routes_on
    from mct.compress.run.describe import describe_made, made_json
    from mct.compress.run.execute import execute
    from mct.compress.run.lineage import other_inputs
    from mct.compress.run.resources import gather
    from mct.models.checkpoints.checkpoint import inspect
    from mct.models.progress import shown
    from mct.targets.target import find_target, machine_of

    made_for = find_target(target, targets_file)
    machine = machine_of(made_for)
    recipe = read_recipe(recipe_file) if recipe_file else None
    if recipe is not None and seed is not None and seed != recipe.seed:
        raise MctError(f"the recipe's seed is {recipe.seed}, and --seed says {seed}", "leave one of them out")
    kinds, numbers = (names.split(",") if names else [] for names in (formats, precisions))
    plan = make_plan(inspect(find_checkpoint(checkpoint, revision), told), kinds, numbers, machine, recipe)
    plan = routes_on(plan, made_for, named=bool(kinds))
    for warning in (warning for route in plan.routes for warning in route.warnings):
        click.echo(f"warning: {warning}", err=True)
    drawn = recipe.seed if recipe else seed or 0
    if plan_only:
        print_json(plan.as_json(drawn)) if as_json else click.echo(plan.describe(drawn), nl=False)
        return 0
    resources, texts = gather(plan, data, eval_file, renames_of(fields), drawn, machine)
    if recipe_file is not None and recipe_file.is_dir():
        for difference in other_inputs(recipe_file, resources, texts.source):
            click.echo(f"warning: other bytes than in {recipe_file}: {difference}", err=True)
    with shown() as report:
        folders = execute(plan, resources, texts, out, report)
    if as_json:
        made = zip(folders, plan.routes, strict=True)
        print_json([made_json(folder) | {"warnings": list(route.warnings)} for folder, route in made])
        return 0
    for folder in folders:
        click.echo(f"{folder}  {describe_made(folder)}")
    return 0
