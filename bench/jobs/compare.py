"""One whole comparison, as the command line runs it: identify, measure in turns, store, compare."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from mct import MctError
from mct.bench.jobs.job import asked_by, read_rows, require_machine, require_one_task
from mct.bench.jobs.reference import with_reference
from mct.bench.judge.compare import Comparison, Limits, compare
from mct.bench.measure.pairs import Arm, PairPlan, measure_pair
from mct.bench.measure.sampling import plan_bench
from mct.bench.samples.subject import identify, told_to
from mct.bench.samples.ways import device_of, on_device
from mct.bench.store.store import RESULTS, append, make_question
from mct.bench.transport.table import open_site
from mct.bench.worker.predict import Pause
from mct.models.checkpoints.adapted import NOTHING, Told
from mct.models.progress import Report, part, silent
from mct.models.tasks.datasets import read_examples
from mct.models.writing.ownership import require_container
from mct.targets.target import Target

MEASURING = 0.94
"""Share of the time that goes into starting and timing; the rest is for reading, judging and storing."""


@dataclass(frozen=True)
class CompareJob:
    """What to compare: B with A, each on its target.

    `slow_down_b` above 1 makes B's requests that much longer from end to end, to try whether the check would find it.
    A waits as long after each of its own, uncounted: then the two differ by nothing else. `told` is said of the one
    that is an adapter, or of both. `reference`: the model that preference-tuned ones were tuned from.
    """

    a: Path
    b: Path
    data: Path
    targets: tuple[Target, Target]
    limits: Limits
    slices: tuple[str, ...] = ()
    renames: Mapping[str, str] = field(default_factory=dict)
    group: str = ""
    results: Path = RESULTS
    max_seconds: float = 60.0
    slow_down_b: float = 1.0
    seed: int = 0
    told: Told = NOTHING
    reference: Path | None = None


def run_compare(job: CompareJob, report: Report = silent) -> tuple[Comparison, list[str]]:
    """Compare, and store the raw values as a run of two; gives the comparison and the texts it was made on."""
    with ExitStack() as stack:
        return _compare(job, _arms(job, stack), report)


def _compare(job: CompareJob, arms: tuple[Arm, Arm], report: Report) -> tuple[Comparison, list[str]]:
    a, b = arms
    require_one_task((a.subject, b.subject))
    subjects = asked_by(job.data, job.renames, (a.subject, b.subject))
    a, b = (replace(arm, subject=subject) for arm, subject in zip((a, b), subjects, strict=True))
    require_container(job.results, (job.a, job.b))
    dataset = read_rows(job.data, job.renames, subjects, job.group)
    if job.reference is not None:
        dataset = with_reference(dataset, a.subject.task, job.reference, part(report, 0.0, 0.0))
    facts = a.site.facts()
    plan = plan_bench(facts, max(arm.threads for arm in (a, b) if arm.site.here == a.site.here), seed=job.seed)
    memory_mb = facts.machine.memory_mb
    pair_plan = PairPlan(plan.affinity, job.seed, 1 + job.limits.latency, MEASURING * job.max_seconds, memory_mb)
    pair = measure_pair(a, b, dataset, pair_plan, report)
    plan = replace(plan, max_seconds=job.max_seconds)
    question = make_question(subjects, dataset, plan, baseline=a.subject.name, facts=facts)
    append(job.results, question, pair, dataset)
    texts = [example.text for example in read_examples(dataset, a.subject.task, a.subject.heads)]
    return compare(*pair, job.limits, job.slices), texts


def _arms(job: CompareJob, stack: ExitStack) -> tuple[Arm, Arm]:
    """Both, under names that tell them apart even where they are the same folder; their sites are the stack's."""
    slowed = f" slowed {job.slow_down_b:g}x" if job.slow_down_b != 1 else ""
    arms, share = [], job.slow_down_b - 1
    told = told_to((job.a, job.b), job.told)
    for path, target, name, pause in (
        (job.a, job.targets[0], "A: {}", Pause(share, counts=False)),
        (job.b, job.targets[1], f"B: {{}}{slowed}", Pause(share, counts=True)),
    ):
        subject = on_device(identify(path, told[path]), device_of(target))
        site = stack.enter_context(open_site(target, (subject,)))
        require_machine(target, site.facts().machine)
        if (why := site.obstacle(subject)) is not None:
            raise MctError(f"{subject.name}: {why.message}", why.hint)
        subject = replace(subject, name=name.format(subject.name))
        threads = plan_bench(site.facts(), target.threads or 0).threads
        arms.append(Arm(subject, threads, pause, target.memory_mb or 0, site))
    return arms[0], arms[1]
