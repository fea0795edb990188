"""The store of releases: a journal a name, the artifacts by their digest, and the evidence by its own.

    names/NAME/journal/00000007.json    entries in order; the state of the name is what they come to (releases.py)
    names/NAME/production.json          what is in production, for programs that read no journal
    artifacts/DIGEST/…                  an artifact, whole, by the digest that its measurements bear
    evidence/SHA256                     what a gate saw and said: results, samples, reports, verdicts

A change is one new entry, created under the next number only if nobody else has just done so: two promotions at once
come to the same number, one of them gets it, and the other is told what was done meanwhile. production.json follows the
journal and is put right by the next command where a kill came between; it is whole at any time.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
from msgspec import Struct

from mct import MctError
from mct.compress.run.artifact import MANIFEST, is_artifact, read_artifact
from mct.models.data.declared import Digest, Name, parse_json
from mct.models.writing.folders import as_json, sha256
from mct.release.promotion.places import STORE, Place, open_place
from mct.release.promotion.releases import (
    NAMES,
    Entry,
    Event,
    Release,
    Track,
    goes_back,
    require_name,
    split_ref,
    track_of,
)

RESTORE = "restore the store from a copy"
MEND = "add the artifact again, or restore the store from a copy"
DIGITS = 8
ENTRY = re.compile(r"[0-9]{8}\.json")


class LostEvidenceError(MctError):
    """What lay there by its SHA-256 does so no more."""


class _Listed(Struct, frozen=True):
    """Of an artifact's manifest: its files."""

    files: dict[Name, Digest]


