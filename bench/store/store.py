"""The results store: an append-only folder that report, gate and comparisons read, and nothing else.

A run is two files that appear whole and are never touched again:

    <id>.json                what was found, per artifact, as bench/result.schema.json lays it down
    <id>.samples.jsonl.gz    the raw values, one record per line: the run, then starts, blocks, answers and failures

`<id>` is the UTC time and a random part: "20261122T101500Z-3fa9c1". The result has at its top `schema`, `id`,
`created`, `data`, `plan`, `target`, `budget`, `baseline` (the name of an entry), `samples` and `artifacts`: one entry
per artifact with `latency`, `model_only`, `quality`, `size_mb`, `load_ms`, `peak_rss_mb`, `stability`, `verdict`,
`failure`, `environment` and more, null where it could not be had. tests/bench/result_example.json is one to look at.

While a run goes on, its raw values are appended to `<id>.samples.jsonl.part` as they come. What a killed run leaves
stays there under that name, and `read_samples` reads it; where only its result was missing, the next run writes that.
Statistics are computed from the raw values: `recompute` gives the whole result again.

Runs under load lie in the folder `load` of the store, where `mct report` and `mct gate` do not look: a load is no
release gate of theirs. Of these each value is appended to the samples as it comes (a gzip member each, so that what a
killed run leaves can be read), and <id>.json is written whole when everything is known.
"""

from __future__ import annotations

import gzip
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mct import MctError, __version__
from mct.bench.measure.sampling import BenchPlan
from mct.bench.samples.measurement import Block, Measurement, to_record
from mct.bench.samples.subject import Subject
from mct.bench.store.environment import fingerprint
from mct.bench.store.result import KIND, SCHEMA, Data, Identity, Question, question_json, result_json
from mct.bench.store.samples_file import PARTIAL, read_samples
from mct.bench.store.stored_result import Result
from mct.bench.worker.facts import Facts
from mct.bench.worker.open_loop import Segment, segment_record
from mct.models.data.declared import declared, read_object
from mct.models.tasks.datasets import Dataset, fields_beside, read_examples
from mct.models.writing.drafts import clear_dead_drafts, make_folder
from mct.models.writing.folders import write_bytes_atomically, write_json
from mct.models.writing.full_disk import full_disk_explained
from mct.targets.budget import Budget
from mct.targets.target import Target

RESULTS = Path(".mct/results")
LOAD, LOAD_SCHEMA = "load", 1

# What scores were called in results of earlier versions, where that was another metric's name.
FORMER_NAMES = {"recall_at_10": "recall_cap_at_10"}


@dataclass(frozen=True)
class LoadRecording:
    """A run under load: `keep` each value as it comes, then `finish`. `header` is what the result begins with."""

    folder: Path
    header: Mapping[str, Any]

    @property
    def samples(self) -> Path:
        """The file of raw values."""
        return self.folder / str(self.header["samples"])

    def keep(self, subject: str, value: Segment | Block) -> None:
        """Append one value, whole, so that it outlives this process."""
        if isinstance(value, Segment):
            record = {"subject": subject, "kind": "stretch"} | segment_record(value)  # its name in stored files
        else:
            record = to_record(subject, value)
        with full_disk_explained(self.folder), gzip.open(self.samples, "at", encoding="utf-8") as file:
            file.write(json.dumps(record, separators=(",", ":")) + "\n")

    def finish(self, results: Sequence[Mapping[str, Any]]) -> Path:
        """Write the result; gives its path."""
        path = self.folder / f"{self.header['id']}.json"
        write_json(path, {**self.header, "results": list(results)})
        return path


@dataclass(frozen=True)
class Recording:
    """A run under way: `keep` each record as it comes, then `finish`."""

    folder: Path
    identity: Identity
    question: Question

    @property
    def draft(self) -> Path:
        """Where records go until the run is finished."""
        return self.folder / f"{self.identity.id}{PARTIAL}"

    def keep(self, record: Mapping[str, Any]) -> None:
        """Append one record, whole, so that it outlives this process."""
        line = json.dumps(record, ensure_ascii=False, separators=(",", ":"), default=os.fspath)
        with full_disk_explained(self.folder), self.draft.open("ab", buffering=0) as file:
            file.write(line.encode() + b"\n")

    def finish(self, measurements: Sequence[Measurement]) -> Path:
        """Write the two files of the run; gives the path of the result."""
        write_bytes_atomically(self.folder / self.identity.samples, gzip.compress(self.draft.read_bytes(), mtime=0))
        path = self.folder / f"{self.identity.id}.json"
        write_json(path, result_json(self.identity, self.question, measurements))
        self.draft.unlink(missing_ok=True)
        return path


