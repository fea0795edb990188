"""A finished draft takes the name of what it replaces, and a kill between any two steps leaves the one or the other.

On Linux two names change places in one step of the kernel (renameat2 with RENAME_EXCHANGE), so the name is never
without its folder. Where system or file system cannot do that, the old folder steps aside under a hidden name that
says what it was called; a kill before the new one is in place leaves it there, and the next run that writes into the
folder gives it its name back (mct.models.writing.drafts).
"""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mct.models.writing.drafts import draft_folder, predecessor, remove
from mct.models.writing.ownership import list_files, require_replaceable

FROM_HERE = -100
"""AT_FDCWD of fcntl.h: paths are relative to the current folder."""
RENAME_EXCHANGE = 2
NOT_EMPTY = frozenset({errno.ENOTEMPTY, errno.EEXIST})
CANNOT = frozenset({errno.ENOSYS, errno.EINVAL, errno.EPERM})


@contextmanager
def appearing(final: Path, reads: Sequence[Path] = ()) -> Iterator[Path]:
    """Yield an empty folder beside `final`, which gets that name on success and is removed on any failure.

    MctError before anything is done where `final` holds what mct did not write, or where one of `reads` would go with
    it. Do the work inside, so that it is not done for nothing.
    """
    place = require_replaceable(final, reads)
    with draft_folder(place.parent, place.name) as draft:
        yield draft
        list_files(draft)
        put_in_place(draft, place)


def put_in_place(draft: Path, final: Path) -> None:
    """Give a finished folder its name. What had that name goes, if it is mct's own still; MctError otherwise."""
    while not _take_free_name(draft, final):
        require_replaceable(final)  # once more, since work may have taken hours
        try:
            change_places(draft, final)
        except FileNotFoundError:
            if not draft.exists():
                raise
            continue  # somebody took it away just now: the name is free
        remove(draft)
        return


def change_places(draft: Path, final: Path) -> None:
    """Give a finished draft the name of what is there, whosever that is; what was there is the draft now, or gone."""
    if not exchange(draft, final):
        _step_aside(draft, final)


def exchange(one: Path, other: Path) -> bool:
    """Let two names change places in one step. False where the system or the file system cannot."""
    import ctypes

    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    if call(FROM_HERE, os.fsencode(one), FROM_HERE, os.fsencode(other), RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in CANNOT:
        return False
    raise OSError(number, os.strerror(number), str(other))


def _take_free_name(draft: Path, final: Path) -> bool:
    """True where nothing, or an empty folder, had the name."""
    try:
        os.rename(draft, final)
    except OSError as error:
        if error.errno in NOT_EMPTY:
            return False
        raise
    return True


def _step_aside(draft: Path, final: Path) -> None:
    with predecessor(final) as waiting:
        os.rename(final, waiting)
        try:
            os.rename(draft, final)
        except BaseException:
            os.rename(waiting, final)
            raise