@dataclass(frozen=True)
class Store:
    """An open store; nothing is read until it is asked for."""

    place: Place

    @property
    def address(self) -> str:
        """The folder or URL."""
        return self.place.address

    # Reading

    def names(self) -> list[str]:
        """The names that have releases, in order."""
        return [name for name in self.place.names("names") if NAMES.fullmatch(name)]

    def track(self, name: str) -> Track:
        """A name's releases and their states. MctError where its journal is damaged; empty where there is none."""
        require_name(name)
        return track_of(name, *self._entries(name))

    def find(self, ref: str) -> Release:
        """The release of "NAME@VERSION"; of "NAME" the newest that is not retired, or the newest of all."""
        name, version = split_ref(ref)
        track = self.track(name)
        if not track.releases:
            known = ", ".join(self.names()) or "none yet: mct release add ARTIFACT"
            raise MctError(f"there is no release called {name} in {self.address}", f"known: {known}")
        if version is not None:
            return track.release(version)
        return next((each for each in reversed(track.releases) if each.state != "retired"), track.releases[-1])

    def evidence(self, digest: str) -> bytes:
        """What lies there by its SHA-256. LostEvidenceError where it is not there, or is something else by now."""
        content = self.place.read(f"evidence/{digest}")
        if content is None:
            raise LostEvidenceError(f"{self.address} lacks the evidence {digest[:12]}…", RESTORE)
        if _sha256(content) != digest:
            said = f"the evidence {digest[:12]}… in {self.address} was changed since it was stored"
            raise LostEvidenceError(said, RESTORE)
        return content

    @contextmanager
    def artifact(self, release: Release) -> Iterator[Path]:
        """The artifact's folder, verified: every file by its SHA-256. From object storage it is fetched for as long."""
        with self._at_hand(release.digest, release.artifact) as folder:
            self._verify(release, folder)
            yield folder

    def artifact_on_disk(self, release: Release) -> Path | None:
        """Where a release's artifact lies, verified; None where the store is not on this disk."""
        folder = self.place.on_disk(self._artifact(release.digest))
        if folder is not None:
            self._verify(release, folder)
        return folder and folder.resolve()

    def fetch(self, release: Release, folder: Path) -> None:
        """Copy a release's artifact into an empty folder, and verify it there."""
        self._hand_out(release.digest, folder)
        self._verify(release, folder)

    @contextmanager
    def _at_hand(self, digest: str, name: str) -> Iterator[Path]:
        """An artifact's folder as it is, whole or not."""
        if (folder := self.place.on_disk(self._artifact(digest))) is not None:
            yield folder
            return
        with tempfile.TemporaryDirectory(prefix="mct-") as scratch:
            folder = Path(scratch) / name
            folder.mkdir()
            self._hand_out(digest, folder)
            yield folder

    def _hand_out(self, digest: str, folder: Path) -> None:
        where = f"{self.address}: {self._artifact(digest)}/{MANIFEST}"
        content = self._manifest(digest)
        if content is None:
            raise MctError(f"{where} is not there", MEND)
        listed = parse_json(content, _Listed, where, MEND).files
        for name in listed:
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise MctError(f"{where} names a file outside its folder: {name}", MEND)
        try:
            self.place.hand_out(self._artifact(digest), (*listed, MANIFEST), folder)
        except FileNotFoundError as error:
            raise MctError(f"{where} lists a file that is not there", MEND) from error

    # Writing

    def keep(self, content: bytes) -> str:
        """Store evidence; gives its SHA-256. What is there already is left."""
        digest = _sha256(content)
        self.place.create(f"evidence/{digest}", content)
        return digest

    def keep_json(self, value: Any) -> str:
        """Store a plain value as evidence; gives the SHA-256 of its text."""
        return self.keep(as_json(value))

    def keep_artifact(self, folder: Path, digest: str, files: Sequence[str], own: str = "") -> str:
        """Copy an artifact that was verified just now, and appears whole; gives the SHA-256 of its manifest there.

        That is another one's where an artifact of the same bytes and another history came first. What is there and is
        damaged is replaced. MctError where a release's manifest is lost, and is not that of `folder`. `own` is the
        manifest that a release of it is known to bear: while that is there, no journal is searched.
        """
        held, brought = self._held(digest), (folder / MANIFEST).read_bytes()
        refs = {own: ""} if own == _sha256(held) else self._refs_by_manifest(digest)
        keeps_history = not refs or _sha256(held) in refs
        if not keeps_history and _sha256(brought) not in refs:
            raise MctError(f"the {MANIFEST} of {min(refs.values())} is lost, and {folder} has another", RESTORE)
        place = self._artifact(digest)
        there = not self.place.take_in(folder, place, files, MANIFEST)
        if there and not (keeps_history and self._is_whole(digest, folder.name)):
            self.place.mend(folder, place, files, MANIFEST, held if _sha256(held) in refs else brought)
        return _sha256(self._manifest(digest) or b"")

    def _held(self, digest: str) -> bytes:
        """The manifest of an artifact in the store; nothing where something else has its name."""
        try:
            return self._manifest(digest) or b""
        except MctError:
            return b""

    def _refs_by_manifest(self, digest: str) -> dict[str, str]:
        releases = (each for name in self.names() for each in self.track(name).releases)
        return {each.manifest: each.ref for each in releases if each.digest == digest}

    def _is_whole(self, digest: str, name: str) -> bool:
        from mct.bench.samples.subject import identify

        try:
            with self._at_hand(digest, name) as folder:
                return is_artifact(folder) and identify(folder).digest == digest
        except MctError:
            return False

    def append(self, track: Track, event: Event, by: str = "") -> Track | None:
        """Write the next entry of a journal that is as `track` has it; None where another has just written one.

        It is dated no earlier than the last one: a rollback waits for no clock, wherever an entry's was ahead.
        """
        entries = track.entries
        at = max([now(), *(each.at for each in entries[-1:])])
        entry = Entry(len(entries) + 1, track.link, at, by, event)
        try:
            text = msgspec.json.format(msgspec.json.encode(entry), indent=2) + b"\n"
        except UnicodeEncodeError as error:  # of bytes on the command line that are no UTF-8
            said = f"what is to be noted is no text: {error.object!a:.80}"
            raise MctError(said, "write names and notes as UTF-8") from error
        if not self.place.create(self._entry(track.name, entry.number), text):
            return None
        return self._followed(track_of(track.name, (*entries, entry), _sha256(text)))

    def note(self, name: str, event: Event, by: str = "") -> Track:
        """Write an event that holds whatever others did meanwhile."""
        while True:
            if (after := self.append(self.track(name), event, by)) is not None:
                return after

    def settle(self, name: str) -> Track:
        """A name's releases, with production.json put right where a kill left it behind."""
        return self._followed(self.track(name))

    def _followed(self, track: Track) -> Track:
        release, place = track.production, f"names/{track.name}/production.json"
        now_there = None if release is None else {
            "release": release.ref, "digest": release.digest, "manifest": release.manifest,
            "artifact": self._artifact(release.digest), "since": release.since,
        }  # fmt: skip
        content = json.dumps(now_there, indent=2).encode() + b"\n"
        there = self.place.read(place)
        if there == content or (there is None and release is None):
            return track
        self.place.write(place, content)
        again = self.track(track.name)  # another may have gone on, and written before this one did
        return self._followed(again) if len(again.entries) > len(track.entries) else track

    def _entries(self, name: str) -> tuple[list[Entry], str]:
        """The journal, each entry checked against the one before; and the SHA-256 that the next one is to bear."""
        found: list[Entry] = []
        link = ""
        for file in self.place.names(f"names/{name}/journal"):
            where = f"{self.address}: names/{name}/journal/{file}"
            if not ENTRY.fullmatch(file):
                raise MctError(f"{where} is no entry of a journal", "remove it")
            content = self.place.read(f"names/{name}/journal/{file}")
            entry = parse_json(content or b"", Entry, where, RESTORE)
            if file != self._entry(name, len(found) + 1).rpartition("/")[2] or entry.number != len(found) + 1:
                raise MctError(f"{where} is out of order: entry {len(found) + 1} is missing", RESTORE)
            if entry.previous != link:
                raise MctError(f"{where} does not follow from the entry before it", RESTORE)
            found.append(entry)
            link = _sha256(content or b"")
        return found, link

    def _verify(self, release: Release, folder: Path) -> None:
        from mct.bench.samples.subject import identify

        if not folder.is_dir():
            raise MctError(f"{self.address} lacks the artifact of {release.ref}", MEND)
        read_artifact(folder, verify=False)
        if sha256(folder / MANIFEST) != release.manifest:  # its history is none of its digest, and a person reads it
            raise MctError(f"the {MANIFEST} of {release.ref} was changed since it was stored", MEND)
        if (found := identify(folder).digest) != release.digest:
            raise MctError(f"the artifact of {release.ref} has the digest {found[:12]}…, not its own", MEND)

    def _manifest(self, digest: str) -> bytes | None:
        return self.place.read(f"{self._artifact(digest)}/{MANIFEST}")

    @staticmethod
    def _artifact(digest: str) -> str:
        return f"artifacts/{digest}"

    @staticmethod
    def _entry(name: str, number: int) -> str:
        return f"names/{name}/journal/{number:0{DIGITS}d}.json"


def open_store(address: str | Path = STORE) -> Store:
    """The store at a folder or URL. Nothing is made until something is written."""
    return Store(open_place(str(address)))


def now() -> str:
    """This moment as entries have it (ISO 8601, UTC)."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


def moment(track: Track) -> str:
    """This moment, for what a gate says. MctError where the clock is well behind the last entry."""
    at = now()
    if track.entries and goes_back(track.entries[-1].at, at):
        raise MctError(
            f"the clock says {at}, and the last entry of {track.name} is of {track.entries[-1].at}",
            "set the clock right; if that entry's was wrong, add the artifact under another name",
        )
    return at


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
