"""A check of data files from end to end: read, compare, judge, count. What could not be checked says so."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mct
from mct import MctError
from mct.models.data.leaks import normalised
from mct.models.progress import Report, part, silent
from mct.models.tables import load, unknown
from mct.models.tasks.datasets import told_renames
from mct.release.curation.composition import compose, truncated
from mct.release.curation.findings import (
    NEAR,
    CheckedFile,
    Composition,
    Conflict,
    Drift,
    Findings,
    Labelled,
    Noise,
    Outsider,
    PersonalFind,
    Suspicion,
    Twin,
)  # fmt: skip
from mct.release.curation.personal import find_personal, mask, masked
from mct.release.curation.reading import Split, read_splits

if TYPE_CHECKING:
    from mct.release.curation.likeness import Match

EXTRA = "release"
ONE_LABEL = "judged where each row has one label"


@dataclass(frozen=True)
class Asked:
    """What is to be checked. `checkpoint` is a folder, or an artifact's; `months` the field that says when, or ""."""

    files: tuple[Path, ...]
    against: tuple[Path, ...] = ()
    task: str = ""
    renames: Mapping[str, str] = field(default_factory=dict)
    checkpoint: Path | None = None
    months: str = ""
    near: float = NEAR
    seed: int = 0


@dataclass(frozen=True)
class _Judged:
    suspicions: tuple[Suspicion, ...] = ()
    noise: Noise | None = None
    outsiders: tuple[Outsider, ...] = ()
    why_not: str = ""


def check(asked: Asked, report: Report = silent) -> Findings:
    """Everything that can be found in the files. MctError for what cannot be read."""
    splits = read_splits((*asked.files, *asked.against), asked.task, asked.renames)
    own, others = splits[: len(asked.files)], splits[len(asked.files) :]
    if not own[0].texts:
        raise MctError(f"{own[0].path} has no rows", "give a file with rows")
    left_out: dict[str, str] = {}
    duplicates = _duplicates(own, asked.near, part(report, 0.0, 0.25))
    leaks = _leaks(own, others, asked.near, part(report, 0.25, 0.5))
    judged = _judge(own, asked, part(report, 0.5, 0.85))
    if judged.why_not:
        left_out["label noise, outsiders"] = judged.why_not
    drifts = _drifts(own, asked, left_out, part(report, 0.85, 0.95))
    report("counting", 0.95)
    return Findings(
        task=own[0].task.name,
        near=asked.near,
        files=tuple(CheckedFile(each.name, len(each.rows), each.sha256, each in others) for each in splits),
        leaks=leaks,
        duplicates=duplicates,
        conflicts=_conflicts(own),
        suspicions=judged.suspicions,
        noise=judged.noise,
        outsiders=judged.outsiders,
        personal=_personal(own),
        compositions=_compositions(own, asked.checkpoint, left_out),
        drifts=drifts,
        left_out=left_out,
        fields=told_renames(asked.renames),
        mct=mct.__version__,
    )


def _duplicates(splits: Sequence[Split], near: float, report: Report) -> tuple[Twin, ...]:
    repeats = load("mct.release.curation.likeness:repeats", EXTRA)
    found = []
    for number, split in enumerate(splits):
        within = part(report, number / len(splits), (number + 1) / len(splits))
        found += [_twin(split, split, match) for match in repeats(split.texts, near, within)]
    return tuple(found)


def _leaks(splits: Sequence[Split], others: Sequence[Split], near: float, report: Report) -> tuple[Twin, ...]:
    """Rows of a later file that stand in an earlier one, and of every file that stand in those compared with.

    These are compared with each other too: what is said to be compared was.
    """
    pairs = [(later, earlier) for part in (splits, others) for at, later in enumerate(part) for earlier in part[:at]]
    pairs += [(split, other) for split in splits for other in others]
    meetings = load("mct.release.curation.likeness:meetings", EXTRA)
    found = []
    for number, (split, other) in enumerate(pairs):
        within = part(report, number / len(pairs), (number + 1) / len(pairs))
        first = {text: place for place, text in reversed(list(enumerate(split.asked)))}
        for match in meetings(split.asked, other.asked, near, within):
            # A query leaks once, however many documents are paired with it.
            if len(split.task.inputs) == 1 or first[split.asked[match.place]] == match.place:
                found.append(_twin(split, other, match))
    return tuple(found)


def _twin(split: Split, other: Split, match: Match) -> Twin:
    return Twin(
        split.name, match.place + 1, masked(split.texts[match.place]),
        other.name, match.of + 1, masked(other.texts[match.of]),
        match.how, round(match.likeness, 4), split.truths[match.place] == other.truths[match.of],
    )  # fmt: skip


