"""What training on the grid of few bits wins back of what rounding to it costs: two real sets, four rows each.

Run from the repository root after `python results/banking77_checkpoints.py --only minilm`: `python results/qat.py`. The
other set's checkpoint is trained here, into `.cache/qat`. Of each the rows are the checkpoint in fp32 (ONNX), its
weights rounded (PTQ: by the best rule that the pass has at those bits), trained on the grid from labels alone, and
trained on it by the fp32 checkpoint's answers; every row is an artifact that `mct compress` makes, asked the whole test
set. The share of the gap that came back has the interval of a paired bootstrap over test texts: of accuracy, and of the
divergence from fp32, which tells small gaps from none.

Rounding to 4 bits costs a MiniLM next to nothing, as the first settings show, so training is shown where rounding
hurts: at 2 bits in blocks of 128, every fourth of the levels of 4 bits, in an artifact that is no smaller for it.
Writes qat.json and qat.md; what is made stays in `.cache/qat` and is not made again.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mct import MctError
from mct.compress.plan.plan import make_plan
from mct.compress.plan.recipe import Recipe, Step
from mct.compress.run.agreement import divergence
from mct.compress.run.artifact import MANIFEST, executable, read_artifact
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.models.checkpoints.checkpoint import inspect
from mct.models.data.declared import read_object
from mct.models.data.files import Row
from mct.models.progress import shown
from mct.models.scenarios.classifiers.encoders import packaged_minilm
from mct.models.tasks.tokens import open_tokenizer
from mct.models.training.classification import Training, finetune, load_base, save
from mct.models.writing.folders import write_atomically, write_json
from mct.models.writing.replacing import appearing
from mct.targets.machine import probe_machine
from mct.targets.runtimes.table import open_session, runtime_for

HERE = Path(__file__).resolve().parent
DATA, WORK = HERE.parents[1] / "shared" / "data", HERE.parent / ".cache" / "qat"
BITEXT = DATA / "bitext_support_intent"
BANKING = HERE.parent / ".cache" / "banking77" / "minilm"
DRAWS, SEED = 10_000, 0
LEARNED, CHECKED_ON = 4_000, 40
"""Texts that training on the grid sees, of those that the checkpoint learned from; and that exports are checked on."""
CONFIDENCE = (0.025, 0.975)


@dataclass(frozen=True)
class Setting:
    """A grid, and how long and how fast to train on it."""

    title: str
    bits: int
    block: int
    epochs: int
    learning_rate: float


SETTINGS = {
    "int4-32": Setting("4 bits in blocks of 32", 4, 32, 0, 0.0),
    "int4-128": Setting("4 bits in blocks of 128", 4, 128, 0, 0.0),
    "int2-128": Setting("2 bits in blocks of 128", 2, 128, 2, 3e-4),
}
"""By name; without epochs only what rounding costs is shown."""


@dataclass(frozen=True)
class Case:
    """A data set: its checkpoint, and the rows it is trained and judged on."""

    title: str
    checkpoint: Callable[[], Path]
    train: Callable[[], list[Row]]
    test: Callable[[], list[Row]]


def banking77() -> Path:
    """The checkpoint of banking77_checkpoints.py."""
    if not BANKING.is_dir():
        raise MctError(f"{BANKING} is not there", "python results/banking77_checkpoints.py --only minilm")
    return BANKING


def bitext() -> Path:
    """A MiniLM that tells the intent of a support request."""
    folder = WORK / "bitext"
    if not folder.is_dir():
        train = rows_of(BITEXT / "train.jsonl")
        classifier = load_base(str(packaged_minilm()), sorted({row["label"] for row in train}))
        finetune(classifier, train, Training(epochs=1, frozen_embeddings=True))
        with appearing(folder) as draft:
            save(classifier, draft)
    return folder


def rows_of(path: Path) -> list[Row]:
    """Text and label of each line."""
    return [{"text": row["text"], "label": row["label"]} for row in map(json.loads, path.read_text().splitlines())]


CASES = {
    "banking77": Case(
        "Banking77, MiniLM of 6 layers",
        banking77,
        lambda: rows_of(DATA / "banking77" / "train.jsonl"),
        lambda: rows_of(DATA / "banking77" / "test.jsonl"),
    ),
    "bitext": Case(
        "Bitext's support intents (test and dev), MiniLM of 6 layers",
        bitext,
        lambda: rows_of(BITEXT / "train.jsonl"),
        lambda: rows_of(BITEXT / "test.jsonl") + rows_of(BITEXT / "dev.jsonl"),
    ),
}


def main() -> int:
    """Make what is missing, ask all of it, write both files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="part of the name of a set")
    wanted = parser.parse_args().only
    if not DATA.is_dir():
        print(f"{DATA} is not here: nothing to do", file=sys.stderr)
        return 0
    found: dict[str, Any] = read_object(HERE / "qat.json") if (HERE / "qat.json").is_file() else {}
    for name in CASES:
        if wanted in name:
            found[name] = judged(name)
            write_json(HERE / "qat.json", {key: found[key] for key in CASES if key in found})
    write_atomically(HERE / "qat.md", markdown(found))
    return 0


