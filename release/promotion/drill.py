"""A rollback practised before it is needed: on a copy of the name's journal, with the artifacts that it names.

The newest release that is not in production is promoted there, or the one before it if there is none; what was in
production then comes back. After each step the journal is read anew, as another program would, what it says is in
production is verified by its digest and asked a text, and both steps are timed. Nothing but a note of it is written to
the real journal.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mct import MctError
from mct.compress.run.artifact import MANIFEST
from mct.release.promotion.gate_values import production_of
from mct.release.promotion.moves import rollback
from mct.release.promotion.releases import Moved, Practised, Release, Track
from mct.release.promotion.store import Store, open_store


@dataclass(frozen=True)
class Drill:
    """What a practice came to: the releases that changed places, the milliseconds of each step, and what went wrong."""

    production: str
    promoted: str
    outcome: Literal["pass", "fail"]
    promote_ms: float
    rollback_ms: float
    problems: tuple[str, ...]


def practise(store: Store, name: str, by: str = "") -> Drill:
    """Promote and roll back on a copy, and note it. MctError where a name has no two releases to change places."""
    track = store.settle(name)
    if not track.releases:
        store.find(name)
    production = production_of(store, track)
    others = [each for each in track.releases if production is None or each.version != production.version]
    if production is None or not others:
        raise MctError(
            f"{name} has no production and a second release, which a rollback needs", "promote one, add another"
        )
    after = next((each for each in reversed(others) if each.state != "retired"), others[-1])
    with tempfile.TemporaryDirectory(prefix="mct-drill-") as scratch:
        drill = _practise_in(Path(scratch), store, track, production, after)
    note = "; ".join(drill.problems)
    store.note(name, Practised(drill.outcome, drill.promote_ms, drill.rollback_ms, note), by)
    return drill


def _practise_in(scratch: Path, store: Store, track: Track, production: Release, after: Release) -> Drill:
    copy = open_store(scratch / "releases")
    problems: list[str] = []
    for entry in track.entries:
        copy.note(track.name, entry.event, entry.by)
    for release in (production, after):
        with store.artifact(release) as folder:
            files = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
            copy.keep_artifact(folder, release.digest, [name for name in files if name != MANIFEST])
    no_gate = copy.keep(b"A drill asks no gate.\n")
    promote_ms = _timed(lambda: copy.note(track.name, Moved(after.version, "production", "promote", no_gate, "drill")))
    problems += _wrong(copy, track.name, after)
    rollback_ms = _timed(lambda: rollback(copy, track.name, note="drill"))
    problems += _wrong(copy, track.name, production)
    outcome: Literal["pass", "fail"] = "fail" if problems else "pass"
    return Drill(production.ref, after.ref, outcome, round(promote_ms, 3), round(rollback_ms, 3), tuple(problems))


def _timed(step: Callable[[], object]) -> float:
    began = time.perf_counter()
    step()
    return (time.perf_counter() - began) * 1e3


def _wrong(copy: Store, name: str, expected: Release) -> list[str]:
    """What is not as it should be, seen by one who opens the store anew."""
    found = open_store(copy.address).track(name).production
    if found is None or found.digest != expected.digest:
        return [f"{expected.ref} should be in production, and {found.ref if found else 'nothing'} is"]
    try:
        with copy.artifact(found) as folder:
            return _silent(folder, found)
    except MctError as error:
        return [error.message]


def _silent(folder: Path, release: Release) -> list[str]:
    """Why a release gives no answer, if it gives none; nothing where its runtime is not installed here."""
    from mct.bench.jobs.run import SHAPES, ask, open_model, read_request
    from mct.targets.runtimes.table import installed_version, runtime_for

    if installed_version(runtime_for(release.format)) is None:
        return []
    asked = json.dumps(SHAPES[release.task][1]) if release.task in SHAPES else "where is my order"
    try:
        model = open_model(folder)
        ask(model, read_request(model, asked), 4)
    except MctError as error:
        return [f"{release.ref} does not answer: {error.message}"]
    return []
