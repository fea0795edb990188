"""A checkpoint through `mct compress` and `mct bench`, for the evidence scripts: each command a process of its own.

What is made and measured stays in the job's folder and is not done again, so a run that was cut off goes on where it
was. A form that cannot be had, because no format holds it or because something failed, is a reason and no error.
"""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mct import MctError
from mct.compress.plan.plan import make_plan, supported
from mct.compress.run.artifact import MANIFEST, read_artifact
from mct.models.checkpoints.checkpoint import inspect
from mct.models.data.declared import read_object

ROOT = Path(__file__).resolve().parents[1]
MCT = (sys.executable, "-m", "mct.cli")
JUDGED = (0, 1, 3)  # the exit codes of a bench that ran to its end
ORIGINAL = "original (torch fp32)"


@dataclass(frozen=True)
class Job:
    """What to make of which checkpoint, and what to measure it on.

    `forms` are precisions by format. `train` is None where nothing may learn from texts. Folders and files are relative
    to the repository root, so that results name no folder of this machine.
    """

    checkpoint: Path
    out: Path
    forms: Mapping[str, tuple[str, ...]]
    train: Path | None
    test: Path
    budget: str
    max_seconds: int
    budgets: Path = Path("results/kinds.toml")


def make(job: Job) -> dict[str, str]:
    """Make every form that is not there yet; the reasons why some cannot be had, by form."""
    refused: dict[str, str] = {}
    for kind, wanted in job.forms.items():
        refused |= {f"{kind}-{each}": why for each in wanted if (why := _refusal(job, kind, each))}
        refused |= _make(job, kind, [each for each in wanted if f"{kind}-{each}" not in refused])
    return refused


def _refusal(job: Job, kind: str, precision: str) -> str:
    """Why no chain of passes leads to a form; "" where one does."""
    checkpoint = inspect(ROOT / job.checkpoint)
    try:
        make_plan(checkpoint, [kind], [precision])
    except MctError as error:
        held = kind in supported(checkpoint.task)
        return f"{error.message}; {error.hint}" if held else f"{kind} cannot hold {checkpoint.task}"
    return ""


def _make(job: Job, kind: str, precisions: list[str]) -> dict[str, str]:
    """All of a format in one go, which share the export; one by one where that fails, to learn which it was."""
    missing = [precision for precision in precisions if not is_made(job, f"{kind}-{precision}")]
    if not missing:
        return {}
    command = [*MCT, "compress", job.checkpoint, "-o", job.out, "--format", kind, "--precision", ",".join(missing)]
    command += ["--eval", job.test, *(["--data", job.train] if job.train else [])]
    done = _run(command, stderr=subprocess.PIPE)
    if done.returncode == 0:
        return {}
    if len(missing) == 1:
        last = [line for line in done.stderr.splitlines() if line.strip()][-2:]
        return {f"{kind}-{missing[0]}": f"exit code {done.returncode}: {' '.join(last)}"}
    return {form: why for precision in missing for form, why in _make(job, kind, [precision]).items()}


def measure(job: Job) -> list[dict[str, Any]]:
    """One bench of the original and all forms that were made; what tables show of each, in that order."""
    found = run_bench(job)
    return [_row(job, entry, entry["artifact"] == found["baseline"]) for entry in found["artifacts"]]


def run_bench(job: Job) -> dict[str, Any]:
    """The result of one bench of the original and all forms that were made; an earlier one where there is one."""
    result = job.out / "bench.json"
    if not (ROOT / result).is_file():
        names = [f"{kind}-{precision}" for kind, wanted in job.forms.items() for precision in wanted]
        made = [job.out / name for name in names if is_made(job, name)]
        command = [*MCT, "bench", job.checkpoint, *made, "--baseline", job.checkpoint, "--data", job.test]
        command += ["--budget", job.budget, "--budgets", job.budgets, "--results", job.out / "results"]
        done = _run([*command, "--max-seconds", job.max_seconds, "--json", result])
        if done.returncode not in JUDGED:
            raise SystemExit(f"mct bench of {job.checkpoint} ended with exit code {done.returncode}")
    return read_object(ROOT / result)


def _row(job: Job, entry: dict[str, Any], is_original: bool) -> dict[str, Any]:
    artifact = None if is_original else read_artifact(ROOT / job.out / entry["artifact"], verify=False)
    latency, verdict, failure = entry["latency"] or {}, entry["verdict"] or {}, entry["failure"] or {}
    open_lines = [line for line in verdict.get("lines", ()) if line["outcome"] != "pass"]
    return {
        "form": ORIGINAL if is_original else entry["artifact"],
        **{key: latency.get(key) for key in ("p50_ms", "p95_ms", "p95_ci_ms", "n")},
        **{key: entry[key] for key in ("quality", "size_mb", "peak_rss_mb")},
        "same_answers": artifact and artifact.parity["agreement"],
        "steady": bool(entry["stability"] and entry["stability"]["ok"]),
        "verdict": verdict.get("outcome"),
        "open": [f"{line['limit']}: {line['outcome']} ({line['measured']})" for line in open_lines],
        "failure": failure.get("message"),
        **{key: entry["environment"][key] for key in ("threads", "cpu")},
    }


def is_made(job: Job, form: str) -> bool:
    """Whether the job's folder has that form, complete."""
    return (ROOT / job.out / form / MANIFEST).is_file()


def _run(command: list[Any], stderr: int | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, command)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=stderr, text=True)


# -- cells of a table ---------------------------------------------------------------------------------------------


def line(cells: tuple[str, ...]) -> str:
    """One row of a Markdown table."""
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def number(value: float | None, shape: str) -> str:
    """The value in a format such as "{:.2f}", or a dash."""
    return "-" if value is None else shape.format(value)


def p95_cell(row: Mapping[str, Any]) -> str:
    """P95 with its interval, and whether the run was unsteady."""
    known = _between(row["p95_ms"], row["p95_ci_ms"], "{:.2f}")
    return known if row["steady"] or row["p95_ms"] is None else f"{known} unsteady"


def metrics_of(row: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Every metric that the bench scored, by name, the headline first; nothing where it has no answers."""
    quality = row["quality"]
    return {quality["metric"]: quality} | {each["name"]: each for each in quality["others"]} if quality else {}


def metric_cell(score: Mapping[str, Any] | None) -> str:
    """The value and its paired difference to the original in points, with its interval where the data bounds it."""
    if not score or score["delta"] is None:
        return number(score["value"] if score else None, "{:.2%}")
    ends = [end and 100 * end for end in score["delta_ci"] or ()]
    return f"{score['value']:.2%}, {_between(100 * score['delta'], ends, '{:+.2f}')}"


def _between(value: float | None, ends: list[float | None] | None, shape: str) -> str:
    if value is None or not ends or None in ends:
        return number(value, shape)
    return f"{shape.format(value)} ({shape.format(ends[0])} to {shape.format(ends[1])})"
