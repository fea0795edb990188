"""The reference model of a preference-tuned one: asked once, for what it gives the answers of every row.

That is a part of the evaluation set, as rows that trl has asked before tell it themselves; so the rows get it, and
neither timing nor verdict has a third model in it.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from mct import MctError
from mct.bench.measure.answers import collect_answers
from mct.bench.measure.rounds import Collect
from mct.bench.samples.measurement import Failure
from mct.bench.samples.subject import asked_for, identify
from mct.bench.transport.site import Setting
from mct.models.progress import Report
from mct.models.tasks.datasets import Dataset, read_examples
from mct.models.tasks.table import find_task

TASK = "preference"


def with_reference(
    dataset: Dataset, task: str, reference: Path, report: Report, collect: Collect = collect_answers
) -> Dataset:
    """The rows with the reference's log-likelihoods of both answers; the data's hash is that of both.

    MctError where the rows are no preferences, or the reference cannot say what it prefers.
    """
    if task != TASK:
        raise MctError(f"a reference is for rows with {', '.join(find_task(TASK).fields)}", "leave out --reference")
    subject = identify(reference)
    if subject.executable.network != find_task(TASK).network:
        raise MctError(
            f"{reference} does {subject.task}, and a reference writes text", "name what was tuned: --reference"
        )
    subject = asked_for(subject, TASK)
    setting = Setting(read_examples(dataset, TASK, ()), threads=1, affinity=(), seed=0)
    (found,) = collect([subject], setting, report)
    if isinstance(found, Failure):
        raise MctError(f"the reference cannot be asked: {found.message}", found.hint or "try it by hand: mct run")
    names = find_task(TASK).optional
    told = [dict(zip(names, (answer["chosen"], answer["rejected"]), strict=True)) for answer in found.values]
    rows = tuple({**row, **each} for row, each in zip(dataset.rows, told, strict=True))
    return replace(dataset, rows=rows, sha256=hashlib.sha256(f"{dataset.sha256} {subject.digest}".encode()).hexdigest())
