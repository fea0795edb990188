"""The command of this room: `mct plan`."""

from __future__ import annotations

from pathlib import Path

import click

from mct import MctError
from mct.models.command_line import FOLDER, Number, print_json

WORK = Path(".mct/work")


@click.command()
@click.argument("scenarios", nargs=-1)
@click.option("--symptom", help='What hurts, instead of names: "search irrelevant", "answers poor" …')
@click.option("--symptoms", "list_symptoms", is_flag=True, help="List the symptoms and which scenarios answer them.")
@click.option("--size", default="small", show_default=True, help="Of the checkpoints: tiny, small or full.")
@click.option("--artifact", default="onnx-int8", show_default=True, help="The artifact to gate and to release.")
@click.option("--format", "formats", default="onnx,openvino,gguf", show_default=True, help="Formats to make.")
@click.option("--max-seconds", type=Number(min=0, min_open=True), help="Cap on the timing of each bench.")
@click.option("--work", type=FOLDER, default=WORK, show_default=True, help="Folder for what the steps make.")
@click.option("--store", default=".mct/releases", show_default=True, help="The releases: a folder or a URL.")
@click.option("--look", "places", type=FOLDER, multiple=True, help="Look here too for what is there already.")
@click.option("--run", "running", is_flag=True, help="Run what is ready; stop at the first gate that does not pass.")
@click.option("--mermaid", is_flag=True, help="Print a Mermaid graph.")
@click.option("--pipeline", is_flag=True, help="Print a pipeline file, for mct pipeline run.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(
    scenarios: tuple[str, ...], symptom: str | None, list_symptoms: bool, size: str, artifact: str, formats: str,
    max_seconds: float | None, work: Path, store: str, places: tuple[Path, ...], running: bool, mermaid: bool,
    pipeline: bool, as_json: bool,
) -> int:  # fmt: skip
    """Show what to do in which order and why, what is there already, and how long the rest will take.

    Of the SCENARIOS named, of those that answer a --symptom, or of all. Nothing is loaded or run without --run.

    Exits with 0, with --run with the code of the gate that did not pass: 1 missed, 3 inconclusive.
    """
    from mct.release.planning.found import looked_at
    from mct.release.planning.order import find_symptom, symptoms
    from mct.release.planning.plan import Plan, make_plan
    from mct.release.planning.plan_text import as_mermaid, as_pipeline, as_text
    from mct.release.planning.running import run_plan
    from mct.release.planning.steps import Work

    if list_symptoms:
        _show_symptoms(symptoms(), as_json)
        return 0
    if symptom is not None and scenarios:
        raise MctError("--symptom and names of scenarios are two ways to choose", "give one of them")
    if sum((mermaid, pipeline, as_json)) > 1:
        raise MctError("--mermaid, --pipeline and --json are three ways to print", "give one of them")
    names = symptoms()[find_symptom(symptom)] if symptom is not None else scenarios
    wanted = Work(work, size, artifact, tuple(each.strip() for each in formats.split(",")), store, max_seconds)

    for place in places:
        if not place.is_dir():
            raise MctError(f"--look {place}: there is no such folder", "name a folder that is there")

    def look() -> Plan:
        return make_plan(names, wanted, looked_at((Path(".mct"), work, *places)))

    code = 0
    if running:
        ran = run_plan(look, lambda line: click.echo(line, err=True))
        code = ran.code
        if ran.stopped_at:
            click.echo(f"stopped at {ran.stopped_at}: exit code {code}", err=True)
    found = look()
    if as_json:
        print_json(found.as_json())
    else:
        show = as_mermaid if mermaid else as_pipeline if pipeline else as_text
        click.echo(show(found), nl=False)
    return code


def _show_symptoms(found: dict[str, tuple[str, ...]], as_json: bool) -> None:
    if as_json:
        print_json({symptom: list(names) for symptom, names in found.items()})
        return
    for symptom, names in found.items():
        click.echo(f"{symptom}: {', '.join(names)}")
