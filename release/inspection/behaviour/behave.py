"""What one model makes of behaviour tests: which cases fail, and why. Any artifact or checkpoint, any runtime.

Rates speak of fillings of these templates, not of what customers write: a test shows that a behaviour is missing, many
passed ones make it likely that it is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mct import MctError
from mct.models.progress import Report, silent
from mct.models.tables import unknown
from mct.models.tasks.examples import Example
from mct.release.inspection.asking.opened import Asked, Told, decide_all, outputs_of
from mct.release.inspection.asking.questions import Decision, Target, evidence
from mct.release.inspection.asking.words import cut_answer
from mct.release.inspection.behaviour.cases import Case, cases_of
from mct.release.inspection.behaviour.tests_file import Suite, Test

CANDIDATES = {
    "pair-scoring": ("query", "docs"),
    "sentence-embedding": ("query", "docs"),
    "reward": ("prompt", "answers"),
}
WRITES = "causal-lm"
NEEDS_CANDIDATES = (*CANDIDATES, WRITES)


@dataclass(frozen=True)
class Outcome:
    """One case as one model answered it: the answers to its text and to what that becomes, "" where it passed."""

    case: Case
    answer: Any
    after: Any
    failed: str


def require_fitting(suite: Suite, asked: Asked) -> None:
    """MctError where a test asks what the model's task has not: candidates, a label, the evidence for one."""
    task, labels = asked.model.subject.task, {label for head in asked.model.subject.heads for label in head.labels}
    for test in suite.tests:
        place = f"test {test.name!r}"
        if bool(test.candidates) is not (task in NEEDS_CANDIDATES):
            wants = (
                "needs candidates to put in order" if task in NEEDS_CANDIDATES else "answers by labels, not candidates"
            )
            raise MctError(f"{place}: a {task} {wants}", "see the README: behaviour tests")
        for name in () if test.candidates else (test.label, test.never, test.rises, test.falls):
            if name and name not in labels:
                raise unknown(f"label at {place}:", name, labels)
        if (test.rises or test.falls) and (test.candidates or asked.model.kind.confidence is None):
            raise MctError(
                f"{place}: a {task} gives no evidence for a label that could rise or fall", "ask for a label"
            )


def run_suite(suite: Suite, asked: Asked, seed: int = 0, report: Report = silent) -> dict[str, tuple[Outcome, ...]]:
    """The outcome of every case of each test, by its name. The same seed gives the same cases."""
    require_fitting(suite, asked)
    found = {}
    for number, test in enumerate(suite.tests):
        report(f"behaviour of {asked.name}", number / len(suite.tests))
        found[test.name] = _run(test, cases_of(suite, test, seed), asked)
    return found


def _run(test: Test, cases: Sequence[Case], asked: Asked) -> tuple[Outcome, ...]:
    before = _answers(asked, [(case.text, case.candidates) for case in cases])
    after = (
        _answers(asked, [(case.becomes, case.candidates) for case in cases])
        if any(case.becomes for case in cases)
        else before
    )
    changes = _changes(test, asked, before, after) if test.rises or test.falls else [0.0] * len(cases)
    found = []
    for case, then, now, change in zip(cases, before, after, changes, strict=True):
        answers = then.decision.answer, now.decision.answer if case.becomes else None
        found.append(Outcome(case, *answers, _failure(test, *answers, change)))
    return tuple(found)


def _failure(test: Test, before: Any, after: Any, change: float) -> str:
    """What is wrong with the answers, in words; "" where nothing is."""
    told = before if test.kind == "minimum" else after
    if test.label and not _has(told, test.label):
        return f"answered {_said(told)}, not {test.label}"
    if test.never and _has(told, test.never):
        return f"answered {test.never}"
    if test.kind == "invariance" and before != after:
        return f"answered {_said(before)}, then {_said(after)}"
    if test.must_change and before == after:
        return f"still answered {_said(after)}"
    for label, wrong, word in ((test.rises, change <= 0, "rise"), (test.falls, change >= 0, "fall")):
        if label and wrong:
            return f"the evidence for {label} did not {word}: {change:+.2f}"
    return ""


def _has(answer: Any, label: str) -> bool:
    """Answered, as the one label, as one of several, or by one of the heads."""
    if isinstance(answer, Mapping):
        return any(_has(each, label) for each in answer.values())
    return label in answer if isinstance(answer, list) else bool(answer == label)


def _said(answer: Any) -> str:
    if isinstance(answer, Mapping):
        return "; ".join(f"{name} {_said(each)}" for name, each in answer.items())
    return (", ".join(map(str, answer)) or "nothing") if isinstance(answer, list) else str(answer)


def _changes(test: Test, asked: Asked, before: Sequence[Told], after: Sequence[Told]) -> list[float]:
    """By how much the log-odds of the label move from the one text to the other."""
    confidence, heads = asked.model.kind.confidence, asked.model.subject.heads
    assert confidence is not None
    found = []
    for told in (before, after):
        outputs = outputs_of(asked, [each.cuts[0].tokens for each in told])
        found.append([confidence(each, heads, test.rises or test.falls) for each in outputs])
    return [now - then for then, now in zip(*found, strict=True)]


def _answers(asked: Asked, requests: Sequence[tuple[str, tuple[str, ...]]]) -> list[Told]:
    task = asked.model.subject.task
    if task == WRITES:
        return [_likeliest(asked, text, candidates) for text, candidates in requests]
    return decide_all(asked, [_example(task, *request) for request in requests])


def _example(task: str, text: str, candidates: tuple[str, ...]) -> Example:
    if task not in CANDIDATES:
        return Example(text, None, text, text)
    asks, offers = CANDIDATES[task]
    request = {asks: text, offers: list(candidates)}
    return Example(request, None, request, text)


def _likeliest(asked: Asked, text: str, candidates: Sequence[str]) -> Told:
    """A language model puts first what it finds likeliest to follow, a token on average."""
    cuts = [cut_answer(asked.tokenize, text, candidate) for candidate in candidates]
    means = []
    for cut, outputs in zip(cuts, outputs_of(asked, [cut.tokens for cut in cuts]), strict=True):
        ids, given = cut.tokens.ids, cut.tokens.given
        each = [
            evidence(outputs, Target("logits", ids[place], "log-probability", "", place=place - 1))
            for place in range(given, len(ids))
        ]
        means.append(float(np.mean(each)) if each else -np.inf)
    best = int(np.argmax(means))
    return Told(tuple(cuts), Decision(candidates[best], 0.0, Target("logits", 0, "log-probability", "")))
