"""What an artifact says of its making: the checkpoint it began with, then each step with all that decided it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from msgspec import Struct, structs

import mct
from mct.compress.plan.passes import Product, Resources
from mct.compress.plan.plan import Resolved
from mct.compress.plan.recipe import LINEAGE
from mct.compress.plan.table import passes
from mct.compress.run.artifact import Artifact, check_lineage, read_artifact
from mct.compress.run.resources import Source
from mct.models.checkpoints.adapted import Adaptation
from mct.models.checkpoints.adapters import CONFIG, WEIGHTS, Adapter
from mct.models.checkpoints.checkpoint import SETFIT_HEAD, Checkpoint, weight_files
from mct.models.checkpoints.hub import find_pinned, origin_of
from mct.models.data.declared import declared, read_json
from mct.models.data.inside import list_files
from mct.models.tables import owner_of
from mct.models.tasks.table import Head
from mct.models.writing.folders import digest, sha256

LIBRARIES = (
    "torch", "transformers", "peft", "tokenizers", "safetensors", "onnx", "onnxruntime", "openvino", "nncf",
    "optimum-intel", "llama-cpp-python", "gguf",
)  # fmt: skip

# Evaluation and training data lie there, which no pass reads by itself.
DATA = "data/"

EXPORT = "export-"
"""What steps are called that write a checkpoint in a format, as it is."""

WHOLE = ("fp32", "f32")
"""Precisions in which nothing is rounded."""

ANSWERING = frozenset({".json", ".txt", ".model", ".jinja", ".safetensors"})
SILENT = frozenset({
    "mct-files.json", LINEAGE, "recipe.json", "trainer_state.json", "all_results.json", "eval_results.json",
    "train_results.json", "test_results.json", "predict_results.json", "requirements.txt", "LICENSE.txt",
})  # fmt: skip
"""What of a checkpoint's files may decide its answers, by suffix; and those of such a suffix that only tell of it."""

Entry = dict[str, Any]


def begun_with(checkpoint: Checkpoint, seed: int) -> Entry:
    """The first entry: which checkpoint, how that was made where a recipe left it, by which versions and seed."""
    return {
        "step": "checkpoint", "architecture": checkpoint.architecture, "technique": checkpoint.technique,
        "parameters": checkpoint.parameters, **known_of(checkpoint), "seed": seed, "mct": mct.__version__,
        "libraries": dict(versions()),
    }  # fmt: skip


def known_of(checkpoint: Checkpoint) -> Entry:
    """What says which checkpoint it is: its weights, how a recipe made them, the base that an adapter was put on.

    And by what it is known as a baseline: `answers` is one SHA-256 over all that decides what it answers, `kept` that
    of each adapter that is kept beside its base, and `heads` one over what it answers with.
    """
    made, adaptation = checkpoint.path / LINEAGE, checkpoint.adaptation
    before = {"made_by": read_json(made, list[dict[str, Any]])} if made.is_file() else {}
    adapted = _adapted(adaptation) if adaptation else {}
    known: Entry = {"answers": answers_digest(checkpoint), "heads": _heads_digest(checkpoint.heads)}
    if adaptation and adaptation.kept:
        known["kept"] = {each.name: answers_digest(_with_one(checkpoint, adaptation, each))
                         for each in adaptation.adapters}  # fmt: skip
    return {**_weights_of(checkpoint.path), **before, **adapted, **known}


def answers_digest(checkpoint: Checkpoint) -> str:
    """One SHA-256 over all that decides what a checkpoint answers: weights, sizes, labels, tokenizer, how it is asked.

    Of an adapter its configuration, its share in a mix and its base count too, and the labels that it was told. Where
    the files lie does not. What is kept beside its base answers as the base does, until an adapter is asked for.
    """
    adaptation = checkpoint.adaptation
    if adaptation is None:
        return digest(_answering(checkpoint.path))
    base = digest(_answering(adaptation.base))
    if adaptation.kept:
        return base
    known = {"base": base, "base_quant": adaptation.base_quant, "heads": _heads_digest(checkpoint.heads)}
    for number, (each, share) in enumerate(zip(adaptation.adapters, adaptation.weights, strict=True)):
        own = digest({name: sha256(each.folder / name) for name in (CONFIG, WEIGHTS)})
        known[f"adapter {number}"] = f"{share!r} of {own}"
    for folder in dict.fromkeys((checkpoint.path, checkpoint.vocabulary)):
        if folder != adaptation.base:
            known |= {f"beside {name}": value for name, value in _answering(folder).items() if _of_itself(name)}
    return digest(known)


