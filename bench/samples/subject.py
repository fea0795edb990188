"""What is measured: an artifact, or a checkpoint run by torch at fp32, which is how the original gets its row.

Identified once, before any worker starts: files hashed, size added up, the runtime that executes it named. Nothing is
loaded here.
"""

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from mct import MctError
from mct.compress.run.artifact import MANIFEST, executable, is_artifact, read_artifact
from mct.compress.run.lineage import known_of, made_of, origin_of_artifact
from mct.models.checkpoints.adapted import NOTHING, Told
from mct.models.checkpoints.adapters import CONFIG, WEIGHTS
from mct.models.checkpoints.checkpoint import Checkpoint, holds_adapter, inspect, weight_files
from mct.models.checkpoints.hub import origin_of
from mct.models.data.declared import Amount, Digest, Name
from mct.models.tasks.prompt_format import PromptFormat, read_prompt_format
from mct.models.tasks.table import Head, find_task
from mct.models.writing.folders import sha256
from mct.targets.runtimes.table import Executable, original, runtime_for

EVALUATION = Path("data") / "test.jsonl"
TOKENIZER = "tokenizer.json"


@dataclass(frozen=True)
class Origin:
    """What something was made of: the checkpoints it goes back to, each by one SHA-256 over all that it answers by.

    That is its weights and what they are used with (labels, sizes, tokenizer, an adapter and its base). `equals` is the
    one whose answers it gives, "" for none: a checkpoint its own, and an artifact those of what it was exported from in
    full precision by exact steps alone.
    """

    weights: tuple[str, ...]
    equals: str = ""

    def as_json(self) -> dict[str, Any]:
        """As results have it."""
        return {"weights": list(self.weights), "equals": self.equals}


@dataclass(frozen=True)
class Subject:
    """One thing to measure. `files` are those needed to run it, relative to `path`; `size_mb` is theirs (10^6 bytes).

    `prompt_format` is how a model that answers from documents is asked, where it was taught a way.
    `made_for` is the machine that an artifact was made for, as its manifest describes it; empty where it says none.
    `digest` is one SHA-256 over the names and SHA-256 of `files` and how the manifest has them used: the same digest,
    the same answers. `origin` is None in what was stored before it was noted.
    """

    name: Name
    path: Path
    format: Name
    precision: Name
    runtime: Name
    task: Name
    labels: tuple[str, ...]
    executable: Executable
    files: tuple[str, ...]
    size_mb: Amount
    digest: Digest
    heads: tuple[Head, ...] = ()
    prompt_format: PromptFormat | None = None
    made_for: Mapping[str, Any] = field(default_factory=dict)
    origin: Origin | None = None


def identify(path: Path, told: Told = NOTHING) -> Subject:
    """Say what the folder is, with its files verified. MctError where it is neither artifact nor checkpoint.

    `told` is what is said of an adapter beyond what its folder says.
    """
    return _artifact(path, told.adapter) if is_artifact(path) else _checkpoint(path, told)


def identify_all(paths: Sequence[Path], told: Told = NOTHING) -> tuple[Subject, ...]:
    """Every folder identified, under names that differ: where two share a name, their parent's comes before it.

    What is told is told of those that are adapters; MctError where none is.
    """
    if len({path.resolve() for path in paths}) < len(paths):
        raise MctError("the same folder is given twice", "name each artifact once")
    of_each = told_to(paths, told)
    return _distinct([identify(path, of_each[path]) for path in paths])


def told_to(paths: Sequence[Path], told: Told) -> dict[Path, Told]:
    """What is told of each folder: all of it of an adapter, the adapter's name alone of an artifact that keeps some.

    MctError where something is told that none has a use for.
    """
    adapters = {path for path in paths if not is_artifact(path) and holds_adapter(path)}
    keeping = {path for path in paths if is_artifact(path) and "adapters" in read_artifact(path, verify=False).settings}
    heard = {"--adapter"} if keeping and not adapters else set(told.of_adapters()) if adapters else set()
    if left := [option for option in told.of_adapters() if option not in heard]:
        raise MctError(f"{left[0]} speaks of an adapter, and none of these folders holds one", "leave it out")
    name = Told(adapter=told.adapter)
    return {path: told if path in adapters else name if path in keeping else NOTHING for path in paths}


def asked_for(subject: Subject, task: str) -> Subject:
    """The same subject asked for another task of its network."""
    return replace(subject, task=task, executable=replace(subject.executable, task=task))


def compiled(subject: Subject) -> Subject:
    """The same checkpoint run by torch.compile, under a name of its own.

    MctError for an artifact, which is compiled already, and for a language model, which is compiled anew for every
    length that its cache grows to.
    """
    if subject.runtime != "torch" or subject.executable.network == "causal-lm":
        raise MctError(f"{subject.name} is nothing that torch.compile helps", "give it for checkpoints of other tasks")
    if not any(map(shutil.which, filter(None, (os.environ.get("CXX"), "g++", "clang++")))):
        raise MctError("torch.compile needs a C++ compiler", "install g++, or leave --torch-compile out")
    executable = replace(subject.executable, settings={**subject.executable.settings, "compile": "inductor"})
    digest = hashlib.sha256(f"{subject.digest} compiled".encode()).hexdigest()
    return replace(subject, name=f"{subject.name} (torch.compile)", executable=executable, digest=digest)


