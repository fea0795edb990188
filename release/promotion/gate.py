"""The gate: whether what is known of a release lets it go to a stage, line by line, from the raw values.

Nothing passes by being absent: a result, a report or a practice that is missing makes a line inconclusive, which holds
the release back as a fail does. Results are judged again from their samples, as `mct gate` does, at the error that is
left to this try (tries.py). Everything that was read is stored by its digest, and the look itself is journalled with
all the runs that it saw, whatever it comes to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from mct import MctError
from mct.bench.judge.line import Line, Outcome, worst
from mct.models.data.declared import is_declared, read_bytes
from mct.models.data.files import unpacked
from mct.release.promotion.gate_file import Gate, read_gate
from mct.release.promotion.gate_values import Evidence, EvidenceKind, GateLine, GateVerdict, StoredVerdict, Tried
from mct.release.promotion.releases import Looked, Release, Run, Stage, Time, Track
from mct.release.promotion.reports import read_data_report, read_model_report
from mct.release.promotion.store import Store, now
from mct.release.promotion.tries import (
    Attempt,
    answers_digest,
    attempts_in,
    error_of_try,
    gone_since,
    quality_tries,
)

if TYPE_CHECKING:
    from mct.bench.judge.verdict import Verdict
    from mct.bench.store.samples_file import Samples

LATENCY = "P95 <"
"""What the lines begin with that hang on a run's luck with the machine."""
DAY_S = 86_400.0


@dataclass(frozen=True)
class Question:
    """What a gate is asked: about a release, for a stage. `home` is the folder that its file's paths start from."""

    store: Store
    track: Track
    release: Release
    stage: Stage
    gate: Gate
    home: Path
    at: str

    def paths(self, names: Sequence[str]) -> list[Path]:
        """The files that the gate names."""
        return [self.home / name for name in names]

    def keep(self, kind: EvidenceKind, path: Path, created: str = "") -> Evidence:
        """Store what a file holds."""
        return Evidence(kind, path.name, self.store.keep(read_bytes(path)), created)


def ask_gate(store: Store, ref: str, stage: Stage, gate_file: Path, by: str = "") -> StoredVerdict:
    """Ask the gate of a stage about a release; verdict and evidence are stored, the look is journalled.

    MctError where the gate's file, a result or a report is damaged: what cannot be read cannot be counted.
    """
    gate = read_gate(gate_file, stage)
    release = store.find(ref)
    question = Question(store, store.settle(release.name), release, stage, gate, gate_file.parent, now())
    own = Evidence("gate-file", gate_file.name, store.keep(read_bytes(gate_file)))
    lines: list[GateLine] = []
    runs: tuple[Run, ...] = ()
    tried: tuple[Tried, ...] = ()
    with store.artifact(release):
        lines.append(
            _line(
                "measured",
                "the stored artifact is the release",
                release.digest[:12],
                "pass",
                "Every file has its SHA-256.",
            )
        )
    if gate.budgets:
        found, runs, tried = _measured(question)
        lines += found
    lines += [_behaviour_line(question, path) for path in question.paths(gate.behaviour)]
    measured_on = frozenset(run.data for run in runs)
    lines += [_data_line(question, path, measured_on) for path in question.paths(gate.checks)]
    lines += _rollout(question)
    verdict = GateVerdict(
        1, "mct-release-gate", release.ref, release.digest, stage, question.at,
        worst(line.outcome for line in lines), tuple(lines), tried,
    )  # fmt: skip
    digest = store.keep_json(verdict.as_json())
    evidence = {own.sha256: None} | {each.sha256: None for line in lines for each in line.evidence}
    look = Looked(release.version, stage, verdict.outcome, digest, tuple(evidence), runs)
    store.note(release.name, look, by)
    return StoredVerdict(verdict, digest)


# What was measured


def _measured(question: Question) -> tuple[list[GateLine], tuple[Run, ...], tuple[Tried, ...]]:
    """The lines of all budgets on all targets, the runs that were seen, and what each target's try may err."""
    attempts = _with_answers(
        question, _counted(question, attempts_in(question.paths(question.gate.results), question.release.digest))
    )
    gone = _counted(question, gone_since(_looks_at(question.store, question.release.digest), attempts))
    lines, tried, met = [], [], 0
    for target in sorted({each.run.target for each in attempts if each.path}):
        here = [each for each in (*attempts, *gone) if each.run.target == target]
        newest = next(each for each in reversed(attempts) if each.path and each.run.target == target)
        of_target = Tried(
            target,
            len(here),
            sum(each in gone for each in here),
            error_of_try(len(here)),
            error_of_try(quality_tries(here)),
        )
        judged = list(_judged(question, newest, of_target))
        met += all(line.outcome == "pass" for line in judged)
        lines += judged
        tried.append(of_target)
    return [*_enough(question, attempts, met), *lines], tuple(each.run for each in attempts), tuple(tried)


