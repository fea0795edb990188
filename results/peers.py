"""What a user would pick instead: other tools' models beside ours, each in an environment of its own, in one run.

`make peers`, or `python results/peers.py [--ours DIR]... [--only classifier|language-model] [--seconds N]` from the
repository root, after `python results/banking77_checkpoints.py --only minilm`. All peers and our own artifacts get the
same checkpoint and the same texts. What takes long and is no measurement (environments, models, answers) is done first
and kept in `.cache/peers`; then rounds: in each, a fresh process of every system, which take short turns in the orders
of a Latin square, so that each runs after each other one equally often. Every round is kept as it ends: a run that was
cut off goes on where it was. Writes peers.json and peers.md beside this file, a table a kind of CPU; raw times stay in
`.cache/peers/rounds`. What cannot be had is a row with its reason.
"""

import argparse
import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from forms import ROOT, Job, make
from peers_rounds import Contender, Died, Process, Setting, measure, serving
from peers_systems import CLASSIFIERS, OURS, PEERS, WRITERS, System, Unavailable, interpreter
from peers_table import markdown, rows

from mct import MctError
from mct.bench.samples.subject import identify
from mct.models.data.declared import read_object
from mct.models.tasks.datasets import Dataset, read_dataset, read_examples
from mct.models.tasks.examples import Example
from mct.models.tasks.table import find_task
from mct.models.writing.folders import sha256, write_atomically, write_json
from mct.models.writing.replacing import appearing
from mct.targets.cpus import allowed_cpus, choose_cpus
from mct.targets.machine import probe_machine

HERE = Path(__file__).resolve().parent
SCORED_AT_ONCE = 500
LONGEST_WORDS = 120
LIST = "mct-files.json"
"""What `appearing` leaves of itself: nobody needs it to run the model."""


@dataclass(frozen=True)
class Comparison:
    """One table: a checkpoint, the texts, the peers, our own forms of it, and the share of the time that it gets."""

    title: str
    checkpoint: Path
    train: Path
    test: Path
    systems: tuple[System, ...]
    forms: Mapping[str, tuple[str, ...]]
    share: float


COMPARISONS = {
    "classifier": Comparison(
        "Banking77, 77 intents", Path(".cache/banking77/minilm"), Path("../shared/data/banking77/train.jsonl"),
        Path("../shared/data/banking77/test.jsonl"), CLASSIFIERS, {"onnx": ("int8",), "openvino": ("int8",)}, 0.75,
    ),
    "language-model": Comparison(
        "TinyStories-656K, a Llama", Path("../shared/weights/tinystories656K"), Path(".cache/peers/lm/train.jsonl"),
        Path(".cache/peers/lm/test.jsonl"), WRITERS,
        {"onnx": ("int8", "int4"), "gguf": ("f32", "q8_0", "q4_k_m")}, 0.25,
    ),
}  # fmt: skip


def main() -> int:
    """Every comparison that is asked for, and both files."""
    asked = _parser().parse_args()
    PEERS.mkdir(parents=True, exist_ok=True)
    try:
        for name, comparison in chosen(asked).items():
            seconds = asked.seconds * (comparison.share if len(asked.only) != 1 else 1.0)
            prepared = prepare_all(comparison, asked.ours, asked.texts, asked.wheels)
            if not asked.prepare:
                keep(name, compare(comparison, prepared, seconds))
    except MctError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Other tools' models beside ours, in one run.")
    parser.add_argument("--ours", type=Path, action="append", default=[], help="an artifact of ours, added to the rows")
    parser.add_argument("--only", action="append", default=[], choices=list(COMPARISONS), help="only this table")
    parser.add_argument("--checkpoint", type=Path, help="another classifier in place of Banking77's")
    parser.add_argument("--train", type=Path, help="its training texts (text, label)")
    parser.add_argument("--test", type=Path, help="its test texts (text, label)")
    parser.add_argument("--seconds", type=float, default=600, help="for the rounds of all tables together")
    parser.add_argument("--prepare", action="store_true", help="do all that is done once, and measure nothing")
    parser.add_argument("--texts", type=int, help="use so many test texts only: to try it")
    parser.add_argument("--wheels", type=Path, help="a folder of wheels that pip may take from")
    return parser


