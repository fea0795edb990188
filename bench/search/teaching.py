"""Lessons, to all that no paired test showed to be worse than something as fast.

Successive halving (Jamieson and Talwalkar 2016, arXiv:1502.07943), but nothing is dropped by its rank alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mct.bench.search.choosing import Standing, beaten, front, likely
from mct.bench.search.course import Course
from mct.bench.search.lessons import MOST_LESSONS, Pupil, in_order, next_lesson
from mct.bench.search.space import Candidate, candidate
from mct.bench.search.timing import Timed

FORMS_EACH = 3
"""Forms of a shape that needs no lessons: its fastest, and its smallest, which may be a second stage."""


def teach(course: Course, fit: dict[str, tuple[Candidate, Timed]]) -> list[Standing]:
    """The best forms of every shape with what they learned, as far as the time allows."""
    chosen = _best_forms(course, fit)
    standings = course.stand([each for each, _ in chosen.values() if not each.shape.taught])
    pupils = {name: Pupil(each) for name, (each, _) in chosen.items() if each.shape.taught}
    latest: dict[str, Standing] = {}
    for number in range(1, MOST_LESSONS + 1):
        planned: dict[str, float] | None = course.journal.find(f"lesson-{number}")  # once planned, it is held
        if planned is None:
            left_s = course.deadline_s - course.journal.elapsed
            planned = next_lesson(list(pupils.values()), left_s, course.engine.workers, course.asking_s)
            course.journal.note(f"lesson-{number}", planned)
        held = {name: pupils[name] for name in planned if name in pupils}
        if not held:
            break
        before = dict(course.tried)
        taught = _at_their_pace(course, number, _hold_lesson(course, held, planned))
        for each in course.stand([course.tried[name] for name in taught]):
            if each.name in latest and latest[each.name].answered.value > each.answered.value:
                course.tried[each.name] = before[each.name]  # it was better before: there it goes on from, if at all
                pupils[each.name] = replace(pupils[each.name], epoch_s=taught[each.name].epoch_s)
            else:
                latest[each.name], pupils[each.name] = each, taught[each.name]
        for name, by in beaten([*standings, *latest.values()]).items():
            if name in latest:
                course.fates[name] = f"shown to be worse than {by}, which is as fast"
                del latest[name], pupils[name]
        course.say(f"after lesson {number}: {', '.join(front([*standings, *latest.values()]))}")
        if _nothing_faster(course, [*standings, *latest.values()], pupils):
            break
    for name in pupils.keys() - latest.keys():
        course.fates.setdefault(name, "not taught: too little time")
    return [*standings, *latest.values()]


def _hold_lesson(course: Course, pupils: Mapping[str, Pupil], epochs: Mapping[str, float]) -> dict[str, Pupil]:
    """Teach them; the first alone, so that the teacher has answered when the others come."""
    question = course.question
    found = {}
    first, others = in_order(list(pupils.values()), {name: course.timed[name].p95_ms for name in pupils})
    for group in (first, others):
        taught = {}
        for pupil in group:
            name = pupil.candidate.name
            of = pupil.candidate.shape, pupil.candidate.form, question.checkpoint, question.machine, question.seed
            taught[name] = candidate(*of, pupil.options(epochs[name]))
        for each in course.make_all(list(taught.values()), "teaching"):
            found[each.name] = pupils[each.name].after(epochs[each.name], course.made[each.key].seconds)
    waited = first[0].candidate.name
    if waited in found and len(found) > 1:  # it had to wait for the teacher, and is as quick as any of the others
        quickest = min(pupil.epoch_s for name, pupil in found.items() if name != waited)
        course.asking_s = max(0.0, (found[waited].epoch_s - quickest) * epochs[waited])
        found[waited] = replace(found[waited], epoch_s=quickest)
    return found


def _at_their_pace(course: Course, number: int, taught: dict[str, Pupil]) -> dict[str, Pupil]:
    """The pupils with the seconds that an epoch takes: as noted when the lesson was given, if that was before."""
    if (noted := course.journal.find(f"paces-{number}")) is None:
        noted = {name: pupil.epoch_s for name, pupil in taught.items()}
        course.journal.note(f"paces-{number}", noted)
    return {name: replace(pupil, epoch_s=noted.get(name, pupil.epoch_s)) for name, pupil in taught.items()}


def _nothing_faster(course: Course, standings: Sequence[Standing], pupils: Mapping[str, Pupil]) -> bool:
    """Whether the fastest of all that is to be had is likely to be within the margin already."""
    fastest = min((course.timed[name].p95_ms for name in pupils), default=0.0)
    _, margin, rows = course.held_to(standings)
    return any(each.timed.p95_ms <= fastest for each in likely(standings, course.original(), margin, rows))


def _best_forms(course: Course, fit: dict[str, tuple[Candidate, Timed]]) -> dict[str, tuple[Candidate, Timed]]:
    """Of every shape its fastest forms; of one that is to be taught the fastest alone, since lessons cost."""
    by_shape: dict[str, list[str]] = {}
    for name, (each, _) in fit.items():
        by_shape.setdefault(each.shape.name, []).append(name)
    found: dict[str, tuple[Candidate, Timed]] = {}
    for names in by_shape.values():
        ordered = sorted(names, key=lambda name: fit[name][1].p95_ms)
        kept = ordered[:1]
        if not fit[ordered[0]][0].shape.taught:
            kept = list(dict.fromkeys([*kept, min(names, key=lambda name: fit[name][1].size_mb), *ordered]))[
                :FORMS_EACH
            ]
        found |= {name: fit[name] for name in kept}
        for name in set(ordered) - set(kept):
            course.fates[name] = f"slower than {ordered[0]}"
    return found