def _counted(question: Question, attempts: Sequence[Attempt]) -> list[Attempt]:
    """Those runs that the gate lets count: on its targets, and on its test sets where it names some."""
    on, pinned = question.gate.on, {_sha256(question, name) for name in question.gate.data}
    return [each for each in attempts if (not on or each.run.target in on) and (not pinned or each.run.data in pinned)]


def _sha256(question: Question, name: str) -> str:
    """The SHA-256 of a test set, given itself or by its file."""
    import hashlib

    if len(name) == 64 and set(name) <= set("0123456789abcdef"):
        return name
    path = question.home / name
    return hashlib.sha256(unpacked(path, read_bytes(path, "correct `data` in the gate's file"))).hexdigest()


def _looks_at(store: Store, digest: str) -> list[Looked]:
    """Every look at an artifact in the whole store: another name or version gives no try back."""
    found = []
    for name in store.names():
        track = store.track(name)
        versions = {each.version for each in track.releases if each.digest == digest}
        events = [entry.event for entry in track.entries]
        found += [event for event in events if isinstance(event, Looked) and event.version in versions]
    return found


def _with_answers(question: Question, attempts: Sequence[Attempt]) -> list[Attempt]:
    """Each run with the digest of its answers, from an earlier look where one knows it."""
    from mct.bench.store.reading import read_own_samples
    from mct.bench.store.store import read_result

    known = {
        (run.id, run.target): run.answers
        for look in _looks_at(question.store, question.release.digest)
        for run in look.runs
    }
    found = []
    for each in attempts:
        answers = known.get((each.run.id, each.run.target), "")
        if each.path is not None and not answers:
            answers = answers_digest(read_own_samples(each.path, read_result(each.path)), each.name)
        found.append(replace(each, run=msgspec.structs.replace(each.run, answers=answers)))
    return found


