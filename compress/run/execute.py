"""Carry out a plan: run each pass once, check every export against the checkpoint, and only then let a folder appear.

Work happens in a hidden folder beside the result, which goes whatever happens: Ctrl-C leaves nothing half-written.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mct
from mct.compress.plan.passes import Material, Product
from mct.compress.run.artifact import Artifact, executable, seal
from mct.models.checkpoints.checkpoint import weight_files
from mct.models.checkpoints.hub import origin_of
from mct.models.progress import Report, silent
from mct.models.tables import load
from mct.models.writing.drafts import draft_folder
from mct.models.writing.folders import digest, sha256
from mct.models.writing.ownership import require_replaceable
from mct.models.writing.replacing import appearing
from mct.targets.machine import Machine, probe_machine
from mct.targets.runtimes.table import runtime_for

if TYPE_CHECKING:
    from mct.compress.plan.plan import Plan, Route
    from mct.compress.run.material import ParityTexts, Source
    from mct.compress.run.parity import Parity, Reference
    from mct.models.checkpoints.checkpoint import Checkpoint

# What the ecosystem's own programs look for beside a model.
COMPANIONS = (
    "config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "vocab.json",
    "merges.txt", "added_tokens.json", "heads.json", "generation_config.json", "chat_template.jinja",
)  # fmt: skip

# What sentence-transformers reads of an embedder, beside a folder for each of its steps ("1_Pooling").
OF_EMBEDDERS = ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json")
STEPS = "[0-9]*_*"

LIBRARIES = ("torch", "transformers", "onnx", "onnxruntime", "openvino", "nncf", "llama-cpp-python", "gguf")


@dataclass(frozen=True)
class Workshop:
    """One execution under way: where drafts lie, what was made already, and the checkpoint's own answers to texts."""

    plan: Plan
    material: Material
    source: Source
    reference: Reference
    drafts: Path
    made: dict[tuple[str, ...], Product] = field(default_factory=dict)

    @property
    def threads(self) -> int:
        """Threads for every run inside compress."""
        return self.material.machine.usable_threads


def execute(plan: Plan, material: Material, texts: ParityTexts, out: Path, report: Report = silent) -> list[Path]:
    """Make every artifact of the plan below `out`; `texts` are the real ones that parity is checked on.

    Returns the artifact folders in plan order. MctError where an export is not the same model any more, and before
    anything is done where an artifact would replace what mct did not write.
    """
    for route in plan.routes:
        require_replaceable(out / route.name, [plan.checkpoint.path])
    functions = {step.run: load(step.run, step.extra) for route in plan.routes for step in route.passes}
    run_original = load("mct.compress.run.parity:run_original", "compress")
    stages = sum(len(route.passes) + 1 for route in plan.routes) + 1
    done = 0

    def advance(stage: str) -> None:
        nonlocal done
        report(stage, done / stages)
        done += 1

    advance("running the original")
    reference = run_original(plan.checkpoint, texts.requests, material.machine.usable_threads)
    folders = []
    with draft_folder(out, "passes") as drafts:
        workshop = Workshop(plan, material, texts.source, reference, drafts)
        for route in plan.routes:
            product = _run_passes(workshop, route, functions, advance)
            advance(f"checking {route.name}")
            folders.append(_finish(workshop, route, product, out))
    report("done", 1.0)
    return folders


def _run_passes(
    workshop: Workshop, route: Route, functions: dict[str, Callable[..., Product]], advance: Callable[[str], None]
) -> Product:
    """The route's product; passes that an earlier route ran already are not run again."""
    product = Product(workshop.plan.checkpoint.path, "")
    for count, step in enumerate(route.passes, start=1):
        advance(f"{route.name}: {step.name}")
        chain = tuple(before.gives for before in route.passes[:count])
        if chain not in workshop.made:
            draft = workshop.drafts / "+".join(chain)
            draft.mkdir()
            workshop.made[chain] = functions[step.run](product, draft, step.settings, workshop.material)
            if count < len(route.passes):
                _check_full_precision(workshop, step.gives, workshop.made[chain])
        product = workshop.made[chain]
    return product


def _check_full_precision(workshop: Workshop, form: str, product: Product) -> None:
    """An export is checked before anything is built on it, so that a quantiser's losses are its own."""
    from mct.compress.run.parity import FULL_PRECISIONS, measure_parity, require_parity

    if form.partition("-")[2] not in FULL_PRECISIONS:
        return
    artifact = _describe(workshop, form, product, ())
    parity = measure_parity(workshop.reference, form, executable(artifact, product.folder), workshop.threads)
    require_parity(parity, form, workshop.plan.checkpoint.path)


