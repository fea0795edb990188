"""What the release store says: what is in production, whether it behaves, and whether there is a way back from it.

A way back is a version that lies in the store whole, by its digest, and it counts as practised when a drill since the
last change of production passed. Where what is decided about is not in production yet, the way back from promoting it
is what is in production now.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import Struct

from mct import MctError
from mct.bench.judge.line import Outcome
from mct.models.data.declared import Name, Share, declared
from mct.release.decision.criterion import Criterion, absent, missing
from mct.release.decision.entries import Entry, asked_budget, find_entry, measured_budget, unjudged, verdict_of
from mct.release.decision.evidence import Evidence, require_within
from mct.release.promotion.gate_values import (
    StoredVerdict,
    digests_once_in_production,
    last_verdict,
    production_of,
)
from mct.release.promotion.releases import Moved, Release, Track
from mct.release.promotion.reports import taught_by
from mct.release.promotion.store import Store, open_store
from mct.release.watching.looks import Found, Look, newest_looks
from mct.targets.budget import looser_limits

NAME = "rollback"
JOURNAL, LOOKS = "journal", "looks"
"""What the digest of the journal's last entry, and that of the newest looks at production, are called in a decision."""


@dataclass(frozen=True)
class Standing:
    """The releases of a scenario; None of anything where there is no store. `subject` is what is decided about.

    `productions` are the digests of what is or was in production. `looks` are the newest at what is in production,
    one of each series, oldest first, and `looked` one SHA-256 of them. `back` is where one would return to if what
    is decided about were in production, `earlier` where a rollback leads now; `fault` and `earlier_fault` are why
    these do not lie in the store whole, "" where they do. `drill` is the outcome of the last practice since
    production changed, `gate` what a gate said last of what is decided about, for whatever stage, "" where there
    was none. `held` is why that may not go out whatever its evidence says, `taught` the SHA-256 of the data that
    its lineage names.
    """

    release: str = ""
    subject: Release | None = None
    journal: str = ""
    at: str = ""
    production: Release | None = None
    productions: frozenset[str] = frozenset()
    looks: tuple[Look, ...] = ()
    looked: str = ""
    back: Release | None = None
    fault: str = ""
    earlier: Release | None = None
    earlier_fault: str = ""
    drill: str = ""
    gate: str = ""
    held: tuple[str, ...] = ()
    taught: frozenset[str] = frozenset()

    @property
    def digests(self) -> dict[str, str]:
        """What a decision names of the store, by name."""
        return {name: digest for name, digest in ((JOURNAL, self.journal), (LOOKS, self.looked)) if digest}


NO_STORE = Standing()


def read_standing(evidence: Evidence, version: int | None = None, address: str | None = None) -> Standing:
    """Read the store at `address`, else the one that the evidence names, which lies in its folder.

    `version` is the release that is decided about, None what was measured. MctError where the journal is damaged or
    another one's, or has no such version; a version without a store is one that is not there.
    """
    named = evidence.named.rollback
    if address is None and (named is None or not (evidence.folder / named.store).is_dir()):
        return _without_store(evidence.named.scenario, version)
    name = named.release if named else evidence.named.scenario
    store = open_store(address or _inside(evidence.folder, named.store if named else ""))
    track = store.track(name)
    if not track.entries:
        return _without_store(name, version)
    measured = subject_digest(evidence)
    same = [release for release in track.releases if release.digest == measured]
    subject = track.release(version) if version is not None else same[-1] if same else None
    production = production_of(store, track)
    is_subject = production is not None and production.digest == (subject.digest if subject else measured)
    back = track.before if is_subject else production
    looks = newest_looks(store.place, production.digest) if production else []
    return Standing(
        release=name,
        subject=subject,
        journal=track.link,
        at=track.entries[-1].at,
        production=production,
        productions=digests_once_in_production(track),
        looks=tuple(look for _, _, look in looks),
        looked=hashlib.sha256(b"".join(content for _, content, _ in looks)).hexdigest() if looks else "",
        back=back,
        fault=fault_of(store, back) if back else "",
        earlier=track.before,
        earlier_fault=fault_of(store, track.before) if track.before else "",
        drill=last_drill(track),
        **_of_subject(store, subject),
    )


