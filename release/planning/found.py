"""What of a plan is there already: checkpoints, artifacts and results on this disk, told by what they hold.

Nothing is believed by its name. A checkpoint is the scenario's when its `recipe.json` says so; an artifact is made of
it when its lineage begins with it as it is; a result, an inspection and a decision are of the artifact when they bear
its digest; a check is of the data when it bears theirs. What cannot be read is passed over: a plan is no judge of other
people's folders.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from msgspec import Struct

from mct import MctError
from mct.bench.judge.line import Outcome
from mct.bench.samples.subject import identify
from mct.bench.store.store import read_result
from mct.compress.run.artifact import MANIFEST, Artifact, read_artifact
from mct.compress.run.lineage import answers_digest, weights_digest
from mct.models.checkpoints.checkpoint import inspect
from mct.models.data.declared import read_json, read_object
from mct.models.data.files import read_data_file
from mct.models.tasks.datasets import digests_of
from mct.release.curation.cleaning import read_check
from mct.release.curation.findings import NEAR
from mct.release.decision.inspected import Inspected
from mct.release.decision.recheck import read_decision

RECIPE = "recipe.json"
DEEPEST = 6
MOST_FOLDERS = 5_000
PASSED_OVER = {".steps", ".git", ".venv", "node_modules", "site-packages", "__pycache__"}
LARGEST = 64 * 2**20
"""Bytes of a JSON file that is opened to see what it is."""


class Recipe(Struct, frozen=True):
    """What `recipe.json` says, as far as it is read."""

    scenario: str = ""
    size: str = ""


@dataclass(frozen=True)
class Disk:
    """Folders and JSON files below the places that were looked at, in the order of their names."""

    roots: tuple[Path, ...]

    @cached_property
    def entries(self) -> tuple[tuple[Path, tuple[str, ...]], ...]:
        """Every folder with the names of its files; links are not followed."""
        found: dict[str, tuple[Path, tuple[str, ...]]] = {}
        for root in self.roots:
            for folder, files in _walk(root):
                found.setdefault(os.path.realpath(folder), (folder, files))
        return tuple(found.values())

    def checkpoints(self, scenario: str, size: str) -> list[Path]:
        """The folders that hold a scenario's checkpoint of a size."""
        found = []
        for folder, files in self.entries:
            if RECIPE in files and MANIFEST not in files:
                with suppress(MctError, OSError):
                    recipe = read_json(folder / RECIPE, Recipe)
                    if (recipe.scenario, recipe.size) == (scenario, size):
                        inspect(folder)  # a checkpoint, whole, and no more than the name of one
                        found.append(folder)
        return found

    @cached_property
    def artifacts(self) -> tuple[tuple[Path, Artifact], ...]:
        """Every artifact, its files unread."""
        found = []
        for folder, files in self.entries:
            if MANIFEST in files:
                with suppress(MctError):
                    found.append((folder, read_artifact(folder, verify=False)))
        return tuple(found)

    @cached_property
    def results(self) -> tuple[tuple[Path, dict[str, Any]], ...]:
        """Every result of a bench."""
        return tuple(self.of_kind("mct-bench", read_result))

    def of_kind(self, kind: str, read: Any = read_object) -> Iterator[tuple[Path, dict[str, Any]]]:
        """The JSON files that say of themselves that they are of this kind, as `read` gives them."""
        for folder, files in self.entries:
            for path in (folder / name for name in files if name.endswith(".json")):
                found = None
                with suppress(MctError, OSError):  # damaged, or gone since it was listed
                    if not path.is_symlink() and path.stat().st_size < LARGEST and _kind_of(path) == kind:
                        found = read(path)
                if found is not None:
                    yield path, found


def _kind_of(path: Path) -> object:
    return read_object(path).get("kind")


def digest_of(artifact: Path) -> str:
    """What a bench calls the artifact as it is now; "" where it cannot be opened."""
    try:
        return identify(artifact).digest
    except MctError:
        return ""


def made_of(disk: Disk, checkpoint: Path) -> list[tuple[Path, Artifact]]:
    """The artifacts whose lineage begins with a checkpoint as it is: its weights, and what it answers by beside them.

    Those of an adapter whose base is nowhere beside it by its weights alone.
    """
    try:
        weights = weights_digest(checkpoint)
    except (MctError, OSError):
        return []
    found = [each for each in disk.artifacts if each[1].lineage and each[1].lineage[0].get("sha256") == weights]
    if not found:
        return []
    try:
        answers = answers_digest(inspect(checkpoint))
    except (MctError, OSError):
        return found
    return [(folder, artifact) for folder, artifact in found if artifact.lineage[0].get("answers") == answers]


@dataclass(frozen=True)
class StoredResult:
    """A result of an artifact; `budget` is what it was held to ("" for nothing), `outcome` how that came out."""

    path: Path
    created: str
    budget: str
    outcome: Outcome | None
    samples: Path


def measured(disk: Disk, digest: str) -> list[StoredResult]:
    """The results of an artifact by its digest, oldest first; those whose columns were renamed are of another test."""
    found = [
        StoredResult(
            path, result["created"], (result["budget"] or {}).get("name", ""), (entry["verdict"] or {}).get("outcome"),
            path.parent / str(entry["samples"]),
        )
        for path, result in disk.results
        if not result["data"].get("fields")
        for entry in result["artifacts"]
        if entry["digest"] == digest
    ]  # fmt: skip
    return sorted(found, key=lambda each: (each.created, str(each.path)))


def checked(path: Path, files: Sequence[Path]) -> Outcome | None:
    """How a check of these files, as they are now, came out; None where this is none of them.

    Nor is one that read other columns, or that let pass texts which the default calls alike.
    """
    with suppress(MctError, OSError):
        found = read_check(path)
        held = [each.sha256 for each in found.files if not each.against]
        now = [digests_of(file, read_data_file(file, {})) for file in files]
        whole = found.near <= NEAR and not found.fields
        if whole and len(held) == len(now) and all(each in digests for each, digests in zip(held, now, strict=True)):
            return "fail" if found.leaks else "pass"
    return None


def explained(path: Path, digest: str) -> Outcome | None:
    """How an inspection of the artifact with that digest came out; None where this is none."""
    with suppress(MctError, OSError):
        found = read_json(path, Inspected)
        same = found.digest == digest and not read_object(path).get("fields")
        return found.outcome if same else None
    return None


def is_decided(path: Path, scenario: str, digest: str) -> bool:
    """Whether this is a decision of this version about the artifact with that digest."""
    with suppress(MctError, OSError):
        return read_decision(path)[0] == scenario and read_object(path).get("digest") == digest
    return False


def _walk(root: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    for seen, (where, folders, files) in enumerate(os.walk(root)):
        here = Path(where)
        deep = len(here.relative_to(root).parts)
        folders[:] = sorted(name for name in folders if name not in PASSED_OVER and _is_text(name))
        if deep >= DEEPEST:
            folders.clear()
        if seen >= MOST_FOLDERS:
            return
        yield here, tuple(sorted(filter(_is_text, files)))


def _is_text(name: str) -> bool:
    """Whether a name can be printed, and typed in a command."""
    return name.isprintable() and name.encode(errors="ignore") == os.fsencode(name)


def looked_at(places: Sequence[Path]) -> Disk:
    """The places that are there; MctError for one that is named and is no folder."""
    for place in places:
        if place.exists() and not place.is_dir():
            raise MctError(f"{place} is no folder to look into", "name a folder")
    return Disk(tuple(place for place in places if place.is_dir()))
