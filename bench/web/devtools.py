"""Chrome's DevTools protocol over a pair of pipes, as far as one page needs it: open it, evaluate in it, see it crash.

Messages are JSON, each ended by a zero byte (`--remote-debugging-pipe`; https://chromedevtools.github.io). There is no
port that others could reach, and a browser whose pipe ends ends itself.
"""

from __future__ import annotations

import json
import os
import select
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

CRASHED = ("Inspector.targetCrashed", "Target.targetCrashed")


class PageLost(Exception):  # noqa: N818 - what happened, not an error of ours
    """The page or its browser is gone; the text says which."""


@dataclass
class Browser:
    """The two ends of a browser's pipes: file descriptors to write commands into and to read answers from."""

    commands: int
    answers: int
    unread: bytes = b""
    number: int = 0

    def call(self, method: str, session: str = "", patience_s: float = 300.0, **given: Any) -> dict[str, Any]:
        """The result of a method. PageLost where browser or page ends before; ValueError with the browser's reason."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": given} | ({"sessionId": session} if session else {})
        _write(self.commands, json.dumps(message).encode() + b"\0")
        until = monotonic() + patience_s
        while True:
            told = self._next(until)
            if told.get("method") in CRASHED:
                raise PageLost("the page crashed")
            if told.get("id") == self.number:
                if "error" in told:
                    raise ValueError(str(told["error"].get("message", told["error"])))
                result: dict[str, Any] = told["result"]
                return result

    def _next(self, until: float) -> Mapping[str, Any]:
        pieces = [self.unread]
        while b"\0" not in pieces[-1]:
            if not select.select([self.answers], [], [], max(0.0, until - monotonic()))[0]:
                raise PageLost("the page did not answer in time")
            chunk = os.read(self.answers, 1 << 16)
            if not chunk:
                raise PageLost("the browser ended")
            pieces.append(chunk)
        message, _, self.unread = b"".join(pieces).partition(b"\0")
        told: dict[str, Any] = json.loads(message)
        return told


def _write(pipe: int, message: bytes) -> None:
    try:
        while message:
            message = message[os.write(pipe, message) :]
    except BrokenPipeError:
        raise PageLost("the browser ended") from None
