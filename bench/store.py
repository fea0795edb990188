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
"""

from __future__ import annotations

import gzip
import json
import secrets
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mct import MctError, __version__
from mct.bench.environment import fingerprint
from mct.bench.measurement import Answers, Block, Failure, Measurement, Start, from_record, to_record
from mct.bench.result import KIND, SCHEMA, Asked, Data, Identity, asked_json, result_json
from mct.bench.sampling import BenchPlan
from mct.bench.subject import Subject
from mct.models.datasets import Dataset, read_examples
from mct.models.declared import read_object
from mct.models.drafts import clear_dead_drafts, make_folder
from mct.models.folders import write_bytes_atomically, write_json
from mct.models.full_disk import full_disk_explained
from mct.models.tasks import Head
from mct.targets.budget import Budget
from mct.targets.runtimes import Executable
from mct.targets.target import Target, target_from

RESULTS = Path(".mct/results")
PARTIAL = ".samples.jsonl.part"


@dataclass(frozen=True)
class Samples:
    """A run as its raw values tell it. `complete` is False for what a killed run left."""

    identity: Identity
    asked: Asked
    measurements: tuple[Measurement, ...]
    complete: bool


@dataclass(frozen=True)
class Recording:
    """A run under way: `keep` each record as it comes, then `finish`."""

    folder: Path
    identity: Identity
    asked: Asked

    @property
    def draft(self) -> Path:
        """Where records go until the run is finished."""
        return self.folder / f"{self.identity.id}{PARTIAL}"

    def keep(self, record: Mapping[str, Any]) -> None:
        """Append one record, whole, so that it outlives this process."""
        with full_disk_explained(self.folder), self.draft.open("ab", buffering=0) as file:
            file.write(_line(record))

    def finish(self, measurements: Sequence[Measurement]) -> Path:
        """Write the two files of the run; gives the path of the result."""
        write_bytes_atomically(self.folder / self.identity.samples, gzip.compress(self.draft.read_bytes(), mtime=0))
        path = self.folder / f"{self.identity.id}.json"
        write_json(path, result_json(self.identity, self.asked, measurements))
        self.draft.unlink(missing_ok=True)
        return path


def ask(
    subjects: Sequence[Subject],
    dataset: Dataset,
    plan: BenchPlan,
    *,
    target: Target | None = None,
    budget: Budget | None = None,
    baseline: str | None = None,
    limit: Mapping[str, Any] | None = None,
) -> Asked:
    """The question of a run on this machine. `baseline` is the name of one of the subjects, `limit` the machine's."""
    data = Data(dataset.name, len(dataset.rows), dataset.sha256)
    environments = {subject.name: fingerprint(subject, dataset, plan) for subject in subjects}
    return Asked(data, plan, target, budget, baseline, environments, limit)


def begin(folder: Path, asked: Asked, subjects: Sequence[Subject], dataset: Dataset) -> Recording:
    """Begin to record a run: its first record says what was asked."""
    make_folder(folder)
    clear_dead_drafts(folder)
    _finish_interrupted(folder)
    now = datetime.now(UTC)
    name = f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
    recording = Recording(folder, Identity(name, f"{now:%Y-%m-%dT%H:%M:%SZ}", __version__), asked)
    truth = [example.truth for example in read_examples(dataset, subjects[0].task, subjects[0].heads)]
    recording.keep(_run_record(recording.identity, asked, subjects, truth))
    return recording


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


def append(folder: Path, asked: Asked, measurements: Sequence[Measurement], dataset: Dataset) -> Path:
    """Store a finished run in one go; gives the path of the result."""
    recording = begin(folder, asked, [each.subject for each in measurements], dataset)
    for each in measurements:
        values: list[Start | Block | Answers | Failure] = [*each.starts, *each.blocks]
        values += [value for value in (each.answers, each.failure) if value is not None]
        for value in values:
            recording.keep(to_record(each.subject.name, value))
    return recording.finish(measurements)


def list_results(folder: Path = RESULTS) -> list[Path]:
    """Paths of all results, oldest first."""
    return sorted(path for path in folder.glob("*.json") if not path.name.startswith("."))


