"""What a gate is asked, and what it says: lines, each with what it was read from, and the verdict over all of them.

A verdict is stored as JSON under its own SHA-256, and a promotion names that: so what let a release out can be read
again, with the bytes of everything it was read from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from mct import MctError
from mct.bench.judge.line import Outcome
from mct.models.data.declared import Count, Digest, Index, Name, Share, parse_json, read_bytes
from mct.release.promotion.gate_file import Gate
from mct.release.promotion.releases import (
    Looked,
    Moved,
    Release,
    Stage,
    Time,
    Track,
    days_between,
    is_ahead,
    split_ref,
)
from mct.release.promotion.reports import Basis
from mct.release.promotion.store import RESTORE, LostEvidenceError, Store

EvidenceKind = Literal["result", "samples", "budgets", "explain", "limits", "check", "gate-file", "journal"]


class Evidence(Struct, frozen=True, forbid_unknown_fields=True):
    """A file that a line was read from: what it is, what it was called, its SHA-256, and when it was made ("": unsaid).

    The bytes of all but `journal`, which is the store's own, lie in the store under `evidence/SHA256`.
    """

    kind: EvidenceKind
    name: Name
    sha256: Digest
    created: str = ""


class GateLine(Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that a gate asks: what, what was found, what follows and why, and what that was read from.

    `subject` groups lines: "measured", "budget NAME on TARGET", "behaviour", "data", "rollout".
    """

    subject: Name
    limit: Name
    measured: str
    outcome: Outcome
    reason: str
    evidence: tuple[Evidence, ...] = ()


class Tried(Struct, frozen=True, forbid_unknown_fields=True):
    """How often a release was measured on a target, and at which error the newest run was therefore judged.

    `gone` of the runs are known from the journal alone: a gate saw them, and they are not among this one's results.
    """

    target: str
    runs: Count
    gone: Index
    error: Share
    quality_error: Share