def _without_store(name: str, version: int | None) -> Standing:
    if version is not None:
        raise MctError(f"there is no store that holds {name}@{version}", "name the releases: --store FOLDER_OR_URL")
    return NO_STORE


def _of_subject(store: Store, subject: Release | None) -> dict[str, Any]:
    """What the store says of the release that is decided about: its gate, what holds it, what taught it.

    The gate is the one that was asked last, for whatever stage; that of production holds too, where it did not pass.
    """
    if subject is None:
        return {"held": ("what was measured does not lie in the store: mct release add",)}
    held, taught = [], frozenset[str]()
    if subject.state == "retired":
        held.append(f"{subject.ref} is retired")
    asked = [last_verdict(store, subject.ref), last_verdict(store, subject.ref, "production")]
    said = {each.sha256: _gate(each) for each in asked if each}
    held += [
        f"the gate of {subject.ref} said last: {said[each.sha256]}"
        for each in dict.fromkeys(each for each in asked if each)
        if each.verdict.outcome != "pass"
    ]
    gate = next(iter(said.values()), "")
    try:
        with store.artifact(subject) as folder:
            taught = taught_by(folder)
    except MctError as error:
        held.append(f"{subject.ref} does not lie in the store whole: {error.message}")
    return {"gate": gate, "held": tuple(held), "taught": taught}


def _gate(said: StoredVerdict) -> str:
    return f"{said.verdict.outcome} for {said.verdict.to} ({said.sha256[:12]}…)"


def _inside(folder: Path, name: str) -> Path:
    return require_within(folder, name, "put the store, or a copy of it, into the folder")


def subject_digest(evidence: Evidence) -> str:
    """The digest of what is decided about, as its bench measured it; "" where it was not."""
    metric = evidence.named.metric
    entry = find_entry(evidence.results.get(metric.result) if metric else None, evidence.named.artifact)
    return str(entry["digest"]) if entry else ""


def fault_of(store: Store, release: Release) -> str:
    """Why a release does not lie in the store as it was added; "" where it does."""
    try:
        with store.artifact(release):
            return ""
    except MctError as error:
        return error.message


def last_drill(track: Track) -> str:
    """The outcome of the last drill, if it was after production last changed; "" otherwise."""
    drill = track.last_drill()
    changed = [
        entry.number for entry in track.entries if isinstance(entry.event, Moved) and entry.event.to == "production"
    ]
    if drill is None or (changed and drill[0].number < changed[-1]):
        return ""
    return drill[1].outcome


def judge_rollback(evidence: Evidence, standing: Standing) -> Criterion:
    """The fifth criterion: a whole version to return to, and a practised way there."""
    named = evidence.named.rollback
    if standing is NO_STORE:
        return missing(NAME, absent(named.store if named else None, "a release store with a version to return to"))
    where = f"{standing.release}, journal {standing.journal[:12]}…"
    if standing.back is None:
        return missing(NAME, "a version to return to: the store has none", [JOURNAL], [where])
    facts = [f"{where}: the way back leads to {standing.back.ref} ({standing.back.digest[:12]}…)"]
    if standing.fault:
        return Criterion(NAME, "not met", tuple(facts), (f"a whole version: {standing.fault}",), (JOURNAL,))
    facts.append(f"{standing.back.ref} lies there whole, by its digest")
    if not standing.drill:
        lack = "a practised way back: no drill since production last changed (mct release drill)"
        return missing(NAME, lack, [JOURNAL], facts)
    facts.append(f"drill: {standing.drill}")
    facts += _overtaken(evidence, standing)
    if lack := _untold(evidence, standing):
        return missing(NAME, lack, [JOURNAL], facts)
    passed = standing.drill == "pass"
    return Criterion(
        NAME, "met" if passed else "not met", tuple(facts), () if passed else ("a drill that passes",), (JOURNAL,)
    )


