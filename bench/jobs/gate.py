"""The gate for CI: stored runs judged against a budget again, from their raw values.

Nothing that a result says of itself is believed: percentiles, scores and verdicts are computed anew from the samples,
so a result that was edited, or stored by an older rule, passes no gate that its measurements do not pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mct import MctError
from mct.bench.judge.line import Outcome, worst
from mct.bench.store.reading import read_own_samples
from mct.models.tables import unknown

if TYPE_CHECKING:
    from mct.bench.judge.verdict import Verdict
    from mct.bench.store.samples_file import Samples
    from mct.targets.budget import Budget


@dataclass(frozen=True)
class Judged:
    """One artifact of one run, and its verdict."""

    run: str
    artifact: str
    verdict: Verdict


@dataclass(frozen=True)
class Gate:
    """What was judged, and the worst of it: a fail outweighs what is inconclusive, which outweighs a pass."""

    budget: str
    judged: tuple[Judged, ...]

    @property
    def outcome(self) -> Outcome:
        """fail, inconclusive or pass: exit codes 1, 3 and 0."""
        return worst((each.verdict.outcome for each in self.judged), of_none="pass")


def gate(results: Sequence[Path], budget: Budget | None = None, artifacts: Sequence[str] = ()) -> Gate:
    """Judge stored results against `budget`, or each against the one it was measured for.

    Of the limits that a run's target has of its own, those that ask for more than `budget` count beside it.

    `artifacts` names those that count; without names all do, except a run's baseline, which is there to be compared
    with. MctError where samples are missing or damaged, a name is unknown, a run has no budget, or budget and artifact
    are for different tasks.
    """
    from mct.bench.store.store import read_result

    if not results:
        raise MctError("there are no results to judge", "run mct bench first, or name result files")
    runs = [read_own_samples(path, read_result(path)) for path in results]
    known = [each.subject.name for run in runs for each in run.measurements]
    for name in artifacts:
        if name not in known:
            raise unknown("artifact", name, known)
    judged = [each for run in runs for each in _judge_run(run, budget, artifacts)]
    names = sorted({_budget(run, budget).name for run in runs})
    return Gate(", ".join(names), tuple(judged))


def describe(gate: Gate) -> str:
    """The outcome of a gate for a person: one line per artifact, and below it the limits it did not pass."""
    from mct.bench.report.table import MARKS

    lines = [f"{MARKS[gate.outcome]}: budget {gate.budget}"]
    for each in gate.judged:
        lines.append(f"  {MARKS[each.verdict.outcome]}  {each.artifact} ({each.run})")
        lines += [
            f"      {MARKS[line.outcome]}  {line.limit}: {line.measured}. {line.reason}"
            for line in each.verdict.lines
            if line.outcome != "pass"
        ]
    return "\n".join(lines)


def _budget(run: Samples, budget: Budget | None) -> Budget:
    from mct.targets.budget import stricter_on

    target = run.question.target
    if budget is not None:
        return budget if target is None else stricter_on(budget, target)
    if run.question.budget is None:
        raise MctError(f"run {run.identity.id} was measured without a budget", "name one with --budget")
    return run.question.budget


def _judge_run(run: Samples, budget: Budget | None, artifacts: Sequence[str]) -> list[Judged]:
    from mct.bench.judge.verdict import judge

    limits = _budget(run, budget)
    baseline = next((each for each in run.measurements if each.subject.name == run.question.baseline), None)
    found = []
    for each in run.measurements:
        name = each.subject.name
        counts = name in artifacts if artifacts else name != run.question.baseline or len(run.measurements) == 1
        if not counts:
            continue
        if each.subject.task != limits.task:
            raise MctError(
                f"budget {limits.name} is for {limits.task}, but {name} is for {each.subject.task}",
                "name the budget of its scenario with --budget",
            )
        found.append(Judged(run.identity.id, name, judge(each, limits, baseline)))
    return found
