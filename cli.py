"""The command line: every Click command, thin: it parses, calls one function of a room, prints, sets the exit code.

Exit codes: 0 budget met, 1 budget missed, 2 bad input or missing part, 3 inconclusive. Data goes to stdout, progress
and messages to stderr. Nothing heavy is imported here: `mct --help` must answer at once, so commands import what they
run.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from mct import MctError, __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType

    from mct.bench.jobs.job import Job

EXIT_CODES = {"pass": 0, "fail": 1, "inconclusive": 3}
BAD_INPUT = 2
LONGEST_SENTENCE = 300
AGAIN_S = 0.05

FOLDER = click.Path(path_type=Path)
FILE = click.Path(path_type=Path)
EVALUATION_SET = (
    "Evaluation set: .jsonl, .jsonl.gz or .csv.  [default: data/test.jsonl of the baseline or a checkpoint]"
)
REVISION = "Branch, tag or commit of what is named on the hub.  [default: main]"


def main() -> NoReturn:
    """Entry point: run a command; what a user can mend becomes one line, a hint and exit code 2."""
    interrupts = _listen_for_interrupts()
    try:
        result = commands.main(prog_name="mct", standalone_mode=False)
        _ignore_interrupts()
        sys.exit(result if isinstance(result, int) else 0)
    except MctError as error:
        _refuse(error.message, error.hint)
    except (click.exceptions.Abort, KeyboardInterrupt):
        _stop_interrupted()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(BAD_INPUT)
    except click.ClickException as error:
        where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "mct"
        _refuse(error.format_message(), f"see {where} --help")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        from mct.models.writing.full_disk import MENDED_BY

        if error.errno not in MENDED_BY:
            raise
        _refuse(f"{error.strerror}: {error.filename or 'an output file'}", MENDED_BY[error.errno])
    except Exception:
        if not interrupts:
            raise
        _stop_interrupted()  # a library that was interrupted while it was loading raises errors of its own


def _listen_for_interrupts() -> list[int]:
    """Let SIGINT and SIGTERM raise KeyboardInterrupt; their numbers are added to the list that is given back.

    Not while a library is being imported: one written in C++ cannot pass the exception on, and ends the process by an
    abort. The signal is then sent again, until the import is through.
    """
    seen: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        if not _is_importing(frame):
            raise KeyboardInterrupt
        threading.Timer(AGAIN_S, signal.pthread_kill, [threading.get_ident(), number]).start()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    return seen


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _refuse(message: str, hint: str) -> NoReturn:
    click.echo(f"error: {' '.join(message.split())}", err=True)
    if hint:
        click.echo(f"hint: {hint}", err=True)
    sys.exit(BAD_INPUT)


def _ignore_interrupts() -> None:
    """The work is done: a signal while the interpreter takes itself down must not turn it into a failure."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _stop_interrupted() -> NoReturn:
    """Leave at once with our own exit code: after an interrupt inside `exec` CPython would end itself by the signal."""
    try:
        _refuse("interrupted", "nothing half-written was left behind; run the command again")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(BAD_INPUT)


class Commands(click.Group):
    """A group that lists its commands in the order they are used, each with a whole sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of this file, which is that of the work."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Click would cut each sentence off at the end of its line."""
        rows = [(name, command.get_short_help_str(limit=LONGEST_SENTENCE)) for name, command in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


Commands.group_class = type  # a group in a group is one as well


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="mct")
def commands() -> None:
    """Take any fine-tuned checkpoint to the fastest artifact that provably meets its budget."""


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def _renames(fields: tuple[str, ...]) -> Mapping[str, str]:
    for field in fields:
        if "=" not in field:
            raise MctError(f"--field {field} names no column", "write it as --field text=utterance")
    return dict(field.split("=", 1) for field in fields)


def _given(*paths: Path | None) -> list[Path]:
    """The paths of those options that were given."""
    return [path for path in paths if path is not None]


# -- demo ---------------------------------------------------------------------------------------------------------


@commands.command()
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


# -- models -------------------------------------------------------------------------------------------------------


@commands.group()
def models() -> None:
    """Scenarios, and the checkpoints they stand for."""


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def models_list(as_json: bool) -> None:
    """List the MangaAssist scenarios."""
    from dataclasses import asdict

    from mct.models.scenarios.table import SCENARIOS

    if as_json:
        _print_json([asdict(scenario) for scenario in SCENARIOS])
        return
    for scenario in SCENARIOS:
        built = f"  (build: {', '.join(scenario.sizes)})" if scenario.build else ""
        click.echo(f"{scenario.number}  {scenario.name:<18} {scenario.technique:<36} {scenario.task}{built}")