def _of_itself(name: str) -> bool:
    """Whether a file stands beside an adapter, or in a module behind it ("1_Pooling"), and not in another model."""
    folder, _, rest = name.partition("/")
    return not rest or folder.partition("_")[0].isdigit()


def _with_one(checkpoint: Checkpoint, adaptation: Adaptation, adapter: Adapter) -> Checkpoint:
    """The same base with one of the adapters that are kept beside it."""
    told = replace(adaptation.told, adapter=adapter.name, keep=False)
    return replace(checkpoint, adaptation=replace(adaptation, adapters=(adapter,), weights=(1.0,), told=told))


def _answering(folder: Path) -> dict[str, str]:
    """The files of one model that may decide its answers, by SHA-256; no adapters or earlier states within it."""
    listed = [Path(name) for name in list_files(folder) if not name.startswith(DATA)]
    names = [name for name in listed if not any(part.startswith((".", "checkpoint-")) for part in name.parts)]
    adapters = {name.parent for name in names if name.name == CONFIG}
    return {
        name.as_posix(): sha256(folder / name)
        for name in names
        if (name.suffix in ANSWERING or name.name == SETFIT_HEAD) and name.name not in {*SILENT, CONFIG, WEIGHTS}
        and (name.parent == Path() or adapters.isdisjoint(name.parents))
    }  # fmt: skip


def _heads_digest(heads: Sequence[Head]) -> str:
    return hashlib.sha256(json.dumps([asdict(head) for head in heads]).encode()).hexdigest()


class _Came(Struct, frozen=True):
    """What is read again of an entry: which checkpoint it is of, and what made that; "" of a step, or unsaid."""

    step: str = ""
    answers: str = ""
    kept: dict[str, str] = {}
    heads: str = ""
    made_by: tuple[_Came, ...] = ()


def made_of(history: Sequence[Mapping[str, Any]], place: str) -> tuple[str, ...]:
    """The checkpoints that a lineage goes back to, each by one SHA-256: what it began with, and what that was made of.

    Each is known by what it answers (`answers_digest`); one that was compressed before that was noted, not at all. One
    whose own answers a recipe changed is left out, so that no number of commands hides what was lost: a student's
    teacher counts, the student does not. MctError, naming the place, where it is no lineage.
    """
    return tuple(dict.fromkeys(filter(None, _known(_read(history, place)))))


def origin_of_artifact(artifact: Artifact, place: str, adapter: str = "") -> tuple[tuple[str, ...], str]:
    """What an artifact was `made_of`, and which of it gives the same answers; nothing where its heads are others.

    With an `adapter` that it keeps, what that was made of.
    """
    came = _read(artifact.lineage, place)
    if came and came[0].heads not in {"", _heads_digest(artifact.heads)}:
        return (), ""
    if came and adapter:
        came = (structs.replace(came[0], answers=came[0].kept.get(adapter, "")), *came[1:])
    return tuple(dict.fromkeys(filter(None, _known(came)))), _equal(came, artifact.precision)


def _equal(came: Sequence[_Came], precision: str) -> str:
    """The checkpoint whose answers an artifact of this lineage gives; "" where a step or its precision changed them."""
    return came[0].answers if came and _unchanged(came) and precision in WHOLE else ""


def _unchanged(came: Sequence[_Came]) -> bool:
    """Whether no step after the first entry changed an answer."""
    exact = {row.name for row in passes() if row.exact}
    return all(each.step in exact or each.step.startswith(EXPORT) for each in came[1:])


def _read(history: Sequence[Mapping[str, Any]], place: str) -> tuple[_Came, ...]:
    return declared([*map(dict, history)], tuple[_Came, ...], f"{place} lineage", "compress the checkpoint again")


def _known(came: Sequence[_Came]) -> Iterator[str]:
    for each in came:
        if _unchanged(each.made_by):
            yield each.answers
        yield from _known(each.made_by)


