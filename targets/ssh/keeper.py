"""Runs on the other machine, by its Python alone: unpacks what comes in, and clears it away once nobody needs it.

Sent as text (`mct.targets.ssh.folder`), so it imports the standard library only. First line in: a JSON object with the
`bytes` to come, `keep` (leave the folder) and `silence_s`; then a tar. One line out: {"folder": …}, or {"error": …,
"hint": …}. Then it waits: a byte now and then says that somebody is still there, and a "?" is answered by that same
line; the end of stdin, a signal, or `silence_s` without a word end it, and the folder goes. Workers stop when their
folder is gone.
"""

import json
import os
import select
import shutil
import signal
import sys
import tarfile
import tempfile
import time
from contextlib import suppress
from typing import Any, NoReturn

PREFIX = "mct-bench-"
KEPT = "kept"
SPARE = 32 << 20
CLEAR_S = 30.0
ASKED = b"?"
SIGNALS = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
SAFELY: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
FULL = "free some there, or point TMPDIR of that user to another disk"


def main() -> None:
    """Unpack, tell where, wait, clear away."""
    for number in SIGNALS:
        signal.signal(number, _end)
    asked = json.loads(_line(0))
    sweep(tempfile.gettempdir())
    folder = ""
    try:
        free = shutil.disk_usage(tempfile.gettempdir()).free
        if free < asked["bytes"] + SPARE:
            _refuse(f"the disk is full: {free >> 20} MB free, {(asked['bytes'] + SPARE) >> 20} MB needed")
        folder = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-")
        if asked["keep"]:
            open(os.path.join(folder, KEPT), "w").close()
        with os.fdopen(os.dup(0), "rb") as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
            tar.extractall(folder, **SAFELY)
        say({"folder": folder})
        wait(folder, asked["silence_s"])
    except OSError as error:
        _refuse(str(error))
    finally:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        if folder and not asked["keep"]:
            clear(folder)


def wait(folder: str, silence_s: float) -> None:
    """Until the end of stdin, or so many seconds without a byte on it; says that it is there as often as asked."""
    while select.select([0], [], [], silence_s)[0]:
        heard = os.read(0, 4096)
        if not heard:
            return
        for _ in range(heard.count(ASKED)):
            say({"folder": folder})


def clear(folder: str) -> None:
    """Remove it for good: a worker that is still starting writes compiled files into what is being removed."""
    deadline = time.monotonic() + CLEAR_S
    while os.path.isdir(folder) and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.05)


def sweep(parent: str) -> None:
    """Remove the folders of keepers that were killed, this user's alone."""
    for name in os.listdir(parent):
        path, keeper = os.path.join(parent, name), name[len(PREFIX) :].partition("-")[0]
        if not name.startswith(PREFIX) or not keeper.isdigit() or os.path.islink(path):
            continue
        try:
            if os.stat(path).st_uid == os.getuid() and not os.path.exists(os.path.join(path, KEPT)):
                os.kill(int(keeper), 0)
        except ProcessLookupError:
            shutil.rmtree(path, ignore_errors=True)
        except OSError:
            continue


def say(reply: dict[str, Any]) -> None:
    """A line to whoever asked; nobody may be there any more."""
    with suppress(OSError):
        os.write(1, json.dumps(reply).encode() + b"\n")


def _line(source: int) -> bytes:
    """The first line, and not a byte more."""
    found = b""
    while not found.endswith(b"\n"):
        byte = os.read(source, 1)
        if not byte:
            sys.exit(1)
        found += byte
    return found


def _refuse(message: str) -> NoReturn:
    say({"error": message, "hint": FULL if "disk is full" in message or "No space" in message else ""})
    sys.exit(0)


def _end(number: int, frame: object) -> NoReturn:
    sys.exit(0)


if __name__ == "__main__":
    main()