@models.command("build")
@click.argument("scenario")
@click.option("-o", "--out", type=FOLDER, help="Folder for the checkpoint.  [default: SCENARIO-SIZE]")
@click.option("--size", default="small", show_default=True, help="tiny, small or full.")
@click.option("--base", help="Start from this model instead: a folder or a hub name.")
@click.option("--seed", default=0, show_default=True)
def models_build(scenario: str, out: Path | None, size: str, base: str | None, seed: int) -> None:
    """Build a scenario's checkpoint with its real technique."""
    from mct.models.progress import shown
    from mct.models.scenarios.table import SCENARIOS, find_scenario
    from mct.models.tables import load
    from mct.models.writing.ownership import require_replaceable

    row = find_scenario(scenario)
    if not row.build:
        buildable = ", ".join(other.name for other in SCENARIOS if other.build)
        raise MctError(f"scenario {scenario} has no recipe yet", f"these have one: {buildable}")
    folder = out or Path(f"{scenario}-{size}")
    require_replaceable(folder, [Path(base)] if base else [])  # here too, since the libraries take seconds to load
    with shown() as report:
        load(row.build, "compress")(size, folder, seed, report, base=base)
    click.echo(folder)


@models.command("inspect")
@click.argument("folder", type=FOLDER)
@click.option("--revision", help=REVISION)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def models_inspect(folder: Path, revision: str | None, as_json: bool) -> None:
    """Say what FOLDER is, or a name on the hub: a checkpoint or an artifact, its technique, task, labels and size."""
    from mct.compress.run.artifact import is_artifact, read_artifact
    from mct.compress.run.describe import artifact_json, describe_artifact, describe_checkpoint
    from mct.models.checkpoints.checkpoint import inspect
    from mct.models.checkpoints.hub import find_folder

    found = find_folder(folder, revision)
    if is_artifact(found):
        artifact = read_artifact(found)
        facts, values = describe_artifact(artifact, found), artifact_json(artifact, found)
    else:
        checkpoint = inspect(found)
        facts, values = describe_checkpoint(checkpoint), checkpoint.as_json()
    if as_json:
        _print_json(values)
        return
    for name, fact in facts.items():
        click.echo(f"{name:<15} {fact}")


@models.command("formats")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def models_formats(as_json: bool) -> None:
    """Say which formats and precisions each task kind can be compressed to."""
    from mct.compress.plan.plan import supported
    from mct.compress.plan.support import support_markdown
    from mct.models.tasks.table import TASKS

    if as_json:
        _print_json({task.name: supported(task.name) for task in TASKS})
    else:
        click.echo(support_markdown(), nl=False)


# -- compress -----------------------------------------------------------------------------------------------------


@commands.command()
@click.argument("checkpoint", type=FOLDER)
@click.option("-o", "--out", type=FOLDER, required=True, help="Folder for the artifacts, one folder each.")
@click.option("--revision", help=REVISION)
@click.option("--format", "formats", default="onnx,openvino,gguf", show_default=True, help="Comma-separated formats.")
@click.option("--precision", "precisions", default="int8", show_default=True, help="Comma-separated precisions.")
@click.option("--data", type=FILE, help="Texts to calibrate on.  [default: CHECKPOINT/data/train.jsonl]")
@click.option(
    "--eval",
    "eval_file",
    type=FILE,
    help="Texts to check parity on.  [default: CHECKPOINT/data/test.jsonl, or a fifth of --data]",
)
@click.option("--field", "fields", multiple=True, help="Rename a column: text=utterance. May be repeated.")
@click.option("--target", default="cpu", show_default=True, help="Make it for this target's instruction sets.")
@click.option("--targets", "targets_file", type=FILE, help="More targets (TOML).")
@click.option("--seed", default=0, show_default=True)
@click.option("--plan", "plan_only", is_flag=True, help="Print what would be done, and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print the artifacts as JSON.")
def compress(
    checkpoint: Path, out: Path, revision: str | None, formats: str, precisions: str, data: Path | None,
    eval_file: Path | None, fields: tuple[str, ...], target: str, targets_file: Path | None, seed: int,
    plan_only: bool, as_json: bool,
) -> None:  # fmt: skip
    """Turn CHECKPOINT, a folder or a name on the hub, into artifacts, each checked against it on real texts."""
    from mct.compress.plan.plan import make_plan
    from mct.compress.run.artifact import read_artifact
    from mct.compress.run.describe import artifact_json, parity_line
    from mct.compress.run.execute import execute
    from mct.compress.run.material import gather
    from mct.models.checkpoints.checkpoint import inspect
    from mct.models.checkpoints.hub import find_folder
    from mct.models.progress import shown
    from mct.targets.target import find_target, machine_of

    machine = machine_of(find_target(target, targets_file))
    plan = make_plan(inspect(find_folder(checkpoint, revision)), formats.split(","), precisions.split(","), machine)
    for warning in (warning for route in plan.routes for warning in route.warnings):
        click.echo(f"warning: {warning}", err=True)
    if plan_only:
        _print_json(plan.as_json()) if as_json else click.echo(plan.describe())
        return
    material, texts = gather(plan, data, eval_file, _renames(fields), seed, machine)
    with shown() as report:
        folders = execute(plan, material, texts, out, report)
    if as_json:
        _print_json(
            [
                artifact_json(read_artifact(folder), folder) | {"warnings": list(route.warnings)}
                for folder, route in zip(folders, plan.routes, strict=True)
            ]
        )
        return
    for folder in folders:
        click.echo(f"{folder}  {parity_line(read_artifact(folder, verify=False).parity)}")