def _conflicts(splits: Sequence[Split]) -> tuple[Conflict, ...]:
    """Texts that read the same and have several truths, over all files."""
    said = defaultdict[str, list[tuple[Split, int]]](list)
    for split in splits:
        for place, text in enumerate(split.texts):
            if split.truths[place]:
                said["\n".join(map(normalised, text.split("\n"))) or text].append((split, place))
    found = []
    for rows in said.values():
        if len({split.truths[place] for split, place in rows}) > 1:
            split, place = rows[0]
            labelled = tuple(Labelled(each.name, at + 1, each.truths[at]) for each, at in rows)
            found.append(Conflict(masked(split.texts[place]), labelled))
    return tuple(found)


def _judge(splits: Sequence[Split], asked: Asked, report: Report) -> _Judged:
    """Label noise and outsiders, of all files' rows together."""
    rows = [(split, place) for split in splits if split.labelled for place in range(len(split.rows))]
    rows = [(split, place) for split, place in rows if split.truths[place]]
    if not rows:
        return _Judged(why_not=f"{ONE_LABEL}, which {splits[0].task.name} has not")
    texts = [split.texts[place] for split, place in rows]
    labels = [split.truths[place] for split, place in rows]
    places = [(split.name, place + 1) for split, place in rows]
    words = load("mct.release.curation.ngrams:words_of", EXTRA)(texts, len(set(labels)))
    features, by = _features(texts, words, asked, report)
    judged = load("mct.release.curation.ngrams:judge", EXTRA)(features, texts, labels, asked.seed, report)
    if judged is None:
        return _Judged(why_not="fewer than two labels have the 5 rows that it takes to learn them from others")
    suspicions, noise = load("mct.release.curation.noise:find_noise", EXTRA)(
        judged, features, texts, labels, places, by
    )
    # Like no other row in its words: embeddings put every text near some other.
    outsiders = load("mct.release.curation.noise:find_outsiders", EXTRA)(judged, words, texts, labels, places)
    return _Judged(suspicions, noise, outsiders)


WORDS = "words and pairs of words (TF-IDF), logistic regression"


def _features(texts: Sequence[str], words: Any, asked: Asked, report: Report) -> tuple[Any, str]:
    """An embedder's vectors where one is given, the words otherwise; and what to call them."""
    if asked.checkpoint is not None:
        embedded = load("mct.release.curation.asking:embed", EXTRA)(asked.checkpoint, texts, report)
        if embedded is not None:
            features = load("mct.release.curation.ngrams:vectors_of", EXTRA)(embedded)
            return features, f"embeddings of {asked.checkpoint.name}, logistic regression"
    return words, WORDS


def _personal(splits: Sequence[Split]) -> tuple[PersonalFind, ...]:
    """In every field of every row: what is not asked can give a person away too."""
    return tuple(
        PersonalFind(split.name, number, name, found.what, mask(found.what, value[found.start : found.end]))
        for split in splits
        for number, row in enumerate(split.rows, start=1)
        for name, value in row.items()
        if isinstance(value, str)
        for found in find_personal(value)
    )


def _compositions(
    splits: Sequence[Split], checkpoint: Path | None, left_out: dict[str, str]
) -> tuple[Composition, ...]:
    if checkpoint is None:
        left_out["truncation"] = "needs the model: --checkpoint DIR"
    return tuple(
        compose(split, splits[0], truncated(split, checkpoint) if checkpoint is not None else None) for split in splits
    )


def _drifts(splits: Sequence[Split], asked: Asked, left_out: dict[str, str], report: Report) -> tuple[Drift, ...]:
    if not asked.months:
        left_out["drift"] = "needs the field that says when: --months FIELD"
        return ()
    rows = [(split, place) for split in splits for place in range(len(split.rows))]
    months = [split.rows[place].get(asked.months) for split, place in rows]
    if all(month in (None, "") for month in months):
        raise unknown("field", asked.months, {name for split in splits for name in split.rows[0]})
    texts = [split.texts[place] for split, place in rows]
    labels = [split.truths[place] if split.labelled else "" for split, place in rows]
    find = load("mct.release.curation.drift:find_drifts", EXTRA)
    said = ["" if month is None else str(month) for month in months]
    found: tuple[Drift, ...] = find(said, texts, labels, asked.seed, report)
    if not found:
        left_out["drift"] = "fewer than two months have 20 rows"
    return found
