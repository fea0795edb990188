"""One whole bench, as the command line and the demo run it: identify, measure, judge, store.

The raw values are on disk as they come, the result once everything is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mct import MctError
from mct.bench.jobs.reference import with_reference
from mct.bench.judge.line import Outcome, worst
from mct.bench.judge.roofline import limit_inputs
from mct.bench.measure.rounds import Instruments, measure
from mct.bench.measure.sampling import BenchPlan, plan_bench
from mct.bench.samples.measurement import Failure
from mct.bench.samples.subject import Subject, asked_for, compiled, identify_all
from mct.bench.samples.ways import device_of, on_device, run_as
from mct.bench.store.store import RESULTS, begin, make_question, read_result
from mct.bench.transport.site import Site
from mct.bench.transport.table import open_site
from mct.bench.worker.facts import Facts
from mct.bench.worker.predict import NEW_TOKENS
from mct.models.checkpoints.adapted import NOTHING, Told
from mct.models.progress import Report, part, silent
from mct.models.tables import unknown
from mct.models.tasks.datasets import Dataset, asked_task, check_labels, read_dataset, read_examples, with_groups
from mct.models.tasks.table import find_task, network_of
from mct.models.writing.ownership import require_container
from mct.targets.budget import Budget
from mct.targets.limit import MachineLimit, find_limit, known_limit
from mct.targets.machine import Machine
from mct.targets.runtimes.table import is_on, runtime_for
from mct.targets.target import CPU, WEBGPU, Target


@dataclass(frozen=True)
class Job:
    """What to bench, on what, against what. `baseline` is measured too, if it is not one of `paths` anyway.

    `group` is the field of what belongs together (a conversation). `max_seconds`, `rounds` and `block_s` of None leave
    the plan's own. `limit`: measure the machine's limit if it is not known yet; one that is known is used anyway.
    `new_tokens`: the most that a language model is timed writing.
    `reference`: the model that a preference-tuned one was tuned from.
    `torch_compile`: give every checkpoint a second row, run by torch.compile; `run_as`: further rows, one a way of
    mct.bench.samples.ways.
    `told` is said of those that are adapters.
    """

    paths: tuple[Path, ...]
    data: Path
    target: Target
    budget: Budget | None = None
    baseline: Path | None = None
    renames: Mapping[str, str] = field(default_factory=dict)
    group: str = ""
    results: Path = RESULTS
    seed: int = 0
    max_seconds: float | None = None
    rigorous: bool = False
    rounds: int | None = None
    block_s: float | None = None
    limit: bool = False
    new_tokens: int = NEW_TOKENS
    torch_compile: bool = False
    run_as: tuple[str, ...] = ()
    reference: Path | None = None
    told: Told = NOTHING


def run_job(job: Job, report: Report = silent) -> dict[str, Any]:
    """Run a bench and store it; gives the stored result. MctError for whatever the user can mend, before any timing."""
    subjects = find_subjects(job)
    dataset = read_rows(job.data, job.renames, subjects, job.group)
    if job.reference is not None:
        dataset = with_reference(dataset, subjects[0].task, job.reference, part(report, 0.0, 0.0))
    place = job.baseline and job.baseline.resolve()
    baseline = next((subject.name for subject in subjects if subject.path.resolve() == place), None)
    with open_site(job.target, subjects, part(report, 0.0, 0.0)) as site:
        return read_result(_measure_at(site, job, subjects, dataset, baseline, report))


def _measure_at(
    site: Site, job: Job, subjects: Sequence[Subject], dataset: Dataset, baseline: str | None, report: Report
) -> Path:
    """Measure there, and store it here; gives the path of the result."""
    if job.limit and not site.here:
        raise MctError("--limit measures this machine, and the target is another", "leave it out")
    facts = site.facts()
    plan = plan_for(job, facts)
    machine = _limit_of(job, plan) if site.here else None
    question = make_question(
        subjects, dataset, plan, target=job.target, budget=job.budget, baseline=baseline,
        limit=None if machine is None else limit_inputs(subjects, machine), facts=facts,
    )  # fmt: skip
    recording = begin(job.results, question, subjects, dataset)
    watched = () if job.budget is None else tuple(job.budget.false_alarms)
    barred = barred_from(job.target, subjects, baseline) | _obstacles(site, subjects)
    instruments = Instruments(keep=recording.keep, site=site)
    return recording.finish(measure(subjects, dataset, plan, report, instruments, watched, barred, baseline))


def _obstacles(site: Site, subjects: Sequence[Subject]) -> dict[str, Failure]:
    """Those that cannot be run there, by name."""
    return {subject.name: why for subject in subjects if (why := site.obstacle(subject)) is not None}


def _limit_of(job: Job, plan: BenchPlan) -> MachineLimit | None:
    """How fast this machine's CPU can be, where that is known or asked for; no limit of a GPU's is known."""
    if job.target.device != CPU:
        return None
    return (find_limit if job.limit else known_limit)(plan.threads, plan.affinity)


def worst_outcome(result: Mapping[str, Any]) -> Outcome:
    """The verdict of a whole result: its worst, the baseline's own row left aside where there are others.

    An artifact that could not be measured fails. "pass" where no budget was given.
    """
    entries = [entry for entry in result["artifacts"] if entry["artifact"] != result["baseline"]] or result["artifacts"]
    outcomes = {"fail" if entry["failure"] else (entry["verdict"] or {}).get("outcome", "pass") for entry in entries}
    return worst(outcomes)


def find_subjects(job: Job) -> tuple[Subject, ...]:
    """What the job is to measure, the baseline among it. MctError where they do not go together."""
    paths = list(job.paths)
    if job.baseline is not None and job.baseline.resolve() not in {path.resolve() for path in paths}:
        paths.insert(0, job.baseline)
    require_container(job.results, paths)
    device = device_of(job.target)
    subjects = tuple(on_device(subject, device) for subject in identify_all(paths, job.told))
    require_one_task(subjects)
    subjects = asked_by(job.data, job.renames, subjects, job.budget)
    if job.torch_compile:
        subjects += tuple(compiled(subject) for subject in subjects if subject.format == "checkpoint")
    subjects = run_as(subjects, job.run_as)
    if job.budget is not None and job.budget.task != subjects[0].task:
        raise MctError(
            f"budget {job.budget.name} is for {job.budget.task}, {subjects[0].name} does {subjects[0].task}",
            "choose the budget of its scenario",
        )
    if job.budget is not None:
        require_labels(job.budget, subjects)
    return subjects


def asked_by(
    data: Path, renames: Mapping[str, str], subjects: Sequence[Subject], budget: Budget | None = None
) -> tuple[Subject, ...]:
    """The subjects, asked for the task of the budget, or else for the one that the data's rows are for.

    Only where their network has several tasks.
    """
    own = subjects[0].task
    wanted = budget is not None and network_of(budget.task) == own
    task = budget.task if budget is not None and wanted else asked_task(data, own, renames)
    return tuple(subject if subject.task == task else asked_for(subject, task) for subject in subjects)


def require_labels(budget: Budget, subjects: Sequence[Subject]) -> None:
    """MctError where the budget asks for the false alarms of a label that a subject does not have."""
    for subject in subjects:
        known = [label for head in subject.heads if head.kind != "tags" for label in head.labels]
        for label in budget.false_alarms:
            if label not in known:
                raise unknown("label", label, known)


def require_one_task(subjects: Sequence[Subject]) -> None:
    """MctError where the subjects cannot be asked the same question."""
    if len({subject.task for subject in subjects}) > 1:
        kinds = ", ".join(f"{subject.name}: {subject.task}" for subject in subjects)
        raise MctError(f"these do different tasks ({kinds})", "bench artifacts of one task together")


def read_rows(path: Path, renames: Mapping[str, str], subjects: Sequence[Subject], group: str = "") -> Dataset:
    """The evaluation set, with the fields of the subjects' task and labels that every one of them knows.

    `group` is the field by which rows belong together.
    """
    dataset = read_dataset(path, find_task(subjects[0].task), renames)
    for subject in subjects:
        check_labels(dataset, subject.task, subject.heads)
    if not group:
        return dataset
    return with_groups(dataset, group, read_examples(dataset, subjects[0].task, subjects[0].heads))


def plan_for(job: Job, facts: Facts) -> BenchPlan:
    """How to measure the job on that machine. MctError where it cannot be the job's target."""
    require_machine(job.target, facts.machine)
    limit_ms = None if job.budget is None else job.budget.p95_ms
    plan = plan_bench(facts, job.target.threads or 0, limit_ms, job.seed, job.rigorous)
    return replace(
        plan,
        memory_mb=job.target.memory_mb or 0,
        memory_by=facts.memory_by if job.target.memory_mb else "",
        max_seconds=job.max_seconds or plan.max_seconds,
        rounds=job.rounds or plan.rounds,
        block_s=job.block_s or plan.block_s,
        new_tokens=job.new_tokens,
    )


