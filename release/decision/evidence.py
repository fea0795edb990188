"""The evidence of a decision: a folder with an `evidence.toml` that names a file for each criterion.

`mct decide --help` shows its form (`mct.release.decision.commands`). A figure is a file of its own (`Figure`), with its
interval, source and date. Everything may be left out: what is missing is named in the decision, which can then only
hold. Files lie in the folder or below it, and no link leads out.
"""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from mct import MctError
from mct.bench.store.reading import read_own_samples
from mct.bench.store.store import read_result, recompute
from mct.models.data.declared import (
    Count,
    Name,
    Positive,
    Share,
    declared,
    read_json,
    read_object,
    read_toml,
    require_file,
)
from mct.models.data.inside import check_beside
from mct.models.writing.folders import sha256

FILE = "evidence.toml"
HINT = "see the form of evidence.toml: mct decide --help"
Day = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
LARGEST = 1e15
MOST_QPS = 1e9
"""Beyond these nothing is measured: it is a slip, and makes figures that no table can hold."""
Load = Annotated[float, Meta(gt=0, le=MOST_QPS)]
Origin = Literal["production", "generated", "assumed"]
"""Measured in production; measured on the built-in scenario's generated data; nobody measured it."""


class Figure(Struct, frozen=True, forbid_unknown_fields=True):
    """A measured number: what it is of, its 95 % interval, how many it was taken from, where, when, by what command."""

    schema: Literal[1]
    kind: Literal["mct-figure"]
    what: Name
    value: float
    low: float
    high: float
    n: Count
    source: Name
    date: Day
    origin: Origin
    metric: str = ""
    command: str = ""

    def __post_init__(self) -> None:
        """The interval lies around the value, and the day was."""
        if not all(abs(each) <= LARGEST for each in (self.low, self.value, self.high)):
            raise ValueError(f"a figure and its interval are numbers of at most {LARGEST:g}")
        if (day := date.fromisoformat(self.date)) > datetime.now(UTC).date() + timedelta(days=1):
            raise ValueError(f"{day} is in the future: nothing was measured then")
        if not self.low <= self.value <= self.high:
            raise ValueError(f"the interval [{self.low:g}, {self.high:g}] is not that of {self.value:g}")


class Pain(Struct, frozen=True, forbid_unknown_fields=True):
    """What hurts."""

    figure: Name
    tolerated: float
    better: Literal["lower", "higher"] = "lower"


class Data(Struct, frozen=True, forbid_unknown_fields=True):
    """The data that teaches and judges, as it was checked; which share of the rows to judge by may leak.

    `fields` is how columns are renamed in it ({"label": "intent"}): what was read otherwise is no evidence.
    """

    check: Name
    fields: dict[Name, Name] = {}
    leaks_tolerated: Share = 0.0


class Metric(Struct, frozen=True, forbid_unknown_fields=True):
    """What tells offline whether the change is one for the better; `limits` are your own of its inspection."""

    result: Name
    untuned: Name | None = None
    tie: Name | None = None
    front: Name | None = None
    explain: Name | None = None
    limits: Name | None = None


class Cost(Struct, frozen=True, forbid_unknown_fields=True):
    """What it may cost, at which load; `budgets` is a file with the limits that count, None for the built-in ones."""

    load_qps: Load
    cost_per_month: Positive | None = None
    assumed: bool = True
    max_load: dict[Name, Name] = {}
    targets: Name | None = None
    budgets: Name | None = None


class Rollback(Struct, frozen=True, forbid_unknown_fields=True):
    """The store with the releases, and the name there."""

    store: Name
    release: Name


class Production(Struct, frozen=True, forbid_unknown_fields=True):
    """How what is in production behaves."""

    result: Name | None = None
    watch: Name | None = None


class Named(Struct, frozen=True, forbid_unknown_fields=True):
    """`evidence.toml`."""

    schema: Literal[1]
    scenario: Name
    artifact: str = ""
    pain: Pain | None = None
    data: Data | None = None
    metric: Metric | None = None
    budget: Cost | None = None
    rollback: Rollback | None = None
    production: Production | None = None
    commands: dict[Name, Name] = {}


@dataclass(frozen=True)
class Evidence:
    """All that was read. `digests` are the SHA-256 of every file that speaks in the decision, by its name there; the
    samples beside a result are among them.

    A file that is named and not there is in `absent`: named as missing, no error, as with what is not named at all.
    """

    folder: Path
    named: Named
    digests: Mapping[str, str]
    absent: tuple[str, ...] = ()
    figures: Mapping[str, Figure] = field(default_factory=dict)
    results: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    objects: Mapping[str, dict[str, Any]] = field(default_factory=dict)

    def path(self, name: str) -> Path:
        """Where a file of the evidence lies."""
        return self.folder / name

    def has_samples(self, name: str) -> bool:
        """Whether the raw values of a result lie beside it, so that nothing it says of itself has to be believed."""
        return _samples(self.path(name), self.results[name]).is_file()

    def command(self, name: str) -> str:
        """What re-makes a file; "" where nobody said so."""
        figure = self.figures.get(name)
        own = next((each for each, found in self.results.items() if name == _samples_name(each, found)), name)
        return self.named.commands.get(name, figure.command if figure else self.named.commands.get(own, ""))


