"""What a file is made of: lengths, scripts, labels, and what of it a model will not read.

Scripts, not languages: which letters a text is written in can be read off its characters for certain, while telling the
language of five words is a guess that the small libraries get wrong too often to hold a budget to.
"""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from mct import MctError
from mct.models.tables import load
from mct.models.tasks.examples import find_kind
from mct.models.tasks.table import find_task
from mct.release.curation.findings import Composition, Truncation
from mct.release.curation.reading import Split

FIRST_CUT = 20


def compose(split: Split, first: Split, truncation: Truncation | None) -> Composition:
    """What the file is made of; its labels beside those of the first file."""
    lengths = sorted(map(len, split.texts))
    counts = Counter(split.truths) if split.labelled and any(split.truths) else Counter[str]()
    ours, theirs = set(counts), set(first.truths) if first.labelled and any(first.truths) else set()
    return Composition(
        file=split.name,
        empty_rows=sum(not text.strip() for text in split.texts),
        characters=(_at(lengths, 0.05), _at(lengths, 0.5), _at(lengths, 0.95), lengths[-1]),
        scripts=_scripts(split.texts),
        labels=dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))),
        imbalance=round(max(counts.values()) / min(counts.values()), 2) if counts else None,
        missing=tuple(sorted(theirs - ours)) if ours and theirs else (),
        strange=tuple(sorted(ours - theirs)) if ours and theirs else (),
        truncation=truncation,
    )


def truncated(split: Split, model: Path) -> Truncation:
    """How much of the file's rows a checkpoint or an artifact reads. MctError where its task asks for other fields."""
    from mct.bench.samples.subject import identify

    subject = identify(model)
    kind = find_kind(subject.task)
    tokens = load("mct.models.tasks.tokens:open_tokenizer")
    tokenize = tokens(subject.executable.vocabulary, 2**31 - 1)
    asked: Sequence[Any] = split.texts  # which an embedder takes as they are, whatever they are labelled with
    if subject.task != "sentence-embedding":
        inputs = find_task(subject.task).inputs
        if missing := [name for name in inputs if name not in split.rows[0]]:
            raise MctError(
                f"{split.path} has no {missing[0]!r}, which {subject.name} ({subject.task}) is asked by",
                "give a checkpoint for these rows",
            )
        asked = kind.texts(split.rows)
    lengths = [max(len(each.ids) for each in kind.encode(tokenize, request)) for request in asked]
    most = subject.executable.max_tokens
    rowwise = len(lengths) == len(split.rows)  # a query with its documents is one request of several rows
    cut = [number for number, length in enumerate(lengths, start=1) if length > most]
    known = set(subject.labels)
    strange = sorted({truth for truth in split.truths if truth} - known) if known and split.labelled else []
    ordered = sorted(lengths)
    return Truncation(
        most,
        len(cut),
        _at(ordered, 0.5),
        _at(ordered, 0.95),
        ordered[-1],
        tuple(cut[:FIRST_CUT]) if rowwise else (),
        tuple(strange),
    )


def _at(ordered: Sequence[int], share: float) -> float:
    return float(ordered[min(len(ordered) - 1, int(share * len(ordered)))])


def _scripts(texts: Sequence[str]) -> dict[str, float]:
    """The share of texts by the script that most of their letters are of; "none" where they have no letters."""
    counts = Counter(_script(text) for text in texts)
    return {script: round(count / len(texts), 4) for script, count in sorted(counts.items(), key=lambda p: (-p[1], p))}


def _script(text: str) -> str:
    if text.isascii():
        return "Latin" if any(map(str.isalpha, text)) else "none"
    letters = Counter(_script_of(letter) for letter in text[:2000] if letter.isalpha())
    return min(letters, key=lambda script: (-letters[script], script)) if letters else "none"


@lru_cache(maxsize=4096)
def _script_of(letter: str) -> str:
    """The first word of a letter's name in Unicode, which names its script; Japanese and Chinese share ideographs."""
    name = unicodedata.name(letter, "UNKNOWN").split()[0].capitalize()
    return {"Cjk": "Han", "Hiragana": "Kana", "Katakana": "Kana", "Fullwidth": "Latin"}.get(name, name)
