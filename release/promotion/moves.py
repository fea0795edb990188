"""What changes a release's state: adding, promoting, rolling back, retiring. Each is one new entry of the journal.

So each happens whole or not at all, whenever it is killed. A change is made to the journal as it was when it was
decided on: where somebody else moved a release of the same name meanwhile, it is refused and says what was done.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mct import MctError
from mct.compress.run.artifact import MANIFEST, is_artifact
from mct.release.promotion.gate import ask_gate
from mct.release.promotion.gate_values import StoredVerdict, let_in_by, production_of
from mct.release.promotion.releases import Added, Event, Moved, Release, Source, Stage, Track, require_name
from mct.release.promotion.store import LostEvidenceError, Store

if TYPE_CHECKING:
    from mct.bench.samples.subject import Subject


@dataclass(frozen=True)
class Promotion:
    """What came of a wish to promote: the verdict, and the release as it stands; `moved` where it passed."""

    verdict: StoredVerdict
    release: Release
    moved: bool


def add(
    store: Store, artifacts: Sequence[Path], name: str, source: Source | None = None, by: str = ""
) -> list[Release]:
    """Store artifacts as new candidates of a name, in order. One that is there already keeps its number.

    None is added where one is refused beforehand. MctError where one is no artifact, or does another task than the
    name's other releases, those added meanwhile among them.
    """
    from mct.bench.samples.subject import identify

    require_name(name)
    for artifact in artifacts:
        if not is_artifact(artifact):
            raise MctError(
                f"{artifact} is no artifact: it has no {MANIFEST}", "make one with: mct compress CHECKPOINT -o DIR"
            )
    subjects = [identify(artifact) for artifact in artifacts]
    there = store.track(name).releases
    task = there[0].task if there else subjects[0].task
    for artifact, subject in zip(artifacts, subjects, strict=True):
        _require_task(task, artifact, subject, name)
    own = {each.digest: each.manifest for each in reversed(there)}
    manifests = [
        store.keep_artifact(artifact, subject.digest, subject.files, own.get(subject.digest, ""))
        for artifact, subject in zip(artifacts, subjects, strict=True)
    ]
    found = []
    for artifact, subject, manifest in zip(artifacts, subjects, manifests, strict=True):
        while True:
            track = store.settle(name)
            for each in track.releases[:1]:
                _require_task(each.task, artifact, subject, name)
            same = next((each for each in track.releases if each.digest == subject.digest), None)
            if same is not None:
                found.append(same)
                break
            event = Added(
                len(track.releases) + 1, subject.digest, manifest, artifact.resolve().name, subject.format,
                subject.precision, subject.task, subject.size_mb, source or Source(),
            )  # fmt: skip
            if (after := store.append(track, event, by)) is not None:
                found.append(after.releases[-1])
                break
    return found


def _require_task(task: str, artifact: Path, subject: Subject, name: str) -> None:
    if subject.task != task:
        raise MctError(
            f"{artifact} is for {subject.task}, the releases of {name} for {task}", "give it a name of its own"
        )


def promote(store: Store, ref: str, stage: Stage, gate_file: Path, by: str = "") -> Promotion:
    """Ask the gate of a stage, and move the release there if it passes. The verdict is stored whatever it says.

    What is there already is asked about all the same, and stays whatever the gate says.
    MctError where the release cannot go there from where it stands, another change came first, or what is in production
    is there by a verdict about something else.
    """
    release = store.find(ref)
    production_of(store, store.track(release.name))
    before = store.settle(release.name)
    require_movable(before, release, stage)
    verdict = ask_gate(store, release.ref, stage, gate_file, by)
    if verdict.verdict.outcome != "pass" or release.state == stage:
        return Promotion(verdict, release, False)
    after = move(store, before, Moved(release.version, stage, "promote", verdict.sha256), by)
    return Promotion(verdict, after.release(release.version), True)


def require_movable(track: Track, release: Release, stage: Stage) -> None:
    """MctError where a promotion would leave a name without production, or brings back what a person took out."""
    if any(event.why == "retire" for _, event in track.moves(release.version)):
        raise MctError(f"{release.ref} was retired for good", "promote another one")
    if release.state == "production" != stage:
        raise MctError(
            f"{release.ref} is in production, and nothing would take its place", "promote another one, or roll back"
        )


def way_back(store: Store, name: str) -> Release:
    """What a rollback would bring back, verified to be whole. MctError where there is no way back.

    Nor does one lead to what a verdict about something else let in.
    """
    track = store.settle(name)
    if not track.releases:
        store.find(name)
    if track.before is None:
        raise MctError(f"{name} has no earlier production to go back to", "promote another release, or add one")
    with suppress(LostEvidenceError):
        let_in_by(store, track, track.before)
    with store.artifact(track.before):
        return track.before


def rollback(store: Store, name: str, by: str = "", note: str = "") -> Track:
    """Bring back what was in production before, in one step. MctError where there is no way back."""
    track = store.track(name)
    back = way_back(store, name)
    return move(store, track, Moved(back.version, "production", "rollback", None, note), by)


def retire(store: Store, ref: str, by: str = "", note: str = "") -> Track:
    """Take a release out: no rollback leads back to it. MctError for what is in production."""
    release = store.find(ref)
    track = store.settle(release.name)
    if track.production and release.version == track.production.version:
        raise MctError(
            f"{release.ref} is in production, and nothing would take its place", "promote another one, or roll back"
        )
    retired = [move for _, move in track.moves(release.version) if move.why == "retire"]
    if release.state == "retired" and retired:
        raise MctError(f"{release.ref} is retired already", f"see mct release show {release.ref}")
    return move(store, track, Moved(release.version, "retired", "retire", None, note), by)


def move(store: Store, decided_on: Track, event: Event, by: str) -> Track:
    """Write a change that was decided on for a journal as it was; MctError, naming them, where others moved since."""
    while True:
        track = store.track(decided_on.name)
        others = [entry for entry in track.entries[len(decided_on.entries) :] if isinstance(entry.event, Moved)]
        if others:
            first = others[0]
            assert isinstance(first.event, Moved)
            what = f"{decided_on.name}@{first.event.version} went to {first.event.to} ({first.event.why})"
            who = f" by {first.by}" if first.by else ""
            raise MctError(f"another change came first: {what}{who} at {first.at}", "look at it, and decide again")
        if (after := store.append(track, event, by)) is not None:
            return after
