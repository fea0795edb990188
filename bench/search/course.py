"""The course of a search: what is timed, taught, joined and judged, in this order.

Latency first: every shape is exported untaught and timed, and what cannot meet the budget is never taught. Then
lessons, to all that no paired test showed to be worse than something as fast (successive halving, Jamieson and
Talwalkar 2016, arXiv:1502.07943, but nothing is dropped by its rank alone). Then pairs of what was taught as cascades.
At last the few that are likely to meet the budget are measured and judged, on rows that nothing saw.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mct import MctError
from mct.bench.jobs.job import Job, run_job
from mct.bench.search.choosing import Standing, beaten, finalists, front, is_worse, likely, split
from mct.bench.search.engine import Engine
from mct.bench.search.journal import Journal
from mct.bench.search.lessons import MOST_LESSONS, Pupil, in_order, next_lesson
from mct.bench.search.space import (
    RUN_WITH,
    Candidate,
    Shape,
    can_be_joined,
    candidate,
    cascade,
    forms_of,
    on_one_thread,
    shapes_of,
)
from mct.bench.search.splits import Splits
from mct.bench.search.timing import LEAST_SECONDS, TEXTS, Race, Timed, time_all, too_costly
from mct.bench.search.work import Answered, Made, Order, Sheet, answer, make
from mct.compress.plan.recipe import Recipe
from mct.models.checkpoints.adapted import NOTHING, Told
from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.data.files import read_data_file
from mct.models.progress import Report
from mct.models.writing.folders import write_atomically
from mct.targets.budget import Budget
from mct.targets.machine import Machine
from mct.targets.target import Target

RESERVE_S, RESERVE_SHARE = 400.0, 0.35
"""Seconds kept for cascades, the last timing and the verdict; of a short search, a share."""
FORMS_EACH = 3
"""Forms of a shape that needs no lessons: its fastest, and its smallest, which may be a second stage."""
RIVAL = 1.3
"""How many times the fastest form's P95 another may take on the whole checkpoint, to be tried on what is taught."""
EVERY_FORM = 0.2
"""Share of the time after which no more forms are tried than the first."""
SECOND_STAGES = 3
"""Second stages that a first one is joined to."""
JUDGING_S, JUDGING_SHARE = 150.0, 0.15
TIMING_SHARE = 0.08
"""Of the whole time, for one timing of candidates."""
DEFAULT_MARGIN = 0.01


@dataclass(frozen=True)
class Question:
    """What is asked: the fastest artifact of a checkpoint that meets a budget on a target, within `seconds`."""

    checkpoint: Checkpoint
    budget: Budget
    target: Target
    machine: Machine
    seconds: float
    seed: int = 0
    always: tuple[str, ...] = ()
    told: Told = NOTHING


