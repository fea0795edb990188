"""What distillation gains: the same student taught by labels alone and by its teacher, on data that nobody here wrote.

Run from the repository root, after `python results/banking77_checkpoints.py --only minilm`:

    python results/distilled.py [NAME...]

One data set takes ten minutes or so on two cores; its figures take the place of what distilled.json has of it, and
distilled.md is written anew. Teachers are the packaged MiniLM-L6, fine-tuned on the labelled rows (Banking77's on all
10,003 there are); students start from them, by recipes, and are scored by torch on the whole test set. Of GoEmotions a
part of the rows keeps its labels, and the others serve as a user's unlabelled texts do. Every difference is paired:
McNemar's mid-p where an example is right or wrong, the bootstrap for F1.
"""

import argparse
import gzip
import json
import random
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mct import MctError
from mct.bench.statistics.paired import difference, difference_p, non_inferior
from mct.bench.statistics.ratio_metric import RatioMetric
from mct.compress.plan.plan import make_plan
from mct.compress.plan.recipe import Recipe, Step
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.compress.run.steps import Steps
from mct.models.checkpoints.checkpoint import inspect
from mct.models.data.declared import read_object
from mct.models.progress import shown
from mct.models.scenarios.classifiers.encoders import packaged_minilm
from mct.models.tasks.datasets import read_dataset, read_examples
from mct.models.tasks.examples import find_kind
from mct.models.tasks.table import find_task
from mct.models.tasks.tokens import open_tokenizer
from mct.models.training.classification import load_base, save
from mct.models.writing.folders import write_atomically, write_json
from mct.models.writing.replacing import appearing
from mct.targets.machine import probe_machine
from mct.targets.runtimes.table import open_session, original, runtime_for

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "shared" / "data"
WORK = HERE.parent / ".cache" / "distilled"
BANKING77 = HERE.parent / ".cache" / "banking77" / "minilm"
MARGIN = 0.005
AT_ONCE = 64
COMPARED = 50
"""Texts that exports are checked on."""
DISTILLED = "distilled"

TRIMMED = Step("trim-vocabulary")
STUDENTS: Mapping[str, tuple[Step, ...]] = {
    "static": (TRIMMED, Step("static-student")),
    "convolution": (TRIMMED, Step("convolution-student")),
    "two layers": (TRIMMED, Step("drop-layers", options={"keep": [0, 3]})),
}
SHALLOW = ("static", "convolution")

# As many texts learned either way: labels alone again and again, the teacher's answers to made-up ones too.
LESSONS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "shallow": {
        "labels alone": {"hard": 1.0, "augment": 0, "epochs": 25.0},
        "labels alone, made-up texts": {"hard": 1.0},
        DISTILLED: {},
    },
    "layers": {
        "labels alone": {"hard": 1.0, "augment": 0, "epochs": 6.0},
        DISTILLED: {"augment": 1, "epochs": 3.0},
    },
}


@dataclass(frozen=True)
class Course:
    """One data set: its task, its students, and how many of its rows are taken (`rows`) and keep labels (`labelled`).

    0 stands for all of them.
    """

    task: str
    teacher_epochs: float
    students: tuple[str, ...] = SHALLOW
    rows: int = 0
    labelled: int = 0


COURSES = {
    "banking77": Course("sequence-classification", 0.0, rows=4_000),
    "hint3": Course("sequence-classification", 10.0),
    "goemotions": Course("multi-label-classification", 3.0, rows=12_000, labelled=6_000),
}


def main() -> int:
    """The data sets asked for, all if none is."""
    parser = argparse.ArgumentParser(description="Teach students by labels alone and by their teacher.")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(COURSES)}")
    names = parser.parse_args().names or list(COURSES)
    try:
        for name in names:
            if name not in COURSES or not (DATA / name).is_dir():
                raise MctError(f"{name!r} is not in {DATA}", f"this evidence needs: {', '.join(COURSES)}")
            new = figures_of(name, COURSES[name])
            kept = read_object(HERE / "distilled.json") if (HERE / "distilled.json").is_file() else {}
            found = {known: figures for known in COURSES if (figures := {**kept, name: new}.get(known))}
            write_json(HERE / "distilled.json", found)
            write_atomically(HERE / "distilled.md", markdown(found))
    except MctError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return 2
    return 0