def judged(name: str) -> dict[str, Any]:
    """All rows of a set, by setting."""
    case = CASES[name]
    checkpoint, test = case.checkpoint(), case.test()
    train = WORK / f"{name}.jsonl"
    train.parent.mkdir(parents=True, exist_ok=True)
    rows = case.train()
    learned = random.Random(SEED).sample(rows, min(LEARNED, len(rows)))
    for path, part in ((train, learned), (train.with_suffix(".few.jsonl"), test[:CHECKED_ON])):
        path.write_text("".join(json.dumps(row) + "\n" for row in part))
    plain = answers(made(checkpoint, train, WORK / name / "fp32", (), "fp32"), test)
    settings = {}
    for key, setting in SETTINGS.items():
        logits, seconds = {"fp32": plain}, {}
        for row, steps in steps_of(setting).items():
            started = time.monotonic()
            logits[row] = answers(made(checkpoint, train, WORK / name / key / row, steps, "int4"), test)
            seconds[row] = round(time.monotonic() - started)
        settings[key] = {
            **asdict(setting),
            "rows": compared(logits, test, inspect(checkpoint).labels),
            "seconds": seconds,
        }
    return {"machine": probe_machine().cpu, "test": len(test), "settings": settings}


def steps_of(setting: Setting) -> dict[str, tuple[Step, ...]]:
    """The steps of each row: the best rounding there is at those bits, and training on the grid."""
    grid = {"bits": setting.bits, "block": setting.block, "threads": 2}
    last = Step("quantise-onnx-blocks", "onnx-int4", {"block": setting.block})
    rounded = () if setting.bits == 4 else (Step("train-for-int4", "", {**grid, "epochs": 0}),)
    found = {"PTQ": (*rounded, Step("export-onnx"), last)}
    if setting.epochs:
        told = {**grid, "epochs": setting.epochs, "learning_rate": setting.learning_rate, "batch": 32}
        found["QAT"] = (Step("train-for-int4", "", {**told, "teach": False}), Step("export-onnx"), last)
        found["QAT + distillation"] = (Step("train-for-int4", "", told), Step("export-onnx"), last)
    return found


def made(checkpoint: Path, train: Path, out: Path, steps: Sequence[Step], precision: str) -> Path:
    """The artifact of a recipe; not made again where it is there."""
    folder = out / f"onnx-{precision}"
    if not (folder / MANIFEST).is_file():
        recipe = Recipe(tuple(steps), SEED) if steps else None
        wanted = ((), ()) if steps else (["onnx"], [precision])
        plan = make_plan(inspect(checkpoint), *wanted, recipe=recipe)
        resources, texts = gather(plan, train, train.with_suffix(".few.jsonl"), {}, seed=SEED)
        with shown() as report:
            execute(plan, resources, texts, out, report)
    return folder


