"""Carry out a plan: run each step once, check what comes out against what it was made of, and only then let a folder
appear.

Every step starts from what the one before it left. A checkpoint is inspected anew and asked the same texts; an export
is held against the checkpoint that it was made of, never against the one that the user brought. Finished steps are kept
beside the result until everything is there, so that a kill loses one step.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mct import MctError
from mct.compress.plan.passes import START, Branch, Product, Resources
from mct.compress.plan.recipe import LINEAGE
from mct.compress.run.artifact import Artifact, executable, seal
from mct.compress.run.lineage import Entry, begun_with, entry_of, starting_key, versions
from mct.compress.run.products import require_untouched, stamps
from mct.compress.run.steps import Steps, kept_steps, step_key
from mct.models.checkpoints.checkpoint import inspect, with_each_adapter
from mct.models.progress import Report, silent
from mct.models.tables import load
from mct.models.tasks.prompt_format import FILE as PROMPT_FORMAT
from mct.models.tasks.prompt_format import read_prompt_format
from mct.models.writing.folders import write_json
from mct.models.writing.ownership import require_replaceable
from mct.models.writing.replacing import appearing
from mct.targets.machine import Machine, probe_machine
from mct.targets.runtimes.table import runtime_for

if TYPE_CHECKING:
    from mct.compress.plan.plan import Plan, Resolved, Route
    from mct.compress.run.parity import Parity, Reference
    from mct.compress.run.resources import ParityTexts
    from mct.models.checkpoints.checkpoint import Checkpoint
    from mct.targets.runtimes.table import Executable

# What the ecosystem's own programs look for beside a model.
COMPANIONS = (
    "config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "vocab.json",
    "merges.txt", "added_tokens.json", "heads.json", "generation_config.json", "chat_template.jinja",
    PROMPT_FORMAT,
)  # fmt: skip

# What sentence-transformers reads of an embedder, beside a folder for each of its steps ("1_Pooling").
OF_EMBEDDERS = ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json")
STEPS = "[0-9]*_*"


@dataclass(frozen=True)
class Origin:
    """A checkpoint that steps start from: its own answers to the texts, its key, and the history that led to it."""

    checkpoint: Checkpoint
    reference: Reference
    key: str
    history: tuple[Entry, ...]


@dataclass(frozen=True)
class Execution:
    """One execution under way. `origins` are checkpoints that steps left, by key; `checked` the exports compared.

    `adapted` are the answers of the base with each adapter that is kept beside it.
    """

    plan: Plan
    resources: Resources
    texts: ParityTexts
    steps: Steps
    root: Origin
    advance: Callable[[str], None]
    origins: dict[str, Origin] = field(default_factory=dict)
    checked: set[str] = field(default_factory=set)
    adapted: Mapping[str, Reference] = field(default_factory=dict)

    @property
    def threads(self) -> int:
        """Threads for every run inside compress."""
        return self.resources.machine.usable_threads


def execute(
    plan: Plan, resources: Resources, texts: ParityTexts, out: Path, report: Report = silent,
    shared: Steps | None = None,
) -> list[Path]:  # fmt: skip
    """Make every artifact of the plan below `out`; `texts` are the real ones that parity is checked on.

    Finished steps are kept in `shared`, where others find them; below `out`, until all is made, where that is None.
    Returns the artifact folders in plan order. MctError where an export is not the same model any more, and before
    anything is done where an artifact would replace what mct did not write.
    """
    out = Path(os.path.realpath(out)) if ".." in out.parts else out  # what a name goes back from may not be there
    for route in plan.routes:
        require_replaceable(out / route.name, [plan.checkpoint.path])
        for row in route.work:
            load(row.run, row.extra)  # a library that is missing is said before any work
    stages = sum(len(route.work) + 1 for route in plan.routes) + 1
    done = 0

    def advance(stage: str) -> None:
        nonlocal done
        report(stage, done / stages)
        done += 1

    advance("running the original")
    key = starting_key(plan.checkpoint)
    reference = _answers(plan.checkpoint, texts, resources)
    root = Origin(plan.checkpoint, reference, key, (begun_with(plan.checkpoint, resources.seed),))
    adapted = {each.name: _answers(one, texts, resources) for each, one in with_each_adapter(plan.checkpoint)}
    with nullcontext(shared) if shared else kept_steps(out) as steps:
        execution = Execution(plan, resources, texts, steps, root, advance, adapted=adapted)
        folders = [_make(execution, route, out) for route in plan.routes]
    report("done", 1.0)
    return folders


def _answers(checkpoint: Checkpoint, texts: ParityTexts, resources: Resources) -> Reference:
    run_original = load("mct.compress.run.parity:run_original", "compress")
    reference: Reference = run_original(checkpoint, texts.requests, resources.machine.usable_threads)
    return reference


def _make(execution: Execution, route: Route, out: Path) -> Path:
    """Follow the route to its end, and make the artifact of what that is."""
    origin, product, history = _follow(execution, route.name, route.steps)
    execution.advance(f"checking {route.name}")
    if not route.precision:
        return _finish_checkpoint(execution, origin, product, out / route.name)
    return _finish(execution, route, origin, product, history, out / route.name)


def _follow(
    execution: Execution, name: str, steps: Sequence[Resolved], within: bool = False
) -> tuple[Origin, Product, tuple[Entry, ...]]:
    """Take the steps from the user's checkpoint: the last checkpoint on the way, what they made, and how.

    `within` another way: what it comes to is then joined to that, and checked like what lies on it.
    """
    origin, product, key = execution.root, Product(execution.root.checkpoint.path, ""), execution.root.key
    history = origin.history
    for count, step in enumerate(steps, start=1):
        key = step_key(key, step, execution.resources, versions())
        product = _run(execution, name, step, key, product, origin)
        if step.row.gives == START:
            origin = _new_origin(execution, step, key, product, origin)
            history = origin.history
            continue
        history = (*history, entry_of(step, product, execution.resources))
        answers_alike = not any(before.branch for before in steps[:count])  # what joins two answers as neither does
        if answers_alike and (within or count < len(steps)) and key not in execution.checked:
            _check_full_precision(execution, step.row.gives, product, origin)
            execution.checked.add(key)
    return origin, product, history


def _run(execution: Execution, name: str, step: Resolved, key: str, before: Product, origin: Origin) -> Product:
    """What a step makes of what was before it; not again where that was finished, in this run or in one cut off."""
    if found := execution.steps.find(key):
        execution.advance(f"{name}: {step.row.name} (finished before)")
        return found
    branch = None
    if step.branch:
        end, joined, _ = _follow(execution, name, step.branch, within=True)
        branch = Branch(end.checkpoint, joined)
    execution.advance(f"{name}: {step.row.name}")
    if reason := step.why_not(origin.checkpoint):  # the plan asked of the first checkpoint alone
        raise MctError(f"{step.row.name}: {reason}", "see what it may be told: mct compress --passes")
    texts = execution.resources.calibration if step.row.texts != "none" else None  # the key of the step has no others
    resources = replace(
        execution.resources,
        checkpoint=origin.checkpoint,
        calibration=texts,
        teacher=execution.plan.checkpoint,
        branch=branch,
        shared=execution.resources.shared or execution.steps.shared,
    )
    run = load(step.row.run, step.row.extra)

    def checked(draft: Path) -> Any:
        stamped = stamps(before.folder, step.row)
        product = run(before, draft, step.effective_options, resources)
        require_untouched(before.folder, stamped, step.row)
        return product

    return execution.steps.make(key, step.row, checked)


def _new_origin(execution: Execution, step: Resolved, key: str, product: Product, parent: Origin) -> Origin:
    """The checkpoint that a step left, inspected anew, with what it kept of its parent's answers and of the first's."""
    from mct.compress.run.ancestors import kept_of, require_same_answers, require_same_cuts

    if key in execution.origins:
        return execution.origins[key]
    try:
        checkpoint = inspect(product.folder)
        reference = _answers(checkpoint, execution.texts, execution.resources)
        if step.row.exact:
            require_same_cuts(parent.checkpoint, checkpoint, execution.resources, step.row.name)
            require_same_answers(parent.reference, reference, step.row.name)
    except MctError:
        execution.steps.forget(key)  # whatever is mended next, this is not what is wanted
        raise
    kept = {"parent": kept_of(parent.reference, reference)}
    if parent is not execution.root:
        kept["root"] = kept_of(execution.root.reference, reference)
    said: dict[str, Any] = {whose: parity.as_json() if parity else None for whose, parity in kept.items()}
    said["texts"] = execution.texts.source.as_json()
    entry = entry_of(step, product, execution.resources) | {"parity": said}
    found = Origin(checkpoint, reference, key, (*parent.history, entry))
    execution.origins[key] = found
    return found


def _check_full_precision(execution: Execution, form: str, product: Product, origin: Origin) -> None:
    """An export is checked before anything is built on it, so that a quantiser's losses are its own."""
    from mct.compress.run.parity import FULL_PRECISIONS, measure_parity, require_parity

    if form.partition("-")[2] not in FULL_PRECISIONS:
        return
    artifact = _artifact_of(execution, form, origin.checkpoint, product, ())
    opened = executable(artifact, product.folder)
    require_parity(measure_parity(origin.reference, form, opened, execution.threads), form, origin.checkpoint.path)
    _measure_adapters(execution, form, opened)


