"""What mct wrote itself, and may therefore replace: nothing else is ever overwritten or deleted.

A folder of ours holds a list of its files with their SHA-256: `mct.json` in an artifact, `mct-files.json` in any other
(a built checkpoint). While all that lies there is as the list says, every byte of it can be made again. One file more,
or one byte changed since, is somebody's work, and the folder is refused: before any work is done for it.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mct import MctError
from mct.models.writing.folders import sha256, write_json

LISTS = ("mct.json", "mct-files.json")
OTHER_PLACE = "give another place, or move away what is there"
MOUNTS = Path("/proc/self/mountinfo")


def list_files(folder: Path) -> None:
    """Leave the list by which a folder is known as ours, the last file to be written, where it has none yet."""
    if not any((folder / name).exists() for name in LISTS):
        files = {name: sha256(folder / name) for name in sorted(_names(folder))}
        write_json(folder / LISTS[-1], {"schema": 1, "files": files})


def require_replaceable(final: Path, reads: Sequence[Path] = ()) -> Path:
    """`final` without links in the way to it, if a folder may be written there; MctError with the reason otherwise.

    It may where nothing is, or an empty folder, or one that mct wrote and nobody has changed since; never where one of
    `reads` would go with it or lies around it.
    """
    place = _located(final)
    _require_apart(place, reads)
    _require_writable(place.parent)
    if not os.path.lexists(place):
        return place
    if place.is_symlink() or not place.is_dir():
        raise MctError(f"{final} is a {'link' if place.is_symlink() else 'file'}, no folder", OTHER_PLACE)
    if _is_mounted(place):
        raise MctError(f"{final} is where a disk is mounted, and cannot be replaced", "give a folder inside of it")
    if reason := _foreign_still(place):
        raise MctError(f"{final} cannot be replaced: {reason}", OTHER_PLACE)
    return place


def require_output(path: Path | None, reads: Sequence[Path] = ()) -> None:
    """MctError where a file cannot be written to `path`, or would change one of `reads`; for an option not given, None.

    A file that is there is replaced: who names an output file means that. A link is followed, as in writing.
    """
    if path is None:
        return
    if path.is_dir():
        raise MctError(f"{path} is a folder", "give the name of a file in it")
    place = Path(os.path.realpath(path))
    for read in reads:
        if _is_within(place, Path(os.path.realpath(read))):
            raise MctError(f"{path} would change {read}, which is read", "give another place")
    if not path.exists():
        _require_writable(place.parent)
    elif not os.access(path, os.W_OK):
        raise MctError(f"{path} is not to be written", "give another place, or the right to write it")


def require_container(folder: Path, reads: Sequence[Path] = ()) -> None:
    """MctError where new things cannot be put into `folder`, made if need be, or would change one of `reads`."""
    place = Path(os.path.realpath(folder))
    for read in reads:
        if read.is_dir() and _is_within(place, Path(os.path.realpath(read))):
            raise MctError(f"{folder} lies in {read}, which is read", "give another place")
    _require_writable(place)


def _located(path: Path) -> Path:
    """The absolute path, links on the way to it followed, itself not."""
    if path.name in {"", ".."}:
        return Path(os.path.realpath(path))
    return Path(os.path.realpath(path.parent)) / path.name


def _require_apart(place: Path, reads: Sequence[Path]) -> None:
    """MctError where what is needed elsewhere would go with the folder, or lies around it."""
    there = [path for path in reads if path.exists()]
    here, home = Path.cwd(), Path(os.path.expanduser("~"))
    for needed, what in ((here, "the folder you are in"), (home, "your home folder"), *zip(there, there, strict=True)):
        if _is_within(Path(os.path.realpath(needed)), place):
            raise MctError(f"{place} cannot be replaced: it is or holds {what}", "give a new folder")
    for folder in filter(Path.is_dir, there):
        if _is_within(place, Path(os.path.realpath(folder))):
            raise MctError(f"{place} lies in {folder}, which is read", "give a folder outside of it")


def _require_writable(folder: Path) -> None:
    """MctError where a folder, or the nearest one above it that is there, takes nothing new."""
    there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not there.is_dir():
        raise MctError(f"{there} is no folder, so nothing can be put into it", "give another place")
    if not os.access(there, os.W_OK | os.X_OK):
        raise MctError(f"nothing can be written into {there}", "give another place, or the right to write there")


def _is_within(path: Path, folder: Path) -> bool:
    return path == folder or folder in path.parents


def _is_mounted(place: Path) -> bool:
    """Whether something is mounted there; of a folder mounted from the same disk only Linux's own list tells."""
    try:
        mounts = MOUNTS.read_bytes().splitlines()
    except OSError:
        mounts = []
    return os.path.ismount(place) or any(_mount_point(line) == os.fsencode(place) for line in mounts)


def _mount_point(line: bytes) -> bytes:
    """The fifth word of a line of mountinfo, in which blanks and backslashes are octal numbers."""
    return re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), line.split()[4])


def _foreign_still(place: Path) -> str:
    """`_foreign` of one and the same folder: another run may put its own there while the files are read."""
    while True:
        try:
            before = place.stat()
            reason = _foreign(place)
            if os.path.samestat(before, place.stat()):
                return reason
        except FileNotFoundError:
            if not place.exists():
                return ""


def _foreign(folder: Path) -> str:
    """What in a folder mct did not write, or not so; "" where there is nothing of the kind."""
    files = _listed(folder)
    for name in sorted(_names(folder)) if files else _names(folder):
        if name not in files:
            return f"mct did not write the {name} in it"
        if (folder / name).is_symlink() or not (folder / name).is_file() or sha256(folder / name) != files[name]:
            return f"its {name} was changed since mct wrote it"
    return ""


def _listed(folder: Path) -> Mapping[str, object]:
    """What the folder's own list says, nothing where it has none that can be read."""
    name = next((name for name in LISTS if (folder / name).is_file() and not (folder / name).is_symlink()), None)
    if name is None:
        return {}
    try:
        files = json.loads((folder / name).read_text(encoding="utf-8"))["files"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return {}
    return {**files, name: sha256(folder / name)} if isinstance(files, dict) else {}


def _names(folder: Path) -> Iterator[str]:
    """Everything below a folder that is no folder, links not followed, by its path from there."""
    for root, folders, files in os.walk(folder):
        linked = [name for name in folders if os.path.islink(os.path.join(root, name))]
        for name in (*files, *linked):
            yield os.path.relpath(os.path.join(root, name), folder)
