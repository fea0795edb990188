"""A recipe: the ordered steps to apply, with their options and one seed, as a TOML file a person can read and write.

    seed = 0

    [[steps]]
    pass = "drop-layers"
    keep = [0, 2, 4]

    [[steps]]
    pass = "export-onnx"

A step is a pass of the table by its name; where several rows share a name, `gives` says which form is wanted. All else
in a step is an option of the pass. A recipe that ends in a checkpoint is the beginning of others: each format and
precision that is asked for beside it is made of that checkpoint.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from mct import MctError
from mct.models.data.declared import Index, Name, read_json, read_toml
from mct.models.data.inside import check_beside

MANIFEST, LINEAGE = "mct.json", "mct-lineage.json"
HINT = 'a recipe is: seed = 0, then [[steps]] with pass = "export-onnx" for each step, in order'

MOST = 2**63 - 1
"""The largest whole number that every reader of TOML takes."""
BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Step:
    """One step. `gives` is "" where the pass's name alone says what it gives."""

    name: str
    gives: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """Steps in order, and the seed of all that is drawn by chance in them."""

    steps: tuple[Step, ...]
    seed: int = 0

    @property
    def digest(self) -> str:
        """SHA-256 of what it says, however its file is written."""
        return hashlib.sha256(json.dumps(self.as_json(), sort_keys=True).encode()).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """Plain values, as the TOML file has them."""
        return {"seed": self.seed, "steps": [_plain(step) for step in self.steps]}

    def as_toml(self) -> str:
        """The recipe as its file. MctError for a value that TOML has no words for."""
        lines = [f"seed = {self.seed}"]
        for step in self.steps:
            lines += ["", "[[steps]]", *_assignments(_plain(step))]
        return "\n".join(lines) + "\n"


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    steps: list[dict[str, Any]]
    seed: Index = 0


class _Wanted(Struct, frozen=True):
    name: Name = msgspec.field(name="pass")
    gives: str = ""


class _Done(Struct, frozen=True):
    step: Name
    gives: str = ""
    options: dict[str, Any] = {}
    seed: Index = 0


_Lineage = Annotated[list[_Done], Meta(min_length=1)]


class _Manifest(Struct, frozen=True):
    lineage: _Lineage


def read_recipe(path: Path) -> Recipe:
    """A recipe file; or that by which an artifact was made, where `path` is its folder. MctError for anything else."""
    if path.is_dir():
        return _of_lineage(path)
    found = read_toml(path, _File, HINT)
    if not found.steps:
        raise MctError(f"{path} has no [[steps]]", HINT)
    return Recipe(steps_of(str(path), found.steps), found.seed)


def steps_of(place: str, said: Sequence[Mapping[str, Any]]) -> tuple[Step, ...]:
    """Steps as a recipe file lists them. MctError, naming the `place`, for what is none."""
    return tuple(_step(f"{place}: steps[{number}]", each) for number, each in enumerate(said))


def _step(place: str, said: Mapping[str, Any]) -> Step:
    if "seed" in said:
        raise MctError(
            f"{place} has a seed, and a recipe has one for all its steps, before the first",
            "were these several recipes? give each a file of its own",
        )
    try:
        wanted = msgspec.convert(said, _Wanted)
    except msgspec.ValidationError as error:
        raise MctError(f"{place}: {error}", HINT) from error
    step = Step(wanted.name, wanted.gives, {key: value for key, value in said.items() if key not in {"pass", "gives"}})
    _assignments(step.options)  # TOML has dates, which no option takes and no lineage could hold
    return step


def _of_lineage(folder: Path) -> Recipe:
    """The steps by which an artifact, or a checkpoint that a recipe left, says that it was made."""
    hint = "give a recipe file, or an artifact's folder"
    check_beside(folder / LINEAGE)
    if (folder / LINEAGE).is_file():
        begun, *done = read_json(folder / LINEAGE, _Lineage, hint)
    else:
        begun, *done = read_json(folder / MANIFEST, _Manifest, hint).lineage
    if not done:
        raise MctError(f"{folder} does not say how it was made", hint)
    return Recipe(
        tuple(Step(entry.step, entry.gives, entry.options) for entry in done),
        begun.seed or max(entry.seed for entry in done),
    )


def _assignments(values: Mapping[str, Any]) -> list[str]:
    """`key = value` of each that is not None: TOML has no null, and what is not said is as by default."""
    return [f"{_key(name)} = {_value(value)}" for name, value in values.items() if value is not None]


def _key(name: str) -> str:
    return name if BARE.fullmatch(name) else _value(name)


def _value(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # JSON's escapes are TOML's but for DEL
    if isinstance(value, int) and abs(value) <= MOST:
        return json.dumps(value)
    if isinstance(value, float) and math.isfinite(value):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(_assignments(value)) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    raise MctError(
        f"a recipe holds no {type(value).__name__} of this kind",
        "give texts, numbers of at most 63 bits, true, false, lists and tables",
    )


def _plain(step: Step) -> dict[str, Any]:
    return {"pass": step.name} | ({"gives": step.gives} if step.gives else {}) | dict(step.options)
