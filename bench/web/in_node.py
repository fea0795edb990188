"""The engine in Node: a process that reads commands from its stdin, and ends with it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mct import MctError
from mct.bench.web.engine import Engine, Files, ended
from mct.bench.web.keeper import Keeper
from mct.bench.web.packages import packages_folder, require_packages
from mct.targets.programs import find_node

HOST = Path(__file__).with_name("node.mjs")


@contextmanager
def open_node(files: Files, keeper: Keeper) -> Iterator[Engine]:
    """A Node with the engine in it. MctError where Node or a package is not here."""
    require_packages()
    program = find_node().require()
    named = {name: str(path.resolve()) for name, path in files.fetched().items()}
    process = subprocess.Popen(
        [program.path, str(HOST), str(packages_folder().resolve())],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sys.stderr, start_new_session=True,
    )  # fmt: skip
    keeper.end_group(process.pid)
    assert process.stdin is not None and process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    def send(command: Mapping[str, Any]) -> dict[str, Any]:
        try:
            stdin.write(json.dumps({**command, "files": named}).encode() + b"\n")
            stdin.flush()
            said = stdout.readline()
        except OSError:
            said = b""
        if not said:
            process.kill()
            raise MctError(ended("Node", process.wait()), "")
        reply = _object(said)
        if reply is None:
            process.kill()
            raise MctError(f"{program.path} answers by what is none of ours", "is it Node itself?")
        return reply

    try:
        yield Engine(send, lambda: [process.pid], lambda: [process.pid])
    finally:
        _close(process)


def _object(said: bytes) -> dict[str, Any] | None:
    """A line as a JSON object; None where it is none."""
    try:
        found = json.loads(said)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _close(process: subprocess.Popen[bytes]) -> None:
    """End it by force: it has nothing to lose, and the next one is waiting."""
    assert process.stdin is not None and process.stdout is not None
    process.kill()
    process.wait()
    with suppress(BrokenPipeError):
        process.stdin.close()
    process.stdout.close()
