"""The commands of this room: `mct release` and what it does to a store of releases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mct import MctError
from mct.models.command_line import EXIT_CODES, FILE, FOLDER, Commands, print_json
from mct.models.commands import telling

if TYPE_CHECKING:
    from mct.models.checkpoints.adapted import Told

STORE = ".mct/releases"
STAGE = click.Choice(["shadow", "canary", "production"])
_store = click.option(
    "--store", "address", default=STORE, show_default=True, envvar="MCT_RELEASES",
    help="Folder of the releases, or a URL that fsspec knows (s3://bucket/releases). Also from MCT_RELEASES.",
)  # fmt: skip
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_by = click.option("--by", default="", help="Who does it, for the journal.")
_gate = click.option(
    "--gate", "gate_file", type=FILE, default=Path("release.toml"), show_default=True, help="What a stage asks (TOML)."
)


def _noted(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of whatever changes the journal."""
    return _store(_by(_json(command)))


@click.group(cls=Commands)
def release() -> None:
    """Decide which artifact is in production: gates, promotion, rollback, and the evidence of each."""


@release.command("add")
@click.argument("artifacts", type=FOLDER, nargs=-1, required=True)
@click.option("--name", required=True, help="What they are releases of, like intent-router.")
@click.option("--checkpoint", default="", help="What they were made of: lets mct release verify make them again.")
@click.option("--data", default="", help="The --data that they were made with.")
@click.option("--eval", "evaluation", default="", help="The --eval that they were made with.")
@_noted
def release_add(
    artifacts: tuple[Path, ...], name: str, checkpoint: str, data: str, evaluation: str, address: str, by: str,
    as_json: bool,
) -> None:  # fmt: skip
    """Store ARTIFACTS as new candidates of --name. One that is there already keeps its number."""
    from mct.release.promotion.describe import release_json
    from mct.release.promotion.moves import add
    from mct.release.promotion.releases import Source

    source = Source(_absolute(checkpoint), _absolute(data), _absolute(evaluation))
    found = add(_open(address), artifacts, name, source, by)
    if as_json:
        print_json([release_json(each) for each in found])
        return
    for each in found:
        click.echo(f"{each.ref}  {each.state}  {each.artifact}  {each.digest[:12]}")


@release.command("list")
@_store
@_json
def release_list(address: str, as_json: bool) -> None:
    """List every release and its state."""
    from mct.release.promotion.describe import releases_table, track_json

    store = _open(address)
    tracks = [store.track(name) for name in store.names()]
    if as_json:
        print_json([track_json(each) for each in tracks])
    elif tracks:
        click.echo(releases_table(tracks), nl=False)
    else:
        click.echo(f"no releases in {address} yet: mct release add ARTIFACT --name NAME", err=True)


@release.command("show")
@click.argument("ref")
@click.option("--path", "path_only", is_flag=True, help="Print the folder of its artifact alone, for other programs.")
@_store
@_json
def release_show(ref: str, path_only: bool, address: str, as_json: bool) -> None:
    """Show a release NAME@VERSION with what its gate said; or the history of NAME. --path NAME is its production."""
    from mct.release.promotion.describe import history_table, release_json, release_page, track_json
    from mct.release.promotion.gate_values import last_verdict, production_of
    from mct.release.promotion.releases import split_ref

    store = _open(address)
    name, version = split_ref(ref)
    release, track = store.find(ref), store.track(name)
    if path_only:
        chosen = release if version else production_of(store, track, _warn)
        if chosen is None:
            raise MctError(f"nothing of {name} is in production", "promote a release, or name one: NAME@VERSION")
        if (folder := store.artifact_on_disk(chosen)) is None:
            raise MctError(f"{address} is not on this disk", f"fetch it: mct release fetch {ref} -o FOLDER")
        click.echo(folder)
        return
    if version is None:
        print_json(track_json(track)) if as_json else click.echo(history_table(track), nl=False)
        return
    said = last_verdict(store, ref)
    if as_json:
        print_json(release_json(release) | {"verdict": said.verdict.as_json() if said else None})
    else:
        click.echo(release_page(release, said), nl=False)


@release.command("fetch")
@click.argument("ref")
@click.option("-o", "--out", type=FOLDER, required=True, help="Folder for the artifact.")
@_store
def release_fetch(ref: str, out: Path, address: str) -> None:
    """Copy the artifact of NAME's production, or of NAME@VERSION, verified by its digest."""
    from mct.models.writing.replacing import appearing
    from mct.release.promotion.gate_values import production_of
    from mct.release.promotion.releases import split_ref

    store = _open(address)
    name, version = split_ref(ref)
    chosen = store.find(ref)
    if version is None:
        production = production_of(store, store.track(name), _warn)
        if production is None:
            raise MctError(f"nothing of {name} is in production", "promote a release, or name one: NAME@VERSION")
        chosen = production
    with appearing(out) as draft:
        store.fetch(chosen, draft)
    click.echo(out)


@release.command("gate")
@click.argument("ref")
@click.option("--to", "stage", type=STAGE, required=True, help="The stage whose gate is asked.")
@_gate
@_noted
def release_gate(ref: str, stage: Any, gate_file: Path, address: str, by: str, as_json: bool) -> int:
    """Ask the gate of a stage about a release, and change nothing: 0 it may go, 1 it may not, 3 not shown.

    The look, the verdict and its evidence are kept: every run that a gate has seen counts as a try, even when gone.
    """
    from mct.release.promotion.gate import ask_gate

    said = ask_gate(_open(address), ref, stage, gate_file, by)
    _show_verdict(said, as_json)
    return EXIT_CODES[said.verdict.outcome]


