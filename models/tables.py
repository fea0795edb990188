"""How a table row finds its code, and how other packages add rows.

Rows name "module:function", loaded only when used. A pass, runtime, technique, family or task kind is one row and one
file; where another package has it, that package's entry point names the row (`mct.passes`, `mct.families`,
`mct.tasks`). Tables are asked for it when they are read, so that nothing is looked up for a table nobody needs.
"""

import difflib
from collections.abc import Callable, Iterable
from functools import cache, wraps
from importlib import import_module
from inspect import isfunction
from pathlib import Path
from traceback import extract_tb
from types import FunctionType
from typing import Any, TypeVar

from mct import MctError

Row = TypeVar("Row")


UPDATE = "update that package, or uninstall it"


def load(reference: str, extra: str = "") -> Callable[..., Any]:
    """Import "mct.module:function". A missing library becomes an MctError with the pip line for `extra`.

    Whatever goes wrong in another package's function, or while that is loaded, becomes one that names it.
    """
    module, _, function = reference.partition(":")
    try:
        found: Callable[..., Any] = getattr(import_module(module), function)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "mct":
            raise
        raise missing_library(error.name, extra) from error
    except Exception as error:
        if is_ours(reference):
            raise
        raise MctError(f"{reference} cannot be loaded: {error}", UPDATE) from error
    return found if is_ours(reference) or not isfunction(found) else _of_others(found, reference)


def _of_others(function: FunctionType, reference: str) -> Callable[..., Any]:
    """Another package's function, whose errors are said in one line: its package, what went wrong, and where."""

    @wraps(function)
    def called(*given: Any) -> Any:
        try:
            return function(*given)
        except MctError:
            raise
        except (Exception, SystemExit) as error:
            file = function.__code__.co_filename
            lines = [frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == file]
            owner = owner_of(reference) or "another package"
            raise MctError(
                f"{reference} of {owner} failed: {type(error).__name__}: {error} ({Path(file).name}:{lines[-1]})",
                "report it to that package",
            ) from error

    return called


def missing_library(library: str, extra: str) -> MctError:
    """The error for a library that is not installed: names the pip extra that brings it."""
    hint = pip_line(extra) if extra else f"pip install {library}"
    return MctError(f"this needs the library {library!r}, which is not installed", hint)


def pip_line(extra: str) -> str:
    """What to type for an extra of ours: the distribution's name on the package index is not the package's."""
    return f"pip install 'mangaassist-mct[{extra}]'"


def unknown(what: str, name: str, known: Iterable[str]) -> MctError:
    """The error for a name that stands in no table: suggests the nearest ones, or lists them all."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
    return MctError(f"unknown {what} {name!r}", hint)


@cache
def added_by_others(group: str, row_type: type[Row]) -> tuple[Row, ...]:
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
            raise MctError(f"{owner} cannot be loaded: {error}", UPDATE) from error
        several = found if isinstance(found, tuple) else (found,)
        if not all(isinstance(row, row_type) for row in several):
            raise MctError(f"{owner} gives no {row_type.__name__}", UPDATE)
        rows += several
    return tuple(rows)


def is_ours(reference: str) -> bool:
    """Whether "module:function" is this package's own."""
    return _top(reference) == "mct"


def _top(reference: str) -> str:
    return reference.partition(".")[0].partition(":")[0]


def owner_of(reference: str) -> str:
    """The package and version that a row's code belongs to, "shop-extras 1.0"; "" for ours, and where none says so."""
    if is_ours(reference):
        return ""
    from importlib.metadata import packages_distributions, version

    return ", ".join(f"{name} {version(name)}" for name in sorted(packages_distributions().get(_top(reference), ())))
