"""Folders and files that appear complete or not at all, and what identifies their content.

Every room writes through here, so a Ctrl-C, a full disk or a crash never leaves half a result under its final name.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mct import MctError


@contextmanager
def appearing(final: Path) -> Iterator[Path]:
    """Yield an empty folder beside `final`; rename it to `final` on success, remove it on any failure.

    An existing `final` is replaced only once its successor is complete.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{final.name}.", suffix=".part", dir=final.parent))
    os.chmod(draft, 0o755)
    try:
        yield draft
        _replace(draft, final)
    except OSError as error:
        if error.errno is not None and error.errno == 28:
            raise MctError(
                f"no space left on the disk that holds {final.parent}", "free some space, or give another folder"
            ) from error
        raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _replace(draft: Path, final: Path) -> None:
    if not final.exists():
        os.replace(draft, final)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{final.name}.", suffix=".old", dir=final.parent))
    os.replace(final, old / "was")
    os.replace(draft, final)
    shutil.rmtree(old, ignore_errors=True)


def write_atomically(path: Path, text: str) -> None:
    """Write `text` (UTF-8) to `path` so that a reader sees the old content or the new, never a part."""
    write_bytes_atomically(path, text.encode())


def write_bytes_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path` so that a reader sees the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(draft, 0o644)
        os.replace(draft, path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically, keys in the order given."""
    write_atomically(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file; MctError if it is missing or no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MctError(f"{path} does not exist", "check the path") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise MctError(
            f"{path} is not readable as JSON: {error}", "the file is damaged or not what it is named for"
        ) from error


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