def entry_of(step: Resolved, product: Product, resources: Resources) -> Entry:
    """One step: what it was told, what it reports, and the texts and seed it had."""
    entry: Entry = {"step": step.row.name, "gives": step.row.gives}
    if step.options:
        entry["options"] = dict(step.options)
    if owner := owner_of(step.row.run):
        entry["package"] = owner
    entry |= {"effective_options": step.effective_options, "notes": dict(product.notes)}
    if named := {each.name: _weights_of(find_pinned(entry["options"][each.name])) for each in step.row.named}:
        entry["named"] = named
    if step.row.texts != "none" and resources.calibration is not None:
        data = resources.calibration
        known = {"card": asdict(data.card)} if data.card else {}
        said = {"name": data.name, "rows": len(data.rows), "sha256": data.sha256} | known
        entry |= {"seed": resources.seed, "data": said}
    return entry


def other_inputs(folder: Path, resources: Resources, texts: Source) -> list[str]:
    """What is not as it was when the artifact in `folder` was made, so that its recipe will give other bytes."""
    found = []
    history, machine, compared = _recorded(folder)
    if history[0].get("sha256") != weights_digest(resources.checkpoint.path):
        found.append("the checkpoint has other weights")
    for entry in history:
        for name, was in entry.get("named", {}).items():
            if was["sha256"] != weights_digest(find_pinned(entry["options"][name])):
                found.append(f"the {name} of {entry['step']} has other weights")
    data = next((entry["data"] for entry in history if entry.get("data")), None)
    if data and (resources.calibration is None or resources.calibration.sha256 != data.get("sha256")):
        found.append(f"--data is not the {data['name']} of then")
    if compared and compared.get("sha256") != texts.sha256:
        found.append(f"--eval is not the {compared['name']} of then")
    here = resources.machine
    if machine and (machine["architecture"], machine["instruction_sets"]) != (
        here.architecture,
        list(here.instruction_sets),
    ):
        found.append(f"it was made for {machine['cpu']} ({', '.join(machine['instruction_sets'])})")
    return found


def _recorded(folder: Path) -> tuple[list[Entry], Entry, Entry]:
    """What a folder says of its making: its lineage, the machine it was made for, the texts it was compared on."""
    if (folder / LINEAGE).is_file():
        history = read_json(folder / LINEAGE, list[Entry])
        check_lineage(history, str(folder / LINEAGE))
        return history, {}, (history[-1].get("parity") or {}).get("texts") or {}
    artifact = read_artifact(folder, verify=False)
    return [*map(dict, artifact.lineage)], dict(artifact.made_for), dict(artifact.parity.get("texts") or {})


def weights_digest(checkpoint: Path) -> str:
    """One SHA-256 over a checkpoint's weight files: what an artifact's lineage names as its origin."""
    return digest({file.relative_to(checkpoint).as_posix(): sha256(file) for file in weight_files(checkpoint)})


def _adapted(adaptation: Adaptation) -> Entry:
    """The adapters by their weights, and what they were put on: the base's own weights, or its name on the hub."""
    adapters = {each.name: sha256(each.folder / WEIGHTS) for each in adaptation.adapters}
    return {"adapters": adapters, "base": _weights_of(adaptation.base)}


def _weights_of(folder: Path) -> Entry:
    """Which weights a folder holds, and which model of the hub it is, where it is one."""
    origin = origin_of(folder)
    return {"sha256": weights_digest(folder), **({"hub": origin.name, "revision": origin.commit} if origin else {})}


def starting_key(checkpoint: Checkpoint) -> str:
    """One SHA-256 over all that the first step starts from: the folder, an adapter's base, what the user said of it."""
    found = content_digest(checkpoint.path)
    if checkpoint.adaptation is None:
        return found
    said = checkpoint.adaptation.told.as_json() | {"base": content_digest(checkpoint.adaptation.base)}
    return digest({"checkpoint": found} | {name: str(value) for name, value in said.items()})


def content_digest(checkpoint: Path) -> str:
    """One SHA-256 over everything in a checkpoint's folder that a pass may read."""
    names = [name for name in list_files(checkpoint) if not name.startswith((DATA, "."))]
    return digest({name: sha256(checkpoint / name) for name in names})


@cache
def versions() -> Mapping[str, str]:
    """The libraries that decide what a pass makes, where they are installed."""
    found = {}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found