@dataclass
class Course:
    """A search under way: what became of every candidate, and why. `fates` are sentences by the candidate's name.

    `asking_s` is how long the first of the last lesson took, which waits for the teacher's answers.
    """

    question: Question
    splits: Splits
    journal: Journal
    engine: Engine
    report: Report
    folder: Path
    made: dict[str, Made] = field(default_factory=dict)
    timed: dict[str, Timed] = field(default_factory=dict)
    fates: dict[str, str] = field(default_factory=dict)
    tried: dict[str, Candidate] = field(default_factory=dict)
    asking_s: float = 0.0

    @property
    def deadline_s(self) -> float:
        """When teaching has to end, in seconds from the beginning."""
        seconds = self.question.seconds
        return seconds - min(RESERVE_S, RESERVE_SHARE * seconds)

    @property
    def busy_share(self) -> float:
        """The share of the workers' time, while there was something to make, in which they made it."""
        return self.journal.busy_s / self.journal.theirs_s if self.journal.theirs_s else 0.0

    def say(self, stage: str) -> None:
        """Tell where the search is: of the time that it was given."""
        self.report(stage, min(0.99, self.journal.elapsed / self.question.seconds))

    # -- what is done to candidates -------------------------------------------------------------------------------

    def make_all(self, candidates: Sequence[Candidate], on: str) -> list[Candidate]:
        """Those that could be made; what was refused has that for its fate."""
        orders, began = [self._order(each) for each in candidates], time.monotonic()
        with self.journal.spending(on):
            for place, result in self.engine.each(make, orders):
                each = candidates[place]
                self.say(f"{on} {each.name}")
                refused = result.message if isinstance(result, MctError) else result.refused
                if refused:
                    self.fates[each.name] = f"cannot be made: {refused}"
                elif isinstance(result, Made):
                    self.journal.busy_s += result.seconds
                    self.made[each.key] = result
                    self.tried[each.name] = each
        self.journal.theirs_s += self.engine.workers * (time.monotonic() - began)
        return [each for each in candidates if each.key in self.made]

    def _order(self, each: Candidate) -> Order:
        question = self.question
        return Order(
            question.checkpoint.path, each.recipe, each.form, self.splits.train, self.splits.dev,
            self.folder / "made" / f"{_slug(each.shape.name)}.{each.key}", self.folder / "steps",
            question.machine, question.told,
        )  # fmt: skip

    def answer_all(self, candidates: Sequence[Candidate]) -> dict[str, Answered]:
        """What each answers to the rows to choose by, by its name."""
        sheets = [self._sheet(self.made[each.key].folder, each.key) for each in candidates]
        found = {}
        with self.journal.spending("answering"):
            for place, result in self.engine.each(answer, sheets):
                name = candidates[place].name
                self.say(f"answers of {name}")
                if isinstance(result, MctError):
                    self.fates[name] = f"cannot answer: {result.message}"
                else:
                    found[name] = result
        return found

    def original(self) -> Answered:
        """What the checkpoint itself answers."""
        sheet = replace(self._sheet(self.question.checkpoint.path, "original"), told=self.question.told)
        with self.journal.spending("answering"):
            (result,) = [result for _, result in self.engine.each(answer, [sheet])]
        if isinstance(result, MctError):
            raise result
        return result

    def _sheet(self, model: Path, key: str) -> Sheet:
        return Sheet(model, self.splits.dev, self.folder / "answers" / f"{key}.npz")

    def time(self, candidates: Sequence[Candidate]) -> dict[str, Timed]:
        """How long each takes, measured in turns with nothing beside; not again where these were."""
        name = f"timed-{_digest(each.key for each in candidates)}"
        if (noted := self.journal.find(name)) is None:
            paths = tuple(self.made[each.key].folder for each in candidates)
            texts = self._some_texts()
            self.say(f"timing {len(paths)} candidates")
            with self.journal.spending("timing"):
                most = TIMING_SHARE * self.question.seconds
                race = Race(paths, texts, self.question.target, self.folder / "timed", self.question.seed, most)
                times = self.engine.alone(time_all, race) if paths else {}
            by_path = {str(self.made[each.key].folder): each.key for each in candidates}
            noted = {by_path[path]: timed.as_json() for path, timed in times.items()}
            self.journal.note(name, noted)
        return {each.name: Timed(**noted[each.key]) for each in candidates if each.key in noted}

    def _some_texts(self) -> Path:
        """Rows to time on, of those to choose by: enough for every length, few enough to be asked often."""
        path = self.folder / "texts.jsonl"
        if not path.is_file():
            rows = self.splits.dev.read_text(encoding="utf-8").splitlines()
            write_atomically(path, "\n".join(_every(rows, _enough(self.question.checkpoint, self.splits.dev))) + "\n")
        return path


def _slug(name: str) -> str:
    return "-".join(name.replace(",", "").split())


def _digest(keys: Iterable[str]) -> str:
    return hashlib.sha256(" ".join(sorted(keys)).encode()).hexdigest()[:16]


