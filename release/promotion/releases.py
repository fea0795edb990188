"""A name's releases as values: what was added, what was looked at, what moved, and the state that follows.

The store keeps no state. It keeps a journal a name: numbered entries, each whole, never touched again, each naming the
SHA-256 of the one before. What is a candidate, what is in production and where a rollback leads is read off them by
`track_of`, so there is never a half-made change, and what is taken out from between entries is missed. (Its end can be
cut off: who may write to a store can put it back to what it was.)

States: a release is added as a *candidate*; a gate lets it into *shadow*, *canary* or *production*, of which a name has
one; what production was before is *retired*, and comes back by a rollback, unless a person retired it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from mct import MctError
from mct.bench.judge.line import Outcome
from mct.models.data.declared import Amount, Count, Digest, Name, is_declared
from mct.models.tables import unknown

State = Literal["candidate", "shadow", "canary", "production", "retired"]
Stage = Literal["shadow", "canary", "production"]
STAGES: tuple[Stage, ...] = ("shadow", "canary", "production")

VERSIONS = re.compile(r"[1-9][0-9]{0,8}")
NAMES = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
Time = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$")]
DAY_S = 86_400.0
HOURS_A_DAY = 24.0
CLOCKS_DIFFER_HOURS = 1.0
"""How far evidence may be dated after it is read."""
CLOCKS_DIFFER_S = 300.0
"""How far a gate's clock may be behind the last entry: each machine has a clock of its own."""


class Source(Struct, frozen=True, forbid_unknown_fields=True):
    """What an artifact was made of, as `mct release verify` is to find it: a checkpoint and its files ("" is none)."""

    checkpoint: str = ""
    data: str = ""
    evaluation: str = ""


class Added(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="added"):
    """An artifact became release number `version` of the name.

    `digest` is what a bench calls it (`Subject.digest`): the bytes of its files and how they are used. `manifest` is
    the SHA-256 of its mct.json. `artifact` is what its folder was called.
    """

    version: Count
    digest: Digest
    manifest: Digest
    artifact: Name
    format: Name
    precision: Name
    task: Name
    size_mb: Amount
    source: Source = Source()


class Run(Struct, frozen=True, forbid_unknown_fields=True):
    """A stored bench of a release that a gate has seen. `answers` is one SHA-256 over all its answers."""

    id: Name
    target: str
    data: Digest
    answers: str = ""


class Looked(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="looked"):
    """A gate was asked: about which release, for which stage, what it said, and every run it saw.

    `verdict` and `evidence` are SHA-256 digests of what lies under `evidence/` in the store.
    """

    version: Count
    to: Stage
    outcome: Outcome
    verdict: Digest
    evidence: tuple[Digest, ...] = ()
    runs: tuple[Run, ...] = ()


class Moved(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="moved"):
    """A release changed its state: promoted by a gate's verdict, brought back by a rollback, or retired."""

    version: Count
    to: State
    why: Literal["promote", "rollback", "retire"]
    verdict: Digest | None = None
    note: str = ""


class Practised(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="practised"):
    """A rollback was practised on a copy: whether everything was as it should be, and how long each part took."""

    outcome: Literal["pass", "fail"]
    promote_ms: Amount
    rollback_ms: Amount
    note: str = ""


class Remade(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="remade"):
    """A release was made again from its recipe and compared byte by byte."""

    version: Count
    outcome: Outcome
    note: str = ""


class Published(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="published"):
    """A release was written to another registry, which calls it `there`."""

    version: Count
    where: Name
    there: Name


Event = Added | Looked | Moved | Practised | Remade | Published


class Entry(Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of a journal. `previous` is the SHA-256 of the entry before, "" for the first; `by` whoever said so."""

    number: Count
    previous: str
    at: Time
    by: str
    event: Event


@dataclass(frozen=True)
class Release:
    """One release of a name, and where it stands. `since` is when it came there (ISO 8601, UTC)."""

    name: str
    version: int
    digest: str
    manifest: str
    artifact: str
    format: str
    precision: str
    task: str
    size_mb: float
    added: str
    by: str
    state: State
    since: str
    source: Source = field(default_factory=Source)

    @property
    def ref(self) -> str:
        """How it is named, "intent-router@3"."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True)
class Track:
    """A name's releases, oldest first, and the journal behind them.

    `productions` are the versions that a rollback leads back to, oldest first; the last one is in production. `link` is
    the SHA-256 of the last entry's text, which the next one is to bear.
    """

    name: str
    entries: tuple[Entry, ...]
    releases: tuple[Release, ...]
    productions: tuple[int, ...]
    link: str = ""

    @property
    def production(self) -> Release | None:
        """What is in production; None where nothing is."""
        return self.release(self.productions[-1]) if self.productions else None

    @property
    def before(self) -> Release | None:
        """Where a rollback leads; None where there is no way back."""
        return self.release(self.productions[-2]) if len(self.productions) > 1 else None

    def release(self, version: int) -> Release:
        """One release. MctError, naming those that there are, where there is none of that number."""
        if not 0 < version <= len(self.releases):
            raise unknown("release", f"{self.name}@{version}", [each.ref for each in self.releases])
        return self.releases[version - 1]

    def looks(self, version: int) -> list[tuple[Entry, Looked]]:
        """Every time a gate was asked about a release, oldest first."""
        found = [(each, each.event) for each in self.entries if isinstance(each.event, Looked)]
        return [(entry, event) for entry, event in found if event.version == version]

    def moves(self, version: int) -> list[tuple[Entry, Moved]]:
        """Every change of a release's state after it was added, oldest first."""
        found = [(each, each.event) for each in self.entries if isinstance(each.event, Moved)]
        return [(entry, event) for entry, event in found if event.version == version]

    def days_in(self, version: int, stage: Literal["shadow", "canary"], until: str) -> float | None:
        """The days that a release stood in a stage until then, all its stays together; None where it never did.

        Several of a name may stand there, so a stay ends with the release's own next move; one that ends before it
        began, by the clocks of two machines, lasted no time.
        """
        moves = self.moves(version)
        ends = [*(entry.at for entry, _ in moves), until][1:]
        stays = [(entry.at, end) for (entry, move), end in zip(moves, ends, strict=True) if move.to == stage]
        return sum(max(0.0, days_between(*stay) or 0.0) for stay in stays) if stays else None

    def last_drill(self) -> tuple[Entry, Practised] | None:
        """The last practice of a rollback, if there was one."""
        found = [(each, each.event) for each in self.entries if isinstance(each.event, Practised)]
        return found[-1] if found else None

    def last_remake(self, version: int) -> tuple[Entry, Remade] | None:
        """The last time that a release was made again, if it ever was."""
        found = [(each, each.event) for each in self.entries if isinstance(each.event, Remade)]
        return next(((entry, event) for entry, event in reversed(found) if event.version == version), None)


def track_of(name: str, entries: Sequence[Entry], link: str = "") -> Track:
    """What a journal comes to. MctError for one that no sequence of commands could have written."""
    added: list[tuple[Entry, Added]] = []
    states: dict[int, tuple[State, str]] = {}
    productions: list[int] = []
    for entry in entries:
        event = entry.event
        if isinstance(event, Added):
            if event.version != len(added) + 1:
                raise _impossible(name, entry, f"adds version {event.version} after {len(added)}")
            added.append((entry, event))
            states[event.version] = ("candidate", entry.at)
        elif isinstance(event, Moved):
            if event.version not in states:
                raise _impossible(name, entry, f"moves version {event.version}, which was never added")
            if why := _unfounded(event, productions):
                raise _impossible(name, entry, why)
            productions = _moved(productions, states, event, entry.at)
    releases = [_release(name, entry, event, states[event.version]) for entry, event in added]
    return Track(name, tuple(entries), tuple(releases), tuple(productions), link)


def _unfounded(move: Moved, productions: Sequence[int]) -> str:
    """What no command can have done; "" of any other move."""
    ref = f"version {move.version}"
    if move.why == "promote" and move.to == "production" and move.verdict is None:
        return f"promotes {ref} to production by no verdict"
    if move.why == "rollback" and (move.to != "production" or move.version not in productions[:-1]):
        return f"rolls back to {ref}, where no way back leads"
    if (move.why == "retire") is not (move.to == "retired"):
        return f"moves {ref} to {move.to} ({move.why})"
    return ""


def _moved(productions: list[int], states: dict[int, tuple[State, str]], event: Moved, at: str) -> list[int]:
    """The productions after a move; `states` is changed with them."""
    before = productions
    if event.to == "production":
        for version in before[-1:]:
            states[version] = ("retired", at)
        back = event.why == "rollback" and event.version in before
        productions = (
            before[: before.index(event.version)] if back else [each for each in before if each != event.version]
        )
        productions = [*productions, event.version]
    elif event.why == "retire":
        productions = [version for version in before if version != event.version]
    states[event.version] = (event.to, at)
    return productions


def _release(name: str, entry: Entry, event: Added, state: tuple[State, str]) -> Release:
    return Release(
        name, event.version, event.digest, event.manifest, event.artifact, event.format, event.precision, event.task,
        event.size_mb, entry.at, entry.by, state[0], state[1], event.source,
    )  # fmt: skip


def days_between(earlier: str, later: str) -> float | None:
    """Days from one time of ours to another; None where the first is none."""
    if not is_declared(earlier, Time):
        return None
    try:
        return (_moment(later) - _moment(earlier)).total_seconds() / DAY_S
    except ValueError:  # the 31st of February
        return None


def is_ahead(time: str, now: str) -> bool:
    """Whether a time lies after this moment, by more than clocks differ."""
    days = days_between(time, now)
    return days is not None and days * HOURS_A_DAY < -CLOCKS_DIFFER_HOURS


def goes_back(earlier: str, later: str) -> bool:
    """Whether a time that follows another lies before it, by more than clocks differ; or the first is none."""
    days = days_between(earlier, later)
    return days is None or days * DAY_S < -CLOCKS_DIFFER_S


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def _impossible(name: str, entry: Entry, what: str) -> MctError:
    return MctError(f"the journal of {name} is damaged: entry {entry.number} {what}", "restore the store from a copy")


def split_ref(ref: str) -> tuple[str, int | None]:
    """The name and version of "intent-router@3"; no version where only a name is given."""
    name, at, version = ref.partition("@")
    require_name(name)
    if at and not VERSIONS.fullmatch(version):
        raise MctError(f"{ref} names no release", "write NAME or NAME@VERSION, like intent-router@3")
    return name, int(version) if at else None


def require_name(name: str) -> None:
    """MctError where a text cannot be the name of releases: it becomes a folder and a part of addresses."""
    if not NAMES.fullmatch(name):
        raise MctError(f"{name!r} cannot be a release's name", "letters, digits, . _ -, at most 64")