def _finish(
    execution: Execution, route: Route, origin: Origin, product: Product, history: tuple[Entry, ...], final: Path
) -> Path:
    """The artifact: the product with its companions, checked once more as it will be opened, then sealed."""
    from mct.compress.run.ancestors import kept_of
    from mct.compress.run.parity import FULL_PRECISIONS, TOLERANCE, at, compare, fitting, require_parity, run_exported

    checkpoint = origin.checkpoint
    with appearing(final, [execution.plan.checkpoint.path]) as draft:
        shutil.copytree(product.folder, draft, copy_function=_share, dirs_exist_ok=True)
        _copy_companions(checkpoint, draft)
        artifact = _artifact_of(execution, route.name, checkpoint, product, history)
        before, after = run_exported(origin.reference, route.name, executable(artifact, draft), execution.threads)
        parity = compare(before, after, TOLERANCE[route.format])
        if route.precision in FULL_PRECISIONS and not any(step.branch for step in route.steps):
            require_parity(parity, route.name, checkpoint.path)
        root = None
        if origin is not execution.root:
            root = kept_of(
                at(execution.root.reference, fitting(origin.reference.asked, artifact.max_tokens)),
                replace(after, folder=checkpoint.path),
            )
        said = _evidence(execution, parity, root)
        if of_adapters := _measure_adapters(execution, route.name, executable(artifact, draft)):
            said["adapters"] = of_adapters
        seal(replace(artifact, parity=said), draft)
    return final