# -- bench --------------------------------------------------------------------------------------------------------


@commands.command()
@click.argument("artifacts", type=FOLDER, nargs=-1, required=True)
@click.option("--data", type=FILE, help=EVALUATION_SET)
@click.option("--target", default="cpu", show_default=True, help="What it must run on (see mct targets list).")
@click.option("--budget", help="Budget to judge against; without one there is no verdict.")
@click.option("--baseline", type=FOLDER, help="Checkpoint or artifact that quality is compared with.")
@click.option("--revision", help="Branch, tag or commit of a baseline that is named on the hub.  [default: main]")
@click.option("--budgets", "budgets_file", type=FILE, help="More budgets, or other limits (TOML).")
@click.option("--targets", "targets_file", type=FILE, help="More targets (TOML).")
@click.option("--field", "fields", multiple=True, help="Rename a column: text=utterance. May be repeated.")
@click.option("--results", type=FOLDER, default=Path(".mct/results"), show_default=True, help="Folder of the store.")
@click.option("--max-seconds", type=click.FloatRange(min=0, min_open=True), help="Cap on the timing.  [default: 75]")
@click.option("--rigorous", is_flag=True, help="Take MLPerf's number of requests (50,425 for P95) of each.")
@click.option("--load", "qps", type=click.FloatRange(min=0, min_open=True), help="Serve QPS requests a second instead.")
@click.option("--find-max-load", "find_max", is_flag=True, help="Search the highest load that meets the budget's P95.")
@click.option("--limit", is_flag=True, help="Measure the machine's limit first, once, and show the share reached.")
@click.option("--new-tokens", default=32, show_default=True, help="What a language model is timed writing, at most.")
@click.option("--seed", default=0, show_default=True, help="Decides the order of the texts.")
@click.option("--json", "json_file", type=FILE, help="Also write the result to this file.")
def bench(
    artifacts: tuple[Path, ...], data: Path | None, target: str, budget: str | None, baseline: Path | None,
    revision: str | None, budgets_file: Path | None, targets_file: Path | None, fields: tuple[str, ...],
    results: Path, max_seconds: float | None, rigorous: bool, qps: float | None, find_max: bool, limit: bool,
    new_tokens: int, seed: int, json_file: Path | None,
) -> int:  # fmt: skip
    """Measure P95 latency and quality of ARTIFACTS (or checkpoints), and judge them against a budget.

    A checkpoint may be a name on the hub. All are measured in turns, in fresh processes, on the texts of --data. With
    --load, requests arrive at that rate whether or not the last is done, and latency counts from the arrival. Exits
    with 0 when the budget is met, 1 when it is missed, 3 when the data cannot tell.
    """
    from mct.bench.jobs.job import Job, run_job, worst_outcome
    from mct.bench.samples.subject import own_data
    from mct.models.checkpoints.hub import find_folder
    from mct.models.progress import shown
    from mct.models.writing.ownership import require_output
    from mct.targets.budget import find_budget
    from mct.targets.target import find_target

    if revision is not None and baseline is None:
        raise MctError("--revision is that of the baseline, and there is none", "add --baseline ORG/NAME")
    paths = tuple(find_folder(artifact) for artifact in artifacts)
    original = find_folder(baseline, revision) if baseline else None
    require_output(json_file, _given(*paths, data, original, budgets_file, targets_file))
    job = Job(
        paths=paths,
        data=data or own_data([original, *paths] if original else paths),
        target=find_target(target, targets_file),
        budget=find_budget(budget, budgets_file) if budget else None,
        baseline=original,
        renames=_renames(fields),
        results=results,
        seed=seed,
        max_seconds=max_seconds,
        rigorous=rigorous,
        limit=limit,
        new_tokens=new_tokens,
    )
    if qps is not None or find_max:
        return _bench_load(job, qps, json_file)
    with shown() as report:
        result = run_job(job, report)
    _show_result(result, results, json_file)
    return EXIT_CODES[worst_outcome(result)]


