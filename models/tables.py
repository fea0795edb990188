"""How a table row finds its code, and how other packages add rows.

Rows name "module:function", loaded only when used. A pass, runtime, technique, family or task kind is one row and one
file; where another package has it, that package's entry point names the row (`mct.passes`, `mct.families`,
`mct.tasks`). Tables are asked for it when they are read, so that nothing is looked up for a table nobody needs.
"""

import difflib
from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from typing import Any, TypeVar

from mct import MctError

Row = TypeVar("Row")


def load(reference: str, extra: str = "") -> Callable[..., Any]:
    """Import "mct.module:function". A missing library becomes an MctError with the pip line for `extra`."""
    module, _, function = reference.partition(":")
    try:
        found: Callable[..., Any] = getattr(import_module(module), function)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "mct":
            raise
        raise missing_library(error.name, extra) from error
    return found


def missing_library(library: str, extra: str) -> MctError:
    """The error for a library that is not installed: names the pip extra that brings it."""
    hint = pip_line(extra) if extra else f"pip install {library}"
    return MctError(f"this needs the library {library!r}, which is not installed", hint)


def pip_line(extra: str) -> str:
    """What to type for an extra of ours: the distribution's name on the package index is not the package's."""
    return f"pip install 'mangaassist-mct[{extra}]'"


def unknown(kind: str, name: str, known: Iterable[str]) -> MctError:
    """The error for a name that stands in no table: suggests the nearest ones, or lists them all."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
    return MctError(f"unknown {kind} {name!r}", hint)


@cache
def added_by_others(group: str, kind: type[Row]) -> tuple[Row, ...]:
    """The rows that installed packages add through the entry point `group`: each a row, or several.

    MctError naming the package whose entry point cannot be loaded, or gives something else than rows.
    """
    from importlib.metadata import entry_points  # a third of the time that `mct --help` may take

    rows: list[Row] = []
    for point in sorted(entry_points(group=group)):
        owner = f"the entry point {point.name} = {point.value} of {point.dist.name if point.dist else 'a package'}"
        try:
            found = point.load()
        except Exception as error:  # whatever somebody else's module does when it is imported
            raise MctError(f"{owner} cannot be loaded: {error}", "update that package, or uninstall it") from error
        several = found if isinstance(found, tuple) else (found,)
        if not all(isinstance(row, kind) for row in several):
            raise MctError(f"{owner} gives no {kind.__name__}", "update that package, or uninstall it")
        rows += several
    return tuple(rows)


def owner_of(reference: str) -> str:
    """The package and version that a row's code belongs to, "shop-extras 1.0"; "" for ours, and where none says so."""
    top = reference.partition(".")[0].partition(":")[0]
    if top == "mct":
        return ""
    from importlib.metadata import packages_distributions, version

    return ", ".join(f"{name} {version(name)}" for name in sorted(packages_distributions().get(top, ())))