def _measure_adapters(execution: Execution, form: str, opened: Executable) -> dict[str, Any]:
    """How far the artifact is with each adapter that is kept in it. MctError where one is another at full precision."""
    from mct.compress.run.parity import FULL_PRECISIONS, measure_parity, require_parity

    found = {}
    for name, reference in execution.adapted.items():
        parity = measure_parity(reference, form, opened.with_adapter(name), execution.threads)
        if form.partition("-")[2] in FULL_PRECISIONS:
            require_parity(parity, f"{form} with {name}", execution.root.checkpoint.path)
        found[name] = parity.as_json()
    return found


def _finish_checkpoint(execution: Execution, origin: Origin, product: Product, final: Path) -> Path:
    """What a recipe left as a checkpoint, under a name of its own, with how it was made."""
    with appearing(final, [execution.plan.checkpoint.path]) as draft:
        shutil.copytree(product.folder, draft, dirs_exist_ok=True)
        write_json(draft / LINEAGE, list(origin.history))
    return final


def _evidence(execution: Execution, parity: Parity, root: Parity | None) -> dict[str, Any]:
    of_root = {"root": root.as_json()} if root else {}
    return parity.as_json() | of_root | {"texts": execution.texts.source.as_json()}


def _share(product: str, artifact: str) -> None:
    """Give a finished file a second name instead of a copy: later passes may still read it under its first."""
    try:
        os.link(product, artifact)
    except OSError:  # a file system without second names
        shutil.copyfile(product, artifact)


def _artifact_of(
    execution: Execution, form: str, checkpoint: Checkpoint, product: Product, history: tuple[Entry, ...]
) -> Artifact:
    format_name, _, precision = form.partition("-")
    return Artifact(
        format=format_name,
        precision=precision,
        runtime=runtime_for(format_name).name,
        task=checkpoint.task,
        labels=checkpoint.labels,
        heads=checkpoint.heads,
        prompt_format=read_prompt_format(checkpoint.path),
        technique=execution.plan.checkpoint.technique,
        max_tokens=min(checkpoint.max_tokens, int(product.settings.get("context", checkpoint.max_tokens))),
        model=product.model,
        settings=product.settings,
        lineage=history,
        parity={},
        made_for=_machine_json(execution.resources.machine),
        checked_on=_machine_json(probe_machine()),
    )


def _machine_json(machine: Machine) -> dict[str, Any]:
    sets = list(machine.instruction_sets)
    return {"cpu": machine.cpu, "architecture": machine.architecture, "instruction_sets": sets}


def _copy_companions(checkpoint: Checkpoint, draft: Path) -> None:
    names, table = list(COMPANIONS), None
    if checkpoint.network == "sentence-embedding":
        steps = (f"{STEPS}/config.json", f"{STEPS}/model.safetensors")
        table = load("mct.models.tasks.tokens:table_place")(checkpoint.path)
        found = sorted(file for step in steps for file in checkpoint.path.glob(step) if file.parent != table)
        names += [*OF_EMBEDDERS, *(file.relative_to(checkpoint.path).as_posix() for file in found)]
    folders = dict.fromkeys((checkpoint.path, table or checkpoint.vocabulary, checkpoint.sizes))
    for name in names:
        own = next((folder / name for folder in folders if (folder / name).is_file()), None)
        if own is not None and not (draft / name).exists():
            (draft / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(own, draft / name)
