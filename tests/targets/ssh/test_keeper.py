"""The keeper by itself, as the other machine runs it: what it answers, and that its folder goes whatever happens."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

import pytest

from mct.targets.ssh import keeper
from mct.targets.ssh.bundle import write_bundle

MANY = 1_000
"""Files whose removal takes so long that others are written meanwhile."""


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A keeper that has unpacked one file, and its folder."""
    file = tmp_path / "file.py"
    file.write_text("")
    process = subprocess.Popen(
        [sys.executable, keeper.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(json.dumps({"bytes": 0, "keep": False, "silence_s": 60}).encode() + b"\n")
    write_bundle(process.stdin, {"code/file.py": file}, lambda gone: None)
    process.stdin.flush()
    folder = Path(json.loads(process.stdout.readline())["folder"])
    assert (folder / "code" / "file.py").is_file()
    with process:
        yield process, folder
        process.kill()


def test_it_says_that_it_is_there_as_often_as_asked(kept: tuple[subprocess.Popen[bytes], Path]) -> None:
    process, folder = kept
    assert process.stdin is not None and process.stdout is not None
    for asked in (b"\n?", b"??"):
        process.stdin.write(asked)
        process.stdin.flush()
        for _ in range(asked.count(b"?")):
            assert json.loads(process.stdout.readline()) == {"folder": str(folder)}


@pytest.mark.parametrize("how", [None, signal.SIGTERM, signal.SIGHUP])
def test_its_folder_goes_though_somebody_still_writes_into_it(
    how: signal.Signals | None, kept: tuple[subprocess.Popen[bytes], Path]
) -> None:
    process, folder = kept
    assert process.stdin is not None
    compiled = folder / "code" / "__pycache__"
    compiled.mkdir()
    ended, many = Event(), Event()

    def write() -> None:
        for number in range(10**9):
            if ended.is_set():
                return
            with suppress(OSError):
                compiled.mkdir(exist_ok=True)
                (compiled / f"{number}.pyc").write_text("")
            if number == MANY:
                many.set()

    writer = Thread(target=write)
    writer.start()
    assert many.wait(60)
    process.stdin.close() if how is None else process.send_signal(how)
    while (compiled / "0.pyc").exists() and process.poll() is None:
        pass
    if how is not None:  # a second one while it clears
        process.send_signal(how)
    ended.set()
    writer.join()
    assert process.wait(60) == 0 and not folder.exists()