def _untold(evidence: Evidence, standing: Standing) -> str:
    """What was to say how production behaves, and does not: a file that is not there, or that is of another release."""
    named = evidence.named.production
    for name in (named.result, named.watch) if named else ():
        if name and name in evidence.absent:
            return f"how production behaves: {name} is named and not there"
    if named and named.result and not evidence.has_samples(named.result):
        return f"how production behaves: {unjudged(named.result)}"
    if named and named.result and (loose := _looser(evidence, named.result)):
        return f"how production behaves: {named.result} was judged by less than its budget asks ({loose})"
    if named and named.watch and standing.production is not None and named.watch in evidence.objects:
        about = evidence.objects[named.watch].get("release")
        if about != standing.production.ref:
            return f"how production behaves: {named.watch} is about {about}, and {standing.production.ref} is there"
        if evidence.objects[named.watch].get("outcome") == "inconclusive":
            return f"how production behaves: {named.watch} could not tell"
    if standing.looks and standing.looks[-1].outcome == "inconclusive":
        return f"how production behaves: {_called(standing.looks[-1])} could not tell"
    if standing.looks and (alarm := next((each for each in standing.looks if each.outcome == "fail"), None)):
        return (
            f"how production behaves: {_called(alarm)} raised an alarm, and no later one with that reference took it "
            "back"
        )
    return ""


def _called(look: Look) -> str:
    return f"the store's look {look.number} of {look.at} beside {look.reference}"


def _overtaken(evidence: Evidence, standing: Standing) -> Iterator[str]:
    """That the store has a newer look at what is in production than the file that the evidence names."""
    named = evidence.named.production
    if named and named.watch and named.watch in evidence.objects and standing.looks:
        look = _watch(named.watch, evidence.objects[named.watch]).look
        if look and look.at < standing.looks[-1].at:
            yield f"{named.watch} is of {look.at or 'no date'}: {_called(standing.looks[-1])} is newer"


def _looser(evidence: Evidence, name: str) -> str:
    """The limits of a result's budget that ask for less than the budget of that name."""
    if not evidence.results[name]["budget"]:
        return ""
    asked = asked_budget(evidence, name)
    return ", ".join(looser_limits(measured_budget(evidence, name), asked)) if asked else ""


def misbehaving(evidence: Evidence, standing: Standing) -> Iterator[str]:
    """What says that the version in production does not behave."""
    if standing.production is None:
        return
    named = evidence.named.production
    name = named.result if named and named.result else ""
    result = evidence.results.get(name)
    for entry in result["artifacts"] if result and result["budget"] and evidence.has_samples(name) else ():
        if entry["digest"] == standing.production.digest and entry["verdict"]:
            yield from _missed(evidence, name, standing.production, entry)
    if named and named.watch and named.watch in evidence.objects:
        yield from alarms(named.watch, evidence.objects[named.watch], standing.production)
    if standing.looks and standing.looks[-1].outcome == "fail":
        newest = standing.looks[-1]
        yield from _alarms(_called(newest), newest.changes, standing.production)
    if standing.drill == "fail":
        yield f"the drill of the way back from {standing.production.ref} failed"


def _missed(evidence: Evidence, name: str, production: Release, entry: Entry) -> Iterator[str]:
    outcome, lines = verdict_of(evidence, name, entry)
    if outcome == "fail":
        missed = [f"{line['limit']} ({line['measured']})" for line in lines if line["outcome"] == "fail"]
        yield f"{production.ref} missed its budget ({name}): {'; '.join(missed)}"


class _Change(Struct, frozen=True):
    signal: Name
    share: Name
    before: Share
    now: Share
    p_value: Share


class _Look(Struct, frozen=True):
    changes: tuple[_Change, ...]
    at: str = ""


class _Watch(Struct, frozen=True):
    """As `mct watch --json` prints it."""

    release: Name
    outcome: Outcome
    look: _Look | None


def _watch(name: str, found: Mapping[str, Any]) -> _Watch:
    return declared(dict(found), _Watch, name, "make it with: mct watch LOG --release NAME --json > FILE")


def alarms(name: str, found: Mapping[str, Any], production: Release) -> Iterator[str]:
    """The alarms of a watch of this very release. MctError for a file that is no report of a watch."""
    watch = _watch(name, found)
    if watch.release == production.ref and watch.outcome == "fail" and watch.look:
        yield from _alarms(name, watch.look.changes, production)


def _alarms(name: str, changes: Iterable[_Change | Found], production: Release) -> Iterator[str]:
    told = [f"{each.signal}, {each.share}: {each.before:.1%} before, {each.now:.1%} now (p = {each.p_value:.1g})"
            for each in changes]  # fmt: skip
    if not told:
        yield f"mct watch of {production.ref} ({name}) raised an alarm"
    yield from (f"mct watch of {production.ref} ({name}): {each}" for each in told)
