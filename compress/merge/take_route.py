"""One route of a router of sentence-transformers, as an ordinary embedder.

A router sends queries through other modules than documents. A file for a runtime has one way through it, and whoever
serves the two may run them on two machines: so each route is taken by itself, as the folder that its modules alone
would have been saved as.
"""

import shutil
from pathlib import Path, PurePosixPath
from typing import Any

from msgspec import Struct

from mct import MctError
from mct.models.checkpoints.files import MODULES, SENTENCES, Module
from mct.models.data.declared import Name, read_json
from mct.models.data.inside import list_files
from mct.models.tables import unknown
from mct.models.writing.folders import write_json
from mct.models.writing.replacing import appearing

ROUTER, CONFIG = "Router", "router_config.json"

# What belongs to a module; nothing that could run is carried along.
COPIED = frozenset({".json", ".txt", ".model", ".jinja", ".safetensors"})


class RouterConfig(Struct, frozen=True):
    """router_config.json: the modules of each route, by the folder that each lies in, and their types."""

    types: dict[Name, Name]
    structure: dict[Name, list[Name]]


def routes_of(folder: Path) -> tuple[str, ...]:
    """The routes of a router's folder. MctError where it is none."""
    return tuple(_read(folder)[1].structure)


def take_route(folder: Path, route: str, out: Path) -> None:
    """Write the embedder that a route alone is. MctError where there is no such route, or it is none by itself."""
    list_files(folder)
    rows, config = _read(folder)
    if route not in config.structure:
        raise unknown("route", route, config.structure)
    chosen = [each for row in rows for each in _modules(folder, row, config, route)]
    with appearing(out, [folder]) as draft:
        listed: list[dict[str, Any]] = []
        for number, (kind, place) in enumerate(chosen):
            name = f"{number}_{kind.rpartition('.')[2]}" if number else ""
            _copy(place, draft / name)
            listed.append({"idx": number, "name": str(number), "path": name, "type": kind})
        if (folder / SENTENCES).is_file():
            shutil.copyfile(folder / SENTENCES, draft / SENTENCES)
        write_json(draft / MODULES, listed)


def _read(folder: Path) -> tuple[list[Module], RouterConfig]:
    rows = read_json(folder / MODULES, list[Module]) if (folder / MODULES).is_file() else []
    routers = [row for row in rows if row.type.rpartition(".")[2] == ROUTER]
    if len(routers) != 1:
        raise MctError(
            f"{folder} holds no router of sentence-transformers", "give a folder whose modules.json lists one"
        )
    return rows, read_json(_inside(folder, routers[0].path) / CONFIG, RouterConfig)


def _modules(folder: Path, row: Module, config: RouterConfig, route: str) -> list[tuple[str, Path]]:
    """A row of modules.json as types and folders: of a router those of the route."""
    place = _inside(folder, row.path)
    if row.type.rpartition(".")[2] != ROUTER:
        return [(row.type, place)]
    found = []
    for name in config.structure[route]:
        if name not in config.types or config.types[name].rpartition(".")[2] == ROUTER:
            raise MctError(
                f"{place / CONFIG} does not say what {name!r} is, or that it is a router again", "save it again"
            )
        found.append((config.types[name], _inside(place, name)))
    return found


def _inside(folder: Path, path: str) -> Path:
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts:
        raise MctError(f"{folder} names a module outside itself: {path}", "do not trust this folder")
    return folder / parts


def _copy(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for file in sorted(source.iterdir()):
        if file.is_file() and file.suffix in COPIED and file.name not in {MODULES, CONFIG, SENTENCES}:
            shutil.copyfile(file, target / file.name)
