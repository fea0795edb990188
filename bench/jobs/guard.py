"""Measure an artifact for a test, against the base's artifact or a stored run, and say whether it is worse.

What the pytest fixture calls. The base's artifact is measured in turns with the change, in fresh processes of one job.
A stored run is found in a store of baselines: one folder of results per test, as `mct.bench.store.store` writes them,
of which the newest counts.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import inf
from pathlib import Path
from typing import Any

from mct import MctError
from mct.bench.jobs.job import Job, run_job
from mct.bench.judge.line import Line, Outcome, worst
from mct.bench.judge.quality import flipped
from mct.bench.judge.regression import (
    ACROSS_RUNS,
    judge_quality,
    judge_same_job,
    judge_stored,
    other_conditions,
)
from mct.bench.judge.verdict import judge
from mct.bench.report.change import differences
from mct.bench.samples.measurement import Measurement
from mct.bench.store.reading import read_own_samples
from mct.bench.store.result import Question
from mct.bench.store.store import list_results, read_result
from mct.models.tasks.datasets import read_dataset, read_examples
from mct.models.tasks.table import find_task
from mct.models.writing.drafts import draft_folder
from mct.targets.budget import find_budget
from mct.targets.target import find_target

ROUNDS = 10
"""Fresh processes of each side: enough for a ratio's interval, few enough for a test's patience."""
BLOCK_S = 0.15
LOST_SHOWN = 3


@dataclass(frozen=True)
class Watch:
    """What to measure. `baseline` is the base's artifact or checkpoint; without it the stored run is compared with.

    `max_slowdown` is the share by which it may be slower; None: a tenth in one job, a quarter against a stored run.
    """

    artifact: Path
    data: Path
    budget: str | None
    baseline: Path | None
    max_seconds: float
    budgets: Path | None
    fields: Mapping[str, str]
    target: str = "cpu"
    max_slowdown: float | None = None

    def tolerated(self, usual: float) -> float:
        """`max_slowdown`, or what is usual; 0 is a share too."""
        return usual if self.max_slowdown is None else self.max_slowdown


@dataclass(frozen=True)
class BaselineStore:
    """Where runs are kept: `path` is a result, or a folder with a folder per test, this test's being `name`.

    `must_exist`: a path that was named and is not there is an error. `keep_run`: store this one, instead of comparing.
    """

    path: Path
    name: str
    must_exist: bool
    keep_run: bool

    @property
    def folder(self) -> Path:
        """This test's results."""
        return self.path / self.name

    def newest(self) -> Path | None:
        """The result to compare with; None where nothing is stored yet."""
        if self.path.is_file():
            return self.path
        if self.must_exist and not self.path.exists() and not self.keep_run:
            raise MctError(f"the baseline {self.path} does not exist", "make it with: pytest --mct-store")
        found = list_results(self.folder) or list_results(self.path)
        return found[-1] if found else None


@dataclass(frozen=True)
class Finding:
    """What was found: the judged lines, the change's own measurement, and its entry as `mct bench --json` writes it."""

    lines: tuple[Line, ...]
    measurement: Measurement
    entry: Mapping[str, Any]
    lost: tuple[str, ...] = ()
    stored: Path | None = None

    @property
    def outcome(self) -> Outcome:
        """The worst of the lines. Nothing to be held against is inconclusive, unless the run was only to be kept."""
        if not self.lines and self.stored:
            return "pass"
        return worst(line.outcome for line in self.lines)

    @cached_property
    def seconds(self) -> list[float]:
        """Every timed request, in order."""
        return [nanoseconds / 1e9 for block in self.measurement.blocks for nanoseconds in block.end_to_end_ns]

    def summary(self) -> dict[str, Any]:
        """What to keep beside the latencies, JSON-able."""
        latency, quality = self.entry["latency"], self.entry["quality"]
        return {
            "artifact": self.entry["artifact"],
            "digest": self.entry["digest"],
            "fingerprint": self.entry["environment"]["fingerprint"],
            "p95_ms": latency["p95_ms"] if latency else None,
            "p95_ci_ms": latency["p95_ci_ms"] if latency else None,
            "quality": quality["value"] if quality else None,
            "outcome": self.outcome,
            "lines": [{"limit": line.limit, "measured": line.measured, "outcome": line.outcome} for line in self.lines],
        }

    def describe(self) -> str:
        """The outcome and each line with its numbers, to be read in a test's output."""
        passed = "not worse" if self.lines else "kept"
        words = {"pass": passed, "fail": "worse than it may be", "inconclusive": "not decided"}
        lines = [f"{self.entry['artifact']}: {words[self.outcome]}"]
        lines += [f"  {line.outcome:<12} {line.limit}: {line.measured}. {line.reason}" for line in self.lines]
        if not self.lines and not self.stored:
            lines.append("  nothing to hold it against: give a budget or a baseline, or store one with --mct-store")
        if self.stored:
            lines.append(f"  stored as {self.stored}")
        return "\n".join([*lines, *(f"  lost: {example}" for example in self.lost)])


