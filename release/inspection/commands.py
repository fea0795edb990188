"""Commands of this room: `mct explain` and `mct behave`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mct import MctError
from mct.models.command_line import EXIT_CODES, FILE, FOLDER, SEED, Number, given, print_json, renames_of
from mct.models.commands import telling

if TYPE_CHECKING:
    from mct.models.checkpoints.adapted import Told

PARTS = ("score drift", "attribution", "gradients", "floor", "spurious words", "layers")
TESTS = "Behaviour tests: a .toml file, or the name of built-in ones (intent-router)."


@click.command()
@click.argument("original", type=FOLDER)
@click.argument("artifact", type=FOLDER)
@click.option("--data", type=FILE, help="Evaluation set.  [default: data/test.jsonl of the original]")
@click.option("--tests", "tests", help=TESTS)
@click.option("--limits", "limits_name", help="Limits to judge by (a table of --limits-file, or built in).")
@click.option("--limits-file", type=FILE, help="More limits, or others (TOML).")
@click.option(
    "--examples", type=click.IntRange(1, 100_000), default=100, show_default=True, help="Answers to attribute."
)
@click.option(
    "--seconds", type=Number(min=0, min_open=True), default=120.0, show_default=True, help="Cap on attributing."
)
@click.option(
    "--without", "without", multiple=True, type=click.Choice(PARTS), help="A part to leave out. May be repeated."
)
@click.option("--field", "fields", multiple=True, help="Rename a column: text=utterance. May be repeated.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Decides the examples and the cases of tests.")
@telling
@click.option("-o", "--out", type=FOLDER, help="Folder for explain.md, explain.json and explain.html.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout instead of Markdown.")
def explain(
    original: Path, artifact: Path, data: Path | None, tests: str | None, limits_name: str | None,
    limits_file: Path | None, examples: int, seconds: float, without: tuple[str, ...], fields: tuple[str, ...],
    seed: int, told: Told, out: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Say where and why ARTIFACT answers otherwise than the ORIGINAL that it was made of.

    Flips and the groups they gather in, what single answers rest on in both, how far that drifted, words that drive
    answers, what each layer costs when quantised alone, behaviour tests.

    Exits with 0 when the limits are met or none were given, 1 when one is missed, 3 when the data cannot tell.
    """
    from mct.bench.samples.subject import own_data
    from mct.models.checkpoints.hub import find_folder
    from mct.models.progress import shown
    from mct.models.tables import load
    from mct.release.inspection.behaviour.tests_file import read_suite
    from mct.release.inspection.explain import Job
    from mct.release.inspection.explain import explain as inspect_both
    from mct.release.inspection.limits import find_limits

    if limits_file is not None and limits_name is None:
        raise MctError("--limits-file has several tables, and none is named", "add --limits NAME")
    first, second = find_folder(original), find_folder(artifact)
    _require_free(out, given(first, second, data, limits_file))
    job = Job(
        first, second, data or own_data([first], told), renames_of(fields), examples, seconds, seed,
        suite=read_suite(tests) if tests else None,
        limits=find_limits(limits_name, limits_file) if limits_name else None,
        without=frozenset(without), told=told,
    )  # fmt: skip
    with shown() as report:
        found = inspect_both(job, report)
    markdown = load("mct.release.inspection.pages.markdown:explanation_markdown")(found)
    if out is not None:
        page = load("mct.release.inspection.pages.page:as_page", "report")(found)
        _write(out, {"explain.md": markdown, "explain.html": page}, "explain.json", found.as_json())
    _show(found, markdown, as_json)
    return EXIT_CODES[found.outcome] if found.lines else 0


@click.command()
@click.argument("model", type=FOLDER)
@click.option("--tests", "tests", required=True, help=TESTS)
@click.option("--against", type=FOLDER, help="The original: which cases it passes and MODEL fails.")
@click.option("--most-failures", type=Number(min=0, max=100), help="Per cent of all cases that may fail.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Decides the cases that are drawn.")
@telling
@click.option("-o", "--out", type=FOLDER, help="Folder for behave.md and behave.json.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout instead of Markdown.")
def behave(
    model: Path, tests: str, against: Path | None, most_failures: float | None, seed: int, told: Told,
    out: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Run behaviour tests on MODEL, an artifact or a checkpoint, and list what fails.

    What must not change (a title, an order number, a typo) and what must (a negation), as a person wrote it in a file.

    Exits with 0 when every test keeps its limit, 1 when one does not, 3 when its cases are too few to tell, or nothing
    has a limit: most_failures of a test, or --most-failures of all.
    """
    from mct.models.checkpoints.hub import find_folder
    from mct.models.progress import shown
    from mct.models.tables import load
    from mct.release.inspection.behaved import behave as run_tests
    from mct.release.inspection.behaviour.tests_file import read_suite

    suite, path = read_suite(tests), find_folder(model)
    original = find_folder(against) if against else None
    _require_free(out, given(path, original))
    most = None if most_failures is None else most_failures / 100
    with shown() as report:
        found = run_tests(path, suite, original, most, seed, told, report)
    markdown = load("mct.release.inspection.pages.markdown:behaviour_markdown")(found)
    if out is not None:
        _write(out, {"behave.md": markdown}, "behave.json", found.as_json())
    _show(found, markdown, as_json)
    return EXIT_CODES[found.outcome]


def _show(found: Any, markdown: str, as_json: bool) -> None:
    if as_json:
        print_json(found.as_json())
    else:
        click.echo(markdown, nl=False)


def _require_free(out: Path | None, reads: list[Path]) -> None:
    from mct.models.writing.ownership import require_replaceable

    if out is not None:
        require_replaceable(out, reads)


def _write(out: Path, texts: dict[str, str], json_name: str, value: Any) -> None:
    from mct.models.writing.folders import write_json
    from mct.models.writing.replacing import appearing

    with appearing(out) as draft:
        for name, text in texts.items():
            (draft / name).write_text(text, encoding="utf-8")
        write_json(draft / json_name, value)
