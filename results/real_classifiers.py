"""What four techniques give on data that nobody here wrote, and what compression keeps of it.

Run from the repository root: `python results/real_classifiers.py [--only NAME]`. Each set's checkpoint is trained by
mct's own loops from the packaged MiniLM-L6 (a minute or two on two cores), compressed, and held against itself by one
`mct bench` under a budget of real_classifiers.toml. What is made and measured stays in `.cache/real/NAME` and is not
done again. Writes real_classifiers.json and real_classifiers.md beside this file; without ../shared/data there is
nothing to do, and it says so.
"""

import argparse
import gzip
import json
import random
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forms import ROOT, Job, line, make, number, run_bench

from mct.models.data.declared import read_object
from mct.models.scenarios.classifiers.encoders import packaged_minilm
from mct.models.tasks.examples import Row
from mct.models.tasks.table import Head
from mct.models.training.classification import Classifier, Training, finetune, load_base, save, scores
from mct.models.training.continual import rehearsed, widened
from mct.models.training.multi_task import head_scores, save_multi_task, train_heads, with_heads
from mct.models.writing.folders import write_atomically, write_json
from mct.models.writing.replacing import appearing

HERE = Path(__file__).resolve().parent
DATA = ROOT.parent / "shared" / "data"
WORK = Path(".cache/real")
BUDGETS = Path("results/real_classifiers.toml")
FORMS = {"onnx": ("int8",), "openvino": ("int8",), "gguf": ("q8_0", "q4_k_m")}

# How GoEmotions' 28 emotions sound to a shop; what is not here is left out.
MOODS = {
    "frustrated": ("anger", "disgust"),
    "annoyed": ("annoyance", "disapproval", "disappointment"),
    "worried": ("fear", "nervousness", "sadness", "remorse"),
    "content": ("joy", "gratitude", "admiration", "love", "excitement", "amusement", "optimism", "relief", "pride"),
    "calm": ("neutral",),
}
GOEMOTIONS_ROWS, CALM_ROWS = 5_000, 1_500
MONTHS = ("2026-01", "2026-02", "2026-03")
ROWS_A_LABEL, REHEARSED = 30, 300
SNIPS_ROWS = 2_000
OUT_OF_SCOPE = "NO_NODES_DETECTED"

EXPLAINED = """\
Written by `python results/real_classifiers.py`. Each line of a budget beside latency: what the original does, what the
artifact does, and the paired difference with its interval as `mct bench` tells it. P95 is not the question here.
"""


@dataclass(frozen=True)
class Case:
    """A data set: the budget that holds its technique's metric, how its checkpoint is made, and a title."""

    budget: str
    build: Callable[[Path], dict[str, Any]]
    title: str


# -- the four checkpoints -----------------------------------------------------------------------------------------


def build_goemotions(folder: Path) -> dict[str, Any]:
    """The mood of a comment whose emotions are all of one mood."""
    train = _moods(read_rows(DATA / "goemotions" / "train.jsonl.gz"))
    test = _moods(read_rows(DATA / "goemotions" / "test.jsonl"))
    draw = random.Random(0)
    calm = draw.sample([row for row in train if row["label"] == "calm"], CALM_ROWS)
    felt = [row for row in train if row["label"] != "calm"]
    learned = draw.sample([*calm, *felt], min(GOEMOTIONS_ROWS, len(calm) + len(felt)))
    classifier = load_base(str(packaged_minilm()), sorted(MOODS))
    finetune(classifier, learned, Training(epochs=2, learning_rate=2e-4, max_tokens=64, frozen_embeddings=True))
    return _saved(classifier, folder, learned, test)


def _moods(rows: Sequence[Row]) -> list[Row]:
    mood_of = {emotion: mood for mood, emotions in MOODS.items() for emotion in emotions}
    told = [(row["text"], {mood_of.get(label, "") for label in row["labels"]}) for row in rows]
    return [{"text": text, "label": next(iter(moods))} for text, moods in told if len(moods) == 1 and "" not in moods]


def build_banking(folder: Path) -> dict[str, Any]:
    """A third of Banking77's labels a month, each update with a rehearsal of the months before."""
    train, test = (read_rows(DATA / "banking77" / f"{split}.jsonl") for split in ("train", "test"))
    labels = sorted({row["label"] for row in train})
    month_of = {label: MONTHS[place * len(MONTHS) // len(labels)] for place, label in enumerate(labels)}
    train, test = ([row | {"month": month_of[row["label"]]} for row in rows] for rows in (_few(train), test))
    training, after = Training(epochs=5, learning_rate=5e-4, max_tokens=64, frozen_embeddings=True), {}
    classifier: Classifier | None = None
    for month in MONTHS:
        known = [label for label in labels if month_of[label] <= month]
        earlier = rehearsed([row for row in train if row["month"] < month], REHEARSED)
        classifier = widened(classifier, known) if classifier else load_base(str(packaged_minilm()), known)
        finetune(classifier, [*(row for row in train if row["month"] == month), *earlier], training)
        seen = {each: [row for row in test if row["month"] == each] for each in MONTHS if each <= month}
        after[month] = {each: scores(classifier, rows)["accuracy"] for each, rows in seen.items()}
    assert classifier is not None
    return _saved(classifier, folder, train, test) | {"after each update, by month": after}


def _few(rows: Sequence[Row]) -> list[Row]:
    by_label: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_label[row["label"]].append(row)
    return [row for some in by_label.values() for row in some[:ROWS_A_LABEL]]


def build_snips(folder: Path) -> dict[str, Any]:
    """Intent and slots from one backbone."""
    train = random.Random(0).sample(read_rows(DATA / "snips" / "train.jsonl.gz"), SNIPS_ROWS)
    test = read_rows(DATA / "snips" / "test.jsonl")
    tags = {tag for row in [*train, *test] for tag in row["slots"]}
    heads = (
        Head("label", "label", tuple(sorted({row["label"] for row in train}))),
        Head("slots", "tags", tuple(sorted(tags))),
    )
    multi = with_heads(load_base(str(packaged_minilm()), heads[0].labels), heads)
    train_heads(multi, train, Training(epochs=3, learning_rate=5e-4, max_tokens=64, frozen_embeddings=True))
    save_multi_task(multi, folder)
    write_rows(folder, train, test)
    return {"rows": {"train": len(train), "test": len(test)}, "test": head_scores(multi, test)}


def build_hint3(folder: Path) -> dict[str, Any]:
    """Intents learned from labels with noise, tested on those that people corrected."""
    train = [with_domain(row) for row in read_rows(DATA / "hint3" / "train_v1.jsonl")]
    known = {row["label"] for row in train}
    corrected = [with_domain(row) for row in read_rows(DATA / "hint3" / "test.jsonl")]
    test = [row for row in corrected if row["label"] in known]
    classifier = load_base(str(packaged_minilm()), sorted(known))
    finetune(classifier, train, Training(epochs=6, learning_rate=5e-4, max_tokens=64, frozen_embeddings=True))
    return _saved(classifier, folder, train, test)


def with_domain(row: Row) -> Row:
    """The row with its domain before its label: three shops of one set have labels of the same name."""
    return {"text": row["text"], "label": f"{row['domain']}/{row['label']}"}


def _saved(classifier: Classifier, folder: Path, train: Sequence[Row], test: Sequence[Row]) -> dict[str, Any]:
    save(classifier, folder)
    write_rows(folder, train, test)
    found = scores(classifier, test)
    return {"rows": {"train": len(train), "test": len(test)}, "test": {"accuracy": found["accuracy"]}}


CASES = {
    "goemotions": Case("real-moods", build_goemotions, "GoEmotions: the mood, and frustration at 5 % false alarms"),
    "banking77": Case("real-months", build_banking, "Banking77: a third of the labels a month, with rehearsal"),
    "snips": Case("real-heads", build_snips, "SNIPS: intent and slots, two heads on one backbone"),
    "hint3": Case("real-noise", build_hint3, "HINT3: learned from noisy labels, tested on corrected ones"),
}


# -- making, measuring, writing down ------------------------------------------------------------------------------


def main() -> int:
    """Do what is not done yet, and write down all that is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=list(CASES))
    parser.add_argument("--max-seconds", type=int, default=30, help="of timing, for all forms of a set")
    parser.add_argument("--render", action="store_true", help="write the tables again, and do nothing else")
    told = parser.parse_args()
    if not DATA.is_dir():
        print(f"{DATA} is not there, so there is nothing to do", file=sys.stderr)
        return 0
    for name in [] if told.render else [told.only] if told.only else CASES:
        started = time.monotonic()
        run(name, told.max_seconds)
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    write_found()
    return 0


def run(name: str, max_seconds: int) -> None:
    """One set from its rows to its bench."""
    case, checkpoint = CASES[name], WORK / name / "checkpoint"
    if not (ROOT / checkpoint).is_dir():
        with appearing(ROOT / checkpoint) as draft:
            write_json(draft / "recipe.json", case.build(draft))
    train, test = (checkpoint / "data" / f"{part}.jsonl" for part in ("train", "test"))
    job = Job(checkpoint, WORK / name, FORMS, train, test, case.budget, max_seconds, BUDGETS)
    refused = make(job)
    run_bench(job)
    write_json(ROOT / WORK / name / "found.json", {"refused": refused})


def write_found() -> None:
    """real_classifiers.json and real_classifiers.md from every set that was measured."""
    made = {name: ROOT / WORK / name for name in CASES if (ROOT / WORK / name / "found.json").is_file()}
    found = {name: _found(folder) for name, folder in made.items()}
    write_json(HERE / "real_classifiers.json", found)
    sections = [_section(CASES[name], each) for name, each in found.items()]
    page = "\n".join(["# Techniques on real data, before and after compression", "", EXPLAINED, *sections])
    write_atomically(HERE / "real_classifiers.md", page)


def _found(folder: Path) -> dict[str, Any]:
    """What was made and what the bench found, without what only matters on this machine."""
    bench = read_object(folder / "bench.json")
    artifacts = [
        {
            "form": "original (torch fp32)" if entry["artifact"] == bench["baseline"] else entry["artifact"],
            "size_mb": entry["size_mb"],
            "quality": entry["quality"],
            "lines": (entry["verdict"] or {}).get("lines", []),
            "failure": (entry["failure"] or {}).get("message"),
        }
        for entry in bench["artifacts"]
    ]
    return {"recipe": read_object(folder / "checkpoint" / "recipe.json"), "artifacts": artifacts} | read_object(
        folder / "found.json"
    )


def _section(case: Case, found: dict[str, Any]) -> str:
    """One data set: the original's scores, and every line of the budget for each artifact."""
    head = ("form", "size MB", "limit", "measured", "outcome")
    rows = [
        line((each["form"], number(each["size_mb"], "{:.1f}"), told["limit"], told["measured"], told["outcome"]))
        for each in found["artifacts"]
        for told in each["lines"]
        if "p95" not in told["limit"].lower()
    ]
    recipe = found["recipe"]
    kept = f"Learned from {recipe['rows']['train']:,} rows, tested on {recipe['rows']['test']:,}: {recipe['test']}."
    more = "".join(f"\n{name}: {value}." for name, value in recipe.items() if name not in {"rows", "test"})
    table = [line(head), "|--" * len(head) + "|", *rows]
    missing = "\n".join(f"- {form}: {why}" for form, why in found["refused"].items())
    return "\n\n".join(part for part in (f"## {case.title}", kept + more, "\n".join(table), missing) if part) + "\n"


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a .jsonl or .jsonl.gz file."""
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    return [json.loads(each) for each in text.split("\n") if each]


def write_rows(folder: Path, train: Sequence[Row], test: Sequence[Row]) -> None:
    """Write data/train.jsonl and data/test.jsonl into the checkpoint's folder."""
    for name, rows in (("train", train), ("test", test)):
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_atomically(folder / "data" / f"{name}.jsonl", "".join(lines))


if __name__ == "__main__":
    sys.exit(main())
