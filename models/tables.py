"""How a table row finds its code: rows name "module:function", loaded only when used.

This is the project's one extension point. A pass, runtime, technique or task kind is one file and one row.
"""

import difflib
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

from mct import MctError


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