def read_result(path: Path) -> dict[str, Any]:
    """One result. MctError where the file is none, or of another schema."""
    found = read_object(path)
    if not isinstance(found, dict) or found.get("kind") != KIND:
        raise MctError(f"{path} is no result of mct bench", f"results are the .json files of {RESULTS}")
    if found.get("schema") != SCHEMA:
        raise MctError(
            f"{path} has schema {found.get('schema')!r}, this mct reads {SCHEMA}", "use the mct that wrote it"
        )
    return found


def recompute(path: Path) -> dict[str, Any]:
    """The result of a stored run (or of what a killed one left), computed again from its samples file."""
    samples = read_samples(path)
    return result_json(samples.identity, samples.asked, samples.measurements)


def read_samples(path: Path) -> Samples:
    """The raw values of a run. A last line cut short by a kill is left out."""
    lines = _read_lines(path)
    run = next(lines, None)
    if run is None or run.get("kind") != "run":
        raise MctError(f"{path} holds no samples", "samples are the .samples.jsonl.gz files of the results folder")
    if run["schema"] != SCHEMA:
        raise MctError(f"{path} has schema {run['schema']!r}, this mct reads {SCHEMA}", "use the mct that wrote it")
    values: dict[str, list[Any]] = {subject["name"]: [] for subject in run["subjects"]}
    for record in lines:
        values[record["subject"]].append(from_record(record))
    truth = tuple(run["truth"])
    measurements = tuple(_measurement(_subject(each), truth, values[each["name"]]) for each in run["subjects"])
    identity = Identity(run["id"], run["created"], run["mct_version"])
    return Samples(identity, _asked(run), measurements, not path.name.endswith(PARTIAL))


def _line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _read_lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8", "replace")
    except FileNotFoundError as error:
        raise MctError(
            f"{path} does not exist", "it lies beside the result, under the name in its `samples`"
        ) from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise MctError(f"{path} is damaged", "copy it again from where it was stored") from error
    for number, line in enumerate(text.split("\n")[:-1], start=1):
        try:
            yield json.loads(line)
        except ValueError as error:
            raise MctError(f"{path} is damaged in line {number}", "copy it again from where it was stored") from error


def _run_record(identity: Identity, asked: Asked, subjects: Sequence[Subject], truth: Sequence[Any]) -> dict[str, Any]:
    head = {"kind": "run", "schema": SCHEMA} | asdict(identity) | asked_json(asked)
    described = [_subject_json(subject) for subject in subjects]
    environments = {name: dict(environment) for name, environment in asked.environments.items()}
    return head | {"environments": environments, "subjects": described, "truth": list(truth)}


def _subject_json(subject: Subject) -> dict[str, Any]:
    found = asdict(subject) | {"path": str(subject.path)}
    found["executable"]["folder"] = str(subject.executable.folder)
    return found


def _subject(stored: Mapping[str, Any]) -> Subject:
    where = stored["executable"]
    changed = {
        "path": Path(stored["path"]),
        "labels": tuple(stored["labels"]),
        "heads": tuple(Head(head["name"], head["kind"], tuple(head["labels"])) for head in stored["heads"]),
        "files": tuple(stored["files"]),
        "executable": Executable(**{**where, "folder": Path(where["folder"])}),
    }
    return Subject(**{**stored, **changed})


def _asked(run: Mapping[str, Any]) -> Asked:
    plan, budget, target = run["plan"], run["budget"], run["target"]
    return Asked(
        data=Data(**run["data"]),
        plan=BenchPlan(**{**plan, "affinity": tuple(plan["affinity"])}),
        target=None if target is None else target_from(target),
        budget=None if budget is None else Budget(**{**budget, "slices": tuple(budget["slices"])}),
        baseline=run["baseline"],
        environments=run["environments"],
        limit=run.get("limit"),
    )


def _measurement(subject: Subject, truth: tuple[Any, ...], values: Sequence[Any]) -> Measurement:
    return Measurement(
        subject,
        truth,
        starts=tuple(value for value in values if isinstance(value, Start)),
        blocks=tuple(value for value in values if isinstance(value, Block)),
        answers=next((value for value in values if isinstance(value, Answers)), None),
        failure=next((value for value in values if isinstance(value, Failure)), None),
    )
