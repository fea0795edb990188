"""Latency first: every shape is exported untaught and timed, and what cannot meet the budget is never taught."""

from __future__ import annotations

from collections.abc import Sequence

from mct import MctError
from mct.bench.search.course import Course, digest
from mct.bench.search.space import Candidate, Shape, candidate, forms_of, shapes_of
from mct.bench.search.timing import Timed, too_costly

RIVAL = 1.3
"""How many times the fastest form's P95 another may take on the whole checkpoint, to be tried on what is taught."""
EVERY_FORM = 0.2
"""Share of the time after which no more forms are tried than the first."""
BATCH = 2
"""Candidates for each worker, between two looks at the clock."""
CANNOT = "cannot be made"
MAKING = 0.35
"""Share of the time after which no more candidates are made to be timed."""


def first_timing(course: Course) -> dict[str, tuple[Candidate, Timed]]:
    """Every shape in every form, untaught, by the candidate's name: those that the budget leaves."""
    question = course.question
    trims = question.budget.kl_at_most is None  # no divergence is known of what foresees fewer tokens than the original
    shapes, forms = shapes_of(question.checkpoint, trims), forms_of(question.checkpoint, question.target)
    if not forms:
        raise MctError(
            f"no runtime of target {question.target.name} takes {question.checkpoint.task}", "choose another"
        )
    if not _cheapest_fits(course, shapes, forms[0]):
        return {}
    untaught, pupils = ([each for each in shapes if each.taught is taught] for taught in (False, True))
    first = ((each, forms[0]) for each in shapes)
    found = _fit(course, [*first, *((each, form) for each in untaught for form in forms[1:])])
    if (early := course.journal.find("early")) is None:  # once it is decided, the same command decides no other way
        course.journal.note("early", early := course.journal.elapsed < EVERY_FORM * question.seconds)
    if early:
        left = {each.shape.name for each, _ in found.values()}
        rivals = _rivals(course, untaught[0], forms)
        found |= _fit(course, [(each, form) for each in pupils if each.name in left for form in rivals])
    return found


def _cheapest_fits(course: Course, shapes: Sequence[Shape], form: str) -> bool:
    """Whether the cheapest shape that this form can hold is within the budget: what it misses nothing will meet."""
    for shape in reversed(shapes):
        if _fit(course, [(shape, form)]):
            return True
        if not course.fates.get(f"{shape.name}, {form}", "").startswith(CANNOT):
            return False
    return False


def _rivals(course: Course, whole: Shape, forms: Sequence[str]) -> list[str]:
    """The forms, but the first, that are nearly as fast on the whole checkpoint as the fastest: worth more tries."""
    times = {form: course.timed[name] for form in forms if (name := f"{whole.name}, {form}") in course.timed}
    least = min((timed.p95_ms for timed in times.values()), default=0.0)
    return [form for form in forms[1:] if form in times and times[form].p95_ms <= RIVAL * least]


def _fit(course: Course, wanted: Sequence[tuple[Shape, str]]) -> dict[str, tuple[Candidate, Timed]]:
    """Those shapes in these forms, made, timed and held to the budget's limits of time and size."""
    question = course.question
    untaught = []
    for shape, form in wanted:
        try:
            untaught.append(candidate(shape, form, question.checkpoint, question.machine, question.seed))
        except MctError as error:
            course.fates[f"{shape.name}, {form}"] = f"{CANNOT}: {error.message}"
    made = _made_in_time(course, untaught)
    times = course.time(made)
    course.timed |= times
    found = {}
    for each in made:
        if each.name not in times:
            course.fates[each.name] = "could not be timed"
        elif reason := too_costly(times[each.name], question.budget):
            course.fates[each.name] = f"never taught: {reason}" if each.shape.taught else reason
        else:
            found[each.name] = (each, times[each.name])
    return found


def _made_in_time(course: Course, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that could be made before the time for that was over: the same ones when the command is given again."""
    noted = f"begun-{digest(each.key for each in candidates)}"
    begun: Sequence[str] | None = course.journal.find(noted)
    made, together = [], BATCH * course.engine.workers
    if begun is not None:
        made = course.make_all([each for each in candidates if each.key in begun], "making")
    else:
        begun = []
        for first in range(0, len(candidates), together):
            if first and course.journal.elapsed > MAKING * course.question.seconds:
                break
            begun += [each.key for each in candidates[first : first + together]]
            made += course.make_all(candidates[first : first + together], "making")
        course.journal.note(noted, begun)
    for each in candidates:
        if each.key not in begun:
            course.fates[each.name] = "not tried: too little time"
    return made