def make_question(
    subjects: Sequence[Subject],
    dataset: Dataset,
    plan: BenchPlan,
    *,
    target: Target | None = None,
    budget: Budget | None = None,
    baseline: str | None = None,
    limit: Mapping[str, Any] | None = None,
    facts: Facts | None = None,
) -> Question:
    """The question of a run on that machine, this one if None.

    `baseline` is the name of one of the subjects, `limit` the machine's.
    """
    environments = {subject.name: fingerprint(subject, dataset, plan, facts) for subject in subjects}
    return Question(_data_of(dataset), plan, target, budget, baseline, environments, limit)


def begin(folder: Path, question: Question, subjects: Sequence[Subject], dataset: Dataset) -> Recording:
    """Begin to record a run: its first record says what it is to find out, of whom, and what is right."""
    identity = new_run(folder)
    _finish_interrupted(folder)
    recording = Recording(folder, identity, question)
    examples = read_examples(dataset, subjects[0].task, subjects[0].heads)
    recording.keep(
        {"kind": "run", "schema": SCHEMA, **asdict(identity), **question_json(question)}
        | {"environments": {name: dict(environment) for name, environment in question.environments.items()}}
        | {"subjects": [asdict(subject) for subject in subjects], "truth": [example.truth for example in examples]}
        | ({"groups": list(dataset.groups)} if dataset.groups else {})
        | {"fields": fields_beside(dataset, subjects[0].task, examples)}
    )
    return recording


def begin_load(
    folder: Path, kind: str, subjects: Sequence[Subject], dataset: Dataset, plan: BenchPlan, facts: Facts
) -> LoadRecording:
    """Begin to record a run of a `kind` ("mct-load", "mct-max-load", "mct-scan") in the store `folder`."""
    identity = new_run(folder / LOAD)
    header = {
        "schema": LOAD_SCHEMA,
        "kind": kind,
        **asdict(identity),
        "data": _data_of(dataset).as_json(),
        "plan": asdict(plan),
        "samples": identity.samples,
        "environments": {subject.name: fingerprint(subject, dataset, plan, facts) for subject in subjects},
    }
    return LoadRecording(folder / LOAD, header)


def new_run(folder: Path) -> Identity:
    """The folder made and cleared of what dead runs left unwritten, and a name for a run that begins now."""
    make_folder(folder)
    clear_dead_drafts(folder)
    now = datetime.now(UTC)
    return Identity(f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}", f"{now:%Y-%m-%dT%H:%M:%SZ}", __version__)


def _data_of(dataset: Dataset) -> Data:
    return Data(dataset.name, len(dataset.rows), dataset.sha256, dataset.renamed)


def _finish_interrupted(folder: Path) -> None:
    """Write the results of runs that were killed when all was measured: their samples lack nothing."""
    for draft in folder.glob(f"*{PARTIAL}"):
        name = draft.name.removesuffix(PARTIAL)
        samples, result = folder / f"{name}.samples.jsonl.gz", folder / f"{name}.json"
        if samples.is_file():
            with suppress(MctError):  # damaged since: it stays, and is nobody else's business
                if not result.is_file():
                    write_json(result, recompute(samples))
                draft.unlink(missing_ok=True)


def append(folder: Path, question: Question, measurements: Sequence[Measurement], dataset: Dataset) -> Path:
    """Store a finished run in one go; gives the path of the result."""
    recording = begin(folder, question, [each.subject for each in measurements], dataset)
    for each in measurements:
        for value in (*each.starts, *each.blocks, each.answers, each.failure, *each.lost):
            if value is not None:
                recording.keep(to_record(each.subject.name, value))
    return recording.finish(measurements)


def list_results(folder: Path = RESULTS) -> list[Path]:
    """Paths of all results, oldest first."""
    return sorted(path for path in folder.glob("*.json") if not path.name.startswith("."))


def read_result(path: Path) -> dict[str, Any]:
    """One result. MctError where the file is none, or of another schema."""
    found = read_object(path)
    if found.get("kind") != KIND:
        raise MctError(f"{path} is no result of mct bench", f"results are the .json files of {RESULTS}")
    if found.get("schema") != SCHEMA:
        raise MctError(
            f"{path} has schema {found.get('schema')!r}, this mct reads {SCHEMA}", "use the mct that wrote it"
        )
    declared(found, Result, str(path))
    for entry in found["artifacts"]:
        for score in (entry["quality"] or {}).get("others", ()):
            score["name"] = FORMER_NAMES.get(score["name"], score["name"])
    return found


def recompute(path: Path) -> dict[str, Any]:
    """The result of a stored run (or of what a killed one left), computed again from its samples file."""
    samples = read_samples(path)
    return result_json(samples.identity, samples.question, samples.measurements)