def _finish(workshop: Workshop, route: Route, product: Product, out: Path) -> Path:
    from mct.compress.run.parity import FULL_PRECISIONS, measure_parity, require_parity

    final = out / route.name
    with appearing(final, [workshop.plan.checkpoint.path]) as draft:
        shutil.copytree(product.folder, draft, copy_function=_share, dirs_exist_ok=True)
        _copy_companions(workshop.plan.checkpoint, draft)
        artifact = _describe(workshop, route.name, product, _lineage(workshop, route))
        parity = measure_parity(workshop.reference, route.name, executable(artifact, draft), workshop.threads)
        if route.precision in FULL_PRECISIONS:
            require_parity(parity, route.name, workshop.plan.checkpoint.path)
        seal(_with_parity(artifact, parity, workshop.source), draft)
    return final


def _share(product: str, artifact: str) -> None:
    """Give a finished file a second name instead of a copy: later passes may still read it under its first."""
    try:
        os.link(product, artifact)
    except OSError:  # a file system without second names
        shutil.copyfile(product, artifact)


def _describe(workshop: Workshop, form: str, product: Product, lineage: tuple[dict[str, Any], ...]) -> Artifact:
    format_name, _, precision = form.partition("-")
    checkpoint = workshop.plan.checkpoint
    return Artifact(
        format=format_name,
        precision=precision,
        runtime=runtime_for(format_name).name,
        task=checkpoint.task,
        labels=checkpoint.labels,
        heads=checkpoint.heads,
        technique=checkpoint.technique,
        max_tokens=min(checkpoint.max_tokens, int(product.settings.get("context", checkpoint.max_tokens))),
        model=product.model,
        settings=product.settings,
        lineage=lineage,
        parity={},
        made_for=_described(workshop.material.machine),
        checked_on=_described(probe_machine()),
    )


def _described(machine: Machine) -> dict[str, Any]:
    sets = list(machine.instruction_sets)
    return {"cpu": machine.cpu, "architecture": machine.architecture, "instruction_sets": sets}


def _with_parity(artifact: Artifact, parity: Parity, source: Source) -> Artifact:
    return replace(artifact, parity=parity.as_json() | {"texts": source.as_json()})


def _lineage(workshop: Workshop, route: Route) -> tuple[dict[str, Any], ...]:
    """What was done, in order: the checkpoint, then each pass with its settings, seed, data and library versions."""
    checkpoint, material = workshop.plan.checkpoint, workshop.material
    steps: list[dict[str, Any]] = [
        {
            "step": "checkpoint", "architecture": checkpoint.architecture, "technique": checkpoint.technique,
            "parameters": checkpoint.parameters, "sha256": weights_digest(checkpoint.path), **_named_on_hub(checkpoint),
            "mct": mct.__version__, "libraries": _versions(),
        }
    ]  # fmt: skip
    for count, step in enumerate(route.passes, start=1):
        product = workshop.made[tuple(before.gives for before in route.passes[:count])]
        entry: dict[str, Any] = {"step": step.name, "gives": step.gives}
        entry |= {"settings": dict(step.settings), "notes": dict(product.notes)}
        if step.texts != "none" and material.calibration is not None:
            data = material.calibration
            entry |= {"seed": material.seed, "data": {"name": data.name, "rows": len(data.rows), "sha256": data.sha256}}
        steps.append(entry)
    return tuple(steps)


def _named_on_hub(checkpoint: Checkpoint) -> dict[str, str]:
    origin = origin_of(checkpoint.path)
    return {"hub": origin.name, "revision": origin.commit} if origin else {}


def weights_digest(checkpoint: Path) -> str:
    """One SHA-256 over a checkpoint's weight files: what an artifact's lineage names as its origin."""
    return digest({file.relative_to(checkpoint).as_posix(): sha256(file) for file in weight_files(checkpoint)})


def _versions() -> dict[str, str]:
    found = {}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def _copy_companions(checkpoint: Checkpoint, draft: Path) -> None:
    names = list(COMPANIONS)
    if checkpoint.task == "sentence-embedding":
        steps = (f"{STEPS}/config.json", f"{STEPS}/model.safetensors")
        found = sorted(file for step in steps for file in checkpoint.path.glob(step))
        names += [*OF_EMBEDDERS, *(file.relative_to(checkpoint.path).as_posix() for file in found)]
    for name in names:
        if (checkpoint.path / name).is_file() and not (draft / name).exists():
            (draft / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(checkpoint.path / name, draft / name)
