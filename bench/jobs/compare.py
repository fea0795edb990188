"""One whole comparison, as the command line runs it: identify, measure in turns, store, compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mct.bench.jobs.job import read_rows, require_cpu, require_one_task
from mct.bench.judge.compare import Comparison, Limits, compare
from mct.bench.measure.pairs import Contestant, PairPlan, measure_pair
from mct.bench.measure.sampling import plan_bench
from mct.bench.samples.subject import Subject, identify
from mct.bench.store.store import RESULTS, append, ask
from mct.models.progress import Report, silent
from mct.models.tasks.datasets import read_examples
from mct.models.writing.ownership import require_container
from mct.targets.machine import probe_machine
from mct.targets.target import Target

MEASURING = 0.94
"""Share of the time that goes into starting and timing; the rest is for reading, judging and storing."""


@dataclass(frozen=True)
class Duel:
    """What to compare: B with A, each on its target. `slow_down_b` above 1 tries whether the check would find it."""

    a: Path
    b: Path
    data: Path
    targets: tuple[Target, Target]
    limits: Limits
    slices: tuple[str, ...] = ()
    renames: Mapping[str, str] = field(default_factory=dict)
    results: Path = RESULTS
    max_seconds: float = 60.0
    slow_down_b: float = 1.0
    seed: int = 0


def run_duel(duel: Duel, report: Report = silent) -> tuple[Comparison, list[str]]:
    """Compare, and store the raw values as a run of two; gives the comparison and the texts it was made on."""
    a, b = _contestants(duel)
    subjects = (a.subject, b.subject)
    require_one_task(subjects)
    require_container(duel.results, (duel.a, duel.b))
    dataset = read_rows(duel.data, duel.renames, subjects)
    plan = plan_bench(probe_machine(), max(a.threads, b.threads), seed=duel.seed)
    memory_mb = probe_machine().memory_mb
    pair_plan = PairPlan(plan.affinity, duel.seed, 1 + duel.limits.latency, MEASURING * duel.max_seconds, memory_mb)
    pair = measure_pair(a, b, dataset, pair_plan, report)
    asked = ask(subjects, dataset, replace(plan, max_seconds=duel.max_seconds), baseline=a.subject.name)
    append(duel.results, asked, pair, dataset)
    texts = [example.text for example in read_examples(dataset, a.subject.task, a.subject.heads)]
    return compare(*pair, duel.limits, duel.slices), texts


def _contestants(duel: Duel) -> tuple[Contestant, Contestant]:
    a, b = (_contestant(path, target) for path, target in zip((duel.a, duel.b), duel.targets, strict=True))
    slowed = f" slowed {duel.slow_down_b:g}x" if duel.slow_down_b != 1 else ""
    return _named(a, "A: ", ""), replace(_named(b, "B: ", slowed), slow_down=duel.slow_down_b)


def _contestant(path: Path, target: Target) -> Contestant:
    require_cpu(target)
    return Contestant(identify(path), plan_bench(probe_machine(), target.threads).threads)


def _named(contestant: Contestant, before: str, after: str) -> Contestant:
    """Under a name that tells the sides apart, even where both are the same folder."""
    subject: Subject = contestant.subject
    return replace(contestant, subject=replace(subject, name=f"{before}{subject.name}{after}"))