def read_evidence(folder: Path, scenario: str, begun: str = "") -> Evidence:
    """Read a folder of evidence for a scenario; without one, or without its file, there is none of anything.

    `begun` is what that file will hold, where it is still to be written. MctError for a file that is not what it is
    named for, that lies outside the folder, or speaks of another scenario.
    """
    if folder.exists() and not folder.is_dir():
        raise MctError(f"{folder} is no folder of evidence", f"give a folder with an {FILE}")
    index = folder / FILE
    if begun:
        named, digest = declared(tomllib.loads(begun), Named, str(index), HINT), hashlib.sha256(begun.encode())
        return _read_files(folder, named, digest.hexdigest())
    if not os.path.lexists(index):
        return Evidence(folder, Named(1, scenario), {})
    check_beside(index)
    named = read_toml(index, Named, HINT)
    if named.scenario != scenario:
        raise MctError(f"{index} is evidence for {named.scenario}, not for {scenario}", "name that scenario")
    return _read_files(folder, named, sha256(index))


def _read_files(folder: Path, named: Named, digest: str) -> Evidence:
    figures, results, objects = _names(named)
    tables = [name for name in (named.budget.targets, named.budget.budgets) if name] if named.budget else []
    tables += [named.metric.limits] if named.metric and named.metric.limits else []
    paths = {name: _inside(folder, name) for name in (*figures, *results, *objects, *tables)}
    there = {name: path for name, path in paths.items() if path.exists()}
    for path in there.values():
        check_beside(path)
        require_file(path, HINT)  # before it is opened to be hashed: a pipe would wait for ever
    read = {name: _result(there[name]) for name in results if name in there}
    raw = {_samples_name(name, found): _samples(there[name], found) for name, found in read.items()}
    spoke = there | {name: path for name, path in raw.items() if path.is_file()}
    return Evidence(
        folder=folder,
        named=named,
        digests={FILE: digest} | {name: sha256(spoke[name]) for name in sorted(spoke)},
        absent=tuple(name for name in paths if name not in there),
        figures={name: read_json(there[name], Figure, HINT) for name in figures if name in there},
        results=read,
        objects={name: read_object(there[name], HINT) for name in objects if name in there},
    )


def _result(path: Path) -> dict[str, Any]:
    """A result, computed again from its samples where these lie beside it: what it says of itself may be written in."""
    result = read_result(path)
    if not _samples(path, result).is_file():
        return result
    read_own_samples(path, result)
    return {**recompute(_samples(path, result)), "samples": result["samples"]}


def _samples(path: Path, result: Mapping[str, Any]) -> Path:
    return path.parent / str(result["samples"])


def _samples_name(name: str, result: Mapping[str, Any]) -> str:
    """What the samples of a result are called in the folder."""
    return str(PurePosixPath(name).parent / str(result["samples"]))


def _names(named: Named) -> tuple[list[str], list[str], list[str]]:
    """The files that are figures, results, and others, in the order of the criteria."""
    metric, budget, production = named.metric, named.budget, named.production
    figures = [named.pain.figure] if named.pain else []
    figures += [name for name in (metric.untuned, metric.tie) if name] if metric else []
    results = [metric.result] if metric else []
    results += [production.result] if production and production.result else []
    objects = [named.data.check] if named.data else []
    objects += [name for name in (metric.front, metric.explain) if name] if metric else []
    objects += list(budget.max_load.values()) if budget else []
    objects += [production.watch] if production and production.watch else []
    return figures, results, objects


def _inside(folder: Path, name: str) -> Path:
    """The path of a file that evidence names. MctError for one that leads out of the folder."""
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts or "\0" in name:
        raise MctError(f"{folder / FILE} names a file outside of its folder: {name!a}", "put a copy of it there")
    return require_within(folder, name, "put a copy of the file there")


def require_within(folder: Path, name: str, hint: str) -> Path:
    """The path of a name in a folder. MctError where it leads out of there, or in a circle."""
    path = folder / name
    try:
        within = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError) as error:  # links in a circle
        raise MctError(f"{path} leads nowhere", hint) from error
    if not within:
        raise MctError(f"{path} leads out of {folder}", hint)
    return path
