"""A bench on several targets, one after the other: a result of each in the store, and one matrix of all.

A target that cannot be had (a host that does not answer, a browser that is not there) is a column with its reason, and
the others go on. Only when none can is there nothing to show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mct import MctError
from mct.bench.jobs.job import Job, run_job, worst_outcome
from mct.bench.judge.line import Outcome, worst
from mct.bench.matrix.stored import FOLDER, KIND, SCHEMA, Column, Matrix, Reason, cell_of, flips_between, read_matrix
from mct.bench.store.reading import read_own_samples
from mct.bench.store.result import Data, Identity
from mct.bench.store.store import new_run
from mct.bench.store.stored_result import Choice
from mct.models.data.declared import declared
from mct.models.progress import Report, part, silent
from mct.models.writing.folders import write_json
from mct.models.writing.ownership import require_container
from mct.targets.budget import Budget, budget_on
from mct.targets.target import Target

Answers = Mapping[str, Sequence[Any]]


@dataclass
class Gathered:
    """What came of the targets so far. `first` are the answers that the others' are held against, of `against`."""

    columns: list[Column] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    results: list[Mapping[str, Any]] = field(default_factory=list)
    first: dict[str, Sequence[Any]] = field(default_factory=dict)
    against: str | None = None


@dataclass(frozen=True)
class MatrixRun:
    """A finished matrix, and where it is stored."""

    matrix: Matrix
    path: Path


def run_matrix(
    job: Job,
    targets: Sequence[Target],
    report: Report = silent,
    bench: Callable[[Job, Report], dict[str, Any]] = run_job,
) -> MatrixRun:
    """Bench the job on each target. MctError where the job itself cannot be done, or no target can be had."""
    require_container(job.results / FOLDER)  # now, not when everything has been measured
    gathered, refused = Gathered(), []
    for number, target in enumerate(targets):
        share = part(report, number / len(targets), (number + 1) / len(targets))
        try:
            result = bench(replace(job, target=target, budget=_budget(job.budget, target)), _named(share, target))
        except MctError as error:
            refused.append(error)
            gathered.columns.append(_refused(target, error))
            gathered.outcomes.append("fail")
        else:
            _add(gathered, target, result, job.results)
    if len(refused) == len(targets):
        raise refused[0]
    identity = new_run(job.results / FOLDER)
    matrix = _matrix(identity, gathered)
    path = job.results / FOLDER / f"{identity.id}.json"
    write_json(path, matrix.as_json())
    return MatrixRun(read_matrix(path), path)


def _named(report: Report, target: Target) -> Report:
    return lambda stage, share: report(f"{target.name}: {stage}", share)


def _budget(budget: Budget | None, target: Target) -> Budget | None:
    return None if budget is None else budget_on(budget, target)


def _refused(target: Target, error: MctError) -> Column:
    reason = Reason(error.message, error.hint)
    return Column(target.name, target.about, "", None, target.price_per_hour, None, [], None, reason)


def _add(gathered: Gathered, target: Target, result: Mapping[str, Any], results: Path) -> None:
    """The column of a target that was measured."""
    path = results / f"{result['id']}.json"
    answers = _answers(path, result)
    if not gathered.first:
        gathered.against = target.name if answers else None
        gathered.first.update(answers)
    flips = {
        name: flips_between(given, gathered.first[name]) for name, given in answers.items() if name in gathered.first
    }
    environment, choice = result["artifacts"][0]["environment"], result["choice"]
    gathered.columns.append(
        Column(
            target.name, target.about, environment["cpu"], environment["threads"], target.price_per_hour, path.name,
            [cell_of(entry, flips.get(entry["artifact"])) for entry in result["artifacts"]],
            None if choice is None else declared(choice, Choice, str(path)), None, environment["fingerprint"],
        )
    )  # fmt: skip
    gathered.outcomes.append(worst_outcome(result))
    gathered.results.append(result)


def _answers(path: Path, result: Mapping[str, Any]) -> Answers:
    """What each artifact answered, where answers are labels: other numbers are never quite the same twice."""
    measured = read_own_samples(path, result).measurements
    return {each.subject.name: each.answers.values for each in measured if each.answers and each.subject.heads}


def _matrix(identity: Identity, gathered: Gathered) -> Matrix:
    one = gathered.results[0]
    metrics = [entry["quality"]["metric"] for result in gathered.results for entry in result["artifacts"]
               if entry["quality"]]  # fmt: skip
    return Matrix(
        SCHEMA, KIND, identity.id, identity.created, identity.mct_version, declared(one["data"], Data, "the data"),
        one["budget"]["name"] if one["budget"] else None, one["baseline"], next(iter(metrics), ""), gathered.against,
        worst(set(gathered.outcomes)), gathered.columns,
    )  # fmt: skip
