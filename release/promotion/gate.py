"""The gate: whether what is known of a release lets it go to a stage, line by line, from the raw values.

Nothing passes by being absent: a result, a report or a practice that is missing makes a line inconclusive, which holds
the release back as a fail does. Everything that was read is stored by its digest, and the look itself is journalled
with all the runs that it saw, whatever it comes to.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mct.bench.judge.line import Outcome, worst
from mct.models.tasks.table import asks_alike
from mct.release.promotion.gate_file import pinned_data, read_gate
from mct.release.promotion.gate_values import Evidence, GateLine, GateVerdict, Question, StoredVerdict, Tried, copied
from mct.release.promotion.measured import measured_lines
from mct.release.promotion.releases import Looked, Run, Stage, days_between
from mct.release.promotion.reports import (
    DataReport,
    lacking,
    made_of,
    read_data_report,
    read_model_report,
    taught_by,
)
from mct.release.promotion.store import Store, moment


def ask_gate(store: Store, ref: str, stage: Stage, gate_file: Path, by: str = "") -> StoredVerdict:
    """Ask the gate of a stage about a release; verdict and evidence are stored, the look is journalled.

    MctError where the gate's file, a result or a report is damaged: what cannot be read cannot be counted. Nothing is
    stored then.
    """
    gate = read_gate(gate_file, stage)
    release = store.find(ref)
    track = store.settle(release.name)
    at, pinned = moment(track), pinned_data(gate, gate_file.parent)
    lines: list[GateLine] = []
    runs: tuple[Run, ...] = ()
    tried: tuple[Tried, ...] = ()
    with store.artifact(release) as folder:
        taught, roots = taught_by(folder), made_of(folder)
        whole = "the stored artifact is the release"
        lines.append(GateLine("measured", whole, release.digest[:12], "pass", "Every file has its SHA-256."))
    question = Question(store, track, release, stage, gate, gate_file.parent, at, roots, pinned)
    own = question.keep("gate-file", gate_file)
    if gate.budgets:
        found, runs, tried = measured_lines(question)
        lines += found
    lines += [_behaviour_line(question, path) for path in question.paths(gate.behaviour)]
    measured_on = frozenset(run.data for run in runs)
    lines += [_data_line(question, path, measured_on, taught) for path in question.paths(gate.checks)]
    lines += _rollout(question)
    verdict = GateVerdict(
        1, "mct-release-gate", release.ref, release.digest, stage, question.at,
        worst(line.outcome for line in lines), tuple(lines), tried,
    )  # fmt: skip
    for content in question.kept.values():
        store.keep(content)
    digest = store.keep_json(verdict.as_json())
    evidence = {own.sha256: None} | {each.sha256: None for line in lines for each in line.evidence}
    look = Looked(release.version, stage, verdict.outcome, digest, tuple(evidence), runs)
    store.note(release.name, look, by)
    return StoredVerdict(verdict, digest)


def _behaviour_line(question: Question, path: Path) -> GateLine:
    """What an inspection comes to; nothing where it is of another artifact, too old, or by looser limits."""
    subject, limit = "behaviour", f"inspected, and within its limits ({path.name})"
    if not path.exists():
        return GateLine(subject, limit, "missing", "inconclusive", "There is no such report.")
    report = read_model_report(path)
    evidence: tuple[Evidence, ...] = (question.keep("explain", path, report.created),)
    if report.digest != question.release.digest:
        return GateLine(subject, limit, report.digest[:12], "inconclusive", "It is about another artifact.", evidence)
    if why := question.basis.why_no_inspection(report):
        return GateLine(subject, limit, why[0], "inconclusive", why[1], evidence)
    own = question.home / question.gate.limits if question.gate.limits else None
    if report.outcome == "pass":
        lack = lacking(report, own)
        evidence += (question.keep("limits", own),) if own else ()
        if lack:
            return GateLine(subject, limit, "other limits", "inconclusive", lack, evidence)
    stale = [line for line in question.age_lines(limit, report.created, evidence) if line.outcome != "pass"]
    said = "; ".join(report.open_lines) or {"pass": "Every limit holds."}.get(report.outcome, "It judged nothing.")
    return stale[0] if stale else GateLine(subject, limit, report.outcome, report.outcome, said, evidence)


def _data_line(question: Question, path: Path, measured_on: frozenset[str], taught: frozenset[str]) -> GateLine:
    """Whether a data check found no row in two files, and is about what the release was measured on and taught by."""
    subject, limit = "data", f"no row of one file stands in another ({path.name})"
    if not path.exists():
        return GateLine(subject, limit, "missing", "inconclusive", "There is no such report.")
    report = read_data_report(path)
    evidence = (question.keep("check", path),)
    if measured_on & taught:
        return GateLine(subject, limit, "all rows", "fail", "It was taught by what it was tested on.", evidence)
    if leaks := report.leaks(measured_on):
        return GateLine(subject, limit, f"{leaks} rows", "fail", "What was tested on was trained on.", evidence)
    for what, digests in (("the test set", measured_on), ("what taught it,", taught)):
        if not digests <= report.files:
            unknown = ", ".join(sorted(each[:12] for each in digests - report.files))
            reason = f"It does not know {what} {unknown}."
            return GateLine(subject, limit, "not checked", "inconclusive", reason, evidence)
    if fault := report.fault or question.basis.misread(report.fields) or _other_inputs(question, report):
        return GateLine(subject, limit, "not compared", "inconclusive", fault, evidence)
    known = "" if taught else ", of which none is known to have taught it"
    return GateLine(subject, limit, "none", "pass", f"{len(report.files)} files were compared{known}.", evidence)


def _other_inputs(question: Question, report: DataReport) -> str:
    """Why a check compared other columns than a release of this task is asked by; "" where it compared these."""
    if asks_alike(question.release.task, report.task):
        return ""
    return f"It compared what a {report.task or 'nameless'} task asks, and the release is for {question.release.task}."


def _rollout(question: Question) -> Iterator[GateLine]:
    """Where the release has been before, and whether the way back was practised."""
    gate, track, release = question.gate, question.track, question.release
    rests = [entry.number for entry, move in track.moves(release.version) if gate.after and move.to == gate.after][:1]
    rests += [drill[0].number] if gate.drill_days is not None and (drill := track.last_drill()) else []
    for number in rests:
        if fault := copied(question.store, track, number):
            yield GateLine("rollout", "a journal of its own", fault[0], "inconclusive", fault[1])
            return
    if gate.after:
        days = track.days_in(release.version, gate.after, question.at)
        wanted = f" for at least {gate.after_days:g} days" if gate.after_days else ""
        met = days is not None and days >= (gate.after_days or 0.0)
        measured = "never" if days is None else f"{days:.2f} days in all"
        reason = "It has been there." if met else f"Promote it to {gate.after} first, and watch it there."
        yield GateLine("rollout", f"was in {gate.after}{wanted}", measured, "pass" if met else "inconclusive", reason)
    if gate.drill_days is not None:
        drill = track.last_drill()
        age = days_between(drill[0].at, question.at) if drill else None
        age = None if age is None else max(age, 0.0)
        limit = f"a rollback was practised in the last {gate.drill_days:g} days"
        if drill is None or age is None or age > gate.drill_days:
            found = "never" if age is None else f"{age:.1f} days ago"
            yield GateLine("rollout", limit, found, "inconclusive", f"Practise it: mct release drill {release.name}")
        else:
            outcome: Outcome = drill[1].outcome
            yield GateLine("rollout", limit, f"{age:.1f} days ago", outcome, drill[1].note or "Everything came back.")
