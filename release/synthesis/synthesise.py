"""New rows with their provenance: drawn by one of four ways, and kept only where nothing speaks against them.

A candidate is dropped where it has no text, says what a row of the file or an earlier candidate says, comes near a row
that will be tested on, or where the teacher does not give it the label it is meant to have, surely enough. So generated
rows cannot smuggle the test set into training, and a text whose meaning the method changed does not stay. How many were
dropped for what is part of the result: a method that the teacher refuses nine times of ten is no good one.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import mct
from mct import MctError
from mct.models.data.card import Ancestor, DataCard
from mct.models.data.files import Row, read_data_file
from mct.models.data.leaks import normalised
from mct.models.progress import Report, silent
from mct.models.tables import load
from mct.models.writing.folders import sha256
from mct.release.curation.cleaning import content_of, write_with_card
from mct.release.curation.reading import Split, read_splits
from mct.release.synthesis.making import Candidate, recombination, scenario, templates

METHODS = ("templates", "recombination", "scenario", "lm")
CONFIDENCE = 0.8
TRIES = 30
"""Candidates for each row that is wanted; then the method is said to know no more."""

AT_ONCE = 256
"""Candidates that are held against the test rows together."""


@dataclass(frozen=True)
class Order:
    """What is wanted. `source` is the scenario's name, or the language model's path, of the methods that need one."""

    file: Path
    count: int
    method: str
    seed: int = 0
    source: str = ""
    against: tuple[Path, ...] = ()
    teacher: Path | None = None
    confidence: float = CONFIDENCE
    renames: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Synthesised:
    """New rows, and how many candidates were dropped for what."""

    rows: tuple[Row, ...]
    tried: int
    dropped: Mapping[str, int]
    parents: tuple[Ancestor, ...]


def synthesise(order: Order, report: Report = silent) -> Synthesised:
    """As many new rows as are wanted, or as the method knows. MctError where none was kept."""
    split, *others = read_splits((order.file, *order.against), "", order.renames)
    if not split.labelled or not all(split.truths):
        raise MctError(f"{order.file} has not one label a row", "name the column: --field label=COLUMN")
    keeper = _Keeper(order, split, tuple(others))
    most = TRIES * order.count
    candidates = islice(_candidates(order, split), most)
    while len(keeper.rows) < order.count:
        report("making rows", min(0.99, len(keeper.rows) / order.count))
        some = list(islice(candidates, AT_ONCE))
        if not some:
            break
        keeper.take(some)
    if not keeper.rows:
        said = ", ".join(f"{count} {why}" for why, count in keeper.dropped.items()) or "the method knows none"
        raise MctError(f"no new row was kept of {keeper.tried:,} candidates: {said}", "try another --method")
    sources = tuple(Ancestor(each.name, each.sha256) for each in (split,))
    return Synthesised(tuple(keeper.rows), keeper.tried, dict(sorted(keeper.dropped.items())), sources)


def write_synthesised(out: Path, order: Order, made: Synthesised) -> None:
    """Write the rows, and their card last."""
    content = content_of(out, made.rows)
    card = DataCard(
        name=out.name,
        sha256=hashlib.sha256(content).hexdigest(),
        rows=len(made.rows),
        made={
            "command": "mct data synthesise", "mct": mct.__version__, "method": order.method, "seed": order.seed,
            "source": _source(order), "tried": made.tried, "dropped": dict(made.dropped),
            "teacher": order.teacher.name if order.teacher else "", "confidence": order.confidence,
            "against": [{"name": each.name, "sha256": read_data_file(each, {}).sha256} for each in order.against],
        },
        parents=made.parents,
    )  # fmt: skip
    write_with_card(out, content, card)


def _source(order: Order) -> Any:
    path = Path(order.source)
    if order.method == "lm" and path.is_file():
        return {"name": path.name, "sha256": sha256(path)}
    return path.name if order.source else ""


def _candidates(order: Order, split: Split) -> Iterator[Candidate]:
    draw = random.Random(f"{order.method}/{order.seed}")
    if order.method == "scenario":
        return scenario(order.source, split.truths, order.seed, 4 * order.count + 400)
    if order.method == "lm":
        found: Iterator[Candidate] = load("mct.release.synthesis.writing:written", "gguf")(
            Path(order.source), split.texts, split.truths, order.seed, draw
        )
        return found
    way = templates if order.method == "templates" else recombination
    return way(split.texts, split.truths, draw)


class _Keeper:
    """Takes candidates until there are enough, and counts why others were not taken."""

    def __init__(self, order: Order, split: Split, others: tuple[Split, ...]) -> None:
        self.order, self.split = order, split
        self.known = {normalised(text) for text in split.texts}
        tested = [text for each in others for text in each.texts]
        standing_in = load("mct.release.curation.likeness:standing_in", "release")
        self.is_tested: Callable[[str], bool] | None = standing_in(tested) if tested else None
        self.rows: list[Row] = []
        self.dropped: Counter[str] = Counter()
        self.tried = 0
        self.label: Callable[[str], tuple[str, float]] | None = None
        if order.teacher is not None:
            self.label = _teacher(order.teacher, split)

    def take(self, candidates: list[Candidate]) -> None:
        for candidate in candidates:
            if len(self.rows) >= self.order.count:
                return
            self.tried += 1
            read = normalised(candidate.text)
            why, sure = self._why_not(candidate, read)
            if why:
                self.dropped[why] += 1
                continue
            self.known.add(read)
            self.rows.append(self._row(candidate, sure))

    def _why_not(self, candidate: Candidate, read: str) -> tuple[str, float]:
        if not read:
            return "without text", 0.0
        if read in self.known:
            return "said already", 0.0
        if self.is_tested is not None and self.is_tested(candidate.text):
            return "near a row to be tested on", 0.0
        if self.label is None:
            return "", 0.0
        said, sure = self.label(candidate.text)
        if said != candidate.label:
            return "another label by the teacher", sure
        return ("not sure enough to the teacher", sure) if sure < self.order.confidence else ("", sure)

    def _row(self, candidate: Candidate, sure: float) -> Row:
        provenance: dict[str, Any] = {
            "method": self.order.method, "seed": self.order.seed,
            "parents": [place + 1 for place in candidate.parents], "of": self.split.sha256[:16],
        }  # fmt: skip
        if self.label is not None:
            provenance["teacher"] = round(sure, 4)
        return {"text": candidate.text, "label": candidate.label, "provenance": provenance}


def _teacher(folder: Path, split: Split) -> Callable[[str], tuple[str, float]]:
    """What the teacher says of a text. MctError where it does not know the file's labels: it could agree to nothing."""
    known = set(load("mct.release.curation.asking:labels_of")(folder))
    strange = sorted(set(split.truths) - known)
    if strange:
        raise MctError(
            f"{folder} does not know {len(strange)} of the file's labels: {', '.join(strange[:3])}",
            "give a teacher that was trained on these labels",
        )
    found: Callable[[str], tuple[str, float]] = load("mct.release.curation.asking:labeller")(folder)
    return found
