"""One whole inspection: two models, one data file; what cannot be looked at is said with its reason, never skipped.

Both models are opened in this process, one after the other, and asked as the score is asked. Only reading the data or
opening a model can end it; a part that a task, a format or a missing library has not is left out, by name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

from mct import MctError
from mct.bench.jobs.job import asked_by, read_rows, require_one_task
from mct.bench.jobs.run import Model, open_model
from mct.bench.judge.line import Line
from mct.bench.judge.quality import proportion_bounds
from mct.bench.samples.subject import Subject, told_to
from mct.bench.statistics.levels import ERROR
from mct.models.checkpoints.adapted import NOTHING, Told
from mct.models.checkpoints.checkpoint import inspect
from mct.models.progress import Report, part, silent
from mct.models.tables import load
from mct.models.tasks.datasets import Dataset, fields_beside, read_examples
from mct.models.tasks.examples import Example, find_kind
from mct.release.inspection.asking.opened import Asked, decide_all, ready
from mct.release.inspection.asking.opened import Told as Asking
from mct.release.inspection.attributing import Attributing, attribute, draw_rows
from mct.release.inspection.behaviour.behave import Outcome, require_fitting, run_suite
from mct.release.inspection.behaviour.tests_file import Suite
from mct.release.inspection.drift import bound_of, excess_bound
from mct.release.inspection.explanation import Attribution, Behaviour, Explanation, Inspected, Sensitivity
from mct.release.inspection.flips import Both, Flips, find_flips
from mct.release.inspection.limits import Limits, line_at_most
from mct.release.inspection.rates import rate_of
from mct.release.inspection.scores import ScoreDrift, find_score_drift
from mct.release.inspection.spurious import Spurious, find_spurious

Found = TypeVar("Found")
BYTES = 8
SHARES = {"answers": 0.0, "scores": 0.3, "attributions": 0.4, "words": 0.7, "layers": 0.8, "behaviour": 0.95}
"""Where each part begins, of the whole."""


@dataclass(frozen=True)
class Job:
    """What to inspect: the original, the artifact made of it, the evaluation set, and how much of it.

    `examples` answers are attributed, for `seconds` at most. `without` names parts to leave out.
    """

    original: Path
    artifact: Path
    data: Path
    renames: Mapping[str, str] = field(default_factory=dict)
    examples: int = 100
    seconds: float = 120.0
    seed: int = 0
    suite: Suite | None = None
    limits: Limits | None = None
    without: frozenset[str] = frozenset()
    told: Told = NOTHING

    @property
    def both(self) -> tuple[Path, Path]:
        """The folders of the two."""
        return self.original, self.artifact


@dataclass(frozen=True)
class Floor:
    """The original rounded to so many bits: what rounding alone moves."""

    asked: Asked
    bits: int


@dataclass
class Parts:
    """The parts of an inspection, each looked at or left out with a reason."""

    job: Job
    report: Report
    left_out: dict[str, str] = field(default_factory=dict)

    def look(self, name: str, at: Callable[[], Found]) -> Found | None:
        """What is found; None, with the reason on record, where this part cannot be had."""
        if name in self.job.without:
            self.left_out[name] = "not asked for"
            return None
        try:
            return at()
        except MctError as error:
            self.left_out[name] = error.message
            return None


def explain(job: Job, report: Report = silent) -> Explanation:
    """Everything that there is to find. MctError where models and data do not go together, before any is asked."""
    began = monotonic()
    report("opening both models", 0.0)
    models, dataset, every = _opened(job)
    places = distinct(every)
    examples = tuple(every[place] for place in places)
    original, artifact = (ready(model) for model in models)
    if job.suite is not None:
        require_fitting(job.suite, original)
        require_fitting(job.suite, artifact)
    beside = fields_beside(dataset, models[0].subject.task, every)
    fields = {name: [values[place] for place in places] for name, values in beside.items()}
    both = _asked(original, artifact, examples, fields, report)
    subject = models[0].subject
    parts = Parts(job, report)
    floor = parts.look("floor", lambda: _floor(models, original, job))
    flips = find_flips(
        both, models[0].kind, original.manner, lambda answer: original.manner.named(original.tokenize, answer)
    )
    found = Explanation(
        original=_inspected(models[0]), artifact=_inspected(models[1]), task=subject.task, data=dataset.name,
        sha256=dataset.sha256, rows=len(every), repeated=len(every) - len(examples), seed=job.seed,
        created=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"), flips=flips,
        scores=parts.look("score drift", lambda: _scores(parts, both, floor or _floor(models, original, job, BYTES))),
        attribution=parts.look("attribution", lambda: _attribution(parts, (original, artifact, floor), examples)),
        spurious=parts.look("spurious words", lambda: _spurious(parts, both, original, artifact)),
        sensitivity=parts.look("layers", lambda: _sensitivity(parts, models[0], _bits(models[1]) or 8, both.original)),
        behaviour=_behaviour(job, original, artifact, part(report, SHARES["behaviour"], 1.0)),
        tests=job.suite.name if job.suite else "", limits=job.limits.name if job.limits else "",
        fields=dataset.renamed,
    )  # fmt: skip
    found = replace(_by_place(found, places), left_out=parts.left_out, seconds=monotonic() - began)
    return replace(found, lines=_lines(found, job.limits))


def distinct(examples: Sequence[Example]) -> tuple[int, ...]:
    """The places of examples that ask something new. What is asked again is no further example: its answer is known."""
    first: dict[str, int] = {}
    for place, example in enumerate(examples):
        first.setdefault(json.dumps(example.scored, sort_keys=True, default=str), place)
    return tuple(first.values())


def _by_place(found: Explanation, places: Sequence[int]) -> Explanation:
    """The same with every example by its place in the file."""
    listed = tuple(replace(each, row=places[each.row]) for each in found.flips.listed)
    found = replace(found, flips=replace(found.flips, listed=listed))
    if found.attribution is None:
        return found
    examples = tuple(replace(each, row=places[each.row]) for each in found.attribution.examples)
    return replace(found, attribution=replace(found.attribution, examples=examples))


def _opened(job: Job) -> tuple[tuple[Model, Model], Dataset, tuple[Example, ...]]:
    told = told_to(job.both, job.told)
    models = [open_model(path, told=told[path]) for path in (job.original, job.artifact)]
    subjects = [model.subject for model in models]
    require_one_task(subjects)
    if subjects[0].heads != subjects[1].heads:
        raise MctError(
            f"{subjects[0].name} and {subjects[1].name} do not answer by the same labels", "inspect what was made of it"
        )
    subjects = list(asked_by(job.data, job.renames, subjects))
    dataset = read_rows(job.data, job.renames, subjects)
    asked = tuple(
        replace(model, subject=subject, kind=find_kind(subject.task))
        for model, subject in zip(models, subjects, strict=True)
    )
    return (asked[0], asked[1]), dataset, read_examples(dataset, subjects[0].task, subjects[0].heads)


def _asked(
    original: Asked, artifact: Asked, examples: Sequence[Example], fields: Mapping[str, Sequence[str]], report: Report
) -> Both:
    middle, keep = SHARES["scores"] / 2, original.manner.labels
    before = decide_all(original, examples, part(report, 0.01, middle), keep)
    after = decide_all(artifact, examples, part(report, middle, SHARES["scores"]), keep)
    return Both(examples, fields, before, after)


def _inspected(model: Model) -> Inspected:
    subject = model.subject
    return Inspected(
        subject.name, subject.format, subject.precision, subject.runtime, subject.digest, subject.origin, subject.path
    )


def _scores(parts: Parts, both: Both, floor: Floor) -> ScoreDrift:
    if not floor.asked.manner.labels:
        raise MctError("it is for answers that are labels of a whole text", "")
    told = decide_all(
        floor.asked, both.examples, part(parts.report, SHARES["scores"], SHARES["attributions"]), keep=True
    )
    heads = floor.asked.model.subject.heads
    return find_score_drift((both.original, both.artifact, told), heads, heads[0].kind, floor.bits)


def _attribution(parts: Parts, models: tuple[Asked, Asked, Floor | None], examples: Sequence[Example]) -> Attribution:
    original, artifact, floor = models
    job, who = parts.job, Attributing(original, artifact)
    who = parts.look("gradients", lambda: _with_gradients(who, job)) or who
    if floor is not None:
        who = replace(who, floor=floor.asked, bits=floor.bits)
    rows = draw_rows(job.examples, len(examples), job.seed)
    return attribute(who, examples, rows, job.seconds, part(parts.report, SHARES["attributions"], SHARES["words"]))


def _with_gradients(who: Attributing, job: Job) -> Attributing:
    _require_checkpoint(who.original.model.subject)
    checkpoint = inspect(job.original, told_to(job.both, job.told)[job.original])
    opened = load("mct.release.inspection.gradients:open_differentiable", "compress")(checkpoint, who.original.tokenize)
    of = load("mct.release.inspection.gradients:integrated_gradients", "compress")
    return replace(who, gradients=lambda told, target: of(opened, told, target), baseline=opened.name)


def _floor(models: Sequence[Model], original: Asked, job: Job, otherwise: int | None = None) -> Floor:
    """The original rounded to as many bits as the artifact has; where that is 16 or more, to `otherwise`."""
    _require_checkpoint(original.model.subject)
    bits = _bits(models[1]) or otherwise
    if bits is None:
        precision = models[1].subject.precision
        raise MctError(f"{precision} rounds to no fewer than 16 bits, which moves nothing to speak of")
    checkpoint = inspect(job.original, told_to(job.both, job.told)[job.original])
    session: Any = load("mct.release.inspection.rounding:rounded_session", "compress")(checkpoint, bits)
    return Floor(replace(original, name=f"{original.name} rounded", session=session), bits)


def _bits(model: Model) -> int | None:
    found: int | None = load("mct.release.inspection.rounding:bits_of", "compress")(model.subject.precision)
    return found


def _require_checkpoint(subject: Subject) -> None:
    if subject.format != "checkpoint":
        raise MctError(f"the original is {subject.format}, and torch opens checkpoints alone", "give the checkpoint")


def _spurious(parts: Parts, both: Both, original: Asked, artifact: Asked) -> tuple[Spurious, ...]:
    if not original.manner.labels:
        raise MctError(f"a {original.model.subject.task} has no label of a whole text that a word could drive", "")
    parts.report("words that drive answers", SHARES["words"])
    return find_spurious(both, (original, artifact))


def _sensitivity(parts: Parts, model: Model, bits: int, told: Sequence[Asking]) -> Sensitivity:
    _require_checkpoint(model.subject)
    checkpoint = inspect(parts.job.original, told_to(parts.job.both, parts.job.told)[parts.job.original])
    inputs = [cut.tokens for each in told for cut in each.cuts[:1]]
    found: Sensitivity = load("mct.release.inspection.sensitivity:find_sensitivity", "compress")(
        checkpoint, bits, inputs, part(parts.report, SHARES["layers"], SHARES["behaviour"])
    )
    return found


def _behaviour(job: Job, original: Asked, artifact: Asked, report: Report) -> tuple[Behaviour, ...]:
    if job.suite is None:
        return ()
    before, after = (run_suite(job.suite, asked, job.seed, report) for asked in (original, artifact))
    return tuple(behaviour_of(test, after[test.name], before[test.name]) for test in job.suite.tests)


def behaviour_of(test: Any, found: Sequence[Outcome], before: Sequence[Outcome] | None) -> Behaviour:
    """One test of an artifact, beside that of its original."""
    failures = tuple(each for each in found if each.failed)
    pairs = list(zip(before or (), found, strict=bool(before)))
    worse = sum(bool(now.failed) and not then.failed for then, now in pairs)
    better = sum(bool(then.failed) and not now.failed for then, now in pairs)
    original = None if before is None else rate_of(sum(bool(each.failed) for each in before), len(before))
    return Behaviour(test, rate_of(len(failures), len(found)), original, worse, better, failures)


# What follows


def _lines(found: Explanation, limits: Limits | None) -> tuple[Line, ...]:
    given = limits.given if limits is not None else {}
    tests = [each for each in found.behaviour if each.test.most_failures is not None]
    count = len(given) + len(tests)
    lines = [line_at_most(name, most, _SEEN[name](found), ERROR, count) for name, most in given.items()]
    return (*lines, *test_lines(found.behaviour, count))


def test_lines(behaviour: Sequence[Behaviour], count: int) -> list[Line]:
    """A line for each test that says how many of its cases may fail; `count` lines are judged in all."""
    return [
        line_at_most(
            f"test {each.test.name!r}",
            each.test.most_failures,
            share_of(each.artifact.count, each.artifact.n),
            ERROR,
            count,
        )
        for each in behaviour
        if each.test.most_failures is not None
    ]


Seen = tuple[float, Callable[[float], tuple[float, float]]] | None


def share_of(count: int, n: int) -> Seen:
    """A share, and its bounds at an error; None of nothing."""
    return None if not n else (count / n, lambda error: proportion_bounds(count, n, error))


def _drift(found: Explanation) -> Seen:
    if found.attribution is None:
        return None
    drifts = [each.drift for each in found.attribution.examples if each.drift is not None]
    return found.attribution.drift.value, lambda error: bound_of(drifts, error)


def _excess(found: Explanation) -> Seen:
    if found.attribution is None or found.attribution.excess is None:
        return None
    both = [(each.drift, each.floor) for each in found.attribution.examples if each.drift is not None]
    drifts, floors = ([value or 0.0 for value in values] for values in zip(*both, strict=True))
    return found.attribution.excess.value, lambda error: excess_bound(drifts, floors, error)


def _of_cases(count: Callable[[Behaviour], int]) -> Callable[[Explanation], Seen]:
    return lambda found: share_of(sum(map(count, found.behaviour)), sum(each.artifact.n for each in found.behaviour))


def _of_flips(count: Callable[[Flips], int]) -> Callable[[Explanation], Seen]:
    return lambda found: share_of(count(found.flips), found.flips.rate.n)


def _scores_seen(found: Explanation) -> Seen:
    return None if found.scores is None else (found.scores.times, found.scores.bounds)


_SEEN: Mapping[str, Callable[[Explanation], Seen]] = {
    "score_drift_max": _scores_seen,
    "attribution_drift_max": _drift,
    "attribution_excess_max": _excess,
    "behaviour_fail_max": _of_cases(lambda each: each.artifact.count),
    "behaviour_worse_max": _of_cases(lambda each: each.worse),
    "flips_max": _of_flips(lambda flips: flips.rate.count),
    "flips_worse_max": _of_flips(lambda flips: flips.worse),
}
