"""A run's raw values, read back from the file that the store writes: every record as the type it was made of.

The file may have travelled: from a CI cache, a colleague, a fork. What a gate judges comes from here, so a record that
is not what a bench writes is refused, with its line, before any statistic is computed from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from mct import MctError
from mct.bench.judge.roofline import Encoder
from mct.bench.measure.sampling import BenchPlan
from mct.bench.samples.measurement import Answers, Block, Failure, Lost, Measurement, Start, from_record
from mct.bench.samples.subject import Subject
from mct.bench.store.result import SCHEMA, Data, Identity, Question, RunId
from mct.compress.run.artifact import check_answering
from mct.models.data.declared import Index, Name, declared, parse_json, read_bytes
from mct.models.data.files import unpacked
from mct.models.tasks.examples import Answer, Kind, Truth, find_kind
from mct.models.tasks.table import Head
from mct.models.tasks.tagging import OUTSIDE
from mct.targets.budget import Budget
from mct.targets.limit import MachineLimit
from mct.targets.target import Target

PARTIAL = ".samples.jsonl.part"
COPY = "copy it again from where it was stored, or measure again"


@dataclass(frozen=True)
class Samples:
    """A run as its raw values tell it. `complete` is False for what a killed run left."""

    identity: Identity
    question: Question
    measurements: tuple[Measurement, ...]
    complete: bool


class _Environment(Struct, frozen=True):
    """What reports and comparisons read of a fingerprint; the rest is shown as it is."""

    fingerprint: Name


class _Limit(Struct, frozen=True, forbid_unknown_fields=True):
    machine: MachineLimit
    models: dict[Name, Encoder | None]


class _Run(Struct, frozen=True, forbid_unknown_fields=True):
    """The first record: what was asked of whom, and what is right."""

    kind: Literal["run"]
    schema: int
    id: RunId
    created: Name
    mct_version: Name
    data: Data
    plan: BenchPlan
    target: Target | None
    budget: Budget | None
    baseline: Name | None
    environments: dict[Name, _Environment]
    subjects: Annotated[list[Subject], Meta(min_length=1)]
    truth: list[Any]
    limit: _Limit | None = None
    groups: list[Index] | None = None
    fields: dict[Name, list[str]] = {}


def read_samples(path: Path) -> Samples:
    """The raw values of a run. A last line cut short by a kill is left out. MctError where they are no such values."""
    records = _read_records(path)
    place, first = next(records, ("", {}))
    if first.get("kind") != "run":
        raise MctError(f"{path} holds no samples", "samples are the .samples.jsonl.gz files of the results folder")
    if (found := first.get("schema")) != SCHEMA:
        raise MctError(f"{path} has schema {found!r}, this mct reads {SCHEMA}", "use the mct that wrote it")
    run = declared(first, _Run, place, COPY)
    _check_run(run, place)
    values: dict[str, list[Any]] = {subject.name: [] for subject in run.subjects}
    for place, record in records:
        of = record.get("subject")
        if not isinstance(of, str) or of not in values:
            raise MctError(f"{place} is of {of!r}, which the run does not name", COPY)
        values[of].append(from_record(record, place))
    measurements = tuple(_measurement(each, run, values[each.name], str(path)) for each in run.subjects)
    identity = Identity(run.id, run.created, run.mct_version)
    question = Question(
        run.data, run.plan, run.target, run.budget, run.baseline, first["environments"], first.get("limit")
    )
    return Samples(identity, question, measurements, not path.name.endswith(PARTIAL))


def _read_records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where each record stands, and the record."""
    content = unpacked(path, read_bytes(path, "it lies beside the result, under the name in its `samples`"))
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        place = f"{path} line {number}"
        yield place, parse_json(line, dict[str, Any], place, COPY)


