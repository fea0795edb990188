"""Where the workers of a target run, as a value: everything between "measure this" and a process's pipes.

Rounds, answers, pairs, loads, the search and the judge never ask which site it is. A site says what its machine is
(`facts`), why it cannot run a subject (`obstacle`) and how a worker is started (`command`): always as a process of this
machine whose pipes speak the protocol of `mct.bench.worker.worker`, be it the worker itself, an ssh that leads to one,
or a program that drives Node or a browser. Sites are opened by a row of `mct.bench.transport.table`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mct.bench.samples.measurement import Failure
from mct.bench.samples.subject import Subject
from mct.bench.transport.here import command_here
from mct.bench.worker.facts import Facts, facts_here
from mct.bench.worker.predict import NEW_TOKENS, NO_PAUSE, Pause
from mct.models.tasks.examples import Example
from mct.targets.devices.gpus import device_environment


def _no_obstacle(subject: Subject) -> Failure | None:
    return None


def _never_lost(exit_code: int, said: Sequence[str]) -> Failure | None:
    return None


@dataclass(frozen=True)
class Command:
    """How one worker is started: a process here, and what is laid over its job (its folder as it is called there).

    `limited_here`: a limit on memory is put on that very process; else whoever stands at the other end sees to it.
    """

    argv: Sequence[str]
    environment: Mapping[str, str]
    told: Mapping[str, Any] = field(default_factory=dict)
    limited_here: bool = True


@dataclass(frozen=True)
class Wanted:
    """One worker that is wanted. `timed` is False for one that only gives answers; `round` 0 wants a cold start."""

    subject: Subject
    setting: Setting
    round: int
    timed: bool


@dataclass(frozen=True)
class Site:
    """A place that is ready for workers.

    `facts` are what its machine is; of this one, as it is just now. `command` starts a worker, `obstacle` says why a
    subject cannot run there. `lost` tells, by a dead worker's exit code and last words, that not the worker but the way
    to it failed; None otherwise.
    `here` is True where workers take this machine's own CPUs and page cache.
    """

    facts: Callable[[], Facts]
    command: Callable[[Wanted], Command]
    obstacle: Callable[[Subject], Failure | None] = _no_obstacle
    lost: Callable[[int, Sequence[str]], Failure | None] = _never_lost
    here: bool = True


def _command_here(wanted: Wanted) -> Command:
    argv, environment = command_here(wanted.setting.threads)
    shown = device_environment(wanted.subject.executable.device)
    return Command(argv, {**environment, **shown}, {"parent": os.getpid()})


HERE = Site(facts_here, _command_here)
"""This machine, by this Python."""


@dataclass(frozen=True)
class Setting:
    """How a worker runs, and on what. `affinity` are the CPUs to be pinned to, empty where that cannot be.

    `pause` comes after each request: to see whether a check would find it. A language model is timed writing
    `new_tokens` at most. `batch` requests are made by one call, each of `length` tokens (0: as they come); so many
    `clients` call at once. With an answer comes the score of each label that is `watched`. `memory_mb` (10^6 bytes) is
    the most that a timed process may take; 0 is no limit. What the original gave is found in the folder `original`, or
    put into the folder `original_kept` by itself ("" for neither). `site` is where it runs.
    """

    examples: Sequence[Example]
    threads: int
    affinity: Sequence[int]
    seed: int
    pause: Pause = NO_PAUSE
    new_tokens: int = NEW_TOKENS
    batch: int = 1
    length: int = 0
    clients: int = 1
    watched: Sequence[str] = ()
    memory_mb: int = 0
    original: str = ""
    original_kept: str = ""
    site: Site = HERE