@commands.command("run")
@click.argument("artifact", type=FOLDER)
@click.argument("requests", nargs=-1)
@click.option("--tokens", default=64, show_default=True, help="Most new tokens of a language model.")
def run_artifact(artifact: Path, requests: tuple[str, ...], tokens: int) -> None:
    """Try ARTIFACT (or a checkpoint) by hand: texts as arguments, or a line each on stdin; answers as JSON lines.

    A scorer of pairs takes {"query": "…", "docs": ["…"]}, a reward model {"prompt": "…", "answers": ["…"]}.
    """
    from mct.bench.jobs.run import ask, open_model, read_request
    from mct.models.checkpoints.hub import find_folder

    model = open_model(find_folder(artifact))
    for line in requests or _lines_of_stdin():
        click.echo(json.dumps(ask(model, read_request(model, line), tokens), ensure_ascii=False))


def _lines_of_stdin() -> Iterator[str]:
    try:
        yield from (line.rstrip("\n") for line in sys.stdin if line.strip())
    except UnicodeDecodeError as error:
        raise MctError("stdin is not UTF-8 text", "convert it first: iconv -t UTF-8") from error


def _bench_load(job: Job, qps: float | None, json_file: Path | None) -> int:
    """Serve `qps` requests a second, or without one search the highest load; the table on stdout."""
    from mct.bench.jobs.load import run_load
    from mct.bench.jobs.max_load import find_max_load
    from mct.bench.report.load_table import load_table, max_load_table
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


@commands.command()
@click.argument("a", type=FOLDER)
@click.argument("b", type=FOLDER)
@click.option("--data", type=FILE, help=EVALUATION_SET)
@click.option("--target", default="cpu", show_default=True, help="What both must run on.")
@click.option("--target-b", help="Another target for B: the same artifact under two settings.")
@click.option(
    "--margin", default=10.0, show_default=True, help="Per cent of P50 and P95 below which a difference may pass."
)
@click.option("--quality-margin", default=1.0, show_default=True, help="Points of quality that may be lost.")
@click.option("--slice", "slices", multiple=True, help="A label whose recall is held to the margin. May be repeated.")
@click.option("--field", "fields", multiple=True, help="Rename a column: text=utterance. May be repeated.")
@click.option("--results", type=FOLDER, default=Path(".mct/results"), show_default=True, help="Folder of the store.")
@click.option("--max-seconds", default=60.0, show_default=True, help="Cap on starting and timing.")
@click.option(
    "--slow-down-b", default=1.0, show_default=True, help="Slow B's runtime by this factor, to try the check."
)
@click.option("--seed", default=0, show_default=True)
@click.option("--json", "json_file", type=FILE, help="Also write the comparison to this file.")
def compare(
    a: Path, b: Path, data: Path | None, target: str, target_b: str | None, margin: float, quality_margin: float,
    slices: tuple[str, ...], fields: tuple[str, ...], results: Path, max_seconds: float, slow_down_b: float, seed: int,
    json_file: Path | None,
) -> int:  # fmt: skip
    """Compare B with A in one job: ratio of P95 and P50, and paired quality.

    Both are measured in turns, in fresh processes, until a slow-down of --margin would have been seen. Exits with 0
    when B is no worse, 1 when it is, 3 when this run cannot tell.
    """
    from mct.bench.jobs.compare import Duel, run_duel
    from mct.bench.judge.compare import EXIT_CODES as OUTCOMES
    from mct.bench.judge.compare import Limits, markdown
    from mct.bench.samples.subject import own_data
    from mct.models.checkpoints.hub import find_folder
    from mct.models.progress import shown
    from mct.models.writing.folders import write_json
    from mct.models.writing.ownership import require_output
    from mct.targets.target import find_target

    first, second = find_folder(a), find_folder(b)
    require_output(json_file, _given(first, second, data))
    duel = Duel(
        a=first,
        b=second,
        data=data or own_data([first, second]),
        targets=(find_target(target), find_target(target_b or target)),
        limits=Limits(margin / 100, quality_margin / 100),
        slices=slices,
        renames=_renames(fields),
        results=results,
        max_seconds=max_seconds,
        slow_down_b=slow_down_b,
        seed=seed,
    )
    with shown() as report:
        comparison, texts = run_duel(duel, report)
    click.echo(markdown(comparison, texts), nl=False)
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


