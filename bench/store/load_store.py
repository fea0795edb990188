"""Where runs under load are kept: the `load` folder of the results store, append-only like the store itself.

A run is two files: <id>.samples.jsonl.gz, to which each segment and block is appended as it comes (a gzip member each,
so that what a killed run leaves can be read), and <id>.json, written whole when everything is known. The files of
`mct bench` lie in the folder above, where `mct report` and `mct gate` look; a load is no release gate of theirs.
"""

from __future__ import annotations

import gzip
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mct import __version__
from mct.bench.measure.sampling import BenchPlan
from mct.bench.samples.measurement import Block, to_record
from mct.bench.samples.subject import Subject
from mct.bench.store.environment import fingerprint
from mct.bench.worker.open_loop import Segment, segment_record
from mct.models.tasks.datasets import Dataset
from mct.models.writing.drafts import clear_dead_drafts, make_folder
from mct.models.writing.folders import write_json
from mct.models.writing.full_disk import full_disk_explained

SCHEMA = 1
FOLDER = "load"


@dataclass(frozen=True)
class LoadRecording:
    """A run under way: `keep` each value as it comes, then `finish`. `asked` is what the result begins with."""

    folder: Path
    id: str
    asked: Mapping[str, Any]

    @property
    def samples(self) -> Path:
        """The file of raw values."""
        return self.folder / f"{self.id}.samples.jsonl.gz"

    def keep(self, subject: str, value: Segment | Block) -> None:
        """Append one value, whole, so that it outlives this process."""
        if isinstance(value, Segment):
            record = {"subject": subject, "kind": "stretch"} | segment_record(value)
        else:
            record = to_record(subject, value)
        with full_disk_explained(self.folder), gzip.open(self.samples, "at", encoding="utf-8") as file:
            file.write(json.dumps(record, separators=(",", ":")) + "\n")

    def finish(self, results: Sequence[Mapping[str, Any]]) -> Path:
        """Write the result; gives its path."""
        path = self.folder / f"{self.id}.json"
        write_json(path, {**self.asked, "results": [dict(result) for result in results]})
        return path


def begin_load(
    folder: Path, kind: str, subjects: Sequence[Subject], dataset: Dataset, plan: BenchPlan
) -> LoadRecording:
    """Begin to record a run of a `kind` ("mct-load", "mct-max-load") in the store `folder`."""
    place = folder / FOLDER
    make_folder(place)
    clear_dead_drafts(place)
    now = datetime.now(UTC)
    name = f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
    asked = {
        "schema": SCHEMA,
        "kind": kind,
        "id": name,
        "created": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "mct_version": __version__,
        "data": {"name": dataset.name, "rows": len(dataset.rows), "sha256": dataset.sha256},
        "plan": asdict(plan),
        "samples": f"{name}.samples.jsonl.gz",
        "environments": {subject.name: fingerprint(subject, dataset, plan) for subject in subjects},
    }
    return LoadRecording(place, name, asked)


def read_load_samples(path: Path) -> Iterator[dict[str, Any]]:
    """The raw records of a run, in the order in which they came. A last one cut short by a kill is left out."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        try:
            for line in file:
                if line.endswith("\n"):
                    yield json.loads(line)
        except EOFError:
            return
