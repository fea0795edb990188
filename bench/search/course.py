"""A search under way: what was made, answered and timed, and what became of every candidate.

Its phases stand beside: latency first (`sizing`), then lessons (`teaching`), at last the few that are likely to meet
the budget (`finals`).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mct import MctError
from mct.bench.search.choosing import Standing
from mct.bench.search.engine import Engine
from mct.bench.search.journal import Journal
from mct.bench.search.space import Candidate
from mct.bench.search.splits import Splits
from mct.bench.search.timing import TEXTS, Race, Timed, time_all
from mct.bench.search.work import Answered, Made, Order, Sheet, answer, make
from mct.models.checkpoints.adapted import NOTHING, Told
from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.progress import Report
from mct.models.tasks.table import find_task
from mct.models.writing.folders import write_atomically
from mct.targets.budget import Budget
from mct.targets.machine import Machine
from mct.targets.target import Target

RESERVE_S, RESERVE_SHARE = 400.0, 0.35
"""Seconds kept for cascades, the last timing and the verdict; of a short search, a share."""
TIMING_SHARE = 0.08
"""Of the whole time, for one timing of candidates."""
DEFAULT_MARGIN = 0.01
LEAST_ASKED = 8
"""Queries to time on, however many documents each has."""


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
            self.journal.common / "made" / f"{_slug(each.shape.name)}.{each.key}", self.journal.common / "steps",
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
        return Sheet(model, self.splits.dev, self.journal.common / "answers" / f"{key}.npz")

    def time(self, candidates: Sequence[Candidate]) -> dict[str, Timed]:
        """How long each takes, measured in turns with nothing beside; not again where these were."""
        name = f"timed-{digest(each.key for each in candidates)}"
        if (noted := self.journal.find(name)) is None:
            paths = tuple(self.made[each.key].folder for each in candidates)
            texts = self._some_texts()
            self.say(f"timing {len(paths)} candidates")
            with self.journal.spending("timing"):
                most = TIMING_SHARE * self.question.seconds
                race = Race(paths, texts, self.question.target, self.journal.folder / "timed", self.question.seed, most)
                times = self.engine.alone(time_all, race) if paths else {}
            by_path = {str(self.made[each.key].folder): each.key for each in candidates}
            noted = {by_path[path]: timed.as_json() for path, timed in times.items()}
            self.journal.note(name, noted)
        return {each.name: Timed(**noted[each.key]) for each in candidates if each.key in noted}

    def _some_texts(self) -> Path:
        """Rows to time on, of those to choose by: enough for every length, few enough to be asked often."""
        path = self.journal.folder / "texts.jsonl"
        if not path.is_file():
            asked = find_task(self.question.checkpoint.task).inputs[0]
            rows = self.splits.dev.read_text(encoding="utf-8").splitlines()
            write_atomically(path, "\n".join(some_rows(rows, asked)) + "\n")
        return path

    def stand(self, candidates: Sequence[Candidate]) -> list[Standing]:
        """Candidates with what they answer and the times that are known of them."""
        answered = self.answer_all(candidates)
        return [Standing(name, found, self.timed[name]) for name, found in answered.items()]

    def held_to(self, standings: Sequence[Standing]) -> tuple[Answered, float, int]:
        """The answers that quality is held against while choosing, the drop allowed, and the rows to be judged on."""
        budget = self.question.budget
        margin = DEFAULT_MARGIN if budget.quality_max_drop is None else budget.quality_max_drop
        reference = self.original()
        if not self.splits.unseen:  # what it learned by heart says nothing of rows it never saw
            taught = [each.answered for each in standings if self.tried[each.name].shape.taught]
            reference = max(taught, key=lambda one: one.value, default=reference)
        return reference, margin, sum(1 for _ in self.splits.final.open(encoding="utf-8"))


def _slug(name: str) -> str:
    return "-".join(name.replace(",", "").split())


def digest(keys: Iterable[str]) -> str:
    """One name for several candidates, whatever their order."""
    return hashlib.sha256(" ".join(sorted(keys)).encode()).hexdigest()[:16]


def some_rows(lines: Sequence[str], asked: str) -> list[str]:
    """About `TEXTS` of the rows, from first to last at even distances; those that ask the same stay together.

    `asked` is the field that says what a row asks: of a scorer's rows, one a document, a query has several.
    """
    rows_of: dict[str, list[str]] = {}
    for line in lines:
        rows_of.setdefault(str(json.loads(line)[asked]), []).append(line)
    most = max(LEAST_ASKED, TEXTS * len(rows_of) // len(lines))
    step = -(-len(rows_of) // most)
    return [line for rows in list(rows_of.values())[::step] for line in rows]
