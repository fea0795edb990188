"""The artifact: one self-describing folder, complete or absent, verified before it is trusted.

`mct.json` is written last and lists every file with its SHA-256; a folder without it is no artifact.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from msgspec import Struct

from mct import MctError
from mct.models.checkpoints.files import distinct
from mct.models.data.declared import Amount, Count, Digest, Index, Name, Share, declared, read_object
from mct.models.data.inside import list_files
from mct.models.tables import load
from mct.models.tasks.prompt_format import PromptFormat, require_places
from mct.models.tasks.table import Head, find_task
from mct.models.writing.folders import sha256, write_json
from mct.targets.runtimes.table import Executable, runtime_for

SCHEMA = 1
MANIFEST = "mct.json"
AGAIN = "compress the checkpoint again"
DISTRUST = "do not trust this artifact"


@dataclass(frozen=True)
class Checked:
    """Answers held against those of another processor: how many requests were answered alike, of how many.

    `target` is whose processor it was, and `how` it came to be here ("qemu-aarch64 7.2.22, as cortex-a76"). `beside`
    is the processor that the others were given on. `max_difference` is the largest of any output, None of texts that
    were written. `data` and `sha256` name what was asked.
    """

    target: Name
    how: Name
    agreed: Index
    of: Count
    max_difference: Amount | None
    beside: str
    data: Name
    sha256: str
    runtime: str


@dataclass(frozen=True)
class Artifact:
    """What `mct.json` says. `files` maps relative path to SHA-256; `lineage` is one entry per pass, in order.

    `made_for` is the machine whose instruction sets decided how it was quantised, `checked_on` the one it was run on.
    `labels` are those of the one head, for programs that want no more; `heads` say it whole.
    `prompt_format` is how a model that answers from documents is asked, where it was taught a way.
    `parity` holds the evidence of the check against the checkpoint (see mct.compress.run.parity), `checked` that of
    checks on processors that were emulated.
    """

    format: Name
    precision: Name
    runtime: Name
    task: Name
    labels: tuple[Name, ...]
    technique: str
    max_tokens: Count
    model: Name
    settings: Mapping[str, Any]
    lineage: tuple[Mapping[str, Any], ...]
    parity: Mapping[str, Any]
    checked_on: Mapping[str, Any]
    heads: tuple[Head, ...] = ()
    prompt_format: PromptFormat | None = None
    made_for: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[Name, Digest] = field(default_factory=dict)
    checked: tuple[Checked, ...] = ()
    schema: int = SCHEMA

    @property
    def name(self) -> str:
        """The folder name it is written under, "onnx-int8"."""
        return f"{self.format}-{self.precision}"


class _Texts(Struct, frozen=True):
    name: Name
    left_out: Index = 0
    sha256: str = ""


class _Kept(Struct, frozen=True):
    """What a checkpoint pass kept of its ancestors' answers, as far as it is read again: on which texts."""

    texts: _Texts | None = None


class _Step(Struct, frozen=True):
    step: Name
    data: _Texts | None = None
    parity: _Kept | None = None


class _Origin(_Step, frozen=True):
    """The first entry of a lineage: the checkpoint, and where it came from if that was the hub."""

    architecture: Name = "?"
    sha256: str = ""
    hub: Name | None = None
    revision: Name | None = None


class _Root(Struct, frozen=True):
    agreement: Share | None


class _Parity(Struct, frozen=True):
    """`agreement` is null where there was nothing to decide; `texts` are not told by earlier versions."""

    inputs: Count
    agreement: Share | None
    max_abs_delta: Amount
    texts: _Texts | None = None
    root: _Root | None = None


class _Machine(Struct, frozen=True):
    cpu: str
    architecture: str
    instruction_sets: list[Name]


def seal(artifact: Artifact, folder: Path) -> Artifact:
    """Hash every file of `folder` into the artifact and write `mct.json`, the last file: its existence means done."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    files = {path.relative_to(folder).as_posix(): sha256(path) for path in found}
    sealed = replace(artifact, files=files)
    _write_manifest(sealed, folder)
    return sealed


def record_check(folder: Path, check: Checked) -> Artifact:
    """Write a check into the artifact's `mct.json`, in place of an earlier one of the same target."""
    artifact = read_artifact(folder, verify=False)
    kept = tuple(each for each in artifact.checked if each.target != check.target)
    told = replace(artifact, checked=(*kept, check))
    _write_manifest(told, folder)
    return told


def _write_manifest(artifact: Artifact, folder: Path) -> None:
    content = {"schema": artifact.schema} | asdict(artifact)
    if not artifact.checked:
        del content["checked"]
    write_json(folder / MANIFEST, content)


def is_artifact(folder: Path) -> bool:
    """True when the folder has an `mct.json`."""
    return (folder / MANIFEST).is_file()


