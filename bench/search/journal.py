"""What a search has found so far, on disk as it comes: a kill loses one step, and the same command goes on there.

Two folders, one in the other. The outer is named by the checkpoint, the rows, the machine and the versions: what was
made, taught and answered lies there, whatever it was wanted for. The inner is named by the budget and the target too,
so that another question never meets the verdicts on this one: what was timed, judged and spent. The time allowed is in
neither, so that the same command with more of it goes on.
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
    """The `folder` of one question, within what is `common` to all questions about the same checkpoint and rows.

    `spent` are seconds by what they went into, all runs together. Of the seconds that workers had something to make,
    counted for each of them (`theirs_s`), `busy_s` went into making.
    """

    common: Path
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

    def looked(self, look: str) -> int:
        """Note a look at the rows that nothing is chosen by, begun again or not; gives how many there were.

        Those for other budgets and targets are among them: the rows are the same.
        """
        path, named = self.common / "looks.json", f"{self.folder.name}/{look}"
        looks = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
        if named not in looks:
            looks.append(named)
            write_json(path, looks)
        return len(looks)


@contextmanager
def open_journal(out: Path, common: Mapping[str, Any], question: Mapping[str, Any]) -> Iterator[Journal]:
    """The journal of a question below `out`, among those that have `common` in common.

    MctError where another search is at work on one of these, or a link leads away.
    """
    outer = out / FOLDER / _key(common)
    folder = outer / _key(question)
    for place in (out / FOLDER, outer, folder):
        if place.is_symlink():
            raise MctError(f"{place} is a link, and a search writes into no folder but its own", "move it away")
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(outer, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise MctError(f"another search is at work in {out}", "wait for it, or give another -o") from error
        journal = Journal(outer, folder)
        if found := journal.find("spent"):
            journal.before, journal.spent = float(found["elapsed"]), dict(found["on"])
            journal.busy_s, journal.theirs_s = float(found["busy"]), float(found["theirs"])
        else:
            write_json(folder / "question.json", json.loads(json.dumps({**common, **question}, default=str)))
        yield journal
    finally:
        os.close(handle)


def _key(told: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:16]
