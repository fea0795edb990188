"""The search for the fastest artifact that meets a budget, on data that nobody here wrote.

Run from the repository root: `python results/auto.py [--only NAME] [--time 45m]`. Each checkpoint is the packaged
MiniLM-L6, fine-tuned by mct's own loop on a part of a set's training rows; the rest of these are the rows that the
search chooses by, and the set's own test rows those that the winner is judged on. `mct compress --auto` does the rest,
as anyone would type it. What was found stays in `.cache/auto/NAME`; the same command goes on where it was cut off.
Writes auto.json and auto.md beside this file.
"""

import argparse
import json
import random
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checkpoints import read_rows
from forms import MCT, ROOT, line
from real_classifiers import DATA, with_domain, write_rows

from mct.models.data.declared import read_object
from mct.models.scenarios.classifiers.encoders import packaged_minilm
from mct.models.tasks.examples import Row
from mct.models.training.classification import Training, finetune, load_base, save
from mct.models.writing.folders import write_atomically, write_json
from mct.models.writing.replacing import appearing

HERE = Path(__file__).resolve().parent
WORK = Path(".cache/auto")
BUDGETS = Path("results/auto.toml")
ENDED = (0, 1, 3)
DEV_ROWS = 1500
COLUMNS = ("set", "P95 ms, torch", "winner", "P95 ms", "times below", "drop, points", "MB", "searched, s")
EXPLAINED = """\
Written by `python results/auto.py`. *Drop*: of the set's test rows, which nothing was chosen by, paired, with its 95 %
interval; a winner is shown to drop by less than the budget's margin (results/auto.toml). Measured on {cpu}
({sets}), in turns in one run with the checkpoint in torch.
"""


@dataclass(frozen=True)
class Case:
    """A data set: its rows, how a checkpoint learns from them, its budget and what is special about it."""

    title: str
    budget: str
    rows: Callable[[], tuple[Sequence[Row], Sequence[Row]]]
    training: Training


def _banking() -> tuple[Sequence[Row], Sequence[Row]]:
    folder = DATA / "banking77"
    return read_rows(folder / "train.jsonl"), read_rows(folder / "test.jsonl")


def _bitext() -> tuple[Sequence[Row], Sequence[Row]]:
    folder = DATA / "bitext_support_intent"
    return [*read_rows(folder / "train.jsonl"), *read_rows(folder / "dev.jsonl")], read_rows(folder / "test.jsonl")


def _hint() -> tuple[Sequence[Row], Sequence[Row]]:
    train, corrected = (
        [with_domain(row) for row in read_rows(DATA / "hint3" / f"{name}.jsonl")] for name in ("train_v1", "test")
    )
    known = {row["label"] for row in train}
    return train, [row for row in corrected if row["label"] in known]


FEW = Training(epochs=6, learning_rate=5e-4, max_tokens=64, frozen_embeddings=True)
CASES = {
    "banking77": Case("Banking77, 77 intents", "auto-banking77", _banking, Training(epochs=4, frozen_embeddings=True)),
    "bitext": Case("Bitext, 27 intents of support", "auto-bitext", _bitext, Training(epochs=1, frozen_embeddings=True)),
    "hint3": Case("HINT3, noisy labels", "auto-hint3", _hint, FEW),
}