def _check_run(run: _Run, place: str) -> None:
    """MctError where the parts of the first record do not go together."""
    names = [subject.name for subject in run.subjects]
    if len(set(names)) < len(names):
        raise MctError(f"{place} names a subject twice: {', '.join(names)}", COPY)
    if run.baseline not in (None, *names):
        raise MctError(f"{place}: its baseline {run.baseline!r} is none of its subjects", COPY)
    if lost := set(names) - run.environments.keys():
        raise MctError(f"{place} has no environment for {lost.pop()!r}", COPY)
    for subject in run.subjects:
        check_answering(subject.task, subject.labels, subject.heads, f"{place}: {subject.name}")
    task = run.subjects[0].task
    if any(subject.task != task for subject in run.subjects):
        raise MctError(f"{place} has subjects of several tasks", COPY)
    if run.groups is not None and len(run.groups) != len(run.truth):
        raise MctError(f"{place} has {len(run.groups)} groups of {len(run.truth)} examples", COPY)
    for name, values in run.fields.items():
        if len(values) != len(run.truth):
            raise MctError(f"{place} has {len(values)} values of {name!r} for {len(run.truth)} examples", COPY)
    for truth in run.truth:
        declared(truth, find_kind(task).truth, f"{place}: what is right", COPY)


def _measurement(subject: Subject, run: _Run, values: Sequence[Any], place: str) -> Measurement:
    answers = [value for value in values if isinstance(value, Answers)]
    failures = [value for value in values if isinstance(value, Failure)]
    if len(answers) > 1 or len(failures) > 1:
        raise MctError(f"{place} has several answers of {subject.name} to one question", COPY)
    for each in answers:
        _check_answers(subject, run.truth, each, f"{place}: answers of {subject.name}")
    return Measurement(
        subject,
        tuple(run.truth),
        starts=tuple(value for value in values if isinstance(value, Start)),
        blocks=tuple(value for value in values if isinstance(value, Block)),
        answers=next(iter(answers), None),
        failure=next(iter(failures), None),
        groups=tuple(run.groups or ()),
        fields={name: tuple(values) for name, values in run.fields.items()},
        lost=tuple(value for value in values if isinstance(value, Lost)),
    )


def _check_answers(subject: Subject, truth: Sequence[Truth], answers: Answers, place: str) -> None:
    """MctError where an answer is none that the subject's task gives, or not one to each question."""
    if not len(truth) == len(answers.values) == len(answers.tokens):
        raise MctError(f"{place}: {len(answers.values)} to {len(truth)} questions", COPY)
    for label, scores in answers.scores.items():
        if len(scores) != len(truth):
            raise MctError(f"{place}: {len(scores)} scores of {label!r} to {len(truth)} questions", COPY)
    for beside in (answers.native, answers.unlike):
        if len(beside) not in (0, len(truth)):
            raise MctError(f"{place}: {len(beside)} of the native runtime to {len(truth)} questions", COPY)
    kind = find_kind(subject.task)
    for answer in answers.native:
        declared(answer, kind.answer, place, COPY)
    for right, answer in zip(truth, answers.values, strict=True):
        declared(answer, kind.answer, place, COPY)
        if not _fits(kind, subject.heads, right, answer):
            raise MctError(f"{place}: {answer!r:.60} is no answer where {right!r:.60} is right", COPY)


def _fits(kind: Kind, heads: Sequence[Head], right: Truth, answer: Answer) -> bool:
    """Whether the answer has a part for each part of what is right, and no label that the heads do not have."""
    if not heads:
        return not isinstance(right, list) or len(right) == len(answer)
    if isinstance(right, dict):
        if not answer.keys() == {head.name for head in heads} <= right.keys():
            return False
        is_label = {head.name: head.kind == "label" for head in heads}
        return all(
            isinstance(answer[name], str) == one and isinstance(right[name], str | int if one else str | list)
            for name, one in is_label.items()
        )
    known = {label for head in heads for label in head.labels} | {OUTSIDE}
    return known.issuperset(kind.labels(answer)) and known.issuperset(kind.labels(right))
