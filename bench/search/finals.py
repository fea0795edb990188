"""The end of a search: cascades of what was taught, and the few that are judged on rows that nothing saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from math import inf
from typing import Any

from mct.bench.jobs.job import Job, run_job
from mct.bench.search.choosing import Standing, finalists, front, is_worse, safest_first, split
from mct.bench.search.course import Course, digest
from mct.bench.search.space import RUN_WITH, Candidate, can_be_joined, cascade, on_one_thread
from mct.bench.search.timing import LEAST_SECONDS, too_costly
from mct.compress.plan.recipe import Recipe

SECOND_STAGES = 3
"""Second stages that a first one is joined to."""
JUDGING_S, JUDGING_SHARE = 150.0, 0.15


def refine(course: Course, standings: Sequence[Standing]) -> list[Standing]:
    """What stands, cascades of it, and the fastest of both on one thread, all timed anew with what they learned."""
    joined = _stand_untimed(course, _cascades(course, standings))
    best = set(front([*standings, *joined]))
    alone = [on_one_thread(course.tried[each.name]) for each in (*standings, *joined) if each.name in best]
    everybody = [*standings, *joined, *_stand_untimed(course, [each for each in alone if each is not None])]
    course.timed |= course.time([course.tried[each.name] for each in everybody])
    fit: dict[str, Standing] = {}
    for each in everybody:
        timed = course.timed.get(each.name)
        if reason := too_costly(timed, course.question.budget) if timed else "could not be timed":
            course.fates[each.name] = reason
        elif timed:
            fit[each.name] = replace(each, timed=timed)
    return _one_of_alike(course, fit)


def _one_of_alike(course: Course, standings: Mapping[str, Standing]) -> list[Standing]:
    """Of what answers alike and is run otherwise only the faster: who is judged counts for the error of all."""
    left = dict(standings)
    for name in standings:
        begun = course.tried[name].begun
        if begun in left and course.tried[name].recipe.steps[-1].name == RUN_WITH:
            slower, faster = sorted((name, begun), key=lambda each: -standings[each].timed.p95_ms)
            course.fates[slower] = f"slower than {faster}, which answers alike"
            del left[slower]
    return list(left.values())


def _cascades(course: Course, standings: Sequence[Standing]) -> list[Candidate]:
    """Each fast first stage with the second stages that are shown to be better, where that is shown to gain."""
    question = course.question
    always = [question.checkpoint.labels.index(label) for label in question.always]
    pairs = []
    for first in standings:
        for second in _seconds(course, first, standings):
            parted = split(first.answered, second.answered, always)
            if parted is not None and is_worse(first.answered, parted.answered):
                both = course.tried[first.name], course.tried[second.name]
                pairs.append(cascade(*both, parted.threshold, question.always))
    return pairs


def _stand_untimed(course: Course, candidates: Sequence[Candidate]) -> list[Standing]:
    """Candidates made of others, which take at least as long as what they begin with."""
    made = course.make_all(candidates, "making")
    for each in made:
        course.timed.setdefault(each.name, course.timed[each.begun])
    return course.stand(made)


def _seconds(course: Course, first: Standing, standings: Sequence[Standing]) -> list[Standing]:
    """The second stages to join to a first: in the same format, reading the same pieces, slower and better."""
    own = course.tried[first.name]
    alike = [
        each
        for each in standings
        if can_be_joined(own, course.tried[each.name])
        and each.timed.p95_ms > first.timed.p95_ms
        and is_worse(first.answered, each.answered)
    ]
    return sorted(alike, key=lambda each: -each.answered.value)[:SECOND_STAGES]


def judge(course: Course, standings: Sequence[Standing]) -> dict[str, Any] | None:
    """The result of the last few, measured beside the checkpoint on rows that nothing was chosen by; None without."""
    question = course.question
    if not standings:
        return None
    reference, margin, rows = course.held_to(standings)
    names = finalists(standings, reference, margin, rows)
    order = safest_first(names, standings, reference, rows, question.budget.p95_ms or inf)
    for each in standings:
        course.fates.setdefault(each.name, "judged" if each.name in names else "not among the last few")
    paths = tuple(course.made[course.tried[name].key].folder for name in names)
    look = digest(map(str, paths))
    if (noted := course.journal.find(f"verdict-{look}")) is not None:
        return dict(noted)
    course.say(f"judging {len(paths)} on rows that nothing was chosen by")
    job = Job(
        paths=paths, data=course.splits.final, target=question.target, budget=question.budget,
        baseline=question.checkpoint.path, results=course.journal.folder / "results", seed=question.seed,
        told=question.told,
        max_seconds=max(LEAST_SECONDS, min(JUDGING_S, JUDGING_SHARE * question.seconds)),
    )  # fmt: skip
    looks = course.journal.looked(look)  # before: whoever is killed after it has looked
    with course.journal.spending("judging"):
        result = course.engine.alone(run_job, job)
    found = {
        "names": dict(zip(map(str, paths), names, strict=True)),
        "looks": looks,
        "order": order,
        "result": result,
    }
    course.journal.note(f"verdict-{look}", found)
    return found


def shown(judged: Mapping[str, Any]) -> list[str]:
    """The finalists that are shown to meet the budget: in the order fixed beforehand, up to the first that is not."""
    entries = {judged["names"].get(entry["path"]): entry for entry in judged["result"]["artifacts"]}
    passed = takewhile(lambda name: entries[name]["verdict"]["outcome"] == "pass", judged["order"])
    return [name for name in passed if entries[name]["latency"]]


def winner_of(judged: Mapping[str, Any]) -> str | None:
    """The candidate that the verdict names: the fastest that is shown to meet the budget."""
    entries = {judged["names"].get(entry["path"]): entry for entry in judged["result"]["artifacts"]}

    def slowness(name: str) -> tuple[float, float]:
        latency = entries[name]["latency"]
        return latency["p95_ms"] or inf, latency["mean_ms"]  # without a P95 there were few requests: it is slow

    return min(shown(judged), key=slowness, default=None)


def recipe_of(course: Course, name: str) -> Recipe:
    """What makes a candidate again."""
    return course.tried[name].recipe