def figures_of(name: str, course: Course) -> dict[str, Any]:
    """One data set: the teacher's score, and a row for each student and way of teaching."""
    data, test = written_data(name, course)
    teacher = teacher_of(name, course, data)
    baseline = scored(teacher, test, course.task)
    rows = []
    for student in course.students:
        made = {}
        for way, options in LESSONS["shallow" if student in SHALLOW else "layers"].items():
            began = time.monotonic()
            folder = taught(
                WORK / name / student / way, teacher, (*STUDENTS[student], Step("distil", options=options)), data
            )
            made[way] = (folder, scored(folder / "checkpoint", test, course.task), time.monotonic() - began)
        rows += [row_of(student, way, made, baseline) for way in made]
    lines = read_lines(data)
    return {
        "machine": probe_machine().cpu, "metric": find_task(course.task).metric, "rows": len(lines),
        "labelled": sum("label" in row or "labels" in row for row in lines), "test": len(baseline),
        "teacher": baseline.value, "students": rows,
    }  # fmt: skip


def written_data(name: str, course: Course) -> tuple[Path, Path]:
    """The training rows, labels of some taken away where the course says so, and the test rows whose labels it has."""
    field = find_task(course.task).fields[-1]
    train, test = (read_lines(next((DATA / name).glob(f"{part}.jsonl*"))) for part in ("train", "test"))
    drawn = random.Random(0).sample(train, course.rows or len(train))
    kept = course.labelled or len(drawn)
    rows = [
        {"text": row["text"], field: row[field]} if place < kept else {"text": row["text"]}
        for place, row in enumerate(drawn)
    ]
    known = {label for row in rows if field in row for label in labels_in(row[field])}
    asked = [{"text": row["text"], field: row[field]} for row in test if known.issuperset(labels_in(row[field]))]
    for part, written in (("train", rows), ("test", asked), ("compared", asked[:COMPARED])):
        (WORK / name).mkdir(parents=True, exist_ok=True)
        write_atomically(WORK / name / f"{part}.jsonl", "".join(json.dumps(row) + "\n" for row in written))
    return WORK / name / "train.jsonl", WORK / name / "test.jsonl"


