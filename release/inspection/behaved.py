"""Behaviour tests alone, on one model: what `mct behave` does and what `behave.json` holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mct.bench.jobs.job import require_one_task
from mct.bench.jobs.run import open_model
from mct.bench.judge.line import Line, Outcome, worst
from mct.bench.samples.subject import told_to
from mct.bench.statistics.levels import ERROR
from mct.bench.statistics.rounding import rounded
from mct.models.checkpoints.adapted import Told
from mct.models.progress import Report, part
from mct.release.inspection.asking.opened import ready
from mct.release.inspection.behaviour.behave import require_fitting, run_suite
from mct.release.inspection.behaviour.tests_file import Suite
from mct.release.inspection.explain import behaviour_of, share_of, test_lines
from mct.release.inspection.explanation import SCHEMA, Behaviour
from mct.release.inspection.limits import line_at_most

KIND = "mct-behave"


@dataclass(frozen=True)
class Behaved:
    """How one model passed every test of a file, beside the original where one was given ("" otherwise)."""

    name: str
    digest: str
    original: str
    tests: str
    seed: int
    created: str
    behaviour: tuple[Behaviour, ...]
    lines: tuple[Line, ...]

    @property
    def outcome(self) -> Outcome:
        """The worst line; inconclusive where nothing was judged."""
        return worst(line.outcome for line in self.lines)

    def as_json(self) -> dict[str, Any]:
        """As behave.json has it."""
        body = asdict(self)
        head = {"schema": SCHEMA, "kind": KIND, "outcome": self.outcome, "lines": body.pop("lines")}
        plain: dict[str, Any] = head | rounded(body, 6)
        return plain


def behave(
    model: Path, suite: Suite, original: Path | None, most: float | None, seed: int, told: Told, report: Report
) -> Behaved:
    """Run the tests. `most` is the share of all cases that may fail. MctError where a test does not fit the model."""
    paths = [model, *([original] if original else [])]
    of_each = told_to(paths, told)
    models = [open_model(path, told=of_each[path]) for path in paths]
    require_one_task([each.subject for each in models])
    asked = [ready(each) for each in models]
    for each in asked:
        require_fitting(suite, each)
    results = [
        run_suite(suite, each, seed, part(report, at / len(asked), (at + 1) / len(asked)))
        for at, each in enumerate(asked)
    ]
    found = tuple(
        behaviour_of(test, results[0][test.name], results[1][test.name] if original else None) for test in suite.tests
    )
    return Behaved(
        models[0].subject.name, models[0].subject.digest, models[1].subject.name if original else "", suite.name, seed,
        datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"), found, _lines(found, most),
    )  # fmt: skip


def _lines(found: Sequence[Behaviour], most: float | None) -> tuple[Line, ...]:
    count = sum(each.test.most_failures is not None for each in found) + (most is not None)
    lines = test_lines(found, count)
    if most is None:
        return tuple(lines)
    cases, failed = sum(each.artifact.n for each in found), sum(each.artifact.count for each in found)
    return (line_at_most("behaviour_fail_max", most, share_of(failed, cases), ERROR, count), *lines)