def _enough(question: Question, attempts: Sequence[Attempt], met: int) -> Iterator[GateLine]:
    """Whether the release itself was measured, and on how many targets it met everything."""
    whole = [each for each in attempts if each.path]
    if not whole:
        others = _measured_otherwise(question)
        reason = (
            f"No stored result is of this artifact; {others}" if others else "No stored result is of this artifact."
        )
        yield _line("measured", "what is deployed is what was measured", "no run", "inconclusive", reason)
        return
    yield _line(
        "measured", "what is deployed is what was measured", f"{len(whole)} {'run' if len(whole) == 1 else 'runs'}",
        "pass", f"Runs bear the release's own digest, {question.release.digest[:12]}.",
    )  # fmt: skip
    wanted = question.gate.targets
    if wanted > 1:
        there = len({each.run.target for each in whole})
        outcome: Outcome = "pass" if met >= wanted else "inconclusive"
        yield _line(
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
    yield from _age(question, f"measured on {tried.target}", newest.created, evidence)


def _verdict_lines(question: Question, samples: Samples, subject: str, budget_name: str, tried: Tried) -> list[Line]:
    """The verdict on one subject: what hangs on the machine's luck by the tries, the answers by their own."""
    from mct.bench.judge.verdict import judge
    from mct.targets.budget import budget_on, find_budget

    file = question.home / question.gate.budgets_file if question.gate.budgets_file else None
    budget = find_budget(budget_name, file)
    if samples.question.target is not None:
        budget = budget_on(budget, samples.question.target)
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


# What else is known


def _behaviour_line(question: Question, path: Path) -> GateLine:
    """What an inspection comes to; nothing where it is of another artifact, or too old."""
    subject, limit = "behaviour", f"inspected, and within its limits ({path.name})"
    if not path.exists():
        return _line(subject, limit, "missing", "inconclusive", "There is no such report.")
    report = read_model_report(path)
    evidence = (question.keep("explain", path, report.created),)
    if report.digest != question.release.digest:
        return _line(subject, limit, report.digest[:12], "inconclusive", "It is about another artifact.", evidence)
    if report.original == report.digest:
        return _line(subject, limit, "itself", "inconclusive", "It was inspected beside itself.", evidence)
    stale = [line for line in _age(question, limit, report.created, evidence) if line.outcome != "pass"]
    said = "; ".join(report.open_lines) or {"pass": "Every limit holds."}.get(report.outcome, "It judged nothing.")
    return stale[0] if stale else _line(subject, limit, report.outcome, report.outcome, said, evidence)


def _data_line(question: Question, path: Path, measured_on: frozenset[str]) -> GateLine:
    """Whether a data check found no row in two files, and is about the test sets that the release was measured on."""
    subject, limit = "data", f"no row of one file stands in another ({path.name})"
    if not path.exists():
        return _line(subject, limit, "missing", "inconclusive", "There is no such report.")
    report = read_data_report(path)
    evidence = (question.keep("check", path),)
    if report.leaks:
        return _line(subject, limit, f"{report.leaks} rows", "fail", "What was tested on was trained on.", evidence)
    if not measured_on <= report.files:
        unknown = ", ".join(sorted(each[:12] for each in measured_on - report.files))
        return _line(
            subject, limit, "not checked", "inconclusive", f"It does not know the test set {unknown}.", evidence
        )
    if len(report.files) < 2:
        reason = "It read one file alone, which nothing can stand in twice: check it with what was trained on."
        return _line(subject, limit, "not compared", "inconclusive", reason, evidence)
    return _line(subject, limit, "none", "pass", f"{len(report.files)} files were compared.", evidence)


def _age(question: Question, subject: str, created: str, evidence: tuple[Evidence, ...]) -> Iterator[GateLine]:
    """Whether something is young enough, where the gate asks for it."""
    most = question.gate.evidence_days
    if most is None:
        return
    limit, age = f"{subject}: at most {most:g} days old", days_between(created, question.at)
    if age is None:
        yield _line(subject, limit, "undated", "inconclusive", "It does not say when it was made.", evidence)
    elif age < -1 / 24:
        yield _line(subject, limit, created, "inconclusive", "It is dated in the future: a clock is wrong.", evidence)
    elif age > most:
        yield _line(subject, limit, f"{age:.1f} days", "inconclusive", "It is too old to speak of today.", evidence)
    else:
        yield _line(subject, limit, f"{max(age, 0.0):.1f} days", "pass", "It is young enough.", evidence)


def _rollout(question: Question) -> Iterator[GateLine]:
    """Where the release has been before, and whether the way back was practised."""
    gate, track, release = question.gate, question.track, question.release
    if gate.after:
        there = [entry.at for entry, move in track.moves(release.version) if move.to == gate.after]
        days = days_between(there[-1], question.at) if there else None
        wanted = f" for at least {gate.after_days:g} days" if gate.after_days else ""
        met = days is not None and days >= (gate.after_days or 0.0)
        measured = "never" if days is None else f"{days:.2f} days ago"
        reason = "It has been there." if met else f"Promote it to {gate.after} first, and watch it there."
        yield _line("rollout", f"was in {gate.after}{wanted}", measured, "pass" if met else "inconclusive", reason)
    if gate.drill_days is not None:
        drill = track.last_drill()
        age = days_between(drill[0].at, question.at) if drill else None
        limit = f"a rollback was practised in the last {gate.drill_days:g} days"
        if drill is None or age is None or age > gate.drill_days:
            found = "never" if age is None else f"{age:.1f} days ago"
            yield _line("rollout", limit, found, "inconclusive", f"Practise it: mct release drill {release.name}")
        else:
            outcome: Outcome = drill[1].outcome
            yield _line("rollout", limit, f"{age:.1f} days ago", outcome, drill[1].note or "Everything came back.")


def days_between(earlier: str, later: str) -> float | None:
    """Days from one time of ours to another; None where the first is none."""
    if not is_declared(earlier, Time):
        return None
    try:
        return (_moment(later) - _moment(earlier)).total_seconds() / DAY_S
    except ValueError:  # the 31st of February
        return None


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def _line(
    subject: str, limit: str, measured: str, outcome: Outcome, reason: str, evidence: tuple[Evidence, ...] = ()
) -> GateLine:
    return GateLine(subject, limit, measured, outcome, reason, evidence)
