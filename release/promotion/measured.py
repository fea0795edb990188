"""What a gate makes of the stored results: every budget, on every target that this stage's gate ever saw a run on.

Results are judged again from their samples, as `mct gate` does, at the error that is left to this try (tries.py). A
target that the gate names and that there is no result of, whose result is gone, or whose run was cut off, stays a line
that holds the release back: who deletes what failed has shown nothing. Neither has who measures beside a copy of the
artifact, on a target of his own that bears a built-in's name, or by a clock that runs ahead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mct import MctError
from mct.bench.judge.line import Line, Outcome
from mct.models.data.declared import read_object
from mct.release.promotion.gate_values import GateLine, Question, Tried
from mct.release.promotion.releases import Run
from mct.release.promotion.tries import Attempt, Attempts, error_of_try, find_attempts, quality_tries

if TYPE_CHECKING:
    from pathlib import Path

    from mct.bench.judge.verdict import Verdict
    from mct.bench.samples.subject import Subject
    from mct.bench.store.samples_file import Samples
    from mct.targets.target import Target

LATENCY = "P95 <"
"""What the lines begin with that hang on a run's luck with the machine."""

MACHINE = ("cpu", "architecture", "instruction_sets")
"""What of an environment tells one kind of machine from another."""

NO_BASELINE = "There is no baseline to compare with"

MEBI = 2**20 / 1e6

HARDWARE = (
    "device", "index", "threads", "memory_mb", "runtimes", "architecture", "instruction_sets", "transport", "host",
    "download_mbps",
)  # fmt: skip
"""The fields of a target that say what is measured on."""


def measured_lines(question: Question) -> tuple[list[GateLine], tuple[Run, ...], tuple[Tried, ...]]:
    """The lines of all budgets on all targets, the runs that were seen, and what each target's try may err."""
    attempts = find_attempts(question)
    lines, tried, met = [], [], set[tuple[object, ...]]()
    for target in attempts.targets:
        there, gone = ([each for each in part if each.run.target == target] for part in (attempts.there, attempts.gone))
        runs = len(there) + len(gone)
        if not runs:
            lines.append(_lost(target, "not measured there"))
            continue
        of_target = Tried(target, runs, len(gone), error_of_try(runs), error_of_try(quality_tries([*there, *gone])))
        whole = sorted((each for each in there if each.path and each.shows), key=lambda each: _rank(question, each))
        judged = (
            list(_judged(question, whole[-1], of_target))
            if whole
            else [_lost(target, _why_lost(attempts, there, gone))]
        )
        judged += [line for each in whole[:-1] for line in _ahead(question, each)]
        if whole and all(line.outcome == "pass" for line in judged):
            met.add(_machine_of(whole[-1]))
        lines += judged
        tried.append(of_target)
    return (
        [*_enough(question, attempts.there, len(met)), *lines],
        tuple(each.run for each in attempts.there),
        tuple(tried),
    )


def _rank(question: Question, attempt: Attempt) -> tuple[bool, str, str]:
    """Runs in order, the newest last; those from the future come before all others."""
    return (not question.is_ahead(attempt.created), attempt.created, attempt.run.id)


def _ahead(question: Question, attempt: Attempt) -> list[GateLine]:
    """What a run says that is not judged: nothing, unless it is dated in the future."""
    if attempt.path is None or not question.is_ahead(attempt.created):
        return []
    evidence = (question.keep("result", attempt.path, attempt.created),)
    return list(question.age_lines(f"measured on {attempt.run.target}", attempt.created, evidence))


def _lost(target: str, found: str) -> GateLine:
    """A target that there is no whole result of any more, or yet."""
    reason = "Measure it there, or name the targets that count (on)."
    return GateLine("measured", f"a result on {target}", found, "inconclusive", reason)


def _why_lost(attempts: Attempts, there: Sequence[Attempt], gone: Sequence[Attempt]) -> str:
    whole = [each for each in there if each.path]
    if misread := next((each.fields for each in whole if each.fields), None):
        return f"measured, {', '.join(f'{theirs} read as {ours}' for ours, theirs in misread.items())}"
    if there:
        return "measured, in no result that counts here" if whole else "measured, and its run was cut off"
    if attempts.pinned.isdisjoint(each.run.data for each in gone) and attempts.pinned:
        return "measured, on another test set"
    return "measured, and its result is gone"


def _enough(question: Question, attempts: Sequence[Attempt], met: int) -> Iterator[GateLine]:
    """Whether the release itself was measured, and on how many targets it met everything."""
    whole = [each for each in attempts if each.path and each.shows]
    if not whole:
        others = _measured_otherwise(question)
        misread = [why for each in attempts if each.path and (why := question.basis.misread(each.fields))]
        none = f"No stored result is of this artifact; {others}" if others else "No stored result is of this artifact."
        reason = misread[-1] if misread else none
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
            "A target that was measured and not met counts against it by its own lines; one machine under two names, "
            "once.",
        )  # fmt: skip


