"""Where the command `mct` starts: outside the package `mct`, because that one can be written over.

The package index has a distribution named `mct` that is not ours (an MRI toolbox), and its files go into the same
folder. Installed after ours, its `__init__.py` stands where ours stood; uninstalled, whichever came last, it takes that
file along. So nothing of `mct` is imported before it is known to be whole and alone, and where it is not, one line says
so instead of a traceback out of the other's code.

The names in the folders of `sys.path` are read, which takes a fraction of a millisecond; `importlib.metadata`, which
takes thirty, is loaded only where one of them is suspicious.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.metadata import Distribution

BAD_INPUT = 2
METADATA = re.compile(r"mct[-.].*(dist|egg)-info", re.IGNORECASE)
INSTALL_AGAIN = "pip install --force-reinstall --no-deps mangaassist-mct"


def main() -> NoReturn:
    """Run the command line, unless another package's files stand in its place: then one line, a hint, exit code 2."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the command line listens itself: no traceback of its imports
    for other in _others():
        name = f"{other.metadata['Name']} {other.version} ({other.metadata['Summary']})"
        _refuse(
            f"another package is installed here that writes over this one's files: {name}",
            f"pip uninstall mct, then {INSTALL_AGAIN}",
        )
    import mct

    if mct.__file__ is None:  # a folder without its __init__.py, which Python imports as an empty package
        _refuse("a part of this package was removed together with another one", INSTALL_AGAIN)
    from mct.cli import main as run

    run()


def _others() -> Iterator[Distribution]:
    """Distributions named `mct` that are not ours; ours bore that name once, and is told by its command."""
    for folder in sys.path:
        for name in _names_in(folder or os.curdir):
            if METADATA.fullmatch(name):
                from importlib.metadata import Distribution

                found = Distribution.at(os.path.join(folder, name))
                if "mct" not in found.entry_points.names:
                    yield found


def _names_in(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:  # an archive, or a folder that is not there
        return []


def _refuse(message: str, hint: str) -> NoReturn:
    sys.stderr.write(f"error: {message}\nhint: {hint}\n")
    sys.exit(BAD_INPUT)