def labels_in(value: str | list[str]) -> list[str]:
    """The labels of a row, which may have one or several."""
    return value if isinstance(value, list) else [value]


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a .jsonl or .jsonl.gz file."""
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    return [json.loads(line) for line in text.split("\n") if line]


def teacher_of(name: str, course: Course, data: Path) -> Path:
    """The packaged encoder with a head for the labels, taught them; made once."""
    if name == BANKING77.parent.name:
        return BANKING77
    base, field = WORK / name / "base", find_task(course.task).fields[-1]
    if not base.is_dir():
        labels = sorted({label for row in read_lines(data) if field in row for label in labels_in(row[field])})
        classifier = load_base(str(packaged_minilm()), labels)
        if field == "labels":
            classifier.model.config.problem_type = "multi_label_classification"
        with appearing(base) as folder:
            save(classifier, folder)
    lessons = {"hard": 1.0, "augment": 0, "epochs": course.teacher_epochs}
    return taught(WORK / name / "teacher", base, (Step("distil", options=lessons),), data) / "checkpoint"


def taught(out: Path, checkpoint: Path, steps: tuple[Step, ...], data: Path) -> Path:
    """What a recipe makes of a checkpoint; not again where it is there. INT8 beside it where there is a student."""
    if not (out / "checkpoint").is_dir():
        formats = ["checkpoint"] if len(steps) == 1 else ["checkpoint", "onnx"]
        plan = make_plan(inspect(checkpoint), formats, ["int8"], recipe=Recipe(steps))
        resources, texts = gather(plan, data, data.with_name("compared.jsonl"), {}, 0)
        with shown() as report:
            execute(plan, resources, texts, out, report, Steps(make_steps(data.parent)))
    return out


def make_steps(folder: Path) -> Path:
    """Where the steps that recipes share are kept, and the answers of a teacher."""
    (folder / "steps").mkdir(exist_ok=True)
    return folder / "steps"


def scored(folder: Path, test: Path, task: str) -> RatioMetric:
    """What each test text adds to the headline metric, answered by torch."""
    checkpoint, kind = inspect(folder), find_kind(task)
    examples = read_examples(read_dataset(test, find_task(task)), task, checkpoint.heads)
    session = open_session(runtime_for("checkpoint"), original(checkpoint), probe_machine().usable_threads)
    tokenize = open_tokenizer(checkpoint.vocabulary, checkpoint.max_tokens)
    inputs = [kind.encode(tokenize, example.request)[0] for example in examples]
    order = sorted(range(len(inputs)), key=lambda place: len(inputs[place].ids))
    parts = np.zeros((len(examples), 2))
    for batch in (order[start : start + AT_ONCE] for start in range(0, len(order), AT_ONCE)):
        for place, logits in zip(batch, session([inputs[place] for place in batch])["logits"], strict=True):
            answer = kind.decode({"logits": logits[None]}, [inputs[place]], checkpoint.heads)
            parts[place] = next(iter(kind.score(examples[place].truth, answer).values()))
    return RatioMetric(parts[:, 0], parts[:, 1])


Made = Mapping[str, tuple[Path, RatioMetric, float]]


def row_of(student: str, way: str, made: Made, teacher: RatioMetric) -> dict[str, Any]:
    """One student taught one way: its score, what it is behind the teacher, what it is ahead of labels alone."""
    folder, score, seconds = made[way]
    behind = non_inferior(teacher, score, MARGIN)
    found = {
        "student": student, "taught": way, "score": score.value, "drop": behind.drop,
        "drop_at_most": behind.drop_at_most, "seconds": round(seconds),
        "int8_mb": round(size_of(folder / "onnx-int8"), 2),
    }  # fmt: skip
    if way == DISTILLED:
        others = {other: made[other][1] for other in made if other != way}
        best = max(others, key=lambda other: others[other].value or 0.0)
        gain = difference(others[best], score)
        found |= {
            "over": best,
            "gain": gain.value,
            "low": gain.low,
            "high": gain.high,
            "p": difference_p(others[best], score),
        }
    return found


def size_of(artifact: Path) -> float:
    """Megabytes of the model file."""
    return sum(file.stat().st_size for file in artifact.rglob("*.onnx")) / 1e6


def markdown(found: Mapping[str, Any]) -> str:
    """The tables."""
    lines = [INTRODUCTION]
    for name, figures in found.items():
        lines += ["", f"## {name}", "", _about(figures), "", HEADER, RULE]
        lines += [_line(row) for row in figures["students"]]
    return "\n".join(lines) + "\n"


def _about(figures: Mapping[str, Any]) -> str:
    some = figures["labelled"] < figures["rows"]
    labelled = f"{figures['labelled']:,} of them with labels" if some else "all with labels"
    return (
        f"{figures['rows']:,} rows to learn from, {labelled}; {figures['test']:,} to test. "
        f"{figures['metric']} of the teacher: {figures['teacher']:.2%}. {figures['machine']}."
    )


def _line(row: Mapping[str, Any]) -> str:
    gain = (
        "" if "gain" not in row else f"{row['gain']:+.2%} ({row['low']:+.2%} to {row['high']:+.2%}), p = {row['p']:.2g}"
    )
    return (
        f"| {row['student']} | {row['taught']} | {row['score']:.2%} | {row['drop']:.2%} ({row['drop_at_most']:.2%}) | "
        f"{gain} | {row['int8_mb']:.1f} | {row['seconds']} |"
    )


INTRODUCTION = """\
# What distillation gains

The same student, taught by labels alone (the given texts; or made-up ones too, which keep the label of what they are
made of), and distilled: by the teacher's answers to both. The drop is against the teacher, in brackets what it is at
most (one-sided 95 %); the gain is against the better of the rows without a teacher, paired, with its 95 % interval.
Megabytes are those of ONNX INT8, seconds those of the whole recipe on a busy machine, of the first of several with the
teacher's answers. The teacher of Banking77 learned from all 10,003 rows that there are, which is part of its gain;
that of HINT3, from 1,398 rows of real users, is right too seldom for its answers to be better lessons than labels.
Made by `python results/distilled.py`."""
HEADER = "| student | taught by | score | drop | gain | MB | s |"
RULE = "|--|--|--|--|--|--|--|"


if __name__ == "__main__":
    sys.exit(main())
