"""What lies in a folder that somebody else made, checked before anything in it is read.

A link in a checkpoint could name any file of this machine, and its content would end in an artifact that is handed on;
a pipe would make its reader wait for ever. So a folder is walked once, at the door: its links must end at plain files
inside it. The one exception is the cache of Hugging Face's hub, whose snapshots are links into the `blobs` beside them.
"""

import os
import stat
from pathlib import Path

from mct import MctError


def list_files(folder: Path) -> tuple[str, ...]:
    """Every file below `folder`, by its path relative to it, in order.

    MctError for a link that ends anywhere but at a plain file inside, and for pipes, sockets and devices.
    """
    root = folder.resolve()
    homes = (root, *_blobs(root))
    found = []
    for where, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(where, name)
            if path.is_symlink():
                _check_link(folder, path.relative_to(root), path, homes)
            elif not stat.S_ISREG(mode := path.lstat().st_mode) and not stat.S_ISDIR(mode):
                raise MctError(
                    f"{folder / path.relative_to(root)} is a pipe, a socket or a device, not a file",
                    "take it out of the folder",
                )
        found += [Path(where, name).relative_to(root).as_posix() for name in files]
    return tuple(sorted(found))


def check_beside(path: Path) -> None:
    """MctError where the file at `path`, found and not named by the user, is a link that leads out of its folder."""
    if path.is_symlink():
        _check_link(path.parent, Path(path.name), path, (path.parent.resolve(),))


def _check_link(folder: Path, relative: Path, link: Path, homes: tuple[Path, ...]) -> None:
    """MctError unless the link ends at a plain file below one of `homes`."""
    shown = folder / relative
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError) as error:  # nothing there, or links in a circle
        raise MctError(f"{shown} is a link that leads nowhere", "put the file itself there, or remove it") from error
    if not any(target.is_relative_to(home) for home in homes):
        raise MctError(
            f"{shown} is a link that leads out of its folder, to {target}",
            "put a copy of the file there, if it is yours",
        )
    if not stat.S_ISREG(target.stat().st_mode):
        raise MctError(f"{shown} is a link to what is no plain file", "put the file itself there, or remove it")


def _blobs(root: Path) -> list[Path]:
    """Where the hub's cache keeps the files of the snapshot at or above `root`; nothing for any other folder."""
    return [
        above.parent / "blobs"
        for above in root.parents
        if above.name == "snapshots" and above.parent.name.startswith("models--")
    ]
