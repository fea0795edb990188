"""What other commands found out, as a gate reads it: `mct explain` and its behaviour tests, and `mct data check`.

A gate asks of a report of a model which artifact it is about, when it was made, what it came to and by which limits:
those that are built in or that the gate's own file has, or tighter ones. A data check is
about bytes, which do not age: a gate asks whether the test set that the release was measured on is among them, and
whether a row of one file stands in another. The rest is for people.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from msgspec import Struct

from mct import MctError
from mct.bench.judge.line import Outcome, worst
from mct.compress.run.artifact import read_artifact
from mct.compress.run.lineage import origin_of_artifact
from mct.models.data.declared import Digest, Index, Name, Share, declared, parse_json, read_bytes
from mct.models.tasks.datasets import told_renames
from mct.release.curation.findings import NEAR
from mct.release.inspection.limits import KNOWN, load_limits

OF_MODEL = "make it with: mct explain ORIGINAL ARTIFACT -o FOLDER"
TEST = "test "
"""What the limit of a behaviour test begins with."""

OF_TESTS = ("behaviour_fail_max",)
"""What is judged of behaviour tests without a table of limits."""

AMOUNTS = ("score_drift_max", "attribution_drift_max", "attribution_excess_max")
"""Limits that are no share of anything, and may be 1 or more."""

OF_DATA = "make it with: mct data check FILES… -o FOLDER"


class _Line(Struct, frozen=True):
    limit: Name
    outcome: Outcome
    measured: str = ""
    reason: str = ""


class _Origin(Struct, frozen=True):
    equals: str = ""


class _Original(Struct, frozen=True):
    digest: Digest
    origin: _Origin | None = None


class _Asked(Struct, frozen=True):
    sha256: Digest


class _OfModel(Struct, frozen=True):
    kind: Literal["mct-explain", "mct-behave"]
    outcome: Outcome
    digest: Digest
    created: str = ""
    lines: tuple[_Line, ...] = ()
    limits: str = ""
    original: _Original | str | None = None
    files: tuple[_Asked, ...] = ()
    fields: dict[Name, Name] = {}


class _File(Struct, frozen=True):
    name: Name
    sha256: Digest


class _Twin(Struct, frozen=True):
    file: Name
    row: Index
    other_file: str = ""


class _OfData(Struct, frozen=True):
    files: tuple[_File, ...]
    leaks: tuple[_Twin, ...]
    near: Share = 1.0
    task: str = ""
    fields: dict[Name, Name] = {}


class _Data(Struct, frozen=True):
    sha256: Digest


class _Step(Struct, frozen=True):
    """An entry of an artifact's lineage; the first may hold the entries of a checkpoint that a recipe made."""

    data: _Data | None = None
    made_by: tuple[_Step, ...] = ()


@dataclass(frozen=True)
class ModelReport:
    """What an inspection of an artifact (its digest) came to; `open_lines` are the limits that it did not pass.

    `outcome` is what its lines come to, whatever else it says: without one nothing was judged. `judged` are the limits
    that mct knows, by name, and `limits` what they are together.

    Where it `compares` answers to data: `original` is the digest of what it was held against, `equals` the checkpoint
    whose answers that gives (None: unsaid), `files` what was asked, and `fields` how columns were renamed.
    """

    content: bytes
    outcome: Outcome
    digest: str
    created: str
    open_lines: tuple[str, ...]
    original: str = ""
    equals: str | None = None
    files: frozenset[str] = frozenset()
    fields: Mapping[str, str] = field(default_factory=dict)
    compares: bool = False
    judged: Mapping[str, float] = field(default_factory=dict)
    limits: str = ""


@dataclass(frozen=True)
class Basis:
    """What evidence about an artifact has to rest on, by SHA-256; a gate and a decision ask the same.

    `digest` is its own, `made_of` the checkpoints that it was made of, `productions` what ever was in production,
    `data` the test sets that count (none where any does), and `fields` how columns are renamed in them.
    """

    digest: str
    made_of: frozenset[str]
    productions: frozenset[str]
    data: frozenset[str] = frozenset()
    fields: Mapping[str, str] = field(default_factory=dict)

    def unfit(self, digest: str, equals: str | None) -> str:
        """Why something is nothing to hold the artifact against; "" where it was made of that, or production was it.

        `equals` is the checkpoint whose answers it gives, as `Origin` has it; None where nobody noted that.
        """
        if digest == self.digest:
            return "It was held against itself: bench it beside what it was made of."
        if equals in self.made_of or digest in self.productions:
            return ""
        if equals is None:
            return "It does not say what it was held against: make it again."
        if not self.made_of:
            return "The artifact does not say what it was made of, or answers with other labels: compress it again."
        return f"It was held against {digest[:12]}, neither what it was made of, unchanged, nor what production was."

    def misread(self, fields: Mapping[str, str]) -> str:
        """How columns were read otherwise than they have to be; "" where they were not."""
        if (told := told_renames(fields)) == told_renames(self.fields):
            return ""
        said = ", ".join(f"{theirs} as {ours}" for ours, theirs in told.items()) or "no column as another"
        return f"It read {said}: read them as is asked here, or name it (fields)."

    def why_no_inspection(self, report: ModelReport) -> tuple[str, str] | None:
        """What was found, and why that shows nothing: what it was inspected beside, on which data, read how.

        None where it does. Behaviour tests alone ask no data, and are judged without an original.
        """
        if not report.compares:
            return None
        if report.original == report.digest:
            return "itself", "It was inspected beside itself."
        if why := self.unfit(report.original, report.equals):
            return "beside another", why
        if self.data and not report.files <= self.data:
            return "other data", "It was inspected on data that does not count here (data)."
        if why := self.misread(report.fields):
            return "other columns", why
        return None