def chosen(asked: argparse.Namespace) -> dict[str, Comparison]:
    """The comparisons asked for, paths made absolute; another classifier takes the place of the first."""
    found = {name: each for name, each in COMPARISONS.items() if name in (asked.only or COMPARISONS)}
    if asked.checkpoint:
        if not (asked.train and asked.test):
            raise MctError("--checkpoint needs its texts", "add --train FILE and --test FILE")
        own = replace(
            COMPARISONS["classifier"], title=asked.checkpoint.resolve().name, checkpoint=asked.checkpoint,
            train=asked.train, test=asked.test,
        )  # fmt: skip
        found = {f"classifier {own.title}": own}
    if "language-model" in found:
        write_paragraphs()
    for each in found.values():
        if not (ROOT / each.checkpoint / "config.json").is_file():
            raise MctError(f"{each.checkpoint} is not there", "python results/banking77_checkpoints.py --only minilm")
    return found


def write_paragraphs() -> None:
    """What the small Llama is calibrated on and asked."""
    rows = (ROOT / "../shared/data/lm_tinystories/paragraphs.jsonl").read_text(encoding="utf-8").splitlines(True)
    short = [row for row in rows if len(row.split(" ")) <= LONGEST_WORDS]
    for part, lines in (("train", short[:1000]), ("test", short[-400:])):
        write_atomically(PEERS / "lm" / f"{part}.jsonl", "".join(lines))


# -- one comparison -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Prepared:
    """All that a comparison has before anything is timed."""

    contenders: list[Contender]
    setting: Setting
    examples: Sequence[Example]
    task: str


def prepare_all(comparison: Comparison, ours: Sequence[Path], texts: int | None, wheels: Path | None) -> Prepared:
    """Environments, models and answers of every row, as far as they can be had."""
    original, threads = identify(ROOT / comparison.checkpoint), probe_machine().usable_threads
    read = read_dataset(ROOT / comparison.test, find_task(original.task))
    dataset = replace(read, rows=read.rows[:texts])
    examples = read_examples(dataset, original.task, original.heads)
    requests, scored = [str(each.request) for each in examples], [str(each.scored) for each in examples]
    setting = Setting(requests, scored, threads, choose_cpus(allowed_cpus(), threads))
    contenders = [Contender(system) for system in (*comparison.systems, *our_systems(comparison, ours))]
    for contender in contenders:
        prepare(contender, comparison, setting, dataset, wheels)
    return Prepared(contenders, setting, examples, original.task)


def compare(comparison: Comparison, prepared: Prepared, seconds: float) -> dict[str, Any]:
    """Rounds for `seconds`; the table as values."""
    machine, contenders = probe_machine(), prepared.contenders
    rounds = measure([each for each in contenders if not each.failure], prepared.setting, seconds)
    return {
        "title": comparison.title,
        "cpu": machine.cpu,
        "instruction_sets": list(machine.instruction_sets),
        "threads": prepared.setting.threads,
        "texts": len(prepared.examples),
        "rounds": len(rounds),
        "rows": rows(contenders, rounds, prepared.examples, prepared.task),
    }


def our_systems(comparison: Comparison, ours: Sequence[Path]) -> list[System]:
    """Our own forms of the checkpoint, made where they are not there yet, and the folders given of the same task."""
    task, out = identify(ROOT / comparison.checkpoint).task, our_folder(comparison)
    job = Job(comparison.checkpoint, out, comparison.forms, comparison.train, comparison.test, "", 0)
    for form, why in make(job).items():
        raise MctError(f"{form} of {comparison.checkpoint} cannot be made: {why}", "mct compress says more")
    forms = [f"{kind}-{each}" for kind, wanted in comparison.forms.items() for each in wanted]
    sources = {system.of for system in comparison.systems}
    named = {f"mct {form}": ROOT / out / form for form in forms if form not in sources}
    named |= {f"mct {'/'.join(folder.resolve().parts[-2:])}": folder.resolve() for folder in ours}
    fitting = {name: folder for name, folder in named.items() if identify(folder).task == task}
    return [System(name, OURS, "ours:open_artifact", folder=folder) for name, folder in fitting.items()]


