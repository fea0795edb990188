"""What a gate makes of the stored results: every budget, on every target that this stage's gate ever saw a run on.

Results are judged again from their samples, as `mct gate` does, at the error that is left to this try (tries.py). A
target whose result is gone, or whose run was cut off, stays a line that holds the release back: who deletes what failed
has shown nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mct import MctError
from mct.bench.judge.line import Line, Outcome
from mct.release.promotion.gate_values import GateLine, Question, Tried
from mct.release.promotion.releases import Run
from mct.release.promotion.tries import Attempt, error_of_try, find_attempts, quality_tries

if TYPE_CHECKING:
    from mct.bench.judge.verdict import Verdict
    from mct.bench.store.samples_file import Samples

LATENCY = "P95 <"
"""What the lines begin with that hang on a run's luck with the machine."""


def measured_lines(question: Question) -> tuple[list[GateLine], tuple[Run, ...], tuple[Tried, ...]]:
    """The lines of all budgets on all targets, the runs that were seen, and what each target's try may err."""
    attempts = find_attempts(question)
    lines, tried, met = [], [], 0
    for target in attempts.targets:
        there, gone = ([each for each in part if each.run.target == target] for part in (attempts.there, attempts.gone))
        runs = len(there) + len(gone)
        of_target = Tried(target, runs, len(gone), error_of_try(runs), error_of_try(quality_tries([*there, *gone])))
        newest = next((each for each in reversed(there) if each.path), None)
        judged = list(_judged(question, newest, of_target)) if newest else [_lost(target, there)]
        met += all(line.outcome == "pass" for line in judged)
        lines += judged
        tried.append(of_target)
    return [*_enough(question, attempts.there, met), *lines], tuple(each.run for each in attempts.there), tuple(tried)


def _lost(target: str, cut_off: Sequence[Attempt]) -> GateLine:
    """A target that there is no whole result of any more, or yet."""
    found = "its run was cut off" if cut_off else "its result is gone"
    reason = "Measure it there again, or name the targets that count (on)."
    return GateLine("measured", f"a result on {target}", f"measured, and {found}", "inconclusive", reason)


def _enough(question: Question, attempts: Sequence[Attempt], met: int) -> Iterator[GateLine]:
    """Whether the release itself was measured, and on how many targets it met everything."""
    whole = [each for each in attempts if each.path]
    if not whole:
        others = _measured_otherwise(question)
        reason = (
            f"No stored result is of this artifact; {others}" if others else "No stored result is of this artifact."
        )
        yield GateLine("measured", "what is deployed is what was measured", "no run", "inconclusive", reason)
        return
    yield GateLine(
        "measured", "what is deployed is what was measured", f"{len(whole)} {'run' if len(whole) == 1 else 'runs'}",
        "pass", f"Runs bear the release's own digest, {question.release.digest[:12]}.",
    )  # fmt: skip
    wanted = question.gate.targets
    if wanted > 1:
        there = len({each.run.target for each in whole})
        outcome: Outcome = "pass" if met >= wanted else "inconclusive"
        yield GateLine(
            "measured", f"every budget met on at least {wanted} targets", f"{met} of {there}", outcome,
            "A target that was measured and not met counts against it by its own lines.",
        )  # fmt: skip


def _measured_otherwise(question: Question) -> str:
    """What results there are of an artifact of the same name and other bytes."""
    from mct.bench.store.store import list_results, read_result

    places = [place for place in question.paths(question.gate.results) if place.is_dir()]
    names = {
        f"{entry['artifact']} {entry['digest'][:12]}"
        for place in places
        for path in list_results(place)
        for entry in read_result(path)["artifacts"]
        if entry["artifact"].rpartition("/")[2] == question.release.artifact
    }
    return f"there are of {', '.join(sorted(names)[:3])}." if names else ""


def _judged(question: Question, newest: Attempt, tried: Tried) -> Iterator[GateLine]:
    """The lines of the newest run on a target, by every budget."""
    from mct.bench.store.reading import read_own_samples
    from mct.bench.store.store import read_result

    assert newest.path is not None
    result = read_result(newest.path)
    samples = read_own_samples(newest.path, result)
    raw = newest.path.parent / str(result["samples"])
    evidence = (question.keep("result", newest.path, newest.created), question.keep("samples", raw, newest.created))
    for name in question.gate.budgets:
        subject = f"budget {name} on {tried.target}"
        for line in _verdict_lines(question, samples, newest.name, name, tried):
            yield GateLine(subject, line.limit, line.measured, line.outcome, line.reason, evidence)
    yield from question.age_lines(f"measured on {tried.target}", newest.created, evidence)


def _verdict_lines(question: Question, samples: Samples, subject: str, budget_name: str, tried: Tried) -> list[Line]:
    """The verdict on one subject: what hangs on the machine's luck by the tries, the answers by their own."""
    from mct.bench.judge.verdict import judge
    from mct.targets.budget import find_budget, stricter_on

    file = question.home / question.gate.budgets_file if question.gate.budgets_file else None
    budget = find_budget(budget_name, file)
    if samples.question.target is not None:
        budget = stricter_on(budget, samples.question.target)
    measured = next(each for each in samples.measurements if each.subject.name == subject)
    if measured.subject.task != budget.task:
        raise MctError(
            f"budget {budget_name} is for {budget.task}, {subject} for {measured.subject.task}",
            "name the budget of its scenario",
        )
    baseline = next((each for each in samples.measurements if each.subject.name == samples.question.baseline), None)
    by_luck: Verdict = judge(measured, budget, baseline, tried.error)
    by_answers: Verdict = judge(measured, budget, baseline, tried.quality_error)
    said = f" Try {tried.runs}: judged with an error of {100 * tried.error:.2g} %."
    if baseline is measured:
        by_answers = replace(by_answers, lines=tuple(_against_itself(line) for line in by_answers.lines))
    lucky = [replace(line, reason=line.reason + said) for line in by_luck.lines if line.limit.startswith(LATENCY)]
    return [*lucky, *(line for line in by_answers.lines if not line.limit.startswith(LATENCY))]


def _against_itself(line: Line) -> Line:
    """What a line about answers says of an artifact that was its own baseline: nothing that a gate could rest on."""
    if line.outcome != "pass" or "baseline" not in f"{line.limit} {line.reason}":
        return line
    return replace(
        line, outcome="inconclusive", reason="It was held against itself: bench it beside what it was made of."
    )
