"""Every kind of encoder through every format on real data: P95 and quality of each form, against the original.

Run from the repository root after `python results/checkpoints.py`: `python results/kinds.py [--only NAME]`. For each
checkpoint: `mct compress` to the forms below, then one `mct bench` of all of them with the checkpoint as baseline and
the budget of its scenario. Both stay in `.cache/kinds/NAME` and are not done again; remove that folder, or only its
`bench.json`, to have them done again. kinds.json and kinds.md hold all that is there so far. A form that a format
cannot hold, or that fails, has a line with the reason.
"""

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forms import ROOT, Job, line, make, measure, metric_cell, metrics_of, number, p95_cell

from mct.models.data.declared import read_object
from mct.models.writing.folders import write_atomically, write_json

HERE = Path(__file__).resolve().parent
CHECKPOINTS = Path(".cache/checkpoints")
WORK = Path(".cache/kinds")
FORMS = {
    "onnx": ("fp32", "fp16", "int8", "int8-static"),
    "openvino": ("fp32", "int8"),
    "gguf": ("f32", "q8_0", "q4_k_m"),
}
EXPLAINED = """\
Written by `python results/kinds.py` on the checkpoints of `python results/checkpoints.py`. Times are end to end, one
request after the other. Behind each score stands its difference to the original's in points, paired on the same
examples; "same answers" is the share that compress itself found on up to 500 of them. In brackets: 95 % intervals.
"""


@dataclass(frozen=True)
class Case:
    """A checkpoint of checkpoints.py, the budget it is held to, and a title for its table.

    `max_seconds` caps the timing: ten forms must start four times each, and P95 needs 72 requests of the slowest.
    """

    name: str
    budget: str
    title: str
    max_seconds: int = 100


CASES = (
    Case("snips", "multi-task", "SNIPS: intent and slots, two heads on one backbone"),
    Case("chorus-embed", "embedding-adapter", "Chorus product search: the packaged MiniLM as embedder"),
    Case("chorus-cross", "reranker", "Chorus product search: cross-encoder, a query with all its judged products", 400),
    Case("setfit-banking", "fewshot-intents", "Banking77 from ten examples an intent: embedder with a linear head"),
    Case("goemotions", "goemotions", "GoEmotions: any of 28 labels"),
)


def main() -> int:
    """Do what is not done yet, and write down all that is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=[case.name for case in CASES], help="only this checkpoint")
    wanted = [case for case in CASES if parser.parse_args().only in (None, case.name)]
    started = time.monotonic()
    for number_done, case in enumerate(wanted):
        job = job_of(case)
        say(started, number_done / len(wanted), f"{case.name}: compress")
        refused = make(job)
        say(started, (number_done + 0.4) / len(wanted), f"{case.name}: bench")
        write_json(ROOT / WORK / case.name / "found.json", {"refused": refused, "rows": measure(job)})
        write_found()
    return 0


def job_of(case: Case) -> Job:
    """What is to be made of a case's checkpoint and measured on its data."""
    checkpoint = CHECKPOINTS / case.name
    train, test = (checkpoint / "data" / f"{part}.jsonl" for part in ("train", "test"))
    return Job(checkpoint, WORK / case.name, FORMS, train, test, case.budget, case.max_seconds)


def say(started: float, share: float, stage: str) -> None:
    """Where the run is and how long it may still take, on stderr."""
    elapsed = time.monotonic() - started
    left = f", about {elapsed * (1 - share) / share / 60:.0f} min left" if share else ""
    print(f"[{elapsed:5.0f} s] {stage}{left}", file=sys.stderr, flush=True)


def write_found() -> None:
    """kinds.json and kinds.md from every case that was measured."""
    files = {case.name: ROOT / WORK / case.name / "found.json" for case in CASES}
    found = {name: read_object(file) for name, file in files.items() if file.is_file()}
    write_json(HERE / "kinds.json", found)
    sections = [section(case, found[case.name]) for case in CASES if case.name in found]
    write_atomically(HERE / "kinds.md", "\n".join(["# Every kind of encoder on real data", "", EXPLAINED, *sections]))


def section(case: Case, found: dict[str, Any]) -> str:
    """One data set: the table, what did not pass, and what cannot be had."""
    rows = found["rows"]
    metrics = list(next(scores for row in rows if (scores := metrics_of(row))))
    head = ("form", "P50 ms", "P95 ms", *metrics, "size MB", "same answers", f"budget {case.budget}")
    table = [line(head), "|--|" + "--:|" * (len(head) - 2) + "--|", *(line(_cells(row, metrics)) for row in rows)]
    notes = [f"- **{row['form']}**: {'; '.join(row['open'])}" for row in rows if row["open"]]
    notes += [f"- **{row['form']}** failed: {row['failure']}" for row in rows if row["failure"]]
    notes += [f"- **{form}** cannot be had: {why}" for form, why in found["refused"].items()]
    parts = [f"## {case.title}", "\n".join(table), "\n".join(notes), _about(case, rows[0])]
    return "\n\n".join(part for part in parts if part) + "\n"


def _cells(row: dict[str, Any], metrics: list[str]) -> tuple[str, ...]:
    found = metrics_of(row)
    return (
        row["form"],
        number(row["p50_ms"], "{:.2f}"),
        p95_cell(row),
        *(metric_cell(found.get(metric)) for metric in metrics),
        number(row["size_mb"], "{:.1f}"),
        number(row["same_answers"], "{:.2%}"),
        row["verdict"] or "-",
    )


def _about(case: Case, row: dict[str, Any]) -> str:
    """What the original scored when it was made, and where this was measured."""
    recipe = read_object(ROOT / CHECKPOINTS / case.name / "recipe.json")
    scores = ", ".join(f"{name} {value:.4f}" for name, value in recipe["test"].items())
    return f"The original on {recipe['rows']['test']:,} test rows: {scores}. {row['cpu']}, {row['threads']} threads."


if __name__ == "__main__":
    sys.exit(main())