def read_artifact(folder: Path, verify: bool = True) -> Artifact:
    """Read and verify an artifact: its manifest goes together, and lists exactly the files that are there.

    Unless told not to, every file's hash is compared too. MctError, naming the fault, for anything else.
    """
    if not folder.is_dir():
        raise MctError(
            f"{folder} does not exist" if not folder.exists() else f"{folder} is not a folder",
            "give an artifact's folder",
        )
    found = list_files(folder)
    if MANIFEST not in found:
        raise MctError(
            f"{folder} is no artifact: it has no {MANIFEST}", "make one with: mct compress CHECKPOINT -o DIR"
        )
    artifact = _read_manifest(folder / MANIFEST)
    _check_names(folder, artifact, found)
    for name, digest in artifact.files.items():
        if verify and sha256(folder / name) != digest:
            raise MctError(
                f"{folder / name} has changed since it was written (SHA-256 differs)",
                "compress the checkpoint again, or restore the file",
            )
    return artifact


def executable(artifact: Artifact, folder: Path) -> Executable:
    """What the artifact's runtime needs to open it."""
    return Executable(
        folder=folder,
        model=artifact.model,
        task=artifact.task,
        outputs=len(artifact.labels),
        max_tokens=artifact.max_tokens,
        settings=artifact.settings,
    )


def _read_manifest(path: Path) -> Artifact:
    """The manifest, each of its parts of the declared type, and fitting the others."""
    value = read_object(path)
    if (schema := value.get("schema")) != SCHEMA:
        raise MctError(f"{path} has schema {schema!r}, this mct reads {SCHEMA}", f"{AGAIN} with this version")
    artifact = declared(_with_heads(value), Artifact, str(path), AGAIN)
    runtime = runtime_for(artifact.format)
    if artifact.runtime != runtime.name or not runtime.settings:
        raise MctError(f"{path}: {artifact.format} is not run by {artifact.runtime!r}", AGAIN)
    settings: Any = load(runtime.settings)
    declared(dict(artifact.settings), settings, f"{path} settings", AGAIN)
    check_answering(artifact.task, artifact.labels, artifact.heads, str(path))
    if artifact.prompt_format is not None:
        require_places(artifact.prompt_format, str(path))
    _check_history(artifact, str(path))
    return artifact


def check_lineage(history: Sequence[Mapping[str, Any]], place: str) -> None:
    """MctError where a step, or the checkpoint before all of them, does not say what is read of it."""
    for number, step in enumerate(history):
        declared(step, _Step if number else _Origin, f"{place}[{number}]", AGAIN)


def _check_history(artifact: Artifact, place: str) -> None:
    """MctError where what is shown of an artifact's making is not as `execute` writes it; it may be left out."""
    check_lineage(artifact.lineage, f"{place} lineage")
    if artifact.parity:
        declared(artifact.parity, _Parity, f"{place} parity", AGAIN)
    if artifact.made_for:
        declared(artifact.made_for, _Machine, f"{place} made_for", AGAIN)
    for check in artifact.checked:
        if check.agreed > check.of:
            raise MctError(f"{place}: {check.agreed} of {check.of} answers agreed for {check.target}", DISTRUST)


def _with_heads(value: dict[str, Any]) -> dict[str, Any]:
    """An artifact written before there were several kinds of heads has one label's."""
    return {"heads": [{"name": "logits", "kind": "label", "labels": value.get("labels")}]} | value


def _check_names(folder: Path, artifact: Artifact, found: Sequence[str]) -> None:
    """MctError unless the manifest lists the files that are there, all of them, and those that it needs among them."""
    listed = artifact.files.keys()
    for name in sorted(listed - set(found)):
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise MctError(f"{folder / MANIFEST} names a file outside its folder: {name}", DISTRUST)
        raise MctError(f"{folder} lacks {name}", "the artifact is incomplete: compress the checkpoint again")
    for name in sorted(set(found) - listed - {MANIFEST}):
        raise MctError(f"{folder} holds {name}, which its {MANIFEST} does not list", "remove it, or move it elsewhere")
    for name in (artifact.model, *_companions(artifact)):
        if name not in listed:
            raise MctError(f"{folder / MANIFEST} needs {name!r}, which is not among its files", DISTRUST)


def _companions(artifact: Artifact) -> list[str]:
    """The files that a runtime opens beside the model."""
    weights = [str(PurePosixPath(artifact.model).with_suffix(".bin"))] if artifact.format == "openvino" else []
    second = artifact.settings.get("second_stage") or {"model": "", "settings": {}}
    named = (
        artifact.settings.get("head"), artifact.settings.get("prefix"), second["model"], second["settings"].get("head"),
    )  # fmt: skip
    return [*weights, *(str(name) for name in named if name), *artifact.settings.get("adapters", {}).values()]


def check_answering(task: str, labels: Sequence[str], heads: Sequence[Head], place: str) -> None:
    """MctError where labels and heads are not those of a model of this task."""
    names, kinds = [head.name for head in heads], [head.kind for head in heads]
    several, one = task == "multi-head", find_task(task).head
    if not (0 < len(set(names)) == len(names) if several else kinds == ([one] if one else [])):
        raise MctError(f"{place}: a {task} model does not answer by the heads {', '.join(names) or 'none'}", AGAIN)
    for head in heads:
        distinct(head.labels, f"{place}: head {head.name!r}")
    if tuple(labels) != (heads[0].labels if len(heads) == 1 else ()):
        raise MctError(f"{place}: its labels are not those of its head", AGAIN)
