"""What a search has found so far, on disk as it comes: a kill loses one step, and the same command goes on there.

The folder is named by all that was asked but the time allowed, so that another question never meets the answers to
this one; what was timed, and the seconds spent, stand in small files of their own.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mct import MctError
from mct.models.writing.folders import write_json

FOLDER = ".search"
SPENT = ("making", "teaching", "answering", "timing", "judging")


@dataclass
class Journal:
    """The folder of one question. `spent` are seconds by what they went into, all runs together.

    Of the seconds that workers had something to make, counted for each of them (`theirs_s`), `busy_s` went into making.
    """

    folder: Path
    spent: dict[str, float] = field(default_factory=dict)
    busy_s: float = 0.0
    theirs_s: float = 0.0
    began: float = field(default_factory=time.monotonic)
    before: float = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since the search began, those of runs that were cut off among them."""
        return self.before + time.monotonic() - self.began

    @contextmanager
    def spending(self, on: str) -> Iterator[None]:
        """Count the seconds inside as spent on that."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.spent[on] = self.spent.get(on, 0.0) + time.monotonic() - began
            self.save()

    def save(self) -> None:
        """Write down the seconds spent so far."""
        workers = {"busy": self.busy_s, "theirs": self.theirs_s}
        write_json(self.folder / "spent.json", {"elapsed": self.elapsed, "on": self.spent, **workers})

    def find(self, name: str) -> Any:
        """What was noted under a name; None where nothing was."""
        path = self.folder / f"{name}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def note(self, name: str, value: Any) -> None:
        """Note a value, for this run and the next."""
        write_json(self.folder / f"{name}.json", value)


@contextmanager
def open_journal(out: Path, question: Mapping[str, Any]) -> Iterator[Journal]:
    """The journal of a question below `out`. MctError where another search is at work on it, or a link leads away."""
    key = hashlib.sha256(json.dumps(question, sort_keys=True, default=str).encode()).hexdigest()[:16]
    folder = out / FOLDER / key
    for place in (out / FOLDER, folder):
        if place.is_symlink():
            raise MctError(f"{place} is a link, and a search writes into no folder but its own", "move it away")
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise MctError(f"another search is at work in {out}", "wait for it, or give another -o") from error
        journal = Journal(folder)
        if found := journal.find("spent"):
            journal.before, journal.spent = float(found["elapsed"]), dict(found["on"])
            journal.busy_s, journal.theirs_s = float(found["busy"]), float(found["theirs"])
        else:
            write_json(folder / "question.json", json.loads(json.dumps(question, default=str)))
        yield journal
    finally:
        os.close(handle)
