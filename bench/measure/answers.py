"""Every subject's answers to every example, for the score: by several processes at once, before anything is timed.

Each process holds one model on one thread of one CPU and takes one chunk of examples after another. Which of
them gives an answer is chance, what it answers is not: the examples are cut into chunks by their length alone, and a
chunk is answered one input to a call, or as many as change no answer (`mct.targets.runtimes.table.Runtime`). So an
answer depends on the model, the example and the kind of machine, and neither on the number of CPUs, nor on a target's
threads, nor on its neighbours. Another number of threads may round a sum in another order: what is scored is what one
gives.

A process that dies fails its subject and no other. Examples of like length stand together, longest first: little
padding where several go to a call, and no process left with a long chunk at the end.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any, Protocol

from mct.bench.measure.launch import ConnectionLost, WorkerDied, launch_answerer
from mct.bench.samples.measurement import Answers, Failure
from mct.bench.samples.subject import Subject
from mct.bench.transport.site import Setting
from mct.bench.worker.facts import Facts
from mct.models.progress import Report, silent
from mct.models.tasks.examples import Example
from mct.targets.target import CPU

CHUNK_CHARACTERS = 16_000
"""Characters, of JSON, in a chunk: some hundred short texts, a second's work for most models."""
MEMORY_SHARE = 0.5
RUNTIME_MB = 600
"""What a process takes beside its model, the hungriest runtime (torch) taken for all."""
REPORT_S = 0.2
MOST_LOST = 3
"""Connections that may break while a subject answers."""

Chunk = tuple[int, int]
"""The first example and the one after the last, in order of length."""


class Answerer(Protocol):
    """A process that answers for one subject. It is there at once, and loaded once it `get_ready` returns."""

    def get_ready(self) -> None: ...

    def answers(self, first: int, last: int) -> Answers: ...

    def kill(self) -> None: ...

    def close(self) -> None: ...


Launch = Callable[[Subject, Setting], Answerer]


@dataclass
class Queue:
    """The chunks that one subject has still to answer, and the answers it gave."""

    subject: Subject
    open: deque[Chunk]
    found: dict[Chunk, Answers] = field(default_factory=dict)
    failure: Failure | None = None
    lost: int = 0

    def fail(self, failure: Failure) -> None:
        """Give out no more; the first failure is the one that counts."""
        self.failure = self.failure or failure
        self.open.clear()


