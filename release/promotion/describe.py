"""Releases as a person reads them: tables in Markdown. What others wrote into them is made harmless."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import msgspec

from mct.bench.report.markdown import escape
from mct.bench.report.table import MARKS, figures_table
from mct.release.promotion.gate_values import GateVerdict, StoredVerdict
from mct.release.promotion.releases import (
    Added,
    Entry,
    Event,
    Looked,
    Moved,
    Practised,
    Published,
    Release,
    Remade,
    Track,
)

RELEASES = ("release", "artifact", "state", "since", "digest", "size MB")
HISTORY = ("#", "when", "by", "what", "came to")


def releases_table(tracks: Sequence[Track]) -> str:
    """Every release of these names, the newest of each first."""
    rows = [
        (each.ref, escape(each.artifact), each.state, each.since, each.digest[:12], f"{each.size_mb:.1f}")
        for track in tracks
        for each in reversed(track.releases)
    ]
    return figures_table(RELEASES, rows, words=(0, 1, 2, 3, 4)) + "\n"


def history_table(track: Track) -> str:
    """Everything that happened to a name, oldest first."""
    rows = [(str(each.number), each.at, escape(each.by), *_said(track.name, each.event)) for each in track.entries]
    back = f"A rollback leads to {track.before.ref}." if track.before else "There is no way back."
    state = f"In production: {track.production.ref}. {back}" if track.production else "Nothing is in production."
    return f"### {track.name}\n\n{state}\n\n{figures_table(HISTORY, rows, words=(1, 2, 3, 4))}\n"


def release_page(release: Release, said: StoredVerdict | None) -> str:
    """One release: what it is, where it stands, and what a gate said last."""
    facts = {
        "release": release.ref, "artifact": escape(release.artifact), "form": f"{release.format}-{release.precision}",
        "task": release.task, "state": f"{release.state} since {release.since}", "digest": release.digest,
        "size": f"{release.size_mb:.1f} MB", "added": f"{release.added} by {escape(release.by) or 'nobody named'}",
    }  # fmt: skip
    page = "\n".join(f"- {name}: {fact}" for name, fact in facts.items()) + "\n"
    return page if said is None else f"{page}\n{verdict_page(said.verdict, said.sha256)}"


def verdict_page(verdict: GateVerdict, sha256: str) -> str:
    """What a gate said, line by line, with the evidence of each by its digest."""
    lines = [f"{MARKS[verdict.outcome]}: {verdict.release} to {verdict.to}, {verdict.at} (verdict {sha256[:12]})", ""]
    for line in verdict.lines:
        seen = f": {escape(line.measured)}" if line.measured else ""
        of = ", ".join(f"{escape(each.name)} {each.sha256[:12]}" for each in line.evidence)
        where = f" [{of}]" if of else ""
        lines.append(
            f"- {MARKS[line.outcome]}  {escape(line.subject)}, {escape(line.limit)}{seen}. {escape(line.reason)}{where}"
        )
    for each in verdict.tried:
        gone = f", {each.gone} of them known from earlier looks alone" if each.gone else ""
        lines.append(
            f"- {escape(each.target)}: measured {each.runs} times{gone}; latency judged with an error of "
            f"{100 * each.error:.2g} %, answers with {100 * each.quality_error:.2g} %"
        )
    return "\n".join(lines) + "\n"


def track_json(track: Track) -> dict[str, Any]:
    """A name for programs: its releases, what is in production, and the journal."""
    return {
        "name": track.name,
        "production": track.production.ref if track.production else None,
        "rollback": track.before.ref if track.before else None,
        "releases": [release_json(each) for each in track.releases],
        "journal": [entry_json(each) for each in track.entries],
    }


def release_json(release: Release) -> dict[str, Any]:
    """A release for programs."""
    return asdict(release) | {"ref": release.ref, "source": msgspec.to_builtins(release.source)}


def entry_json(entry: Entry) -> dict[str, Any]:
    """An entry of a journal for programs, as it is stored."""
    value: dict[str, Any] = msgspec.to_builtins(entry)
    return value


def _said(name: str, event: Event) -> tuple[str, str]:
    """What happened, and what it came to."""
    match event:
        case Added():
            return f"add {name}@{event.version} ({escape(event.artifact)})", f"candidate, digest {event.digest[:12]}"
        case Looked():
            return f"gate of {event.to} for {name}@{event.version}", f"{MARKS[event.outcome]} ({event.verdict[:12]})"
        case Moved():
            of = f" (verdict {event.verdict[:12]})" if event.verdict else ""
            note = f": {escape(event.note)}" if event.note else ""
            return f"{event.why} {name}@{event.version}{note}", f"{event.to}{of}"
        case Practised():
            times = f"promote {event.promote_ms:.0f} ms, rollback {event.rollback_ms:.0f} ms"
            return "drill", f"{MARKS[event.outcome]} ({times}){escape(f' {event.note}' if event.note else '')}"
        case Remade():
            return f"verify {name}@{event.version}", f"{MARKS[event.outcome]} {escape(event.note)}".strip()
        case Published():
            return f"publish {name}@{event.version} to {escape(event.where)}", escape(event.there)
