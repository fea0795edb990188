"""Whether shares of requests are other than they were: exact tests on what requests are worth, and how to look often.

Every signal is a share: of requests with an answer, longer than a length, less sure than a confidence, slower than a
latency, deferred. Requests that come together are alike, so n of them tell less than n: the design effect (Kish 1965)
is the variance of the share between blocks of time, or conversations, over what independent requests would have. It is
estimated, and so is taken at the upper end of what it may be. What varies more slowly than a look shows in none; a log
of the time before shows it between blocks as long as looks (slow.py), and the larger effect of the two counts. The
counts are divided by it, and what is left is held against the reference by Fisher's exact test, since a normal tail is
wrong far out for rare answers.

Looks: look number j may err by `ALPHA` / (j(j+1)), which adds up to `ALPHA` over any number of looks (union bound: the
looks may depend on one another, as they do, all using one reference). A look tests the newest rows, and the newest two,
four, eight … looks together, so that what is sudden is found soon and what is small in time; these share its error, and
so do the signals, and within a signal its shares (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import stats

ALPHA = 0.05
FEWEST = 100
"""Rows below which a look says nothing."""
BLOCKS_PER_ROOT = 0.75
LEAST_BLOCK = 8
UNSURE = 0.1
"""The chance that a design effect is larger than it is taken for."""

Flags = NDArray[np.float64]
Partition = NDArray[np.intp]


@dataclass(frozen=True)
class Count:
    """So many of the rows have it; in rows that are worth as much as independent ones.

    `effect` is the design effect that both were divided by.
    """

    hits: float
    rows: float
    effect: float = field(default=1.0, repr=False)

    def at(self, effect: float) -> Count:
        """The same, divided by a design effect of at least so much."""
        more = max(1.0, effect / self.effect)
        return Count(self.hits / more, self.rows / more, self.effect * more)

    @property
    def counted(self) -> float:
        """The rows as they were counted."""
        return self.rows * self.effect

    def plus(self, other: Count) -> Count:
        """Both together."""
        return Count(self.hits + other.hits, self.rows + other.rows)

    @property
    def share(self) -> float:
        """Of all."""
        return self.hits / self.rows if self.rows else 0.0


@dataclass(frozen=True)
class Change:
    """A share that is not what it was: over how many of the newest looks, and how unlikely by chance."""

    signal: str
    share: str
    looks: int
    before: float
    now: float
    p_value: float
    level: float


def counts_of(flags: Mapping[str, Flags], partitions: Sequence[Partition]) -> dict[str, Count]:
    """The shares of one signal, as rows of 0 and 1; all with one design effect: the largest by any of the partitions.

    A partition numbers the part that each row lies in: a conversation, a block of time, or one for each row alone.
    """
    n = len(next(iter(flags.values()))) if flags else 0
    if not n:
        return {}
    effect = max(design_effect(np.stack(list(flags.values())), each) for each in partitions)
    return {name: Count(float(each.sum()) / effect, n / effect, effect) for name, each in flags.items()}


def design_effect(flags: Flags, blocks: Partition) -> float:
    """How many times more the shares (one per row of `flags`) vary than of independent requests; at least 1.

    At the end of what it may be that it lies beyond with the chance `UNSURE`.
    """
    n = int(flags.shape[1])
    sizes = np.bincount(blocks).astype(np.float64)
    shares = flags.mean(axis=1)
    expected = float((shares * (1 - shares)).sum()) * n
    if expected <= 0 or len(sizes) < 2:
        return 1.0
    sums = np.stack([np.bincount(blocks, weights=row) for row in flags])
    seen = float(((sums - shares[:, None] * sizes) ** 2).sum())
    independent = len(sizes) - 1
    return max(1.0, seen / expected * independent / float(stats.chi2.ppf(UNSURE, independent)))


def p_of_two(now: Sequence[Count], before: Sequence[Count]) -> Flags:
    """Fisher's exact test of each pair, two-sided by doubling the smaller side."""
    hits, rows, hits_before, rows_before = (
        np.rint([getattr(each, name) for each in side]) for side in (now, before) for name in ("hits", "rows")
    )
    all_hits, all_rows = hits + hits_before, rows + rows_before
    below = stats.hypergeom.cdf(hits, all_rows, all_hits, rows)
    above = stats.hypergeom.sf(hits - 1, all_rows, all_hits, rows)
    return np.asarray(np.minimum(1.0, 2 * np.minimum(below, above)), dtype=np.float64)


def p_above(now: Count, share: float) -> float:
    """How likely so many would be if the share were at most this: one-sided, binomial."""
    return float(stats.binom.sf(round(now.hits) - 1, round(now.rows), share))


