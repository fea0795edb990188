"""The artifact: one self-describing folder, complete or absent, verified before it is trusted.

`mct.json` is written last and lists every file with its SHA-256; a folder without it is no artifact.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from mct import MctError
from mct.models.declared import read_object
from mct.models.folders import sha256, write_json
from mct.models.tasks import Head
from mct.targets.runtimes import Executable

SCHEMA = 1
MANIFEST = "mct.json"


@dataclass(frozen=True)
class Artifact:
    """What `mct.json` says. `files` maps relative path to SHA-256; `lineage` is one entry per pass, in order.

    `made_for` is the machine whose instruction sets decided how it was quantised, `checked_on` the one it was run on.
    `labels` are those of the one head, for programs that want no more; `heads` say it whole.
    `parity` holds the evidence of the check against the checkpoint (see mct.compress.parity).
    """

    format: str
    precision: str
    runtime: str
    task: str
    labels: tuple[str, ...]
    technique: str
    max_tokens: int
    model: str
    settings: Mapping[str, Any]
    lineage: tuple[Mapping[str, Any], ...]
    parity: Mapping[str, Any]
    checked_on: Mapping[str, Any]
    heads: tuple[Head, ...] = ()
    made_for: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    schema: int = SCHEMA

    @property
    def name(self) -> str:
        """The folder name it is written under, "onnx-int8"."""
        return f"{self.format}-{self.precision}"


def seal(artifact: Artifact, folder: Path) -> Artifact:
    """Hash every file of `folder` into the artifact and write `mct.json`, the last file: its existence means done."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    files = {path.relative_to(folder).as_posix(): sha256(path) for path in found}
    sealed = Artifact(**{**_fields(artifact), "files": files})
    write_json(folder / MANIFEST, {"schema": sealed.schema} | asdict(sealed))
    return sealed


def is_artifact(folder: Path) -> bool:
    """True when the folder has an `mct.json`."""
    return (folder / MANIFEST).is_file()


def read_artifact(folder: Path, verify: bool = True) -> Artifact:
    """Read and verify an artifact: schema, files that stay inside the folder, and (unless told not to) their hashes."""
    if not folder.is_dir():
        raise MctError(
            f"{folder} does not exist" if not folder.exists() else f"{folder} is not a folder",
            "give an artifact's folder",
        )
    if not is_artifact(folder):
        raise MctError(
            f"{folder} is no artifact: it has no {MANIFEST}", "make one with: mct compress CHECKPOINT -o DIR"
        )
    artifact = _parse(folder, read_object(folder / MANIFEST))
    for relative, digest in artifact.files.items():
        _check_file(folder, relative, digest, verify)
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


def _fields(artifact: Artifact) -> dict[str, Any]:
    return {name: getattr(artifact, name) for name in artifact.__dataclass_fields__}


def _parse(folder: Path, value: Any) -> Artifact:
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        found = value.get("schema") if isinstance(value, dict) else None
        raise MctError(
            f"{folder / MANIFEST} has schema {found!r}, this mct reads {SCHEMA}",
            "compress the checkpoint again with this version",
        )
    try:
        return Artifact(
            **{
                **value,
                "labels": tuple(value["labels"]),
                "lineage": tuple(value["lineage"]),
                "heads": _heads(value),
            }
        )
    except (TypeError, KeyError) as error:
        raise MctError(f"{folder / MANIFEST} is incomplete: {error}", "compress the checkpoint again") from error


def _heads(value: Mapping[str, Any]) -> tuple[Head, ...]:
    """The heads; an artifact written before there were several kinds has one label's."""
    stored = value.get("heads", [{"name": "logits", "kind": "label", "labels": value["labels"]}])
    return tuple(Head(head["name"], head["kind"], tuple(head["labels"])) for head in stored)


def _check_file(folder: Path, relative: str, digest: str, verify: bool) -> None:
    path = PurePosixPath(relative)
    if path.is_absolute() or ".." in path.parts:
        raise MctError(f"{folder / MANIFEST} names a file outside its folder: {relative}", "do not trust this artifact")
    if not (folder / relative).is_file():
        raise MctError(f"{folder} lacks {relative}", "the artifact is incomplete: compress the checkpoint again")
    if verify and sha256(folder / relative) != digest:
        raise MctError(
            f"{folder / relative} has changed since it was written (SHA-256 differs)",
            "compress the checkpoint again, or restore the file",
        )
