"""Every subject's answers to every example, for the score: by several processes at once, before anything is timed.

Each process holds one model on one thread of one CPU and is asked for one stretch of examples after another. Which of
them gives an answer is chance, what it answers is not: the examples are cut into stretches by their length alone, and a
stretch is answered one input to a call, or as many as change no answer (`mct.targets.runtimes.table.Runtime`). So an
answer depends on the model, the example and the kind of machine, and neither on the number of CPUs, nor on a target's
threads, nor on its neighbours. Another number of threads may round a sum in another order: what is scored is what one
gives.

A process that dies fails its subject and no other. Examples of like length stand together, longest first: little
padding where several go to a call, and no process left with a long stretch at the end.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Protocol

from mct.bench.measure.launch import Setting, WorkerDied, launch_answerer
from mct.bench.samples.measurement import Answers, Failure
from mct.bench.samples.subject import Subject
from mct.models.progress import Report, silent
from mct.models.tasks.examples import Example
from mct.targets.machine import probe_machine

STRETCH = 16_000
"""Characters, of JSON, in a stretch: some hundred short texts, a second's work for most models."""
MEMORY_SHARE = 0.5
RUNTIME_MB = 600
"""What a process takes beside its model, the hungriest runtime (torch) taken for all."""
TELL_S = 0.2

Stretch = tuple[int, int]
"""The first example and the one after the last, in order of length."""


class Answerer(Protocol):
    """A process that answers for one subject. It is there at once, and loaded once it `get_ready` returns."""

    def get_ready(self) -> None: ...

    def answers(self, first: int, last: int) -> Answers: ...

    def kill(self) -> None: ...

    def close(self) -> None: ...


Launch = Callable[[Subject, Setting], Answerer]


@dataclass
class Inquiry:
    """What is still to be asked of one subject, and what came back."""

    subject: Subject
    open: deque[Stretch]
    found: dict[Stretch, Answers] = field(default_factory=dict)
    failure: Failure | None = None

    def fail(self, failure: Failure) -> None:
        """Ask no more; the first failure is the one that counts."""
        self.failure = self.failure or failure
        self.open.clear()


@dataclass(frozen=True)
class Office:
    """All inquiries, and the processes that are at work on them. `closed` tells everybody to stop."""

    inquiries: Sequence[Inquiry]
    setting: Setting
    launch: Launch
    at_work: set[Answerer] = field(default_factory=set)
    closed: Event = field(default_factory=Event)

    def close(self) -> None:
        """Leave nothing to do and nobody at work."""
        self.closed.set()
        for inquiry in self.inquiries:
            inquiry.open.clear()
        for answerer in tuple(self.at_work):
            answerer.kill()


def collect_answers(
    subjects: Sequence[Subject],
    setting: Setting,
    report: Report = silent,
    launch: Launch = launch_answerer,
    cpus: Sequence[int] | None = None,
) -> list[Answers | Failure]:
    """The answers of each subject to the setting's examples, in their order; its failure where it has none.

    `cpus` are those to use, all that this process may if None. A folder given twice is asked once.
    """
    order = _by_length(setting.examples)
    asked = replace(setting, examples=[setting.examples[row] for row in order], threads=1)
    stretches = _cut(asked.examples)
    inquiries = {subject.path: Inquiry(subject, deque(stretches)) for subject in subjects}
    office = Office(tuple(inquiries.values()), asked, launch)
    places = _places(subjects, len(stretches), usable_cpus() if cpus is None else cpus)
    with ThreadPoolExecutor(len(places)) as pool, _closing_early(office):
        working = [pool.submit(_work, office, place) for place in places]
        while wait(working, TELL_S).not_done:
            _tell(office, len(stretches), report)
        for each in working:
            each.result()
    found = {path: _in_order(inquiry, order) for path, inquiry in inquiries.items()}
    return [found[subject.path] for subject in subjects]


def usable_cpus() -> list[int]:
    """The CPUs that this process may use at once; a number each where they cannot be told apart."""
    usable = probe_machine().usable_threads
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(usable)
    return list(allowed)[:usable]


def _by_length(examples: Sequence[Example]) -> list[int]:
    """Row numbers, longest example first."""
    return sorted(range(len(examples)), key=lambda row: (-_length(examples[row]), row))


def _length(example: Example) -> int:
    return len(json.dumps(example.scored, ensure_ascii=False))


def _cut(examples: Sequence[Example]) -> list[Stretch]:
    """Stretches of about `STRETCH` characters, one example at least."""
    ends, characters = [], 0
    for row, example in enumerate(examples):
        characters += _length(example)
        if characters >= STRETCH:
            ends.append(row + 1)
            characters = 0
    if characters:
        ends.append(len(examples))
    return list(zip([0, *ends], ends, strict=False))


def _places(subjects: Sequence[Subject], stretches: int, cpus: Sequence[int]) -> Sequence[int]:
    """The CPUs that get a process: no more than there is work for, nor than half of the memory holds.

    A model is counted at twice the size of its files: stored in halves, it may be opened in full precision.
    """
    largest_mb = RUNTIME_MB + 2 * max(subject.size_mb for subject in subjects)
    fit = int(MEMORY_SHARE * probe_machine().memory_mb / largest_mb)
    return cpus[: max(1, min(stretches, fit))]


def _work(office: Office, cpu: int) -> None:
    """Go through the inquiries and answer what is open, in one process a subject."""
    setting = replace(office.setting, affinity=(cpu,) if office.setting.affinity else ())
    for inquiry in office.inquiries:
        if not inquiry.open:
            continue
        try:
            with closing(office.launch(inquiry.subject, setting)) as answerer, _at_work(office, answerer):
                answerer.get_ready()
                while stretch := _next(inquiry):
                    inquiry.found[stretch] = answerer.answers(*stretch)
        except WorkerDied as death:
            inquiry.fail(death.failure)


@contextmanager
def _at_work(office: Office, answerer: Answerer) -> Iterator[None]:
    """Known to the office, which may close at any moment."""
    office.at_work.add(answerer)
    if office.closed.is_set():
        answerer.kill()
    try:
        yield
    finally:
        office.at_work.remove(answerer)


def _next(inquiry: Inquiry) -> Stretch | None:
    try:
        return inquiry.open.popleft()
    except IndexError:
        return None


@contextmanager
def _closing_early(office: Office) -> Iterator[None]:
    """Whatever ends the wait before everything is answered ends the work."""
    try:
        yield
    except BaseException:
        office.close()
        raise


def _tell(office: Office, stretches: int, report: Report) -> None:
    answered = [len(inquiry.found) for inquiry in office.inquiries]
    unfinished = [each for each in office.inquiries if len(each.found) < stretches and each.failure is None]
    if unfinished:
        report(f"answers of {unfinished[0].subject.name}", sum(answered) / (stretches * len(office.inquiries)))


def _in_order(inquiry: Inquiry, order: Sequence[int]) -> Answers | Failure:
    if inquiry.failure is not None:
        return inquiry.failure
    parts = [inquiry.found[stretch] for stretch in sorted(inquiry.found)]
    given = zip(order, (each for part in parts for each in zip(part.values, part.tokens, strict=True)), strict=True)
    values, tokens = zip(*(each for _, each in sorted(given, key=lambda pair: pair[0])), strict=True)
    return Answers(values, tokens)
