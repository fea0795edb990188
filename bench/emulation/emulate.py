"""An artifact's answers on a processor that is emulated, held against those on this one: `mct targets emulate`.

The same worker runs twice, one thread each, on the same texts: here, and under the emulator. What is counted is
requests that both answer alike, as parity counts them (`mct.compress.run.agreement`); of a language model, those that
it continues by the same text. No clock is read. Integer products are exact, so where an artifact suits both processors
only the rounding of what is floating differs; one whose sums saturate answers otherwise, and is found.
"""

from __future__ import annotations

import base64
import os
import platform
import random
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mct import MctError
from mct.bench.emulation.emulators import Emulator, find_emulator
from mct.bench.measure.launch import WorkerDied, launch_answerer
from mct.bench.samples.subject import Subject, identify
from mct.bench.transport.here import WORKER, worker_environment
from mct.bench.transport.site import Command, Setting, Site, Wanted
from mct.bench.worker.facts import facts_here
from mct.compress.run.agreement import Outputs, kept_answers
from mct.compress.run.artifact import MANIFEST, Checked, is_artifact, record_check
from mct.compress.run.parity_inputs import ParityInputs
from mct.compress.run.resources import shop_messages
from mct.models.progress import Report, part, silent
from mct.models.tables import load
from mct.models.tasks.datasets import Dataset, read_dataset
from mct.models.tasks.examples import Example, Request, find_kind
from mct.models.tasks.table import find_task
from mct.models.writing.ownership import require_output
from mct.targets.machine import probe_machine
from mct.targets.runtimes.table import runtime_for
from mct.targets.target import Target

REQUESTS = 300
CHUNK = 4
"""Requests to a reply: an emulator takes a hundred times as long, and a reply is waited for for minutes at most."""


@dataclass(frozen=True)
class Asked:
    """What both are asked, and the file it comes from."""

    requests: tuple[Request, ...]
    data: str
    sha256: str


def emulate(folder: Path, target: Target, asked: Asked, install: bool = False, report: Report = silent) -> Checked:
    """Hold the artifact's answers on the target's emulated processor against this one's, and write it into `mct.json`.

    MctError for a checkpoint, for what is missing (`find_emulator`), and where either side does not answer.
    """
    if not is_artifact(folder):
        raise MctError(
            f"{folder} has no {MANIFEST}", "a checkpoint runs anywhere: give an artifact that was made of it"
        )
    require_output(folder / MANIFEST)
    subject = identify(folder)
    runtime = runtime_for(subject.format)
    report(f"looking for {target.name}'s processor", 0.0)
    emulator = find_emulator(target, runtime.distribution, install)
    examples = [Example(request, None, request, "") for request in asked.requests]
    here = Setting(examples, threads=1, affinity=(), seed=0)
    there = replace(here, site=emulated(emulator))
    before = _given(subject, here, part(report, 0.05, 0.1), "answers here")
    try:
        after = _given(subject, there, part(report, 0.1, 1.0), f"answers by {emulator.how}")
    except MctError as error:
        raise _explained(error, subject, emulator) from error
    alike, difference = _compare(subject, asked.requests, before, after)
    if not alike:
        raise MctError(f"nothing in {asked.data} is decided one way or another", "ask more: --most, or another --data")
    machine = probe_machine()
    check = Checked(
        target=target.name, how=emulator.how, agreed=int(sum(alike)), of=len(alike), max_difference=difference,
        beside=f"{machine.architecture} with {', '.join(machine.instruction_sets) or 'no instruction set that counts'}",
        data=asked.data, sha256=asked.sha256, runtime=subject.runtime,
    )  # fmt: skip
    record_check(folder, check)
    return check


def emulated(emulator: Emulator) -> Site:
    """Where workers run by an emulator."""

    def command(wanted: Wanted) -> Command:
        told = worker_environment(wanted.setting.threads) | dict(emulator.environment)
        return Command([*emulator.python, "-P", "-m", WORKER], told, {"parent": os.getpid()})

    return Site(facts_here, command)


def read_asked(folder: Path, data: Path | None, most: int = REQUESTS) -> Asked:
    """At most so many requests of a data file, in random order; of the built-in shop messages where there is none."""
    task = find_task(identify(folder).task) if is_artifact(folder) else find_task("sequence-classification")
    dataset: Dataset = (
        shop_messages(task.name) if data is None else read_dataset(data, replace(task, fields=task.inputs))
    )
    requests = find_kind(task.name).texts(dataset.rows)
    drawn = random.Random(0).sample(requests, min(most, len(requests)))
    return Asked(tuple(drawn), dataset.name, dataset.sha256)


def _given(subject: Subject, setting: Setting, report: Report, stage: str) -> list[Any]:
    """What the model gives for each request, from one process. MctError where it dies."""
    found: list[Any] = []
    count = len(setting.examples)
    try:
        with closing(launch_answerer(subject, setting)) as worker:
            report(stage, 0.0)
            worker.get_ready()
            for first in range(0, count, CHUNK):
                found += worker.outputs(first, min(first + CHUNK, count))
                report(stage, len(found) / count)
    except WorkerDied as death:
        said = f": {death.failure.stderr[-1]}" if death.failure.stderr else ""
        raise MctError(f"{subject.name}, {stage}: {death.failure.message}{said}"[:400], death.failure.hint) from death
    return found


def _explained(error: MctError, subject: Subject, emulator: Emulator) -> MctError:
    distribution = runtime_for(subject.format).distribution
    hint = error.hint or f"does the {distribution} that is installed here run on other processors than this one?"
    return MctError(f"{error.message} (under {emulator.how})", hint)


def _compare(
    subject: Subject, requests: Sequence[Request], before: list[Any], after: list[Any]
) -> tuple[list[bool], float | None]:
    """Whether each request is answered alike, and the largest difference of any output, None of texts."""
    if subject.executable.network == "causal-lm":
        return [one == other for one, other in zip(before, after, strict=True)], None
    tokenize = load("mct.models.tasks.tokens:open_tokenizer")(
        subject.executable.vocabulary, subject.executable.max_tokens
    )
    encode: Callable[[Any], list[Any]] = lambda request: find_kind(subject.task).encode(tokenize, request)  # noqa: E731
    encoded = [(number, tokens) for number, request in enumerate(requests) for tokens in encode(request)]
    asked = ParityInputs(
        subject.executable.network, subject.heads,
        tuple(tokens for _, tokens in encoded), tuple(number for number, _ in encoded),
    )  # fmt: skip
    a, b = (_arrays(side) for side in (before, after))
    differences = [
        float(np.abs(one[name].astype(np.float64) - other[name]).max())
        for one, other in zip(a, b, strict=True)
        for name in one
    ]
    if not np.isfinite(differences).all():
        raise MctError(f"{subject.name} answers by what is no number (NaN or infinity)", "its weights are damaged")
    return kept_answers(asked, a, b).tolist(), max(differences)


def _arrays(given: list[Any]) -> list[Outputs]:
    """A worker's reply, an entry an input."""
    return [
        {name: np.frombuffer(base64.b64decode(told), "<f4").reshape(shape) for name, (shape, told) in one.items()}
        for request in given
        for one in request
    ]


def describe(check: Checked, folder: Path) -> str:
    """Two lines for a person."""
    largest = (
        "" if check.max_difference is None else f"; the largest difference of an output is {check.max_difference:.2g}"
    )
    return (
        f"{folder}: {check.agreed} of {check.of} answers of {check.data} are the same{largest}\n"
        f"for {check.target}: {check.how}, {check.runtime}; beside {platform.machine()}, written into {MANIFEST}"
    )
