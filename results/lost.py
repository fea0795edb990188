"""Does each technique's own metric see what a bad compression lost, and would the average have seen it?

    python results/lost.py measure     # builds each scenario's tiny checkpoint, spoils it and scores it: minutes
    python results/lost.py report      # lost.md from lost.json

A checkpoint is spoilt on purpose: every weight matrix rounded to so many bits, a scale a row and nothing done about the
error. Each is scored against the original by the functions of `mct bench` and judged by its scenario's own budget:
once by all of it that speaks of quality, and once by what everybody looks at, accuracy or perplexity, alone.
"""

import argparse
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from mct.bench.jobs.job import asked_by
from mct.bench.jobs.reference import with_reference
from mct.bench.judge.line import worst
from mct.bench.judge.verdict_quality import quality_lines
from mct.bench.measure.rounds import collect_beside
from mct.bench.samples.measurement import Answers, Failure, Measurement
from mct.bench.samples.subject import Subject, identify
from mct.bench.transport.site import Setting
from mct.bench.worker.originals import Originals
from mct.bench.worker.predict import answer_all, open_predictor, watching
from mct.models.progress import Report, silent
from mct.models.scenarios.table import find_scenario
from mct.models.tables import load
from mct.models.tasks.datasets import Dataset, fields_beside, read_dataset, read_examples
from mct.models.tasks.table import find_task, network_of
from mct.models.writing.folders import write_json
from mct.targets.budget import Budget, find_budget
from mct.targets.runtimes.table import runtime_for

ROOT = Path(__file__).resolve().parent
FOUND, TABLE = ROOT / "lost.json", ROOT / "lost.md"
WORK = Path(".mct/lost")


MOST_TEXTS = 120
"""Of language models, which take a while."""


@dataclass(frozen=True)
class Case:
    """A scenario, and the bits that its weights are rounded to, the most first.

    `average` is the budget of what everybody looks at, the scenario's own where it has that.
    """

    scenario: str
    bits: Sequence[int]
    average: str = ""


CASES = (
    Case("intent-router", (4, 3, 2)),
    Case("embedding-adapter", (4, 3, 2)),
    Case("reranker", (4, 3, 2)),
    Case("continual-router", (4, 3, 2)),
    Case("sentiment", (4, 3, 2)),
    Case("response-lora", (4, 3, 2)),
    Case("response-dpo", (4, 3, 2)),
    Case("raft", (4, 3, 2), average="response-lora"),
)


# -- spoiling -------------------------------------------------------------------------------------------------------


def spoil(folder: Path, out: Path, bits: int) -> Path:
    """A copy of a checkpoint, its base and adapter with it, with every matrix rounded to so many bits."""
    shutil.copytree(folder, out, ignore=shutil.ignore_patterns("data", "reference", "previous", "mct-files.json"))
    for path in out.rglob("*.safetensors"):
        tensors = load_file(path)
        save_file({name: rounded(value, bits) for name, value in tensors.items()}, path, metadata={"format": "pt"})
    return out


def rounded(tensor: np.ndarray, bits: int) -> np.ndarray:
    """Symmetric, a scale a row, to the nearest; vectors as they are."""
    if tensor.ndim != 2:
        return tensor
    most = 2 ** (bits - 1) - 1
    scale = np.abs(tensor).max(axis=1, keepdims=True) / most
    steps = np.round(np.divide(tensor, scale, out=np.zeros_like(tensor), where=scale > 0))
    return np.asarray(steps * scale, dtype=tensor.dtype)


# -- scoring --------------------------------------------------------------------------------------------------------


def collect(subjects: Sequence[Subject], setting: Setting, report: Report) -> list[Answers | Failure]:
    """The answers of each in this process: nothing here is timed."""
    found: list[Answers | Failure] = []
    for subject in subjects:
        folder = setting.original_kept or setting.original
        originals = Originals(Path(folder) if folder else None, writes=bool(setting.original_kept))
        model = open_predictor(
            runtime_for(subject.format), subject.executable, subject.heads, setting.threads, originals=originals
        )
        watched = setting.watched
        scorer = watching(model.scored, subject.task, subject.heads, watched) if watched else model.scored
        last = len(setting.examples)
        originals.begin(0, last)
        values = answer_all(scorer, [example.scored for example in setting.examples], model.at_once)
        originals.end(0, last)
        scores = {label: tuple(told[label] for _, told in values) for label in watched}
        given = [value for value, _ in values] if watched else values
        found.append(Answers(tuple(given), (1,) * last, scores))
    return found