def level_of(look: int) -> float:
    """What the look of this number (from 1) may err."""
    return ALPHA / (look * (look + 1))


def scales(looks: int) -> list[int]:
    """How many of the newest looks are tested together: 1, 2, 4 … of so many."""
    return [2**power for power in range(looks.bit_length()) if 2**power <= looks]


Signals = Mapping[str, Mapping[str, Count]]


class Slow(Protocol):
    """How slowly a signal of the reference varies (slow.py)."""

    def effect(self, size: int, doublings: int = 0) -> float:
        """The design effect of `size` rows, doubled so often, as far as the reference tells."""


def find_changes(
    looks: Sequence[Signals],
    reference: Signals,
    limits: Mapping[str, float],
    number: int | None = None,
    slow: Mapping[str, Slow] = MappingProxyType({}),
) -> list[Change]:
    """What changed, as the last of these looks sees it; each is the counts of its own rows, by signal and share.

    A signal that `limits` names is held to that share, from above; every other one to the reference. `number` is that
    of the last look, where some are lost. `slow` tells of signals how much their shares vary from look to look.
    """
    asked = list(_asked(looks, reference, limits, level_of(number or len(looks)), slow))
    held = [each for each in asked if each.signal not in limits]
    p_values = dict(
        zip(map(id, held), p_of_two([each.now for each in held], [each.before for each in held]), strict=True)
    )
    found = []
    for each in asked:
        p_value = float(p_values[id(each)]) if id(each) in p_values else p_above(each.now, each.before.share)
        if p_value <= each.level:
            found.append(
                Change(each.signal, each.share, each.looks, each.before.share, each.now.share, p_value, each.level)
            )
    return found


@dataclass(frozen=True)
class _Asked:
    """One share over so many of the newest looks, what it was or may be, and the level at which it is tested."""

    signal: str
    share: str
    looks: int
    before: Count
    now: Count
    level: float


def _asked(
    looks: Sequence[Signals],
    reference: Signals,
    limits: Mapping[str, float],
    error: float,
    slow: Mapping[str, Slow],
) -> Iterator[_Asked]:
    watched = [name for name in looks[-1] if name in limits or name in reference]
    sizes = scales(len(looks))
    for signal in watched:
        for doublings, size in enumerate(sizes):
            newest = [look[signal] for look in looks[-size:] if look.get(signal)]
            effect = 1.0
            if signal in slow:
                rows = sum(_counted(counts) for counts in newest) / len(newest)
                effect = slow[signal].effect(max(1, round(rows)), doublings)
            together = _together([{name: count.at(effect) for name, count in counts.items()} for counts in newest])
            known = {name: count.at(effect) for name, count in reference.get(signal, {}).items()}
            unseen = Count(0.0, _rows(known))
            level = error / (len(watched) * len(sizes) * max(1, len(together)))
            for share, now in together.items():
                before = Count(limits[signal], 1.0) if signal in limits else known.get(share, unseen)
                yield _Asked(signal, share, size, before, now, level)


def percentile_with_interval(values: Flags, p: float, rows: float) -> tuple[float, float, float]:
    """A percentile and its 95 % interval from order statistics of values worth so many independent ones."""
    ordered = np.sort(values)
    low, high = (float(stats.binom.ppf(q, max(1, round(rows)), p)) / max(1.0, rows) for q in (0.025, 0.975))
    places = [min(len(ordered) - 1, max(0, round(share * len(ordered)))) for share in (p, low, high)]
    value, least, most = (float(ordered[place]) for place in places)
    return value, min(least, value), max(most, value)


def blocks_of_time(n: int) -> Partition:
    """Numbers of blocks of time, about 0.75 sqrt(n) of them: both they and their number grow with the log."""
    count = max(2, min(n // LEAST_BLOCK, round(BLOCKS_PER_ROOT * sqrt(n))))
    return (np.arange(n) * count) // n


def _together(looks: Sequence[Mapping[str, Count]]) -> dict[str, Count]:
    """The counts of one signal in several looks added up; a share that a look does not know had no hits in it."""
    names = {name for counts in looks for name in counts}
    found: dict[str, Count] = {}
    for counts in looks:
        for name in names:
            found[name] = found.get(name, Count(0.0, 0.0)).plus(counts.get(name, Count(0.0, _rows(counts))))
    return dict(sorted(found.items()))


def _counted(counts: Mapping[str, Count]) -> float:
    return max((count.counted for count in counts.values()), default=0.0)


def _rows(counts: Mapping[str, Count]) -> float:
    return max((count.rows for count in counts.values()), default=0.0)