@dataclass(frozen=True)
class DataReport:
    """Which files were checked, by SHA-256; and which rows stand in another one too: file, row, the other file.

    `near` is the share of words from which two texts counted as one, 1 where the report does not say. `task` is what
    the files were read for, `fields` how columns were renamed.
    """

    content: bytes
    files: frozenset[str]
    twins: frozenset[tuple[str, int, str]]
    near: float
    task: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)

    def leaks(self, tested: frozenset[str]) -> int:
        """How many rows stand in a file that is tested on and in another; without any that is, in any two.

        That files which taught have rows in common is no leak.
        """
        return len({(file, row) for file, row, other in self.twins if not tested or {file, other} & (tested | {""})})

    @property
    def fault(self) -> str:
        """Why it could not have found a leak; "" where it could."""
        if len(self.files) < 2:
            return "It read one file alone, which nothing can stand in twice: check it with what was trained on."
        return f"It let pass texts alike by less than {self.near:.0%}." if self.near > NEAR else ""


def read_model_report(path: Path) -> ModelReport:
    """An explain.json or behave.json. MctError where it is missing, damaged, of another kind, or belies its lines."""
    content = read_bytes(path, OF_MODEL)
    found = parse_json(content, _OfModel, str(path), OF_MODEL)
    if found.outcome != (outcome := worst(each.outcome for each in found.lines)):
        raise MctError(f"{path} says {found.outcome}, and its lines come to {outcome}", OF_MODEL)
    lines = [f"{each.limit}: {each.reason or each.measured}" for each in found.lines if each.outcome != "pass"]
    beside = found.original if isinstance(found.original, _Original) else _Original("")
    known = KNOWN if found.limits else OF_TESTS
    judged = dict(filter(None, (_limit(each.limit, known) for each in found.lines)))
    return ModelReport(
        content, found.outcome, found.digest, found.created, tuple(lines), beside.digest,
        beside.origin.equals if beside.origin else None, frozenset(each.sha256 for each in found.files), found.fields,
        found.kind == "mct-explain", judged, found.limits,
    )  # fmt: skip


def _limit(text: str, known: Collection[str]) -> tuple[str, float] | None:
    """The name and value of a line's limit, "flips_max <= 0.03"; None of one that is not known."""
    name, found, most = text.rpartition(" <= ")
    try:
        return (name, float(most)) if found and (name in known or name.startswith(TEST)) else None
    except ValueError:
        return None


def lacking(report: ModelReport, own: Path | None) -> str:
    """What a report's limits lack of the built-in ones, those of the file `own` in their place; "" where nothing."""
    tables = {name: limits.given for name, limits in load_limits(own).items()}
    if all(most >= 1 and name not in AMOUNTS for name, most in report.judged.items()):
        return "It bears no limit that mct knows and that can be missed."
    if report.limits and report.limits not in tables:
        return f"Its limits, {report.limits}, are not built in: name their file (limits)."
    wanted = tables.get(report.limits, {})
    if missing := sorted(wanted.keys() - report.judged.keys()):
        return f"It bears not all limits of {report.limits}: {', '.join(missing)}."
    for name, loosest in wanted.items():
        if (most := report.judged[name]) > float(f"{loosest:g}"):
            return f"{name} <= {most:g} is looser than {loosest:g}: name limits of your own (limits)."
    return ""


def read_data_report(path: Path) -> DataReport:
    """A check.json. MctError where it is missing, damaged or of another kind."""
    content = read_bytes(path, OF_DATA)
    found = parse_json(content, _OfData, str(path), OF_DATA)
    digests = {each.name: each.sha256 for each in found.files}
    twins = ((digests.get(each.file, ""), each.row, digests.get(each.other_file, "")) for each in found.leaks)
    files = frozenset(digests.values())
    return DataReport(content, files, frozenset(twins), found.near, found.task, found.fields)


def taught_by(artifact: Path) -> frozenset[str]:
    """The SHA-256 of the data that an artifact's lineage names: what it was trained on or calibrated with.

    That of the checkpoint it was made of is among it, where a recipe made that.
    """
    lineage = [*map(dict, read_artifact(artifact, verify=False).lineage)]
    steps = declared(lineage, tuple[_Step, ...], f"{artifact} lineage", "compress the checkpoint again")
    return frozenset(_named(steps))


def made_of(artifact: Path) -> frozenset[str]:
    """The checkpoints that an artifact's lineage goes back to, each by one SHA-256 over all that it answers by."""
    return frozenset(origin_of_artifact(read_artifact(artifact, verify=False), str(artifact))[0])


def _named(steps: Iterable[_Step]) -> Iterator[str]:
    for step in steps:
        yield from _named(step.made_by)
        if step.data:
            yield step.data.sha256
