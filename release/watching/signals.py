"""What is watched of a log: shares of rows, cut where the reference was cut, so that counts of many looks add up.

Lengths are cut at the reference's quartiles, confidences at its lower tail and its median; answers are labels, or
several of them joined, and those that the reference never gave count together too: how many to expect of these is
what the reference itself gave in one place alone (Good 1953). Whatever else a model answers (a text, a score) is not
watched but through the other signals.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mct.release.watching.drift import (
    FEWEST,
    Count,
    Flags,
    Partition,
    blocks_of_time,
    counts_of,
    percentile_with_interval,
)
from mct.release.watching.log import Row

CUTS: Mapping[str, tuple[float, ...]] = {"lengths": (0.25, 0.5, 0.75, 0.95), "confidence": (0.05, 0.25, 0.5)}
TAIL = 0.95
MOST_ANSWERS = 200
"""Different answers beyond which they are no labels."""
UNKNOWN = "not in the reference"
"""The share of answers that the reference never gave, whatever they are."""

Lengths = Callable[[Sequence[str]], Sequence[int]]
Cuts = Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Facts:
    """What some rows hold, each with the numbers of the rows that hold it.

    `groups` numbers what belongs together. Rows that come `in_time` are alike where they are near; those of a test set
    are in no order that means anything.
    """

    lengths: tuple[Flags, Flags]
    confidence: tuple[Flags, Flags]
    latency_ms: tuple[Flags, Flags]
    deferred: tuple[Flags, Flags]
    answers: tuple[str, ...]
    answered: Flags
    groups: Flags | None
    in_time: bool = True


def facts_of(rows: Sequence[Row], lengths: Lengths | None, in_time: bool = True) -> Facts:
    """The rows by what they hold. `lengths` counts the tokens of texts; without it only rows that tell have some."""
    known = [row.tokens for row in rows]
    if lengths is not None:
        texts = [(place, row.text) for place, row in enumerate(rows) if row.tokens is None and row.text is not None]
        for (place, _), length in zip(texts, lengths([text for _, text in texts]), strict=True):
            known[place] = length
    said = [category(row.answer) for row in rows]
    grouped = all(row.group is not None for row in rows) and len({row.group for row in rows}) < len(rows)
    numbers = np.unique([str(row.group) for row in rows], return_inverse=True)[1].astype(float) if grouped else None
    return Facts(
        _held(known),
        _held([row.confidence for row in rows]),
        _held([row.latency_ms for row in rows]),
        _held([None if row.deferred is None else float(row.deferred) for row in rows]),
        tuple(each for each in said if each is not None),
        np.array([place for place, each in enumerate(said) if each is not None], dtype=np.float64),
        numbers,
        in_time,
    )


def category(answer: Any) -> str | None:
    """An answer as a label, where it is one or several; None for texts, scores and whatever else."""
    if isinstance(answer, str):
        return answer
    if isinstance(answer, list) and all(isinstance(each, str) for each in answer):
        return "+".join(sorted(set(answer))) or "nothing"
    if isinstance(answer, dict) and all(isinstance(each, str) for each in answer.values()):
        return json.dumps(answer, sort_keys=True, ensure_ascii=False)
    return None


def cuts_of(facts: Facts) -> dict[str, tuple[float, ...]]:
    """Where to cut lengths and confidences: at quantiles of these rows, each once."""
    return {
        name: tuple(sorted({float(value) for value in np.quantile(values, CUTS[name], method="higher")}))
        for name, (values, _) in (("lengths", facts.lengths), ("confidence", facts.confidence))
        if len(values) >= FEWEST
    }


def count(
    facts: Facts, cuts: Cuts, slow_ms: float | None, known: Collection[str] | None = None
) -> dict[str, dict[str, Count]]:
    """The shares of these rows by signal, where enough rows hold it.

    `known` are the reference's answers, None where these rows are the reference.
    """
    return {name: counts_of(*told) for name, told in flags_of(facts, cuts, slow_ms, known).items()}


def flags_of(
    facts: Facts, cuts: Cuts, slow_ms: float | None, known: Collection[str] | None = None
) -> dict[str, tuple[dict[str, Flags], list[Partition]]]:
    """Which rows have each share of each signal, in order; and by what these rows may be alike."""
    found: dict[str, tuple[dict[str, Flags], list[Partition]]] = {}
    if len(facts.answers) >= FEWEST:
        partitions = _partitions(facts, facts.answered)
        if flags := _answers(facts.answers, known, partitions):
            found["answers"] = flags, partitions
    for name, (values, places) in (("lengths", facts.lengths), ("confidence", facts.confidence)):
        if name in cuts and len(values) >= FEWEST:
            below = {f"at most {cut:.6g}": (values <= cut).astype(np.float64) for cut in cuts[name]}
            found[name] = below, _partitions(facts, places)
    for name, (values, places), flag in (
        ("deferred", facts.deferred, facts.deferred[0]),
        ("latency", facts.latency_ms, facts.latency_ms[0] > (slow_ms or 0.0)),
    ):
        if len(values) >= FEWEST and (name != "latency" or slow_ms is not None):
            found[name] = {"share": flag.astype(np.float64)}, _partitions(facts, places)
    return found


def _answers(given: Sequence[str], known: Collection[str] | None, partitions: Sequence[Partition]) -> dict[str, Flags]:
    """Each answer's rows, and those of all that are not `known`; of too many different ones these alone, if any.

    Of the reference, those stand for them whose answer is in one part alone: what the other parts would not know.
    """
    answers, names = np.array(given), set(given)
    shown = names if len(names) <= MOST_ANSWERS else names.intersection(known or ())
    flags = {name: (answers == name).astype(np.float64) for name in sorted(shown)}
    if known is not None:
        strange = sorted(names.difference(known)) if known else []
    else:
        strange = [name for name in flags if any(len(set(part[answers == name])) == 1 for part in partitions)]
    return flags | ({UNKNOWN: np.isin(answers, strange).astype(np.float64)} if strange else {})


def p95_of(facts: Facts, worth: float) -> tuple[float, float, float] | None:
    """P95 of latency with its interval, of rows each of which is worth so many independent ones."""
    values, _ = facts.latency_ms
    return percentile_with_interval(values, TAIL, worth * len(values)) if len(values) >= FEWEST else None


def _held(values: Sequence[float | None]) -> tuple[Flags, Flags]:
    places = [place for place, value in enumerate(values) if value is not None]
    return (
        np.array([values[place] for place in places], dtype=np.float64),
        np.array(places, dtype=np.float64),
    )


def _partitions(facts: Facts, places: Flags) -> list[Partition]:
    """By what these rows may be alike: the time, and the groups; each stands for itself where neither is known."""
    found = [blocks_of_time(len(places))] if facts.in_time else []
    if facts.groups is not None:
        found.append(np.unique(facts.groups[places.astype(np.intp)], return_inverse=True)[1])
    return found or [np.arange(len(places))]