@release.command("promote")
@click.argument("ref")
@click.option("--to", "stage", type=STAGE, required=True, help="Where it is to go.")
@click.option("--dry-run", is_flag=True, help="Ask the gate, and change nothing.")
@_gate
@_noted
def release_promote(ref: str, stage: Any, dry_run: bool, gate_file: Path, address: str, by: str, as_json: bool) -> int:
    """Let a release go to a stage if its gate passes: 0 it went, 1 it may not, 3 not shown. NAME is its newest one.

    What was in production is retired, and a rollback brings it back.
    """
    from mct.release.promotion.gate import ask_gate
    from mct.release.promotion.moves import promote, require_movable

    store = _open(address)
    if dry_run:
        wanted = store.find(ref)
        require_movable(store.track(wanted.name), wanted, stage)
        said, outcome = ask_gate(store, ref, stage, gate_file, by), "not moved: a dry run"
    else:
        done = promote(store, ref, stage, gate_file, by)
        said, outcome = done.verdict, f"{done.release.ref} is in {done.release.state}"
    _show_verdict(said, as_json)
    click.echo(outcome, err=True)
    return EXIT_CODES[said.verdict.outcome]


@release.command("rollback")
@click.argument("name")
@click.option("--note", default="", help="Why, for the journal.")
@click.option("--dry-run", is_flag=True, help="Say what would come back, and change nothing.")
@_noted
def release_rollback(name: str, note: str, dry_run: bool, address: str, by: str, as_json: bool) -> None:
    """Bring back what was in production before, in one step. No gate is asked: it has passed one."""
    from mct.release.promotion.describe import release_json
    from mct.release.promotion.moves import rollback, way_back

    store = _open(address)
    back = way_back(store, name) if dry_run else rollback(store, name, by, note).production
    assert back is not None
    if as_json:
        print_json(release_json(back) | {"dry_run": dry_run})
    else:
        click.echo(f"{back.ref} {'would be' if dry_run else 'is'} in production  {back.artifact}  {back.digest[:12]}")


@release.command("retire")
@click.argument("ref")
@click.option("--note", default="", help="Why, for the journal.")
@_noted
def release_retire(ref: str, note: str, address: str, by: str, as_json: bool) -> None:
    """Take a release out, for good: no rollback leads back to it."""
    from mct.release.promotion.describe import release_json
    from mct.release.promotion.moves import retire

    store = _open(address)
    wanted = store.find(ref)
    found = retire(store, wanted.ref, by, note).release(wanted.version)
    print_json(release_json(found)) if as_json else click.echo(f"{found.ref}  {found.state}")


@release.command("drill")
@click.argument("name")
@_noted
def release_drill(name: str, address: str, by: str, as_json: bool) -> int:
    """Practise a rollback of NAME on a copy: promote, go back, look, ask, with the time of each. 0 it works, 1 not."""
    from dataclasses import asdict

    from mct.release.promotion.drill import practise

    found = practise(_open(address), name, by)
    if as_json:
        print_json(asdict(found))
    else:
        click.echo(
            f"{found.outcome}: {found.promoted} took production in {found.promote_ms:.0f} ms, "
            f"{found.production} was back in {found.rollback_ms:.0f} ms"
        )
        for problem in found.problems:
            click.echo(f"  {problem}")
    return EXIT_CODES[found.outcome]


@release.command("verify")
@click.argument("ref")
@click.option("--checkpoint", default="", help="What it was made of.  [default: as said at add]")
@click.option("--data", default="", help="The --data that it was made with.  [default: as said at add]")
@click.option("--eval", "evaluation", default="", help="The --eval that it was made with.  [default: as said at add]")
@telling
@_noted
def release_verify(
    ref: str, checkpoint: str, data: str, evaluation: str, told: Told, address: str, by: str, as_json: bool
) -> int:
    """Make a release again from its recipe, and compare bytes: 0 the same, 1 other, 3 other from other inputs."""
    from dataclasses import asdict

    from mct.models.progress import shown
    from mct.release.promotion.releases import Source
    from mct.release.promotion.remake import remake

    with shown() as report:
        found = remake(_open(address), ref, Source(checkpoint, data, evaluation), by, report, told)
    print_json(asdict(found)) if as_json else click.echo(found.describe())
    return EXIT_CODES[found.outcome]


@release.command("publish")
@click.argument("ref")
@click.option("--mlflow", "registry", required=True, help="Address of an MLflow tracking server, http://HOST:PORT.")
@click.option("--model", default="", help="What it is called there.  [default: the release's name]")
@_noted
def release_publish(ref: str, registry: str, model: str, address: str, by: str, as_json: bool) -> None:
    """Write a release to an MLflow registry: artifact, verdict and evidence, and its stage as an alias."""
    from mct.models.progress import shown
    from mct.models.tables import load

    publish = load("mct.release.promotion.mlflow_registry:publish", "mlflow")
    with shown() as report:
        found = publish(_open(address), ref, registry, model, by, report)
    print_json(found) if as_json else click.echo(f"{found['model']} version {found['version']} at {found['registry']}")


def _open(address: str) -> Any:
    from mct.release.promotion.store import open_store

    return open_store(address)


def _warn(text: str) -> None:
    click.echo(f"warning: {text}", err=True)


def _show_verdict(said: Any, as_json: bool) -> None:
    from mct.release.promotion.describe import verdict_page

    if as_json:
        print_json(said.verdict.as_json() | {"sha256": said.sha256})
    else:
        click.echo(verdict_page(said.verdict, said.sha256), nl=False)


def _absolute(name: str) -> str:
    """A path of this disk from its root, so that it is found from any folder; a name on the hub as it is."""
    return str(Path(name).resolve()) if name and Path(name).exists() else name