def measure_all(folders: Sequence[Path], data: Path, budget: Budget, reference: Path | None) -> list[Measurement]:
    """What the checkpoints answer, the first being the original."""
    subjects = asked_by(data, {}, [replace(identify(each), name=str(at)) for at, each in enumerate(folders)], budget)
    task, heads = subjects[0].task, subjects[0].heads
    dataset: Dataset = read_dataset(data, find_task(task))
    if network_of(task) == "causal-lm":
        dataset = replace(dataset, rows=dataset.rows[:MOST_TEXTS])
    if reference is not None:
        dataset = with_reference(dataset, task, reference, silent, collect)
    examples = read_examples(dataset, task, heads)
    setting = Setting(examples, 1, (), 0, watched=tuple(budget.false_alarms))
    answers = collect_beside(subjects, subjects[0].name, setting, silent, collect)
    truth, fields = tuple(example.truth for example in examples), fields_beside(dataset, task, examples)
    return [
        Measurement(subject, truth, answers=each, fields=fields)
        for subject, each in zip(subjects, answers, strict=True)
        if isinstance(each, Answers)
    ]


def average_alone(budget: Budget) -> Budget:
    """What everybody looks at: the perplexity where the budget has one, else the headline score."""
    if budget.perplexity_max_increase is not None:
        return Budget(budget.name, budget.task, perplexity_max_increase=budget.perplexity_max_increase)
    return Budget(budget.name, budget.task, quality_max_drop=budget.quality_max_drop)


def own(budget: Budget, average: Budget) -> Budget:
    """The rest: what the technique gave."""
    if average.perplexity_max_increase is not None:
        return replace(budget, perplexity_max_increase=None, p95_ms=None)
    return replace(budget, quality_at_least=None, quality_max_drop=None, p95_ms=None)


def measure_case(case: Case, work: Path) -> dict[str, Any]:
    """Build it, spoil it, score it and judge it, at each number of bits."""
    folder = work / case.scenario
    if not folder.is_dir():
        load(find_scenario(case.scenario).build)("tiny", folder, 0, silent, None)
    budget, data = find_budget(case.scenario), folder / "data" / "test.jsonl"
    average = average_alone(find_budget(case.average or case.scenario))
    limits = own(budget, average)
    reference = folder / "base" if budget.margin_max_drop is not None else None
    with TemporaryDirectory() as draft:
        folders = [folder, *(spoil(folder, Path(draft) / f"{bits}-bit", bits) for bits in case.bits)]
        original, *others = measure_all(folders, data, limits, reference)
        seen = [original, *others]
        if average.task != budget.task:
            seen = measure_all(folders, data, average, None)
    rows = [
        {
            "bits": bits,
            "own": [asdict(line) for line in quality_lines(each, limits, original)],
            "average": [asdict(line) for line in quality_lines(also, average, seen[0])],
        }
        for bits, each, also in zip(case.bits, others, seen[1:], strict=True)
    ]
    return {"scenario": case.scenario, "examples": len(original.truth), "rows": rows}


# -- the table ------------------------------------------------------------------------------------------------------


def markdown(found: Mapping[str, Any]) -> str:
    """One row a scenario and number of bits: what the average says, and which of the technique's own limits fail."""
    rows = [_row(case, row) for case in found["cases"] for row in case["rows"]]
    hidden = sum(row[2].endswith("pass") and row[3] == "fail" for row in rows)
    head = ("scenario", "bits", "accuracy or perplexity alone", "its own metrics", "what failed")
    lines = [f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *rows)]
    return "\n".join(
        [
            "# What a bad compression loses, and who sees it", "",
            "Tiny checkpoints of the scenarios, every weight matrix rounded to so many bits; judged by the budgets of"
            f" `mct bench`. In {hidden} of {len(rows)} rows accuracy or perplexity alone would have passed what the"
            " technique's own metric fails.", "", *lines, "", "Made by `python results/lost.py measure`.", "",
        ]
    )  # fmt: skip


def _row(case: Mapping[str, Any], row: Mapping[str, Any]) -> tuple[str, ...]:
    (average,) = row["average"]
    failed = [f"{line['limit']}: {line['measured']}" for line in row["own"] if line["outcome"] == "fail"]
    return (
        f"{case['scenario']} ({case['examples']} rows)",
        str(row["bits"]),
        f"{average['measured']}: {average['outcome']}",
        worst(line["outcome"] for line in row["own"]),
        "; ".join(failed) or "-",
    )


def main() -> None:
    """Measure, case by case, or write the table anew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", choices=["measure", "report"])
    parser.add_argument("--only", nargs="*", default=[case.scenario for case in CASES])
    parser.add_argument("--work", type=Path, default=WORK)
    asked = parser.parse_args()
    found: dict[str, Any] = json.loads(FOUND.read_text(encoding="utf-8")) if FOUND.is_file() else {"cases": []}
    for case in (case for case in CASES if asked.job == "measure" and case.scenario in asked.only):
        others = [each for each in found["cases"] if each["scenario"] != case.scenario]
        order = [each.scenario for each in CASES]
        found["cases"] = sorted(
            [*others, measure_case(case, asked.work)], key=lambda each: order.index(each["scenario"])
        )
        write_json(FOUND, found)
    TABLE.write_text(markdown(found), encoding="utf-8")


if __name__ == "__main__":
    main()