def barred_from(target: Target, subjects: Sequence[Subject], baseline: str | None) -> dict[str, Failure]:
    """Those whose runtime the target has not, and the baseline alone may run by any: it is what others are held to."""
    return {
        subject.name: Failure(
            f"{subject.runtime} runs on no {target.device} device"
            if target.device not in (WEBGPU, *runtime_for(subject.format).devices)
            else f"target {target.name} has no {subject.runtime}",
            "make it for a runtime that it has",
        )
        for subject in subjects
        if subject.name != baseline and not is_on(runtime_for(subject.format), target)
    }


def require_cpu(target: Target, machine: Machine) -> None:
    """MctError for a target that is not that machine's CPU."""
    device_of(target)
    require_machine(target, machine)
    if target.device not in (CPU, WEBGPU):
        raise MctError(
            f"target {target.name} is a {target.device} device, and a search times its candidates on a CPU",
            "search on the CPU, and bench what it finds with --target " + target.name,
        )


def require_machine(target: Target, machine: Machine) -> None:
    """MctError for a target that describes another machine than that one."""
    if target.architecture and (
        target.architecture != machine.architecture or not set(machine.instruction_sets) >= set(target.instruction_sets)
    ):
        raise MctError(
            f"target {target.name} is another machine ({target.about}); measured here, it would be this one's figures",
            "bench there; here their answers can be checked, without times: mct targets emulate",
        )