@dataclass(frozen=True)
class Pool:
    """The processes that are at work on all queues. `closed` tells everybody to stop."""

    queues: Sequence[Queue]
    setting: Setting
    launch: Launch
    at_work: set[Answerer] = field(default_factory=set)
    closed: Event = field(default_factory=Event)

    def close(self) -> None:
        """Leave nothing to do and nobody at work."""
        self.closed.set()
        for queue in self.queues:
            queue.open.clear()
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

    `cpus` are those to use, all that this process may if None. A folder given twice answers once.
    """
    order = sorted(range(len(setting.examples)), key=lambda row: (-_length(setting.examples[row]), row))
    setting = replace(setting, examples=[setting.examples[row] for row in order], threads=1)
    chunks = _cut(setting.examples)
    queues = {_key(subject): Queue(subject, deque(chunks)) for subject in subjects}
    pool = Pool(tuple(queues.values()), setting, launch)
    facts = setting.site.facts()
    places = _places(subjects, len(chunks), usable_cpus(facts) if cpus is None else cpus, facts.machine.memory_mb)
    with ThreadPoolExecutor(len(places)) as threads:
        working = [threads.submit(_work, pool, place) for place in places]
        try:
            while wait(working, REPORT_S).not_done:
                _report(pool, len(chunks), report)
            for each in working:
                each.result()
        except BaseException:  # whatever ends the wait before everything is answered ends the work
            pool.close()
            raise
    found = {key: _in_order(queue, order) for key, queue in queues.items()}
    return [found[_key(subject)] for subject in subjects]


def _key(subject: Subject) -> tuple[Path, str]:
    """A folder, and how it is run: compiled, it may round otherwise."""
    return subject.path, json.dumps(dict(subject.executable.settings), sort_keys=True)


def usable_cpus(facts: Facts) -> Sequence[int]:
    """The CPUs that may be used at once there; a number each where they cannot be told apart."""
    usable = facts.machine.usable_threads
    return facts.choose_cpus(usable) or range(usable)


def _length(example: Example) -> int:
    return len(json.dumps(example.scored, ensure_ascii=False))


def _cut(examples: Sequence[Example]) -> list[Chunk]:
    """Chunks of about `CHUNK_CHARACTERS` characters, one example at least."""
    ends, characters = [], 0
    for row, example in enumerate(examples):
        characters += _length(example)
        if characters >= CHUNK_CHARACTERS:
            ends.append(row + 1)
            characters = 0
    if characters:
        ends.append(len(examples))
    return list(zip([0, *ends], ends, strict=False))


def _places(subjects: Sequence[Subject], chunks: int, cpus: Sequence[int], memory_mb: int) -> Sequence[int]:
    """The CPUs that get a process: no more than there is work for, nor than half of the memory holds.

    A model is counted at twice the size of its files: stored in halves, it may be opened in full precision.
    """
    largest_mb = RUNTIME_MB + 2 * max((subject.size_mb for subject in subjects), default=0.0)
    fit = int(MEMORY_SHARE * memory_mb / largest_mb)
    if any(subject.executable.device != CPU for subject in subjects):  # one process feeds a GPU
        fit = 1
    return cpus[: max(1, min(chunks, fit))]


def _work(pool: Pool, cpu: int) -> None:
    """Go through the queues and answer what is open, in one process a subject."""
    setting = replace(pool.setting, affinity=(cpu,) if pool.setting.affinity else ())
    for queue in pool.queues:
        while queue.open:
            try:
                with closing(pool.launch(queue.subject, setting)) as answerer, _at_work(pool, answerer):
                    answerer.get_ready()
                    _answer(queue, answerer)
            except ConnectionLost as death:
                queue.lost += 1
                if queue.lost > MOST_LOST:
                    queue.fail(death.failure)
            except WorkerDied as death:
                queue.fail(death.failure)


def _answer(queue: Queue, answerer: Answerer) -> None:
    """One open chunk after the other; one that the connection broke in is open again."""
    while chunk := _next(queue):
        try:
            queue.found[chunk] = answerer.answers(*chunk)
        except ConnectionLost:
            queue.open.appendleft(chunk)
            raise


@contextmanager
def _at_work(pool: Pool, answerer: Answerer) -> Iterator[None]:
    """Known to the pool, which may be closed at any moment."""
    pool.at_work.add(answerer)
    if pool.closed.is_set():
        answerer.kill()
    try:
        yield
    finally:
        pool.at_work.remove(answerer)


def _next(queue: Queue) -> Chunk | None:
    try:
        return queue.open.popleft()
    except IndexError:
        return None


def _report(pool: Pool, chunks: int, report: Report) -> None:
    answered = [len(queue.found) for queue in pool.queues]
    unfinished = [each for each in pool.queues if len(each.found) < chunks and each.failure is None]
    if unfinished:
        report(f"answers of {unfinished[0].subject.name}", sum(answered) / (chunks * len(pool.queues)))


def _in_order(queue: Queue, order: Sequence[int]) -> Answers | Failure:
    if queue.failure is not None:
        return queue.failure
    parts = [queue.found[chunk] for chunk in sorted(queue.found)]
    places = sorted(range(len(order)), key=order.__getitem__)

    def joined(pieces: Iterable[Sequence[Any]]) -> tuple[Any, ...]:
        given = [each for piece in pieces for each in piece]
        return tuple(given[place] for place in places) if given else ()

    return Answers(
        values=joined(part.values for part in parts),
        tokens=joined(part.tokens for part in parts),
        scores={label: joined(part.scores[label] for part in parts) for label in parts[0].scores},
        deferred=joined(part.deferred for part in parts),
        native=joined(part.native for part in parts),
        unlike=joined(part.unlike for part in parts),
    )
