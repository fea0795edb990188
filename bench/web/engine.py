"""The JavaScript that is measured, as something that is asked: in Node or in a page, the same commands.

A command is a JSON object with what to "do", its answer another (see engine.mjs). What an engine is made of lives as
long as the `with` that opened it.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mct import MctError
from mct.bench.web.packages import BUILDS, Build
from mct.models.tables import load
from mct.targets.runtimes.table import Executable

MOST_REASON = 300
LACKING = ("is not a registered function/op", "NOT_IMPLEMENTED", "Could not find an implementation", "No Op registered")


@dataclass(frozen=True)
class Files:
    """What is measured: a model file, its tokenizer.json, and the build of the runtime."""

    model: Path
    tokenizer: Path
    build: Build

    def fetched(self) -> dict[str, Path]:
        """All that somebody must have who asks the model in a page, by the names that the page asks for."""
        return {"model": self.model, "tokenizer": self.tokenizer, **self.build.files()}


def files_of(executable: Executable, provider: str) -> Files:
    """What an artifact is made of, with the build of the runtime that computes by that provider."""
    tokenizer: Path = load("mct.models.tasks.tokens:tokenizer_file")(executable.vocabulary)
    return Files(executable.folder / executable.model, tokenizer, BUILDS[provider])


@dataclass(frozen=True)
class Engine:
    """`send` gives the answer to a command; MctError where the process behind it ended.

    `processes` are all that it is made of; one of the `holders` holds the model.
    """

    send: Callable[[Mapping[str, Any]], dict[str, Any]]
    processes: Callable[[], list[int]]
    holders: Callable[[], list[int]]

    def ask(self, what: str, **given: Any) -> dict[str, Any]:
        """The answer to a command. MctError with the runtime's own reason where it could not do it."""
        reply = self.send({"do": what, **given})
        if "error" in reply:
            reason = " ".join(str(reply["error"]).split())[:MOST_REASON]
            raise MctError(f"onnxruntime-web: {reason}", _hint(reason))
        return _Reply(reply)


class _Reply(dict[str, Any]):
    """What an engine says of what it did; who is none says less."""

    def __missing__(self, name: str) -> Any:
        raise MctError(f"the engine says nothing of {name}", "is it Node itself, or Chromium, that was started?")


def ended(what: str, code: int) -> str:
    """How a process ended that should have gone on."""
    return f"{what} was ended by {signal.Signals(-code).name}" if code < 0 else f"{what} ended with exit code {code}"


def _hint(reason: str) -> str:
    if any(said in reason for said in LACKING):
        return "its graph has an operator that this runtime lacks: compress it with --target node"
    if "GPU adapter" in reason:
        return "this browser has no GPU to give to a page: bench it on the target browser"
    return "compress the checkpoint again, or measure it on another target"
