"""What a pass is: what it takes and gives, for which tasks, what it needs. The rows stand in passes_<what>.py.

A form is "checkpoint", or "<format>-<precision>". A pass from checkpoint to checkpoint leaves an ordinary Hugging Face
folder, which is inspected anew; whatever comes after it reads that folder, never the one that the user brought. A new
pass is one row there and one file with `run(source, draft, settings, resources) -> Product`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.data.declared import Share
from mct.models.tasks.datasets import Dataset
from mct.models.tasks.examples import Request, find_kind
from mct.targets.arithmetic import Numbers
from mct.targets.machine import Machine

START = "checkpoint"
REQUIRED: Any = object()

CLASSIFIERS = ("sequence-classification", "multi-label-classification")
SCORERS = ("pair-scoring",)
TAGGERS = ("token-classification", "multi-head")
EMBEDDERS = ("sentence-embedding", "embedding-head")
ENCODERS = (*CLASSIFIERS, *SCORERS, *TAGGERS, *EMBEDDERS)
REWARDS = ("reward",)
LANGUAGE_MODELS = ("causal-lm",)

ADDED = "what was added to it (a prefix, adapters kept beside it) belongs to its weights as they are"
"""Why nothing is trained, or made a teacher of, that is more than its weights."""


@dataclass(frozen=True)
class Product:
    """What a pass made in its draft folder.

    `model` is the file to open, relative to the folder; `settings` are for the runtime; `notes` go into the lineage.
    The setting "context" is the longest input (tokens) that the file computes rightly, where the checkpoint takes more.
    """

    folder: Path
    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Branch:
    """What other steps made of the user's checkpoint: the product of the last, and the checkpoint that is of."""

    checkpoint: Checkpoint
    product: Product


@dataclass(frozen=True)
class Resources:
    """What every pass may use: the checkpoint, rows to calibrate on, the machine it will run on, a seed.

    `checkpoint` is the one that a pass starts from, or that the form it takes was exported from: the product of the
    last pass before it that gave one. `teacher` is the one that the user brought, whose answers others may learn.
    `branch` is what a pass is to join to what it takes, where its row has one. `shared` is a folder for what steps of
    several recipes would find out alike, like the teacher's answers; it may not be there yet, and lives as long as
    finished steps do.
    """

    checkpoint: Checkpoint
    calibration: Dataset | None
    machine: Machine
    seed: int
    teacher: Checkpoint | None = None
    branch: Branch | None = None
    shared: Path | None = None

    def calibration_requests(self) -> list[Request]:
        """What the calibration rows ask, in file order; nothing where there are none."""
        return find_kind(self.checkpoint.task).texts(self.calibration.rows) if self.calibration else []


@dataclass(frozen=True)
class Option:
    """What a recipe may tell a pass: of the type `type`, `default` unless told; REQUIRED where it must be told.

    `checkpoint`: it names one (`find_pinned` of mct.models.checkpoints.hub), and what is made hangs on its content.
    """

    name: str
    type: Any
    about: str
    default: Any = REQUIRED
    checkpoint: bool = False


RECOVER = Option("recover", float, "the share of what few bits cost that keeping more in some parts wins back", 0.5)
TABLE = Option("table", int, "bits of a table of words: 8, one scale a row, or 4, in blocks of 32", 8)
BLOCK = Option("block", int, "how many weights of a row share a scale: 16, 32, 64, 128 or 256", 32)


@dataclass(frozen=True)
class Pass:
    """One table row. `run` is "module:function", handed every option: those told, defaults, and what is `fixed` here.

    `texts` says whether it needs the user's own texts, makes use of them if there are any, or does without. `numbers`
    is what its product computes in, where that depends on the machine. `why_not`, "module:function", says of a
    checkpoint and options why the pass cannot take it, "" where it can; asked when planning, so it reads small files
    only. `exact`: a checkpoint pass whose product must answer as its parent does. `branch` names the option that lists
    steps of its own, from the user's checkpoint to the form that this pass takes: it joins both. `leaves` is the
    model_type of a checkpoint pass whose product is always of that one, whatever it takes. `about` is one sentence.
    """

    name: str
    takes: str
    gives: str
    run: str
    tasks: tuple[str, ...]
    extra: str = "compress"
    texts: Literal["none", "used", "needed"] = "none"
    numbers: Numbers = ""
    why_not: str = ""
    fixed: Mapping[str, Any] = field(default_factory=dict)
    options: tuple[Option, ...] = ()
    exact: bool = False
    branch: str = ""
    leaves: str = ""
    about: str = ""

    @property
    def named(self) -> tuple[Option, ...]:
        """The options that name checkpoints."""
        return tuple(option for option in self.options if option.checkpoint)


def cascade(format_name: str, precision: str) -> Pass:
    """The row of a format's pass that joins two classifiers: its run stands in the room of the format."""
    form = f"{format_name}-{precision}"
    return Pass(
        "cascade", form, form, f"mct.compress.{format_name}.cascade:run", CLASSIFIERS[:1], texts="used",
        branch="second",
        options=(
            Option("second", list[dict[str, Any]], "the steps of the second stage, from the checkpoint itself"),
            Option("threshold", Share, "the first stage answers where its best label is at least as probable"),
            Option("always", list[str], "labels that the first stage never gives by itself", []),
        ),
        about="Join two stages in one artifact: the first answers where it is sure, the second stage the rest.",
    )  # fmt: skip
