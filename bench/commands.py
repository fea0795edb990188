"""Commands of this room: `mct demo`, `bench`, `run`, `compare`, `report`, `history`, `gate`; `mct targets limit`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mct import MctError
from mct.models.command_line import EVALUATION_SET, EXIT_CODES, FILE, FOLDER, Number, given, renames_of
from mct.models.commands import telling
from mct.targets.commands import targets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mct.bench.jobs.job import Job
    from mct.models.checkpoints.adapted import Told
    from mct.targets.target import Target

REFERENCE = "What a preference-tuned model was tuned from: for its implicit reward."


@click.command()
@click.option("--work", type=FOLDER, default=Path(".mct/demo"), show_default=True, help="Folder for what it builds.")
@click.option("--size", default="small", show_default=True, help="Size of the router to build: tiny, small or full.")
@click.option("--json", "json_file", type=FILE, help="Also write the result to this file.")
def demo(work: Path, size: str, json_file: Path | None) -> None:
    """The main job on the built-in default: build the router, compress it, bench it, judge it.

    Exits with 0 once the whole path has run; the verdicts stand in the table. What is built already is reused.
    """
    from mct.bench.jobs.demo import run_demo
    from mct.models.progress import shown
    from mct.models.writing.ownership import require_output

    require_output(json_file)
    with shown() as report:
        result = run_demo(work, size, report)
    _show_result(result, work / "results", json_file)


@click.command()
@click.argument("artifacts", type=FOLDER, nargs=-1, required=True)
@click.option("--data", type=FILE, help=EVALUATION_SET)
@click.option(
    "--target",
    "target",
    default="cpu",
    show_default=True,
    help="What it must run on: a name of mct targets list, ssh:HOST, or several with commas for one table of all.",
)
@click.option("--keep-remote", is_flag=True, help="Leave what was copied to a machine over ssh there.")
@click.option("--budget", help="Budget to judge against; without one there is no verdict.")
@click.option("--baseline", type=FOLDER, help="Checkpoint or artifact that quality is compared with.")
@click.option("--revision", help="Branch, tag or commit of a baseline that is named on the hub.  [default: main]")
@click.option("--reference", type=FOLDER, help=REFERENCE)
@telling
@click.option("--budgets", "budgets_file", type=FILE, help="More budgets, or other limits (TOML).")
@click.option("--targets", "targets_file", type=FILE, help="More targets (TOML).")
@click.option("--field", "fields", multiple=True, help="Rename a column: text=utterance. May be repeated.")
@click.option("--group", default="", help="Column of what belongs together (a conversation).")
@click.option("--results", type=FOLDER, default=Path(".mct/results"), show_default=True, help="Folder of the store.")
@click.option("--max-seconds", type=Number(min=0, min_open=True), help="Cap on the timing.  [default: 75]")
@click.option("--rigorous", is_flag=True, help="Take MLPerf's number of requests (50,425 for P95) of each.")
@click.option("--load", "qps", type=Number(min=0, min_open=True), help="Serve QPS requests a second instead.")
@click.option("--find-max-load", "find_max", is_flag=True, help="Search the highest load that meets the budget's P95.")
@click.option("--offline", is_flag=True, help="Throughput instead: all texts at once, in batches of 1 to 32.")
@click.option(
    "--scan", "scanned", help="Measure at several values of one: threads=1,2, batch=1,8, length=16,64 or clients=1,4."
)
@click.option("--torch-compile", is_flag=True, help="Run each checkpoint by torch.compile too, in a row of its own.")
@click.option(
    "--run-as",
    "ways",
    multiple=True,
    help="Run each that can in another way too, in a row of its own: bf16, int8, int4, graphs, compile, tensorrt, or "
    "some joined: bf16+graphs. May be repeated.",
)
@click.option("--limit", is_flag=True, help="Measure the machine's limit first, once, and show the share reached.")
@click.option("--new-tokens", default=32, show_default=True, help="What a language model is timed writing, at most.")
@click.option("--seed", default=0, show_default=True, help="Decides the order of the texts.")
@click.option("--json", "json_file", type=FILE, help="Also write the result to this file.")
def bench(
    artifacts: tuple[Path, ...], data: Path | None, target: str, keep_remote: bool, budget: str | None,
    baseline: Path | None, revision: str | None, reference: Path | None, told: Told,
    budgets_file: Path | None, targets_file: Path | None, fields: tuple[str, ...],
    group: str, results: Path, max_seconds: float | None, rigorous: bool, qps: float | None, find_max: bool,
    offline: bool, scanned: str | None, torch_compile: bool, ways: tuple[str, ...], limit: bool,
    new_tokens: int, seed: int, json_file: Path | None,
) -> int:  # fmt: skip
    """Measure P95 latency and quality of ARTIFACTS (or checkpoints), and judge them against a budget.

    A checkpoint may be a name on the hub. All are measured in turns, in fresh processes, on the texts of --data. With
    --load, requests arrive at that rate whether or not the last is done, and latency counts from the arrival. With
    --offline or --scan each value is measured and nothing judged.

    Exits with 0 when the budget is met, 1 when it is missed, 3 when the data cannot tell.
    """
    from mct.bench.jobs.job import Job, run_job, worst_outcome
    from mct.bench.samples.subject import own_data
    from mct.bench.samples.ways import device_of
    from mct.models.checkpoints.hub import find_folder
    from mct.models.progress import shown
    from mct.models.writing.ownership import require_output
    from mct.targets.budget import budget_on, find_budget
    from mct.targets.target import find_targets

    if sum((qps is not None, find_max, offline, scanned is not None)) > 1:
        raise MctError("--load, --find-max-load, --offline and --scan are four jobs", "give one of them")
    if revision is not None and baseline is None:
        raise MctError("--revision is that of the baseline, and there is none", "add --baseline ORG/NAME")
    paths = tuple(find_folder(artifact) for artifact in artifacts)
    original = find_folder(baseline, revision) if baseline else None
    require_output(json_file, given(*paths, data, original, budgets_file, targets_file))
    where = find_targets(target, targets_file, keep_remote)
    if len(where) == 1:  # of several, one whose GPU is not here is a row with its reason
        device_of(where[0])
    for limited in (name for each in where for name in each.budgets):  # a misspelt name would limit nothing
        find_budget(limited, budgets_file)
    asked, on = find_budget(budget, budgets_file) if budget else None, where[0]
    if len(where) > 1 and (find_max or offline or qps is not None or scanned is not None):
        raise MctError("a load or a scan is measured on one target", "give one: --target cpu")
    job = Job(
        paths=paths,
        data=data or own_data([original, *paths] if original else paths, told),
        target=on,
        budget=asked if asked is None or len(where) > 1 else budget_on(asked, on),
        baseline=original,
        renames=renames_of(fields),
        group=group,
        results=results,
        seed=seed,
        max_seconds=max_seconds,
        rigorous=rigorous,
        limit=limit,
        new_tokens=new_tokens,
        torch_compile=torch_compile,
        run_as=ways,
        told=told,
        reference=find_folder(reference) if reference else None,
    )
    if len(where) > 1:
        return _bench_matrix(job, where, json_file)
    if qps is not None or find_max:
        return _bench_load(job, qps, json_file)
    if offline or scanned is not None:
        return _bench_scan(job, scanned, json_file)
    with shown() as report:
        result = run_job(job, report)
    _show_result(result, results, json_file)
    return EXIT_CODES[worst_outcome(result)]


@click.command("run")
@click.argument("artifact", type=FOLDER)
@click.argument("requests", nargs=-1)
@telling
@click.option("--tokens", default=64, show_default=True, help="Most new tokens of a language model.")
def run_artifact(artifact: Path, requests: tuple[str, ...], told: Told, tokens: int) -> None:
    """Try ARTIFACT (or a checkpoint) by hand: texts as arguments, or a line each on stdin; answers as JSON lines.

    A scorer of pairs takes {"query": "…", "docs": ["…"]}, a reward model {"prompt": "…", "answers": ["…"]},
    a model taught to answer from documents {"question": "…", "documents": ["…"]}.
    """
    from mct.bench.jobs.run import ask, open_model, read_request
    from mct.models.checkpoints.hub import find_folder

    model = open_model(find_folder(artifact), told=told)
    for line in requests or _lines_of_stdin():
        click.echo(json.dumps(ask(model, read_request(model, line), tokens), ensure_ascii=False))


def _lines_of_stdin() -> Iterator[str]:
    try:
        yield from (line.rstrip("\n") for line in sys.stdin if line.strip())
    except UnicodeDecodeError as error:
        raise MctError("stdin is not UTF-8 text", "convert it first: iconv -t UTF-8") from error


def _bench_matrix(job: Job, targets: Sequence[Target], json_file: Path | None) -> int:
    """Measure on each target; one table of all on stdout."""
    from mct.bench.matrix.run import run_matrix
    from mct.bench.matrix.table import matrix_table
    from mct.models.progress import shown
    from mct.models.writing.folders import write_json

    with shown() as report:
        run = run_matrix(job, targets, report)
    click.echo(matrix_table(run.matrix), nl=False)
    click.echo(f"The matrix: {run.path} (a picture: mct report {run.path} --format html -o matrix.html)", err=True)
    if json_file is not None:
        write_json(json_file, run.matrix.as_json())
    return EXIT_CODES[run.matrix.outcome]


def _bench_scan(job: Job, scanned: str | None, json_file: Path | None) -> int:
    """Measure at each value of a parameter, of the batch size if none is named; the table on stdout."""
    from mct.bench.jobs.scan import OFFLINE, parse_scan, run_scan
    from mct.bench.report.scan_table import scan_table
    from mct.models.data.declared import read_object
    from mct.models.progress import shown
    from mct.models.writing.folders import write_json

    scan = parse_scan(scanned) if scanned is not None else OFFLINE
    with shown() as report:
        run = run_scan(job, scan, report)
    click.echo(scan_table(run.results), nl=False)
    if json_file is not None:
        write_json(json_file, read_object(run.path))
    return 0


def _bench_load(job: Job, qps: float | None, json_file: Path | None) -> int:
    """Serve `qps` requests a second, or without one search the highest load; the table on stdout."""
    from mct.bench.jobs.load import run_load
    from mct.bench.jobs.max_load import find_max_load
    from mct.bench.report.table import load_table, max_load_table
    from mct.models.data.declared import read_object
    from mct.models.progress import shown
    from mct.models.writing.folders import write_json

    with shown() as report:
        if qps is not None:
            run = run_load(job, qps, report)
            click.echo(load_table(run.results), nl=False)
            outcomes, path = [each.outcome for each in run.results], run.path
        else:
            search = find_max_load(job, report=report)
            click.echo(max_load_table(search.results), nl=False)
            outcomes, path = [each.outcome for each in search.results], search.path
    if json_file is not None:
        write_json(json_file, read_object(path))
    return max((EXIT_CODES[outcome] for outcome in outcomes), key=(0, 3, 1).index)


@click.command()
@click.argument("a", type=FOLDER)
@click.argument("b", type=FOLDER)
@click.option("--data", type=FILE, help=EVALUATION_SET)
@click.option("--reference", type=FOLDER, help=REFERENCE)
@telling
@click.option("--target", default="cpu", show_default=True, help="What both must run on.")
@click.option("--target-b", help="Another target for B: the same artifact under two settings.")
@click.option(
    "--margin",
    type=Number(min=0),
    default=10.0,
    show_default=True,
    help="Per cent of P50 and P95 below which a difference may pass.",
)
@click.option(
    "--quality-margin",
    type=Number(min=0),
    default=1.0,
    show_default=True,
    help="Points of quality that may be lost.",
)
@click.option(
    "--slice", "slices", multiple=True, help="A label, or month=2026-03: held to the margin by itself. May be repeated."
)
@click.option("--field", "fields", multiple=True, help="Rename a column: text=utterance. May be repeated.")
@click.option("--group", default="", help="Column of what belongs together (a conversation).")
@click.option("--results", type=FOLDER, default=Path(".mct/results"), show_default=True, help="Folder of the store.")
@click.option(
    "--max-seconds",
    type=Number(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="Cap on starting and timing.",
)
@click.option(
    "--slow-down-b",
    type=Number(min=1),
    default=1.0,
    show_default=True,
    help="Slow B's requests by this factor, to try the check.",
)
@click.option("--seed", default=0, show_default=True)
@click.option("--json", "json_file", type=FILE, help="Also write the comparison to this file.")
def compare(
    a: Path, b: Path, data: Path | None, reference: Path | None, told: Told, target: str, target_b: str | None,
    margin: float, quality_margin: float, slices: tuple[str, ...], fields: tuple[str, ...], group: str, results: Path,
    max_seconds: float, slow_down_b: float, seed: int, json_file: Path | None,
) -> int:  # fmt: skip
    """Compare B with A in one job: ratio of P95 and P50, and paired quality.

    Both are measured in turns, in fresh processes, until a slow-down of --margin would have been seen. Exits with 0
    when B is no worse, 1 when it is, 3 when this run cannot tell.
    """
    from mct.bench.jobs.compare import CompareJob, run_compare
    from mct.bench.judge.compare import EXIT_CODES as OUTCOMES
    from mct.bench.judge.compare import Limits, markdown
    from mct.bench.report.table import further_figures
    from mct.bench.samples.subject import own_data
    from mct.models.checkpoints.hub import find_folder
    from mct.models.progress import shown
    from mct.models.writing.folders import write_json
    from mct.models.writing.ownership import require_output
    from mct.targets.target import find_target

    first, second = find_folder(a), find_folder(b)
    require_output(json_file, given(first, second, data))
    job = CompareJob(
        a=first,
        b=second,
        data=data or own_data([first, second], told),
        targets=(find_target(target), find_target(target_b or target)),
        limits=Limits(margin / 100, quality_margin / 100),
        slices=slices,
        renames=renames_of(fields),
        group=group,
        results=results,
        max_seconds=max_seconds,
        slow_down_b=slow_down_b,
        seed=seed,
        told=told,
        reference=find_folder(reference) if reference else None,
    )
    with shown() as report:
        comparison, texts = run_compare(job, report)
    click.echo(markdown(comparison, texts), nl=False)
    names, scored = (comparison.a, comparison.b), (quality.as_json() for quality in comparison.scored)
    entries = [{"artifact": name, "quality": quality} for name, quality in zip(names, scored, strict=True)]
    if figures := further_figures(entries, "B's change against A, the baseline; they decide nothing here"):
        click.echo(f"\n{figures}")
    if json_file is not None:
        flips = {row: texts[row] for row in (flip.row for flip in (*comparison.lost, *comparison.gained))}
        write_json(json_file, comparison.as_json() | {"texts": flips})
    return OUTCOMES[comparison.outcome]


def _show_result(result: Mapping[str, Any], results: Path, json_file: Path | None) -> None:
    """The table on stdout; the whole result in a file, its samples named by the path from there."""
    from mct.bench.report.table import markdown_table
    from mct.models.writing.folders import write_json

    click.echo(markdown_table(result), nl=False)
    if json_file is not None:
        samples = os.path.relpath(results / result["samples"], json_file.parent)
        entries = [entry | {"samples": samples} for entry in result["artifacts"]]
        write_json(json_file, {**result, "samples": samples, "artifacts": entries})


@click.command()
@click.argument("results", type=FILE, nargs=-1)
@click.option("--format", "kind", default="markdown", show_default=True, help="markdown, html, png, json or csv.")
@click.option("--baseline", type=FILE, help="An earlier result to show the change against.")
@click.option("--allow-different", is_flag=True, help="Compare even results of different machines or versions.")
@click.option("-o", "--out", type=FILE, help="Write to this file instead of stdout.")
def report(
    results: tuple[Path, ...], kind: str, baseline: Path | None, allow_different: bool, out: Path | None
) -> None:
    """Show stored RESULTS: Markdown for a pull request, a self-contained HTML page, PNG, JSON or CSV.

    Without RESULTS, the newest one of the store. A matrix of several targets is shown by itself.
    """
    from mct.bench.matrix.report import render_matrix
    from mct.bench.matrix.stored import is_matrix
    from mct.bench.report.report import render
    from mct.bench.store.reading import read_run
    from mct.models.writing.folders import write_bytes_atomically
    from mct.models.writing.ownership import require_output

    results = results or tuple(_newest())
    require_output(out, given(*results, baseline))
    before = read_run(baseline) if baseline else None
    if any(map(is_matrix, results)):
        made = render_matrix(results, kind)
    else:
        made = render([read_run(path) for path in results], kind, before, allow_different)
    content = made if isinstance(made, bytes) else made.encode()
    if out is None:
        click.echo(content, nl=False)
    else:
        write_bytes_atomically(out, content)


@click.command()
@click.option("--results", type=FOLDER, default=Path(".mct/results"), show_default=True, help="Folder of the store.")
@click.option("--artifact", "artifacts", multiple=True, help="Only artifacts of this name. May be repeated.")
@click.option("--budget", help="Only runs that were judged against this budget.")
@click.option("--png", "plot", type=FILE, help="Also draw it into this file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def history(results: Path, artifacts: tuple[str, ...], budget: str | None, plot: Path | None, as_json: bool) -> None:
    """Show P95 of each artifact over all stored runs, and where it went over to another level.

    Only runs of the same machine, libraries, texts and budget stand in one series.
    """
    from mct.bench.store.history import read_history
    from mct.models.tables import load
    from mct.models.writing.folders import write_bytes_atomically
    from mct.models.writing.ownership import require_output

    require_output(plot, given(results))
    series = read_history(results, artifacts, budget)
    if plot is not None:
        write_bytes_atomically(plot, load("mct.bench.report.plots:history_png", "report")(series))
    if as_json:
        click.echo(json.dumps([each.as_json() for each in series], indent=2))
    else:
        click.echo(load("mct.bench.report.history:history_table")(series), nl=False)


@click.command()
@click.argument("results", type=FILE, nargs=-1)
@click.option("--budget", help="Judge against this budget instead of the one each result was made for.")
@click.option("--budgets", "budgets_file", type=FILE, help="More budgets, or other limits (TOML).")
@click.option("--artifact", "artifacts", multiple=True, help="Only artifacts of this name. May be repeated.")
def gate(results: tuple[Path, ...], budget: str | None, budgets_file: Path | None, artifacts: tuple[str, ...]) -> int:
    """Judge stored RESULTS against their budget, again from the raw samples: 0 met, 1 missed, 3 inconclusive.

    Without RESULTS, the newest one of the store.
    """
    from mct.bench.jobs import gate as gates
    from mct.targets.budget import find_budget

    limits = find_budget(budget, budgets_file) if budget else None
    found = gates.gate(list(results) or _newest(), limits, artifacts)
    click.echo(gates.describe(found))
    return EXIT_CODES[found.outcome]


def _newest() -> list[Path]:
    from mct.bench.store.store import RESULTS, list_results

    found = list_results(RESULTS)
    if not found:
        raise MctError(f"there are no results in {RESULTS}", "make one with: mct bench, or name a result file")
    return found[-1:]


@targets.command("limit")
@click.option("--target", default="cpu", show_default=True, help="With the threads of this target.")
@click.option("--targets", "targets_file", type=FILE, help="More targets (TOML).")
@click.option("--again", is_flag=True, help="Measure again, though it is known.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def targets_limit(target: str, targets_file: Path | None, again: bool, as_json: bool) -> None:
    """Say how fast this machine's runtimes multiply and read at best. Measured once, in about seven seconds."""
    from mct.bench.measure.sampling import plan_bench
    from mct.bench.worker.facts import facts_here
    from mct.targets.limit import find_limit
    from mct.targets.target import find_target

    plan = plan_bench(facts_here(), find_target(target, targets_file).threads or 0)
    found = find_limit(plan.threads, plan.affinity, again)
    click.echo(json.dumps(found.as_json(), indent=2) if as_json else found.describe())
