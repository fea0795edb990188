"""What a folder is, in the words that `mct models inspect` prints: a line a fact, an artifact's or a checkpoint's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mct.compress.plan.passes import REQUIRED
from mct.compress.plan.recipe import LINEAGE
from mct.compress.plan.table import passes
from mct.compress.run.artifact import Artifact, is_artifact, read_artifact
from mct.models.checkpoints.checkpoint import Checkpoint, inspect, statements_alone
from mct.models.checkpoints.hub import origin_of
from mct.models.checkpoints.techniques import Statement
from mct.models.data.declared import read_json
from mct.models.tasks.table import Head
from mct.models.writing.folders import size_mb

SHOWN_LABELS = 8


def describe_folder(path: Path) -> dict[str, str]:
    """A checkpoint's facts with their evidence; of an adapter whose base is not here, what its folder alone says."""
    said = statements_alone(path)
    if said is None:
        found = inspect(path)
        return describe_checkpoint(found) | _evidence(found.statements)
    return {"adapter of": str(path), "task": "its base is not here: give it to mct compress by --base"} | _evidence(
        said
    )


def folder_json(path: Path) -> dict[str, Any]:
    """The same as plain values."""
    said = statements_alone(path)
    if said is None:
        return inspect(path).as_json()
    technique = ", ".join(each.value for each in said if each.what == "technique")
    return {"path": str(path), "technique": technique, "statements": [each.as_json() for each in said]}


def _evidence(said: Iterable[Statement]) -> dict[str, str]:
    """A line for each thing that is so of a folder: what, and what says so."""
    lines: dict[str, str] = {}
    for each in said:
        line = f"{each.value} ({'; '.join(each.evidence)})"
        lines[each.what] = f"{lines[each.what]}, {line}" if each.what in lines else line
    return lines


def describe_checkpoint(found: Checkpoint) -> dict[str, str]:
    """What the folder computes and how it came to be."""
    origin = origin_of(found.path)
    return {
        "checkpoint": str(found.path),
        **({"hub": f"{origin.name} at {origin.commit}"} if origin else {}),
        "architecture": f"{found.architecture} ({found.model_type})",
        "task": found.task,
        "technique": found.technique,
        **({"base": str(found.adaptation.base)} if found.adaptation else {}),
        **_heads(found.heads),
        "longest input": f"{found.max_tokens} tokens",
        "parameters": f"{found.parameters:,}",
        "size": f"{found.size_mb:.1f} MB",
    }


def describe_artifact(artifact: Artifact, folder: Path) -> dict[str, str]:
    """What it is, what it was made of and for, and how far it is from the original."""
    return {
        "artifact": str(folder),
        "format": f"{artifact.format}, run by {artifact.runtime}",
        "precision": artifact.precision,
        "task": artifact.task,
        "technique": artifact.technique,
        **_heads(artifact.heads),
        "longest input": f"{artifact.max_tokens} tokens",
        "size": f"{size_mb(folder):.1f} MB",
        "made from": _source(artifact),
        "made by": ", ".join(step["step"] for step in artifact.lineage[1:]),
        "made for": _machine(artifact.made_for),
        "parity": parity_line(artifact.parity),
        **{f"adapter {name}": parity_line(said) for name, said in artifact.parity.get("adapters", {}).items()},
    }


def artifact_json(artifact: Artifact, folder: Path) -> dict[str, Any]:
    """Plain values, for --json: the manifest, and where the folder is."""
    return asdict(artifact) | {"path": str(folder), "size_mb": round(size_mb(folder), 3)}


def describe_made(folder: Path) -> str:
    """What came out in a folder, in one line: an artifact's parity, or what a checkpoint kept of its ancestors."""
    if is_artifact(folder):
        return parity_line(read_artifact(folder, verify=False).parity)
    return _kept_line(read_json(folder / LINEAGE, list[dict[str, Any]])[-1])


def made_json(folder: Path) -> dict[str, Any]:
    """The same as plain values."""
    if is_artifact(folder):
        return artifact_json(read_artifact(folder), folder)
    return inspect(folder).as_json() | {"lineage": read_json(folder / LINEAGE, list[dict[str, Any]])}


def describe_passes() -> str:
    """Every pass that a recipe may name: what it takes and gives, for which tasks, and its options."""
    lines = []
    for row in passes():
        texts = {"none": "", "used": ", uses --data", "needed": ", needs --data"}[row.texts]
        lines.append(f"{row.name}: {row.takes} -> {row.gives}{texts}")
        lines += [f"    {row.about}"] if row.about else []
        lines += [f"    for {', '.join(row.tasks)}"]
        for option in row.options:
            default = "needed" if option.default is REQUIRED else f"default {option.default!r}"
            lines.append(f"    {option.name}: {option.about} ({default})")
    return "\n".join(lines) + "\n"


def _kept_line(entry: Mapping[str, Any]) -> str:
    """What a checkpoint pass kept of the answers of what it started from."""
    kept = [
        f"{_same(parity)} as its {whose}"
        for whose, parity in entry.get("parity", {}).items()
        if parity and whose != "texts"
    ]
    return "; ".join(kept) or "nothing to compare"


def _same(parity: Mapping[str, Any]) -> str:
    share = parity["agreement"]
    return "nothing to decide between" if share is None else f"{share:.2%} same answers"


def parity_line(parity: Mapping[str, Any]) -> str:
    """How far an artifact is from its checkpoint, and on which texts that was seen, in one line."""
    if not parity:
        return "not recorded"
    source, same = parity.get("texts", {}), _same(parity)
    texts = f"{parity['inputs']} text{'s' * (parity['inputs'] > 1)}" + (f" of {source['name']}" if source else "")
    left_out = f" ({source['left_out']} calibration rows left out)" if source.get("left_out") else ""
    root = f"; {_same(parity['root'])} as the first checkpoint" if parity.get("root") else ""
    return f"{same} on {texts}{left_out}, max |difference| {parity['max_abs_delta']:.2g}{root}"


def _source(artifact: Artifact) -> str:
    if not artifact.lineage:
        return "not recorded"
    origin = artifact.lineage[0]
    name = f"{origin['hub']} at {origin.get('revision', '?')}" if "hub" in origin else origin.get("architecture", "?")
    return f"{name}, weights {origin.get('sha256', '?')[:12]}"


def _machine(machine: Mapping[str, Any]) -> str:
    return f"{machine['cpu']} ({', '.join(machine['instruction_sets'])})" if machine else "any machine"


def _heads(heads: Sequence[Head]) -> dict[str, str]:
    """The labels of the one head, or each head with its own; nothing for what answers by vectors, scores or text."""
    if len(heads) == 1:
        return {"labels": _labels(heads[0].labels)}
    return {f"head {head.name}": f"{head.kind}, {_labels(head.labels)}" for head in heads}


def _labels(labels: Iterable[str]) -> str:
    names = list(labels)
    return f"{len(names)}: {', '.join(names[:SHOWN_LABELS])}{', …' if len(names) > SHOWN_LABELS else ''}"
