"""Files that appear complete or not at all, and what identifies the content of files and folders.

Every room writes its files through here and its folders through mct.models.writing.replacing, so a Ctrl-C, a full disk
or a crash never leaves half a result under its final name.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from mct import MctError
from mct.models.writing.drafts import draft_file

STREAMS = ("/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/self/fd/")
"""Names of what is open already: it is added to, whatever it leads to."""


def write_atomically(path: Path, text: str) -> None:
    """Write `text` (UTF-8) to `path` so that a reader sees the old content or the new, never a part."""
    write_bytes_atomically(path, text.encode())


def write_bytes_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path` so that a reader sees the old content or the new, never a part.

    A link stays one, what it leads to is written; a pipe or a device is written as it is. MctError for a folder.
    """
    if str(path).startswith(STREAMS) or (path.exists() and not path.is_file() and not path.is_dir()):
        with path.open("ab") as stream:
            stream.write(content)
        return
    write_together({path: content})


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Write files that belong together: all lie there whole before the first takes its name, then each in this order.

    A link stays one, what it leads to is written. MctError for what is there and no file.
    """
    with ExitStack() as stack:
        drafts = [stack.enter_context(_drafted(path, content)) for path, content in contents.items()]
        for draft, final in drafts:
            os.replace(draft, final)


@contextmanager
def _drafted(path: Path, content: bytes) -> Iterator[tuple[Path, Path]]:
    """A hidden file with that content, and where it belongs."""
    if path.exists() and not path.is_file():
        what = "a folder" if path.is_dir() else "a pipe or a device"
        raise MctError(f"{path} is {what}, not a file to write", "give the name of a file")
    final = Path(os.path.realpath(path))
    with draft_file(final.parent, final.name) as draft:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(0o644)
        yield draft, final


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically, keys in the order given."""
    write_bytes_atomically(path, as_json(value))


def as_json(value: Any) -> bytes:
    """`value` as a JSON file of ours holds it."""
    return (json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode()


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(hashes: Mapping[str, str]) -> str:
    """One SHA-256 over file names and their SHA-256: the same digest, the same files."""
    lines = "".join(f"{name} {value}\n" for name, value in sorted(hashes.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def size_mb(folder: Path) -> float:
    """Megabytes (10^6 bytes) of all files below `folder`."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def cache_folder() -> Path:
    """Where mct keeps what it found out of this machine, or made, and need not again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mct"
