"""The stages that take a scenario from nothing to a decision: what each needs, what it yields, and its command.

A step is one stage of one scenario. Its command is a value: what `mct plan` prints is what `mct plan --run` runs. A
stage that this scenario's row cannot have (a row that is itself a stage has no model) has no step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mct import MctError
from mct.models.scenarios.table import find_scenario
from mct.models.tables import unknown
from mct.release.planning.order import Place
from mct.release.promotion.places import STORE

CHECK, EXPLAIN, DECISION = "check/check.json", "explain/explain.json", "decision.json"
"""What these stages leave in a scenario's folder."""
FORMATS = {"onnx": "onnx-int8", "openvino": "openvino-int8", "gguf": "gguf-q8_0"}
"""What each format's 8 bits are called once they are made."""


@dataclass(frozen=True)
class Stage:
    """One stage: the stages of the same scenario that it needs, what comes out, why it is worth its time.

    `command` names the click command that does it, "mct.room.commands:function", and `words` how it is typed.
    """

    name: str
    words: tuple[str, ...]
    command: str
    needs: tuple[str, ...]
    yields: str
    why: str


STAGES = (
    Stage(
        "build", ("models", "build"), "mct.models.commands:models_build", (), "checkpoint",
        "the scenario's checkpoint, by its real technique, with its data",
    ),
    Stage(
        "check", ("data", "check"), "mct.release.curation.commands:data_check", ("build",), "check/check.json",
        "leaks, duplicates, wrong labels and personal data in what teaches and judges",
    ),
    Stage(
        "compress", ("compress",), "mct.compress.commands:compress", ("build",), "artifacts",
        "8 bits in every format, each held against the checkpoint",
    ),
    Stage(
        "bench", ("bench",), "mct.bench.commands:bench", ("build", "compress"), "bench.json",
        "P95 and quality with their intervals, against the budget",
    ),
    Stage(
        "explain", ("explain",), "mct.release.inspection.commands:explain", ("build", "compress"),
        "explain/explain.json",
        "where and why it answers otherwise than the checkpoint",
    ),
    Stage(
        "gate", ("gate",), "mct.bench.commands:gate", ("bench",), "its exit code",
        "the verdict once more, from the raw samples: nothing passes that they do not show",
    ),
    Stage(
        "release", ("release", "add"), "mct.release.promotion.commands:release_add", ("gate",), "a candidate",
        "what may be deployed is what was measured, by digest, with a way back",
    ),
    Stage(
        "decide", ("decide",), "mct.release.decision.commands:decide", ("bench",), "decision.json",
        "promote, hold or roll back, by five criteria",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Work:
    """Where a plan's things lie and what it makes: one folder for each scenario below `folder`, of one size.

    Of `formats` each is made at 8 bits; `artifact` is the one to gate and to add to the releases in `store`.
    `max_seconds` caps a bench's timing, None leaves it to the bench.
    """

    folder: Path
    size: str
    artifact: str = FORMATS["onnx"]
    formats: tuple[str, ...] = tuple(FORMATS)
    store: str = STORE
    max_seconds: float | None = None

    @property
    def made(self) -> tuple[str, ...]:
        """The names of the artifacts that are made."""
        return tuple(FORMATS[each] for each in self.formats)

    def of(self, scenario: str) -> Path:
        """The folder of a scenario."""
        return self.folder / f"{scenario}-{self.size}"


@dataclass(frozen=True)
class Step:
    """One stage of one scenario: the ids of the steps it needs, what its command is given, the files it writes."""

    scenario: str
    stage: Stage
    arguments: tuple[str, ...]
    needs: tuple[str, ...]
    writes: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """ "reranker/bench"."""
        return f"{self.scenario}/{self.stage.name}"

    @property
    def line(self) -> tuple[str, ...]:
        """The words of its command line."""
        return ("mct", *self.stage.words, *self.arguments)


def find_stage(name: str) -> Stage:
    """A stage by its name; MctError with the nearest names otherwise."""
    for stage in STAGES:
        if stage.name == name:
            return stage
    raise unknown("stage", name, (stage.name for stage in STAGES))


@dataclass(frozen=True)
class Paths:
    """Where a scenario's checkpoint, artifacts and result lie, or will: what was found elsewhere is used from there."""

    home: Path
    checkpoint: Path
    artifacts: Path
    result: Path


def paths_of(scenario: str, work: Work, found: Mapping[str, str]) -> Paths:
    """The places of a scenario, given where stages' yields were found."""
    home = work.of(scenario)
    places = {"build": home / "checkpoint", "compress": home / "artifacts", "bench": home / "bench.json"}
    return Paths(home, *(Path(found.get(stage, place)) for stage, place in places.items()))


def data_of(checkpoint: Path) -> tuple[Path, Path, Path]:
    """The files that taught a scenario's checkpoint, that it was chosen by, and that judge it."""
    train, dev, test = (checkpoint / "data" / f"{part}.jsonl" for part in ("train", "dev", "test"))
    return train, dev, test


def check_work(place: Place, work: Work) -> None:
    """MctError where a scenario is not made in this size, or a plan makes no such artifact."""
    row = find_scenario(place.scenario)
    if row.build and work.size not in row.sizes:
        raise unknown(f"size of {row.name}:", work.size, row.sizes)
    for each in work.formats:
        if each not in FORMATS:
            raise unknown("format", each, FORMATS)
    if work.artifact not in work.made:
        raise MctError(f"this plan makes no {work.artifact}", f"one of: {', '.join(work.made)}")


def steps_of(place: Place, work: Work, found: Mapping[str, str]) -> tuple[Step, ...]:
    """Every step of a scenario, in order; none for a row that is itself a stage."""
    row = find_scenario(place.scenario)
    if not row.build:
        return ()
    at = paths_of(row.name, work, found)
    given, written = arguments(row.name, work, at), writes(work, at)
    return tuple(
        Step(
            row.name, stage, given[stage.name], tuple(f"{row.name}/{each}" for each in stage.needs),
            written.get(stage.name, ()),
        )
        for stage in STAGES
    )  # fmt: skip


def writes(work: Work, at: Paths) -> dict[str, tuple[str, ...]]:
    """The files and folders that each stage leaves; a gate and a release leave none of their own."""
    left: dict[str, Sequence[Path]] = {
        "build": (at.checkpoint,),
        "check": (at.home / "check",),
        "compress": [at.artifacts / name for name in work.made],
        "bench": (at.result,),
        "explain": (at.home / "explain",),
        "decide": (at.home / "decision.json", at.home / "decision.md"),
    }
    return {stage: tuple(map(str, paths)) for stage, paths in left.items()}


def arguments(scenario: str, work: Work, at: Paths) -> dict[str, tuple[str, ...]]:
    """What the command of each stage is given."""
    train, dev, test = data_of(at.checkpoint)
    chosen = at.artifacts / work.artifact
    capped = () if work.max_seconds is None else ("--max-seconds", f"{work.max_seconds:g}")
    given: dict[str, Sequence[object]] = {
        "build": (scenario, "--size", work.size, "-o", at.checkpoint),
        "check": (train, dev, test, "-o", at.home / "check"),
        "compress": (
            at.checkpoint, "-o", at.artifacts, "--format", ",".join(work.formats), "--precision", "int8",
            "--data", train, "--eval", test,
        ),
        "bench": (
            at.checkpoint, *(at.artifacts / name for name in work.made), "--baseline", at.checkpoint,
            "--data", test, "--budget", scenario, "--results", at.home / "results", "--json", at.result, *capped,
        ),
        "explain": (at.checkpoint, chosen, "--data", test, "-o", at.home / "explain"),
        "gate": (at.result, "--budget", scenario, "--artifact", work.artifact),
        "release": (
            chosen, "--name", scenario, "--checkpoint", at.checkpoint, "--data", train, "--eval", test,
            "--store", work.store,
        ),
        "decide": (
            scenario, "--evidence", at.home, "--begin", work.artifact, "--store", work.store,
            "-o", at.home / "decision",
        ),
    }  # fmt: skip
    return {stage: tuple(map(str, words)) for stage, words in given.items()}
