"""The engine in a page of a headless Chromium: served on loopback, with a profile of its own that is thrown away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from mct import MctError
from mct.bench.web.devtools import Browser, PageLost
from mct.bench.web.engine import Engine, Files, ended
from mct.bench.web.keeper import Keeper
from mct.bench.web.packages import BUILDS, require_packages
from mct.bench.web.processes import descendants, is_renderer
from mct.bench.web.served import serve
from mct.targets.programs import browser_flags, find_chromium

ROOM = Path(__file__).parent
OURS = ("page.html", "page.mjs", "engine.mjs", "tokens.mjs", "tasks.mjs")
READY = "typeof mctObey === 'function' && crossOriginIsolated"
LEAD = 'exec 3<"/dev/fd/$1" 4>"/dev/fd/$2" && shift 2 && exec "$@"'
STARTING_S = 30.0
SOCKET = "SingletonSocket"
"""Of a profile: a link into another folder, which Chromium itself removes only if it is not ended by force."""
WEBGPU_ADAPTER = "MCT_WEBGPU_ADAPTER"
"""A variable that picks Chromium's adapter: "swiftshader" computes on the CPU, to see whether answers are the same."""


@contextmanager
def open_browser(files: Files, keeper: Keeper) -> Iterator[Engine]:
    """A page with the engine in it. MctError where Chromium or a package is not here, or does not start."""
    require_packages()
    profile = Path(tempfile.mkdtemp(prefix="mct-browser-"))
    keeper.remove(profile)
    program = find_chromium(profile).require()
    served = {name: ROOM / name for name in OURS} | files.fetched()
    flags = browser_flags() + (webgpu_flags() if files.build is BUILDS["webgpu"] else [])
    command = [program.path, *flags, f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"]
    with serve(served) as address, _started(command, keeper) as (process, browser):
        try:
            session = _opened(browser, address + "page.html")
        except (PageLost, ValueError) as lost:
            raise MctError(f"the page could not be opened: {lost}", "see: mct targets probe") from None
        finally:
            keeper.remove((profile / SOCKET).resolve().parent)

        def send(command: Mapping[str, Any]) -> dict[str, Any]:
            asked = f"mctObey({json.dumps(command)})"
            try:
                said = browser.call(
                    "Runtime.evaluate", session, expression=asked, awaitPromise=True, returnByValue=True
                )
            except (PageLost, ValueError) as lost:
                process.poll()
                how = ended("Chromium", process.returncode) if process.returncode is not None else f"{lost}"
                raise MctError(how, "it may have run out of memory: a page gets some gigabytes at most") from None
            if "exceptionDetails" in said:
                return {"error": said["exceptionDetails"].get("exception", {}).get("description", "it threw")}
            reply: dict[str, Any] = said["result"]["value"]
            return reply

        def processes() -> list[int]:
            return descendants(process.pid)

        yield Engine(send, processes, lambda: [each for each in processes() if is_renderer(each)])


def webgpu_flags() -> list[str]:
    """What lets a headless Chromium have WebGPU on systems where it is not on by itself."""
    adapter = os.environ.get(WEBGPU_ADAPTER)
    return ["--enable-unsafe-webgpu", *([f"--use-webgpu-adapter={adapter}"] if adapter else ["--enable-gpu"])]


@contextmanager
def _started(command: Sequence[str], keeper: Keeper) -> Iterator[tuple[subprocess.Popen[bytes], Browser]]:
    """A browser that listens on two pipes, its file descriptors 3 and 4."""
    (its_commands, commands), (answers, its_answers) = os.pipe(), os.pipe()
    process = subprocess.Popen(
        ["/bin/sh", "-c", LEAD, "sh", str(its_commands), str(its_answers), *command],
        pass_fds=(its_commands, its_answers), stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=sys.stderr,
        start_new_session=True,
    )  # fmt: skip
    keeper.end_group(process.pid)
    os.close(its_commands)
    os.close(its_answers)
    try:
        yield process, Browser(commands, answers)
    finally:
        _close(process)
        os.close(commands)
        os.close(answers)


def _close(process: subprocess.Popen[bytes]) -> None:
    """End it and all of its processes by force: it has nothing to lose, and the next one is waiting."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _opened(browser: Browser, address: str) -> str:
    """A session with a page that has loaded its engine. PageLost where it does not in time."""
    browser.call("Target.setDiscoverTargets", discover=True)
    target = browser.call("Target.createTarget", patience_s=STARTING_S, url=address)["targetId"]
    session: str = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    until = monotonic() + STARTING_S
    while monotonic() < until:
        with suppress(ValueError):  # asked while the page is being loaded
            if browser.call("Runtime.evaluate", session, expression=READY)["result"].get("value"):
                return session
        sleep(0.01)
    raise PageLost("it did not load in time, or is not isolated from other origins")