class GateVerdict(Struct, frozen=True, forbid_unknown_fields=True):
    """The outcome over all lines: fail if any fails, else inconclusive if any is, else pass."""

    schema: Literal[1]
    kind: Literal["mct-release-gate"]
    release: Name
    digest: Digest
    to: Stage
    at: Time
    outcome: Outcome
    lines: tuple[GateLine, ...]
    tried: tuple[Tried, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Plain values, as they are stored."""
        value: dict[str, Any] = msgspec.to_builtins(self)
        return value


@dataclass(frozen=True)
class StoredVerdict:
    """A verdict, and the SHA-256 under which it lies in the store."""

    verdict: GateVerdict
    sha256: str


@dataclass(frozen=True)
class Question:
    """What a gate is asked: about a release, for a stage. `home` is the folder that its file's paths start from.

    `made_of` are the checkpoints that the release was made of, as its own lineage names them; `pinned` the SHA-256 of
    the test sets that count, none where any does.
    `kept` is what was read for it, by SHA-256: it is stored once a verdict is reached, and nothing of a gate that is
    refused on the way.
    """

    store: Store
    track: Track
    release: Release
    stage: Stage
    gate: Gate
    home: Path
    at: str
    made_of: frozenset[str]
    pinned: frozenset[str]
    kept: dict[str, bytes] = field(default_factory=dict)

    def paths(self, names: Sequence[str]) -> list[Path]:
        """The files that the gate names."""
        return [self.home / name for name in names]

    def keep(self, kind: EvidenceKind, path: Path, created: str = "") -> Evidence:
        """Keep what a file holds, to be stored with the verdict."""
        content = read_bytes(path)
        digest = hashlib.sha256(content).hexdigest()
        self.kept[digest] = content
        return Evidence(kind, path.name, digest, created)

    @property
    def basis(self) -> Basis:
        """What its evidence has to rest on."""
        return Basis(
            self.release.digest, self.made_of, digests_once_in_production(self.track), self.pinned, self.gate.fields
        )

    def is_ahead(self, created: str) -> bool:
        """Whether something is dated in the future."""
        return is_ahead(created, self.at)

    def age_lines(self, subject: str, created: str, evidence: tuple[Evidence, ...]) -> Iterator[GateLine]:
        """Whether something is young enough, where the gate asks for it; what is dated in the future, in any case."""
        most = self.gate.evidence_days
        if self.is_ahead(created):
            reason = "It is dated in the future: a clock is wrong."
            yield GateLine(subject, f"{subject}: not from the future", created, "inconclusive", reason, evidence)
            return
        if most is None:
            return
        limit, age = f"{subject}: at most {most:g} days old", days_between(created, self.at)
        found: tuple[str, Outcome, str] = ("undated", "inconclusive", "It does not say when it was made.")
        if age is not None and age > most:
            found = f"{age:.1f} days", "inconclusive", "It is too old to speak of today."
        elif age is not None:
            found = f"{max(age, 0.0):.1f} days", "pass", "It is young enough."
        yield GateLine(subject, limit, *found, evidence)


def digests_once_in_production(track: Track) -> frozenset[str]:
    """What is in production, or ever was."""
    return frozenset(track.release(version).digest for version in track.productions)


def read_verdict(store: Store, digest: str) -> GateVerdict:
    """A stored verdict by its SHA-256. MctError where it is not there, or was changed since."""
    return parse_json(store.evidence(digest), GateVerdict, f"{store.address}: evidence/{digest}")


def verdict_about(store: Store, digest: str, release: Release) -> GateVerdict:
    """A stored verdict that a journal has about a release. MctError where it is about another: entries bear no name."""
    found = read_verdict(store, digest)
    if (found.release, found.digest) != (release.ref, release.digest):
        raise MctError(
            f"the verdict {digest[:12]}… in the journal of {release.name} is about {found.release} "
            f"({found.digest[:12]}…), not about {release.ref}",
            RESTORE,
        )
    return found


def copied(store: Store, track: Track, until: int | None = None) -> tuple[str, str] | None:
    """What a journal is found to be, and why nothing rests on it; None where it is this name's own.

    Its entries bear no name, but the verdicts in it do: one that was copied from another name begins as that one's
    does, so the first verdict that is not lost tells. Only those as old as the entry `until`, on which something
    rests, can tell whose that is; where all of them are lost, nothing does.
    """
    events = [entry.event for entry in track.entries if until is None or entry.number <= until]
    verdicts = [each.verdict for each in events if isinstance(each, Looked | Moved) and each.verdict is not None]
    for verdict in verdicts:
        with suppress(LostEvidenceError):
            about = read_verdict(store, verdict).release
            own = split_ref(about)[0] == track.name
            return None if own else ("another's", f"Its first verdict is about {about}: it was copied from there.")
    lost = "The verdicts that say whose journal it is are lost: restore the store from a copy, or go there again."
    return ("anybody's", lost) if verdicts else None


def let_in_by(store: Store, track: Track, release: Release) -> GateVerdict:
    """The verdict by which a release last went to production. MctError where it is lost, or about another release."""
    promoted = [move.verdict for _, move in track.moves(release.version) if move.to == "production" and move.verdict]
    return verdict_about(store, promoted[-1], release)


def production_of(store: Store, track: Track, warn: Callable[[str], object] | None = None) -> Release | None:
    """What is in production; None where nothing is. MctError where a verdict about something else let it in.

    A verdict that is lost shows nothing of that kind: `warn` is told.
    """
    release = track.production
    if release is None:
        return None
    try:
        found = let_in_by(store, track, release)
    except LostEvidenceError as error:
        if warn is not None:
            warn(f"the verdict that let {release.ref} into production is lost: {error.message}; {error.hint}")
        return release
    if (found.to, found.outcome) != ("production", "pass"):
        raise MctError(f"{release.ref} is in production by a verdict of {found.outcome} for {found.to}", RESTORE)
    return release


def last_verdict(store: Store, ref: str, stage: Stage | None = None) -> StoredVerdict | None:
    """What a gate, or that of one stage, said last about a release; None where none was asked."""
    release = store.find(ref)
    looks = [look for _, look in store.track(release.name).looks(release.version) if stage in {None, look.to}]
    if not looks:
        return None
    digest = looks[-1].verdict
    return StoredVerdict(verdict_about(store, digest, release), digest)
