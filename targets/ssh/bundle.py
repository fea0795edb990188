"""What is copied to another machine: the light part of this package, and the files that are to be measured there.

A tar of plain files, written straight into the connection. A file is read through the name it has here, so that a link
of the hub's cache becomes the file that it leads to.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

import mct
from mct import MctError

CODE = "code"
ROOMS = ("models", "targets", "bench/worker")
"""What the worker imports, whole: no list that would be out of date."""
SUFFIXES = (".py", ".toml")


def code_files() -> dict[str, Path]:
    """This package as far as a worker needs it, by the names that it gets in the bundle."""
    assert mct.__file__ is not None
    root = Path(mct.__file__).parent
    found = [root / "__init__.py", root / "bench" / "__init__.py"]
    for room in ROOMS:
        found += [path for path in sorted((root / room).rglob("*")) if path.suffix in SUFFIXES and path.is_file()]
    return {f"{CODE}/mct/{path.relative_to(root).as_posix()}": path for path in found}


def size_of(files: Mapping[str, Path]) -> int:
    """Bytes of all of them. MctError where one cannot be read."""
    return sum(_size(path) for path in files.values())


def _size(path: Path) -> int:
    try:
        with path.open("rb") as file:
            return os.fstat(file.fileno()).st_size
    except OSError as error:
        raise MctError(f"{path} cannot be copied: {error.strerror}", "is it still being written, or gone?") from error


def write_bundle(stream: IO[bytes], files: Mapping[str, Path], wrote: Callable[[int], None]) -> None:
    """Write the files under these names; `wrote` is told how many bytes have gone after each."""
    gone = 0
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for name, path in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = path.stat().st_size, 0o600
            with path.open("rb") as file:
                tar.addfile(info, file)
            gone += info.size
            wrote(gone)