def answers(folder: Path, test: Sequence[Row]) -> NDArray[np.float32]:
    """The logits of every test text, (texts, labels); those of before where they were asked already."""
    kept = folder.with_name("logits.npy")
    if kept.is_file():
        found: NDArray[np.float32] = np.load(kept)
        return found
    opened = executable(read_artifact(folder), folder)
    infer = open_session(runtime_for("onnx"), opened, 2)
    tokenize = open_tokenizer(folder, opened.max_tokens)
    logits = np.concatenate([infer([tokenize(row["text"])])["logits"].copy() for row in test])
    np.save(kept, logits)
    return logits


def compared(
    logits: Mapping[str, NDArray[np.float32]], test: Sequence[Row], labels: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Each row's accuracy and divergence from fp32; of the trained ones the shares of the gap that came back."""
    wanted = np.array([labels.index(row["label"]) for row in test])
    right = {name: (each.argmax(1) == wanted).astype(float) for name, each in logits.items()}
    kl = {name: divergence(logits["fp32"], each) for name, each in logits.items()}
    counts = np.random.default_rng(SEED).multinomial(len(test), np.full(len(test), 1 / len(test)), DRAWS)
    found = {}
    for name in logits:
        found[name] = {"accuracy": float(right[name].mean()), "kl": float(kl[name].mean())}
        if name.startswith("QAT"):
            for figure, each in (("accuracy", right), ("kl", kl)):
                found[name][f"recovered_{figure}"] = _share(each["fp32"], each["PTQ"], each[name], counts)
    return found


def _share(plain: Any, rounded: Any, trained: Any, counts: Any) -> dict[str, Any]:
    """The share of the gap that training won back, with its interval; and the interval of the gap itself."""
    gap, back = plain - rounded, trained - rounded
    drawn_gap, drawn_back = counts @ gap / len(gap), counts @ back / len(gap)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = drawn_back / drawn_gap
    return {
        "share": float(back.mean() / gap.mean()) if gap.mean() else None,
        "interval": [float(each) for each in np.nanquantile(shares, CONFIDENCE)],
        "gap": float(gap.mean()),
        "gap_interval": [float(each) for each in np.quantile(drawn_gap, CONFIDENCE)],
    }


def markdown(found: Mapping[str, Any]) -> str:
    """One table a set and setting."""
    lines = [
        "# Training on the grid of few bits",
        "",
        "Written by `python results/qat.py`.",
        *__doc__.splitlines()[2:-2],
    ]
    for name, case in CASES.items():
        if name not in found:
            continue
        lines += ["", f"## {case.title}, {found[name]['test']} test texts ({found[name]['machine']})"]
        for setting in found[name]["settings"].values():
            lines += ["", f"{setting['title']}, {setting['epochs']} epochs:", "", *_table(setting["rows"])]
    return "\n".join(lines) + "\n"


def _table(rows: Mapping[str, Any]) -> list[str]:
    lines = [
        "| row | accuracy | of the gap recovered (95 %) | KL from fp32, nats | of the gap recovered (95 %) |",
        "|--|--|--|--|--|",
    ]
    for name, row in rows.items():
        accuracy, kl = (_said(row.get(f"recovered_{figure}")) for figure in ("accuracy", "kl"))
        lines.append(f"| {name} | {row['accuracy']:.2%} | {accuracy} | {row['kl']:.4f} | {kl} |")
    return lines


def _said(share: Mapping[str, Any] | None) -> str:
    if share is None:
        return ""
    if share["share"] is None or share["gap_interval"][0] <= 0 <= share["gap_interval"][1]:
        return "no gap to speak of"
    return f"{share['share']:.0%} ({share['interval'][0]:.0%} to {share['interval'][1]:.0%})"


if __name__ == "__main__":
    sys.exit(main())
