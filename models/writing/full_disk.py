"""A disk that takes no more, told from a bug: every library that writes has words of its own for it.

A full disk, a quota, a limit on the size of files and a disk that became read-only are things a user can mend.
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mct import MctError

MENDED_BY = {
    errno.ENOSPC: "free some space, or give another folder",
    errno.EDQUOT: "free some of your quota, or give another folder",
    errno.EFBIG: "lift the limit on the size of files (ulimit -f), or give a folder on another disk",
    errno.EROFS: "give a folder on a disk that can be written",
    errno.EACCES: "give another folder, or the right to write there",
    errno.EPERM: "give another folder, or the right to write there",
    errno.EXDEV: "remove what is there first: this file system cannot replace it in one step",
    errno.ENAMETOOLONG: "give a shorter name",
}
"""What a user does about an error of the system."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})

OF_LIBRARIES = (
    re.compile(r"os error (?P<number>\d+)"),  # safetensors and tokenizers, written in Rust
    re.compile(r"\d+ requested and \d+ written"),  # numpy's tofile, which gguf writes through
    re.compile(r"iostream error"),  # the streams of C++: OpenVINO, llama.cpp
)


@contextmanager
def full_disk_explained(folder: Path) -> Iterator[None]:
    """Turn whatever says that no more can be written into `folder` into an MctError that says so."""
    try:
        yield
    except Exception as error:
        number = _number(error)
        if number not in FULL:
            raise
        raise MctError(f"writing into {folder} failed: {os.strerror(number)}", MENDED_BY[number]) from error


def _number(error: Exception) -> int:
    """The system's number of the error, 0 where it is another kind of error."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    for pattern in OF_LIBRARIES:
        if found := pattern.search(str(error)):
            return int(found.groupdict().get("number") or errno.ENOSPC)
    return 0
