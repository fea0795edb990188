"""What an inspection found, as values: what `explain.json` holds, and what gates read of it.

`kind`, `outcome`, `created`, `digest` (the artifact's), `files` (SHA-256 of the data) and `lines` are what a gate asks
for, and `original`, with what that was made of, and `fields` (which column was read as which, where some were told);
the rest is for people and for programs that know it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from mct import MctError
from mct.bench.judge.line import Line, Outcome, worst
from mct.bench.samples.subject import Origin
from mct.bench.statistics.rounding import rounded
from mct.models.data.declared import Digest, Name, read_json
from mct.release.inspection.behaviour.behave import Outcome as CaseOutcome
from mct.release.inspection.behaviour.tests_file import Test
from mct.release.inspection.drift import Mean
from mct.release.inspection.flips import Flips
from mct.release.inspection.rates import Rate
from mct.release.inspection.scores import ScoreDrift
from mct.release.inspection.spurious import Spurious

SCHEMA = 1
KIND = "mct-explain"
MADE_BY = "make it with: mct explain ORIGINAL ARTIFACT --data FILE -o FOLDER"


@dataclass(frozen=True)
class Inspected:
    """A model that was asked."""

    name: str
    format: str
    precision: str
    runtime: str
    digest: str
    origin: Origin | None = None
    path: Path = field(default=Path(), compare=False)


@dataclass(frozen=True)
class Worth:
    """What one word is worth to the original's answer: by occlusion in both models, by gradients in the original.

    `gradient` is None where there are none.
    """

    word: str
    original: float
    artifact: float
    gradient: float | None = None


@dataclass(frozen=True)
class Attributed:
    """One example: what its original answer rests on. `drift` is None where it has too few words.

    `of` says what the evidence is of; `evidence` what it comes to in both; `gap` how far the gradients of all words
    are from adding up, in the same unit.
    """

    row: int
    text: str
    answer: Any
    artifact_answer: Any
    of: str
    evidence: tuple[float, float]
    words: tuple[Worth, ...]
    drift: float | None
    floor: float | None = None
    gap: float | None = None


@dataclass(frozen=True)
class Attribution:
    """Attributions of sampled examples, and their drift. `floor` and `excess` are None where there is no floor.

    `gap` is the mean completeness gap of the gradients, as a share of the mean evidence they add up to; `baseline` the
    token that their path starts from. `cut_short`: the time cap came before the last example.
    """

    measure: str
    drift: Mean
    examples: tuple[Attributed, ...]
    floor: Mean | None = None
    excess: Mean | None = None
    floor_bits: int | None = None
    gap: float | None = None
    baseline: str = ""
    cut_short: bool = False


@dataclass(frozen=True)
class Part:
    """One matrix of weights rounded alone; `cost` is the divergence of the answers, nats; `layer` "" outside of any."""

    name: str
    layer: str
    cost: float


@dataclass(frozen=True)
class Sensitivity:
    """Every part in the order of the network, and all of them together, in so many `bits`, on `texts` inputs."""

    bits: int
    texts: int
    parts: tuple[Part, ...]
    all: float


@dataclass(frozen=True)
class Behaviour:
    """One test, as the artifact and, where there is one, the original passed it.

    `worse`: cases that the original passes and the artifact fails, `better` the other way; `failures` are those of the
    artifact.
    """

    test: Test
    artifact: Rate
    original: Rate | None
    worse: int
    better: int
    failures: tuple[CaseOutcome, ...]


@dataclass(frozen=True)
class Explanation:
    """All that was found. A part that is None is in `left_out`, with the reason. `task` is what both models do.

    `repeated` of the `rows` ask what another one asks, and were left out: they are one example.
    """

    original: Inspected
    artifact: Inspected
    task: str
    data: str
    sha256: str
    rows: int
    repeated: int
    seed: int
    created: str
    flips: Flips
    attribution: Attribution | None = None
    scores: ScoreDrift | None = None
    sensitivity: Sensitivity | None = None
    spurious: tuple[Spurious, ...] | None = None
    behaviour: tuple[Behaviour, ...] = ()
    lines: tuple[Line, ...] = ()
    limits: str = ""
    tests: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def outcome(self) -> Outcome:
        """The worst line; inconclusive where nothing was judged."""
        return worst(line.outcome for line in self.lines)

    def as_json(self) -> dict[str, Any]:
        """As explain.json has it."""
        body = asdict(self)
        head = {
            "schema": SCHEMA, "kind": KIND, "outcome": self.outcome, "created": self.created,
            "digest": self.artifact.digest, "files": [{"name": self.data, "sha256": self.sha256}],
            "lines": body.pop("lines"),
        }  # fmt: skip
        for side in ("original", "artifact"):
            del body[side]["path"]
        if body["scores"]:
            del body["scores"]["told"]
        for group, found in zip(body["flips"]["groups"], self.flips.groups, strict=True):
            group["shown"] = found.shown
        for each, word in zip(body["spurious"] or (), self.spurious or (), strict=True):
            each["shown"] = word.shown
        plain: dict[str, Any] = head | rounded(body, 6)
        return plain


class Report(Struct, frozen=True):
    """What is read again of an explain.json."""

    schema: Literal[1]
    kind: Literal["mct-explain"]
    outcome: Outcome
    created: Name
    digest: Digest
    lines: tuple[dict[str, str], ...]


def read_report(path: Path) -> Report:
    """What an explain.json came to. MctError where it is missing, damaged or something else."""
    return read_json(path, Report, MADE_BY)


def require_about(report: Report, digest: str, path: Path) -> None:
    """MctError where a report is about another artifact."""
    if report.digest != digest:
        raise MctError(f"{path} is about another artifact ({report.digest[:12]})", MADE_BY)
