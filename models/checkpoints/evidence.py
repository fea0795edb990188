"""What techniques are told by: the small files of a folder and the headers of its weights, read once.

Nothing in the folder is run, and no weight is loaded. What cannot be read says nothing here; whoever needs it refuses.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mct import MctError
from mct.models.checkpoints.adapters import Adapter, find_adapters
from mct.models.checkpoints.files import CONFIG, HEADS, MODULES, SENTENCES
from mct.models.data.declared import read_json
from mct.models.data.inside import list_files
from mct.models.tables import load

CARD, LINEAGE = "README.md", "mct-lineage.json"
LONGEST_CARD = 65_536

_FRONT = re.compile(r"\A---\s*\n(.*?)\n---", re.DOTALL)
_LISTED = re.compile(r"^tags:[ \t]*\n((?:[ \t]*-[^\n]*\n?)+)", re.MULTILINE)
_INLINE = re.compile(r"^tags:[ \t]*\[([^\]]*)\]", re.MULTILINE)

# What bitsandbytes writes beside the packed weights of a linear layer, by the kind of number.
FOUR_BIT = re.compile(r"\.quant_state\.bitsandbytes__(nf4|fp4)$")


@dataclass(frozen=True)
class Contents:
    """A folder's small files. `tensors` are the names in its weight files; `modules` the kinds that modules.json lists.

    `tags` are the README's, `steps` those by which mct itself made the folder.
    """

    path: Path
    files: tuple[str, ...]
    config: Mapping[str, Any] = field(default_factory=dict)
    sentences: Mapping[str, Any] = field(default_factory=dict)
    heads: Mapping[str, Any] = field(default_factory=dict)
    modules: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    adapters: Mapping[str, Adapter] = field(default_factory=dict)
    tensors: tuple[str, ...] = ()

    @property
    def architecture(self) -> str:
        """The class that transformers saved; "" where there is none."""
        named = self.config.get("architectures") or [""]
        return str(named[0]) if isinstance(named, list) else ""

    @property
    def quantised(self) -> str:
        """The kind of number that the weights were packed into ("nf4"); "" where they were not, or it is not said."""
        found = (FOUR_BIT.search(name) for name in self.tensors)
        return next((kind[1] for kind in found if kind), "")


def read_contents(path: Path) -> Contents:
    """All of it, of a folder. MctError for links that lead out of it, and for an adapter whose files are damaged."""
    files = list_files(path)
    steps = _json(path / LINEAGE, list[dict[str, Any]]) or []
    return Contents(
        path,
        files,
        config=_object(path / CONFIG),
        sentences=_object(path / SENTENCES),
        heads=_object(path / HEADS),
        modules=tuple(str(row.get("type", "")) for row in _json(path / MODULES, list[dict[str, Any]]) or []),
        tags=_tags(path / CARD) if CARD in files else (),
        steps=tuple(str(entry.get("step", "")) for entry in steps),
        adapters=find_adapters(path, files),
        tensors=tuple(name for file in sorted(path.glob("*.safetensors")) for name in _names(file)),
    )


def _tags(path: Path) -> tuple[str, ...]:
    """The `tags` of a model card's front matter, as a list or in brackets."""
    front = _FRONT.match(path.read_bytes()[:LONGEST_CARD].decode(errors="replace"))
    if front is None:
        return ()
    if listed := _LISTED.search(front[1] + "\n"):
        found = [line.strip().removeprefix("-") for line in listed[1].splitlines()]
    elif inline := _INLINE.search(front[1]):
        found = inline[1].split(",")
    else:
        return ()
    return tuple(tag.strip().strip("'\"") for tag in found)


def _names(path: Path) -> list[str]:
    try:
        return list(load("mct.models.checkpoints.tensor_files:read_names")(path))
    except MctError:
        return []


def _object(path: Path) -> dict[str, Any]:
    return _json(path, dict[str, Any]) or {}


def _json(path: Path, kind: Any) -> Any:
    try:
        return read_json(path, kind) if path.is_file() else None
    except MctError:
        return None
