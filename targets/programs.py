"""Programs that run artifacts outside Python, Node and a Chromium: their version and what their WebAssembly has.

They are asked, not believed: a program that is there runs a few lines which compile a function of vectors and share a
memory.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mct import MctError

PATIENCE_S = 20.0
OLDEST_NODE = 18
"""Older ones are no longer kept up, and lack what the runtime is written in."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
NODE_LINE = f"install Node.js {OLDEST_NODE} or newer, for artifacts in onnxruntime-web"
CHROMIUM_LINE = "install Chromium, for artifacts in a browser"

# The bytes are a module of one function that spreads a byte over a vector: valid where there is SIMD.
_PROBE = """JSON.stringify({
simd: WebAssembly.validate(new Uint8Array(
  [0,97,115,109,1,0,0,0,1,5,1,96,0,1,123,3,2,1,0,10,10,1,8,0,65,0,253,15,253,98,11])),
threads: (() => { try {
  return new WebAssembly.Memory({initial: 1, maximum: 1, shared: true}).buffer.constructor.name === "SharedArrayBuffer";
} catch { return false; } })()})"""
_TOLD = re.compile(r'\{"simd":(true|false),"threads":(true|false)\}')

BROWSER_FLAGS = (
    "--headless=new", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-breakpad", "--disable-extensions",
    "--no-default-browser-check", "--password-store=basic", "--use-mock-keychain", "--disable-renderer-backgrounding",
    "--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows",
)  # fmt: skip


@dataclass(frozen=True)
class Program:
    """One program: its version where it is there, else how to bring it; what its WebAssembly has, None if unasked."""

    name: str
    version: str | None
    missing: str
    path: str = ""
    simd: bool | None = None
    threads: bool | None = None

    def require(self) -> Program:
        """Itself. MctError where it is not there, or has no WebAssembly that the runtime can use."""
        if self.missing:
            what = f"{self.version} is too old" if self.version else "does not run" if self.path else "is not here"
            was = f"{self.name} {what}"
            raise MctError(was, self.missing)
        if self.simd is None:
            raise MctError(
                f"{self.name} {self.version} does not say what its WebAssembly has",
                f"it took more than {PATIENCE_S:g} s, or does not start: see that {self.path} runs, and try again",
            )
        if not (self.simd and self.threads):
            lacks = "SIMD" if not self.simd else "shared memory for threads"
            raise MctError(
                f"the WebAssembly of {self.name} {self.version} has no {lacks}, which the runtime is built with",
                "use a newer one, or a CPU with SSE4.1 or NEON, and no switch that takes it away",
            )
        return self


def browser_flags() -> list[str]:
    """What a headless browser is started with; without its sandbox only where nobody but root is there to start it."""
    return [*BROWSER_FLAGS, *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else [])]


def find_node() -> Program:
    """The `node` of the PATH."""
    path = shutil.which("node")
    if path is None:
        return Program("node", None, NODE_LINE)
    said = _output([path, "--version"]).strip()
    number = re.match(r"v(\d+)\.", said)
    if number is None:
        return Program("node", None, f"{path} gives no version of Node: see that it runs, or {NODE_LINE}", path)
    if int(number[1]) < OLDEST_NODE:
        return Program("node", said, NODE_LINE, path)
    return Program("node", said, "", path, *_told(_output([path, "-p", _PROBE])))


def find_chromium(below: Path | None = None) -> Program:
    """The first of the PATH that is a Chromium, by the names that it has.

    Its profile is made in the folder `below`, for who may be killed meanwhile and has that folder cleared up.
    """
    path = next((found for command in BROWSERS if (found := shutil.which(command))), None)
    if path is None:
        return Program("chromium", None, CHROMIUM_LINE)
    said = _output([path, "--version"]).strip()
    if not said:
        return Program("chromium", None, f"{path} gives no version: see that it runs, or {CHROMIUM_LINE}", path)
    page = f"data:text/html,<script>document.title={_PROBE}</script>".replace("\n", "")
    with tempfile.TemporaryDirectory(prefix="mct-browser-", dir=below, ignore_cleanup_errors=True) as profile:
        shown = _output([path, *browser_flags(), f"--user-data-dir={profile}", "--dump-dom", page])
    return Program("chromium", said, "", path, *_told(shown))


def _told(said: str) -> tuple[bool, bool] | tuple[None, None]:
    """SIMD and threads, as the lines told within what was printed; None of both where they did not run."""
    told = _TOLD.search(said)
    return (told[1] == "true", told[2] == "true") if told else (None, None)


def _output(command: Sequence[str]) -> str:
    """What a program prints; "" where it is not there, fails, or takes too long."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=PATIENCE_S, check=True,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout
