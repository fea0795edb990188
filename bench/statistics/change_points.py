"""Where a series of figures, one a run, goes over from one level to another.

Pettitt's test (1979) finds the place at which ranks before and after differ most; how much they would by chance is
found by shuffling the series. Where that is unlikely, both sides are searched on (binary segmentation). Ranks, so that
a single run on a bad day is no change, however bad. A series without any change is said to have one with probability
`ALPHA` at most; it must be one in which any order of runs is as likely as any other: what creeps is found as steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy import stats

from mct.bench.statistics.percentiles import Floats

ALPHA = 0.05
SHUFFLES = 1999
FEWEST = 2
"""Runs on either side of a change: a single one may be an accident."""


@dataclass(frozen=True)
class ChangePoint:
    """From `index` on it is another level: `ratio` times the median before, up to the neighbouring changes."""

    index: int
    ratio: float
    p_value: float


def find_change_points(values: Sequence[float], alpha: float = ALPHA, seed: int = 0) -> list[ChangePoint]:
    """The changes in a series of positive figures, in order."""
    series = np.asarray(values, dtype=np.float64)
    found = dict(_search(series, 0, alpha, np.random.default_rng(seed)))
    edges = [0, *sorted(found), len(series)]
    return [
        ChangePoint(index, float(np.median(series[index:after]) / np.median(series[before:index])), found[index])
        for before, index, after in zip(edges, edges[1:], edges[2:], strict=False)
    ]


def _search(series: Floats, offset: int, alpha: float, rng: np.random.Generator) -> list[tuple[int, float]]:
    """Index (counted from `offset`) and p-value of every change."""
    if len(series) < 2 * FEWEST:
        return []
    ranks = stats.rankdata(series)
    sizes = _rank_sums(ranks[None])[0]
    shuffled = rng.permuted(np.tile(ranks, (SHUFFLES, 1)), axis=1)
    by_chance = int((_rank_sums(shuffled).max(axis=1) >= sizes.max() - 1e-9).sum())
    p_value = (1 + by_chance) / (1 + SHUFFLES)
    if p_value > alpha:
        return []
    place = int(sizes.argmax()) + FEWEST
    return [
        *_search(series[:place], offset, alpha, rng),
        (offset + place, p_value),
        *_search(series[place:], offset + place, alpha, rng),
    ]


def _rank_sums(ranks: Floats) -> Floats:
    """For every place at which each row may be cut, how far the ranks before it are from their expectation, scaled.

    The scale is that of chance (Mann & Whitney), so that a change near an end is found as well as one in the middle.
    """
    count = ranks.shape[1]
    before = np.arange(FEWEST, count - FEWEST + 1)
    sums = np.cumsum(ranks, axis=1)[:, FEWEST - 1 : count - FEWEST]
    scale = np.sqrt(before * (count - before)) * sqrt((count + 1) / 12)
    scaled: Floats = np.abs(sums - before * (count + 1) / 2) / scale
    return scaled