def main() -> int:
    """Search where that is not done yet, and write down all that is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=list(CASES))
    parser.add_argument("--time", default="45m", help="for each search")
    parser.add_argument("--render", action="store_true", help="write the tables again, and do nothing else")
    told = parser.parse_args()
    if not DATA.is_dir():
        print(f"{DATA} is not there, so there is nothing to do", file=sys.stderr)
        return 0
    for name in [] if told.render else [told.only] if told.only else CASES:
        build(name)
        search(name, told.time)
    write_found()
    return 0


def build(name: str) -> None:
    """The checkpoint of a set with its rows in three parts, where it is not there."""
    folder = ROOT / WORK / name / "checkpoint"
    if folder.is_dir():
        return
    case = CASES[name]
    rows, test = case.rows()
    drawn = random.Random(0).sample(list(rows), len(rows))
    most = min(DEV_ROWS, len(drawn) // 5)
    dev, train = drawn[:most], drawn[most:]
    with appearing(folder) as draft:
        classifier = load_base(str(packaged_minilm()), sorted({str(row["label"]) for row in rows}))
        finetune(classifier, train, case.training, lambda stage, share: None)
        save(classifier, draft)
        write_rows(draft, train, test)
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in dev)
        write_atomically(draft / "data" / "dev.jsonl", "".join(lines))


def search(name: str, allowed: str) -> None:
    """`mct compress --auto`, its progress shown."""
    folder = WORK / name
    rows = {part: folder / "checkpoint" / "data" / f"{part}.jsonl" for part in ("train", "dev", "test")}
    command = [*MCT, "compress", folder / "checkpoint", "-o", folder / "out", "--auto", "--budget", CASES[name].budget]
    command += ["--budgets", BUDGETS, "--time", allowed]
    command += ["--data", rows["train"], "--dev", rows["dev"], "--eval", rows["test"]]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, check=False, stdout=subprocess.DEVNULL)
    if done.returncode not in ENDED:
        raise SystemExit(f"the search on {name} ended with exit code {done.returncode}")


# -- the tables ---------------------------------------------------------------------------------------------------


def write_found() -> None:
    """auto.json and auto.md from every search that came to its end."""
    fronts = {name: ROOT / WORK / name / "out" / "front.json" for name in CASES}
    found = {name: read_object(path) for name, path in fronts.items() if path.is_file()}
    if not found:
        return
    first = next(iter(found.values()))
    table = [
        line(COLUMNS),
        "|--|--:|--|--:|--:|--:|--:|--:|",
        *(line(_row(name, front)) for name, front in found.items()),
    ]
    parts = [
        "# Say the budget, get the artifact",
        EXPLAINED.format(cpu=first["cpu"], sets=", ".join(first["instruction_sets"])),
    ]
    parts.append("\n".join(table))
    for name in found:
        shown = (ROOT / WORK / name / "out" / "front.md").read_text(encoding="utf-8")
        parts.append(f"## {CASES[name].title}\n\n{shown.partition(chr(10))[2].strip()}")
    write_atomically(HERE / "auto.md", "\n\n".join(parts) + "\n")
    write_json(HERE / "auto.json", {name: _kept(front) for name, front in found.items()})


def _kept(front: Mapping[str, Any]) -> dict[str, Any]:
    """A front without its raw result."""
    entries = front["judged"]["result"]["artifacts"] if front["judged"] else []
    names = ("artifact", "path", "latency", "size_mb", "speedup", "verdict")
    judged = []
    for entry in entries:
        quality = {key: value for key, value in (entry["quality"] or {}).items() if key != "slices"}
        judged.append({key: entry[key] for key in names} | {"quality": quality})
    return {**front, "judged": judged}


def _row(name: str, front: Mapping[str, Any]) -> tuple[str, ...]:
    if not front["winner"]:
        return (CASES[name].title, "-", front["why"], "-", "-", "-", "-", f"{front['elapsed_s']:.0f}")
    judged = front["judged"]
    by_path = {entry["path"]: entry for entry in judged["result"]["artifacts"]}
    won = next(entry for path, entry in by_path.items() if judged["names"].get(path) == front["winner"])
    original = next(entry for path, entry in by_path.items() if path not in judged["names"])
    faster, quality = won["speedup"], won["quality"]
    low, high = quality["delta_ci"]
    return (
        CASES[name].title,
        f"{original['latency']['p95_ms']:.2f}",
        front["winner"],
        f"{won['latency']['p95_ms']:.3f}",
        f"{faster['p95']:.1f} ({faster['p95_ci'][0]:.1f} to {faster['p95_ci'][1]:.1f})",
        f"{-100 * quality['delta']:.2f} ({-100 * high:.2f} to {-100 * low:.2f})",
        f"{won['size_mb']:.1f}",
        f"{front['elapsed_s']:.0f}",
    )


if __name__ == "__main__":
    sys.exit(main())