def inspect(watch: Watch, store: BaselineStore) -> Finding:
    """Measure and judge. MctError for what the caller can mend, among it an artifact that does not run."""
    if not 0 <= watch.tolerated(0.0) < inf:
        raise MctError(
            f"max_slowdown is {watch.max_slowdown}, no share to be slower by", "0.2 allows a fifth, 0 nothing"
        )
    stored = None if watch.baseline or store.keep_run else store.newest()
    with draft_folder(Path(tempfile.gettempdir()), "mct") as scratch:
        results = store.folder if store.keep_run else scratch
        result = run_job(_job(watch, results))
        path = results / f"{result['id']}.json"
        now = read_own_samples(path, result)
    for each in now.measurements:
        if each.failure is not None:
            hint = each.failure.hint or " ".join(each.failure.stderr[-1:])
            raise MctError(f"{each.subject.name} could not be measured: {each.failure.message}", hint)
    change = next(each for each in now.measurements if each.subject.name != now.question.baseline)
    entry = next(entry for entry in result["artifacts"] if entry["artifact"] == change.subject.name)
    budget = now.question.budget
    compared: tuple[Line, ...] = ()
    if stored is not None:
        earlier, then = _read(stored, store, change.subject.name)
        base = earlier if then.data.sha256 == now.question.data.sha256 else None
        compared = _stored_lines(earlier, then, base, change, now.question, watch.tolerated(ACROSS_RUNS))
    else:
        base = next((each for each in now.measurements if each is not change), None)
        if base is not None:
            slower = judge_same_job(base, change, watch.max_slowdown)
            compared = (slower, *judge_quality(base, change, budget))
    lines = (*compared, *(judge(change, budget, base).lines if budget else ()))
    once = tuple({line.limit: line for line in lines}.values())
    return Finding(once, change, entry, _lost(base, change, watch), path if store.keep_run else None)


def _job(watch: Watch, results: Path) -> Job:
    return Job(
        paths=(watch.artifact,),
        data=watch.data,
        target=find_target(watch.target),
        budget=None if watch.budget is None else find_budget(watch.budget, watch.budgets),
        baseline=watch.baseline,
        renames=watch.fields,
        results=results,
        max_seconds=watch.max_seconds,
        rounds=ROUNDS if watch.baseline else None,
        block_s=BLOCK_S if watch.baseline else None,
    )


def _read(path: Path, store: BaselineStore, name: str) -> tuple[Measurement, Question]:
    """A stored run's measurement of that name, or its only one, or the one that was stored for this very test."""
    samples = read_own_samples(path, read_result(path))
    others = [each for each in samples.measurements if each.subject.name != samples.question.baseline]
    found = [each for each in samples.measurements if each.subject.name == name]
    if not found and (path.parent == store.folder or len(others) == 1):
        found = others[:1]
    if not found:
        known = ", ".join(each.subject.name for each in samples.measurements)
        raise MctError(f"the baseline {path} has no {name}", f"it has {known}")
    return found[0], samples.question


def _stored_lines(
    earlier: Measurement, then: Question, base: Measurement | None, change: Measurement, now: Question, tolerated: float
) -> tuple[Line, ...]:
    """Against a stored run: latency if the conditions are those of then, quality if the data are (`base`)."""
    different = differences(then.environments[earlier.subject.name], now.environments[change.subject.name])
    latency = other_conditions(different) if different else judge_stored(earlier, change, tolerated)
    if base is not None:
        return (latency, *judge_quality(base, change, now.budget))
    reason = f"The stored run answered other data than {now.data.name} is now: store one with --mct-store."
    return latency, Line("quality not below the stored run's", "-", "inconclusive", reason)


def _lost(base: Measurement | None, change: Measurement, watch: Watch) -> tuple[str, ...]:
    """The first examples that the change answers worse than the base, to be read by a person."""
    lost = () if base is None else flipped(base, change)[0]
    if not lost:
        return ()
    subject = change.subject
    dataset = read_dataset(watch.data, find_task(subject.task), watch.fields)
    examples = read_examples(dataset, subject.task, subject.heads)
    shown = [
        f"{_short(examples[each.row].text)!r} is {_short(str(each.truth))}, now {_short(str(each.b))}"
        for each in lost[:LOST_SHOWN]
    ]
    return (*shown, *([f"and {len(lost) - LOST_SHOWN} more"] if len(lost) > LOST_SHOWN else []))


def _short(text: str, most: int = 70) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