# -- results ------------------------------------------------------------------------------------------------------


@commands.command()
@click.argument("results", type=FILE, nargs=-1)
@click.option("--format", "kind", default="markdown", show_default=True, help="markdown, html, png, json or csv.")
@click.option("--baseline", type=FILE, help="An earlier result to show the change against.")
@click.option("--allow-different", is_flag=True, help="Compare even results of different machines or versions.")
@click.option("-o", "--out", type=FILE, help="Write to this file instead of stdout.")
def report(
    results: tuple[Path, ...], kind: str, baseline: Path | None, allow_different: bool, out: Path | None
) -> None:
    """Show stored RESULTS: Markdown for a pull request, a self-contained HTML page, PNG, JSON or CSV.

    Without RESULTS, the newest one of the store.
    """
    from mct.bench.report.report import render
    from mct.bench.store.reading import read_run
    from mct.models.writing.folders import write_bytes_atomically
    from mct.models.writing.ownership import require_output

    results = results or tuple(_newest())
    require_output(out, _given(*results, baseline))
    before = read_run(baseline) if baseline else None
    made = render([read_run(path) for path in results], kind, before, allow_different)
    content = made if isinstance(made, bytes) else made.encode()
    if out is None:
        click.echo(content, nl=False)
    else:
        write_bytes_atomically(out, content)


@commands.command()
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


# -- targets ------------------------------------------------------------------------------------------------------


@commands.group()
def targets() -> None:
    """Known targets, and what this machine can do."""


@targets.command("list")
@click.option("--targets", "targets_file", type=FILE, help="More targets (TOML).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def targets_list(targets_file: Path | None, as_json: bool) -> None:
    """List the known targets."""
    from mct.targets.target import load_targets

    found = load_targets(targets_file).values()
    if as_json:
        _print_json([target.as_json() for target in found])
        return
    for target in found:
        click.echo(f"{target.name:<10} {target.device:<6} {target.about}")


@targets.command("limit")
@click.option("--target", default="cpu", show_default=True, help="With the threads of this target.")
@click.option("--targets", "targets_file", type=FILE, help="More targets (TOML).")
@click.option("--again", is_flag=True, help="Measure again, though it is known.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def targets_limit(target: str, targets_file: Path | None, again: bool, as_json: bool) -> None:
    """Say how fast this machine's runtimes multiply and read at best. Measured once, in about seven seconds."""
    from mct.bench.measure.sampling import plan_bench
    from mct.targets.limit import find_limit
    from mct.targets.machine import probe_machine
    from mct.targets.target import find_target

    plan = plan_bench(probe_machine(), find_target(target, targets_file).threads)
    found = find_limit(plan.threads, plan.affinity, again)
    click.echo(json.dumps(found.as_json(), indent=2) if as_json else found.describe())


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
        _print_json(found.as_json())
    else:
        click.echo(found.describe())
    return EXIT_CODES["pass" if found.fit else "inconclusive"]


@targets.command("probe")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def targets_probe(as_json: bool) -> None:
    """Say what this machine is, what it lets this process use, and which runtimes are installed."""
    from dataclasses import asdict

    from mct.targets.arithmetic import arithmetic_of
    from mct.targets.machine import probe_machine
    from mct.targets.runtimes.table import RUNTIMES, installed_version

    machine = probe_machine()
    found = asdict(machine) | {
        "usable_threads": machine.usable_threads,
        "int8_saturates": arithmetic_of(machine).saturates,
        "runtimes": {runtime.name: installed_version(runtime) for runtime in RUNTIMES},
    }
    if as_json:
        _print_json(found)
        return
    for key, value in found.items():
        click.echo(f"{key:<18}{value}")


if __name__ == "__main__":
    main()