def _machine_of(attempt: Attempt) -> tuple[object, ...]:
    """What a run was measured on, whatever it was called: one kind of machine, used in one way, is one target.

    Another number of threads is another way, and a limit of memory is where it bound the run.
    """
    assert attempt.path is not None
    result = read_object(attempt.path)
    entry = next(each for each in result["artifacts"] if each["artifact"] in attempt.names)
    environment = entry["environment"]
    target, plan = result["target"], result["plan"]
    way = target.get("transport", "")
    return (
        *(str(environment.get(name)) for name in MACHINE), (environment.get("gpu") or {}).get("name"),
        target["device"], "" if way in {"here", "ssh"} else way, plan["threads"],
        _bound_mb(plan.get("memory_mb", 0), entry["peak_rss_mb"]),
    )  # fmt: skip


def _bound_mb(limit_mb: int, peak_rss_mb: float | None) -> int:
    """The memory (10^6 bytes) that a run was held to; 0 where it used less anyway (2^20 bytes)."""
    return limit_mb if peak_rss_mb is not None and peak_rss_mb * MEBI >= limit_mb else 0


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
    """The lines of the newest run on a target, by every budget; of each copy of the artifact that it measured."""
    from mct.bench.store.reading import read_own_samples
    from mct.bench.store.store import read_result

    assert newest.path is not None
    result = read_result(newest.path)
    samples = read_own_samples(newest.path, result)
    raw = newest.path.parent / str(result["samples"])
    evidence = (question.keep("result", newest.path, newest.created), question.keep("samples", raw, newest.created))
    file = _budgets_file(question)
    judged_by = (*evidence, *((question.keep("budgets", file),) if file else ()))
    for name in question.gate.budgets:
        for artifact in newest.names:
            subject = f"budget {name} on {tried.target}" + (f" ({artifact})" if len(newest.names) > 1 else "")
            for line in _verdict_lines(question, samples, artifact, name, tried):
                yield GateLine(subject, line.limit, line.measured, line.outcome, line.reason, judged_by)
    if other := _unlike_built_in(samples.question.target):
        limit, reason = f"{tried.target} as it is built in", "Give a target of your own a name of its own."
        yield GateLine("measured", limit, f"other {other}", "inconclusive", reason, evidence)
    yield from question.age_lines(f"measured on {tried.target}", newest.created, evidence)


def _budgets_file(question: Question) -> Path | None:
    return question.home / question.gate.budgets_file if question.gate.budgets_file else None


def _unlike_built_in(target: Target | None) -> str:
    """In what a target differs from the built-in one of its name; "" where it does not, or there is none."""
    from mct.targets.target import load_targets

    built_in = load_targets().get(target.name) if target else None
    if built_in is None:
        return ""
    return ", ".join(name for name in HARDWARE if getattr(target, name) != getattr(built_in, name))


def _verdict_lines(question: Question, samples: Samples, subject: str, budget_name: str, tried: Tried) -> list[Line]:
    """The verdict on one subject: what hangs on the machine's luck by the tries, the answers by their own."""
    from mct.bench.judge.verdict import judge
    from mct.targets.budget import find_budget, stricter_on

    budget = find_budget(budget_name, _budgets_file(question))
    if samples.question.target is not None:
        budget = stricter_on(budget, samples.question.target)
    measured = next(each for each in samples.measurements if each.subject.name == subject)
    if measured.subject.task != budget.task:
        raise MctError(
            f"budget {budget_name} is for {budget.task}, {subject} for {measured.subject.task}",
            "name the budget of its scenario",
        )
    baseline = next((each for each in samples.measurements if each.subject.name == samples.question.baseline), None)
    unfit = _unfit(question, baseline.subject) if baseline is not None else ""
    baseline = None if unfit else baseline
    by_luck: Verdict = judge(measured, budget, baseline, tried.error)
    by_answers: Verdict = judge(measured, budget, baseline, tried.quality_error)
    said = f" Try {tried.runs}: judged with an error of {100 * tried.error:.2g} %."
    lucky = [replace(line, reason=line.reason + said) for line in by_luck.lines if line.limit.startswith(LATENCY)]
    rest = [line for line in by_answers.lines if not line.limit.startswith(LATENCY)]
    return [*lucky, *(_without(line, unfit) if unfit else line for line in rest)]


def _unfit(question: Question, baseline: Subject) -> str:
    """Why a run's baseline is none for the release; "" where it is one."""
    return question.basis.unfit(baseline.digest, baseline.origin.equals if baseline.origin else None)


def _without(line: Line, unfit: str) -> Line:
    """What a line says that was judged without a baseline, since the one that there was is none."""
    return replace(line, reason=unfit) if NO_BASELINE in line.reason else line