def _every(lines: Sequence[str], most: int) -> list[str]:
    """Lines from first to last at even distances; all where they are few."""
    step = max(1, len(lines) // most)
    return list(lines[::step])


def _enough(checkpoint: Checkpoint, path: Path) -> int:
    """How many rows to time on: all of a query's go together, so all rows where a request takes several."""
    several = checkpoint.task not in {"sequence-classification", "multi-label-classification", "token-classification"}
    return len(read_data_file(path, {}).rows) if several else TEXTS


# -- the phases ---------------------------------------------------------------------------------------------------


def first_timing(course: Course) -> dict[str, tuple[Candidate, Timed]]:
    """Every shape in every form, untaught, by the candidate's name: those that the budget leaves."""
    question = course.question
    shapes, forms = shapes_of(question.checkpoint, has_texts=True), forms_of(question.checkpoint, question.target)
    if not forms:
        raise MctError(
            f"no runtime of target {question.target.name} takes {question.checkpoint.task}", "choose another"
        )
    if not _fit(course, [(shapes[-1], forms[0])]):  # the cheapest of all: what it misses nothing will meet
        return {}
    untaught, pupils = ([each for each in shapes if each.taught is taught] for taught in (False, True))
    found = _fit(
        course, [*((each, form) for each in untaught for form in forms), *((each, forms[0]) for each in pupils)]
    )
    if course.journal.elapsed < EVERY_FORM * question.seconds:
        left = {each.shape.name for each, _ in found.values()}
        rivals = _rivals(course, untaught[0], forms)
        found |= _fit(course, [(each, form) for each in pupils if each.name in left for form in rivals])
    return found


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
            course.fates[f"{shape.name}, {form}"] = f"cannot be made: {error.message}"
    made = course.make_all(untaught, "making")
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


def teach(course: Course, fit: dict[str, tuple[Candidate, Timed]]) -> list[Standing]:
    """The best forms of every shape with what they learned, as far as the time allows."""
    chosen = _best_forms(course, fit)
    standings = _stand(course, [each for each, _ in chosen.values() if not each.shape.taught])
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
        for each in _stand(course, [course.tried[name] for name in taught]):
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
    _, margin, rows = _held_to(course, standings)
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


def _stand(course: Course, candidates: Sequence[Candidate]) -> list[Standing]:
    answered = course.answer_all(candidates)
    return [Standing(name, found, course.timed[name]) for name, found in answered.items()]


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
    return _stand(course, made)


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
    names = finalists(standings, *_held_to(course, standings))
    for each in standings:
        course.fates.setdefault(each.name, "judged" if each.name in names else "not among the last few")
    paths = tuple(course.made[course.tried[name].key].folder for name in names)
    looks = list(course.journal.find("looks") or [])
    look = _digest(map(str, paths))
    if (noted := course.journal.find(f"judged-{look}")) is not None:
        return dict(noted)
    course.say(f"judging {len(paths)} on rows that nothing was chosen by")
    job = Job(
        paths=paths, data=course.splits.final, target=question.target, budget=question.budget,
        baseline=question.checkpoint.path, results=course.folder / "results", seed=question.seed, told=question.told,
        max_seconds=max(LEAST_SECONDS, min(JUDGING_S, JUDGING_SHARE * question.seconds)),
    )  # fmt: skip
    with course.journal.spending("judging"):
        result = course.engine.alone(run_job, job)
    course.journal.note("looks", [*looks, look])
    found = {"names": dict(zip(map(str, paths), names, strict=True)), "looks": len(looks) + 1, "result": result}
    course.journal.note(f"judged-{look}", found)
    return found


def _held_to(course: Course, standings: Sequence[Standing]) -> tuple[Answered, float, int]:
    """The answers that quality is held against while choosing, by how much it may drop, and rows to be judged on."""
    budget = course.question.budget
    margin = DEFAULT_MARGIN if budget.quality_max_drop is None else budget.quality_max_drop
    reference = course.original()
    if not course.splits.unseen:  # what it learned by heart says nothing of rows it never saw
        taught = [each.answered for each in standings if course.tried[each.name].shape.taught]
        reference = max(taught, key=lambda one: one.value, default=reference)
    return reference, margin, sum(1 for _ in course.splits.final.open(encoding="utf-8"))


def winner_of(judged: dict[str, Any]) -> str | None:
    """The candidate that the verdict names: the fastest shown to meet the budget, the checkpoint itself left aside."""
    result = judged["result"]
    fastest = (result["choice"] or {}).get("fastest")
    path = next((entry["path"] for entry in result["artifacts"] if entry["artifact"] == fastest), None)
    names: dict[str | None, str] = judged["names"]
    return names.get(path)


def recipe_of(course: Course, name: str) -> Recipe:
    """What makes a candidate again."""
    return course.tried[name].recipe