def our_folder(comparison: Comparison) -> Path:
    """Where our own forms of the checkpoint are kept, by what it is."""
    return Path(".cache/peers/ours") / identify(ROOT / comparison.checkpoint).digest[:12]


def prepare(
    contender: Contender, comparison: Comparison, setting: Setting, dataset: Dataset, wheels: Path | None
) -> None:
    """Have its environment, its model and its answers; its failure says what could not be had."""
    system = contender.system
    try:
        print(f"{comparison.title}: {system.name}", file=sys.stderr, flush=True)
        contender.python = interpreter(system, wheels)
        contender.folder = system.folder or ROOT / comparison.checkpoint
        if system.make:
            contender.folder = made(contender, comparison, setting.threads)
            contender.digest, contender.size_mb = _digest(contender.folder), _size_mb(contender.folder)
        else:
            subject = identify(contender.folder)
            contender.digest, contender.size_mb = subject.digest, subject.size_mb
        scored(contender, setting, f"{dataset.sha256[:12]}-{len(setting.scored)}")
    except (Unavailable, Died) as error:
        contender.failure = str(error)
        print(f"{system.name}: {error}", file=sys.stderr, flush=True)


def made(contender: Contender, comparison: Comparison, threads: int) -> Path:
    """The folder of its model, made in its own environment where it is not there yet."""
    system, train = contender.system, ROOT / comparison.train
    checkpoint = ROOT / (our_folder(comparison) / system.of if system.of else comparison.checkpoint)
    key = hashlib.sha256(f"{identify(checkpoint).digest} {sha256(train)} {system}".encode()).hexdigest()[:12]
    folder = PEERS / "made" / f"{system.slug}-{key}"
    if not folder.is_dir():
        with appearing(folder) as draft:
            job = {"make": system.make, "checkpoint": str(checkpoint), "train": str(train), "out": str(draft)}
            with Process(contender, "make", job, threads) as process:
                process.receive()
    return folder


def scored(contender: Contender, setting: Setting, data: str) -> None:
    """Its answer to every text, kept beside the environments; on one thread, which on a busy machine is faster."""
    file = PEERS / "answers" / f"{contender.system.slug}-{contender.digest[:12]}-{data}.json"
    if not file.is_file():
        values: list[Any] = []
        with Process(contender, "serve", serving(contender, replace(setting, threads=1), 0), 1) as process:
            libraries = process.receive()["libraries"]
            for first in range(0, len(setting.scored), SCORED_AT_ONCE):
                values += process.ask({"score": [first, first + SCORED_AT_ONCE]})["values"]
        write_json(file, {"libraries": libraries, "values": values})
    kept = read_object(file)
    contender.answers, contender.libraries = kept["values"], kept["libraries"]


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file() and file.name != LIST)


def _digest(folder: Path) -> str:
    return hashlib.sha256(" ".join(sha256(file) for file in _files(folder)).encode()).hexdigest()


def _size_mb(folder: Path) -> float:
    return sum(file.stat().st_size for file in _files(folder)) / 1e6


def keep(name: str, table: Mapping[str, Any]) -> None:
    """Put the table into peers.json in the place of an earlier one of its name and kind of CPU, and write peers.md."""
    file, vnni = HERE / "peers.json", "avx512_vnni" in table["instruction_sets"]
    found: dict[str, Any] = read_object(file) if file.is_file() else {}
    found[f"{name} on {table['cpu']} {'with' if vnni else 'without'} VNNI"] = dict(table)
    write_json(file, found)
    write_atomically(HERE / "peers.md", markdown(found))


if __name__ == "__main__":
    sys.exit(main())