def own_data(paths: Sequence[Path], told: Told = NOTHING) -> Path:
    """The evaluation set that lies with the first checkpoint that has one. MctError says what to give otherwise."""
    found = [path / EVALUATION for path in paths if (path / EVALUATION).is_file()]
    if found:
        return found[0]
    subject = identify(paths[0], told_to(paths, told)[paths[0]])
    columns = ", ".join(find_task(subject.task).fields)
    raise MctError(
        f"there is nothing to ask {subject.name}: no {EVALUATION} lies with any of the checkpoints given",
        f"add --data FILE with the columns {columns}, or the checkpoint that has a {EVALUATION}",
    )


def _artifact(path: Path, adapter: str) -> Subject:
    found = read_artifact(path)
    opened = executable(found, path)
    if adapter:
        opened = opened.with_adapter(adapter)
    decides = [found.model, [asdict(head) for head in found.heads], found.max_tokens, dict(opened.settings)]
    use = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()  # the rest of it is history
    return Subject(
        name=path.resolve().name + (f" with {adapter}" if adapter else ""),
        path=path,
        format=found.format,
        precision=found.precision,
        runtime=found.runtime,
        task=found.task,
        labels=tuple(found.labels),
        heads=found.heads,
        prompt_format=found.prompt_format,
        executable=opened,
        files=tuple(sorted(found.files)),
        size_mb=_size_mb(path, found.files),
        digest=_digest({**found.files, MANIFEST: use}),
        made_for=found.made_for,
        origin=Origin(*origin_of_artifact(found, str(path), adapter)),
    )


def _checkpoint(path: Path, told: Told) -> Subject:
    found = inspect(path, told)
    files = _files_of(found)
    hashes = {name: sha256(file) for name, file in files.items()}
    names = tuple(os.path.relpath(file, path) for file in files.values())
    said = found.adaptation.told.as_json() if found.adaptation else {}
    use = {"told": json.dumps(said | {"base": None}, sort_keys=True)} if said else {}
    hub, began = origin_of(path), [known_of(found)]
    return Subject(
        name=hub.name.rpartition("/")[2] if hub else path.resolve().name,
        path=path,
        format="checkpoint",
        precision="fp32",
        runtime=runtime_for("checkpoint").name,
        task=found.task,
        labels=found.labels,
        heads=found.heads,
        prompt_format=read_prompt_format(path),
        executable=original(found),
        files=names,
        size_mb=_size_mb(path, names),
        digest=_digest(hashes | use),
        origin=Origin(made_of(began, str(path)), str(began[0]["answers"])),
    )


def _files_of(checkpoint: Checkpoint) -> dict[str, Path]:
    """The files that decide what a checkpoint answers, by name: an adapter's own, and those of its base ("base/…")."""
    path, adaptation = checkpoint.path, checkpoint.adaptation
    found = _whole(path) if adaptation is None or adaptation.base == path else {}
    if adaptation is not None:
        own = [each.folder / name for each in adaptation.adapters for name in (CONFIG, WEIGHTS)]
        found |= {file.relative_to(path).as_posix(): file for file in own}
        if adaptation.base != path:
            found |= {f"base/{name}": file for name, file in _whole(adaptation.base).items()}
        if (path / TOKENIZER).is_file():
            found |= {TOKENIZER: path / TOKENIZER}
    return dict(sorted(found.items()))


def _whole(path: Path) -> dict[str, Path]:
    """The weights of a model of its own, with its sizes and tokenizer."""
    named = [path / "config.json", path / TOKENIZER, *path.glob(f"0_*/{TOKENIZER}")]
    return {file.relative_to(path).as_posix(): file for file in (*weight_files(path), *named) if file.is_file()}


def _size_mb(folder: Path, files: Iterable[str]) -> float:
    return round(sum((folder / name).stat().st_size for name in files) / 1e6, 3)


def _digest(files: Mapping[str, str]) -> str:
    lines = "".join(f"{name} {digest}\n" for name, digest in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def _distinct(subjects: Sequence[Subject]) -> tuple[Subject, ...]:
    """Names made to differ, by as many parent folders as that takes."""
    depth = 1
    named = list(subjects)
    while max(Counter(subject.name for subject in named).values(), default=1) > 1:
        depth += 1
        clashing = {name for name, count in Counter(subject.name for subject in named).items() if count > 1}
        named = [
            replace(subject, name="/".join(subject.path.resolve().parts[-depth:]))
            if subject.name in clashing
            else subject
            for subject in named
        ]
    return tuple(named)
