"""Quality of a compressed model against its baseline, on the same examples.

Most examples are answered alike by both; what tells the two apart are the flips. Comparing two accuracies as if they
came from different examples throws that away: it misses real losses and needs many times the data. And a test that
finds "no difference" has not shown that there is none: a budget asks for non-inferiority, that a drop larger than the
margin is excluded by the data. So there are three answers, and a set too small to exclude the drop gives the third.

Pure functions on arrays, no I/O. Quality and drops are fractions (0.005 is half a point); a drop is baseline minus
candidate. The trade-off: the tests here cost milliseconds where a textbook formula costs none, and hold their error at
zero flips, where the textbook is certain of everything.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import sqrt
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from mct.bench.score_test import drop_bound, drop_p_value, score_interval

Outcome = Literal["non-inferior", "inferior", "inconclusive"]


@dataclass(frozen=True)
class Flips:
    """Indices, among `n`, of the examples that only the baseline (`lost`) or the candidate (`gained`) has right."""

    lost: tuple[int, ...]
    gained: tuple[int, ...]
    n: int


@dataclass(frozen=True)
class Difference:
    """Candidate minus baseline, two-sided interval; `low` and `high` are None where the data cannot bound it."""

    value: float
    low: float | None
    high: float | None
    confidence: float


@dataclass(frozen=True)
class NonInferiority:
    """Whether the candidate is worse than the baseline by `margin` or more.

    `drop` was seen; less than `drop_at_least` and more than `drop_at_most` are each excluded with error `alpha`.
    `p_value` is that of "worse by the margin or more", `p_inferior` that of "worse by the margin at most", both
    one-sided. `resolvable` is the margin that a set of this size and flip rate passes with 80 % power if nothing is
    lost.
    """

    outcome: Outcome
    n: int
    lost: int
    gained: int
    drop: float
    drop_at_least: float
    drop_at_most: float
    margin: float
    alpha: float
    p_value: float
    p_inferior: float
    resolvable: float


def find_flips(baseline: ArrayLike, candidate: ArrayLike) -> Flips:
    """Which examples were lost (right, then wrong) and gained; both arguments say "right" per example."""
    before, after = np.asarray(baseline, dtype=bool), np.asarray(candidate, dtype=bool)
    if before.shape != after.shape or before.ndim != 1 or not len(before):
        raise ValueError("baseline and candidate need one answer each for the same examples, at least one")
    lost, gained = np.flatnonzero(before & ~after), np.flatnonzero(~before & after)
    return Flips(tuple(lost.tolist()), tuple(gained.tolist()), len(before))


def mcnemar_mid_p(lost: int, gained: int) -> float:
    """Two-sided mid-p value of "losses and gains are equally likely" (Fagerland, Lydersen & Laake 2013)."""
    if lost == gained:
        return 1.0
    fewer, flips = min(lost, gained), lost + gained
    return float(2 * stats.binom.cdf(fewer, flips, 0.5) - stats.binom.pmf(fewer, flips, 0.5))


def paired_difference(lost: int, gained: int, n: int, confidence: float = 0.95) -> Difference:
    """Candidate minus baseline, with Tango's (1998) score interval; of finite width also when nothing flipped.

    Among those recommended by Fagerland, Lydersen & Laake (2014), the one that belongs to the test in `non_inferior`.
    """
    low, high = score_interval(lost, gained, n, confidence)
    return Difference((gained - lost) / n, -high, -low, confidence)


def non_inferior(baseline: ArrayLike, candidate: ArrayLike, margin: float, alpha: float = 0.05) -> NonInferiority:
    """Is the candidate's drop below `margin` (a fraction), above it, or does this set not tell; error `alpha` each way.

    Both arguments say "right" per example. The test is `mct.bench.score_test`'s.
    """
    flips = find_flips(baseline, candidate)
    lost, gained, n = len(flips.lost), len(flips.gained), flips.n
    p_value = drop_p_value(lost, gained, n, margin, "less")
    p_inferior = drop_p_value(lost, gained, n, margin, "more")
    return NonInferiority(
        outcome=_outcome(p_value, p_inferior, alpha),
        n=n,
        lost=lost,
        gained=gained,
        drop=(lost - gained) / n,
        drop_at_least=-drop_bound(gained, lost, n, alpha),
        drop_at_most=drop_bound(lost, gained, n, alpha),
        margin=margin,
        alpha=alpha,
        p_value=p_value,
        p_inferior=p_inferior,
        resolvable=resolvable_drop(n, (lost + gained) / n, alpha),
    )


def compare_slices(
    slices: Mapping[str, ArrayLike], baseline: ArrayLike, candidate: ArrayLike, margin: float, alpha: float = 0.05
) -> dict[str, NonInferiority]:
    """`non_inferior` for each slice (a mask or the indices of its examples, not empty), corrected for their number.

    p-values are Holm's (1979): the chance that any slice is passed although it lost the margin is at most `alpha`, and
    so is that of accusing any that did not. Bounds are at alpha / number of slices, so that all hold at once; Holm may
    decide a slice whose bound alone would not.
    """
    before, after = np.asarray(baseline, dtype=bool), np.asarray(candidate, dtype=bool)
    share = alpha / max(1, len(slices))
    alone = [non_inferior(before[_rows(rows)], after[_rows(rows)], margin, share) for rows in slices.values()]
    passed = holm([each.p_value for each in alone])
    accused = holm([each.p_inferior for each in alone])
    corrected = (
        replace(each, outcome=_outcome(p_value, p_inferior, alpha), alpha=alpha, p_value=p_value, p_inferior=p_inferior)
        for each, p_value, p_inferior in zip(alone, passed, accused, strict=True)
    )
    return dict(zip(slices, corrected, strict=True))


def holm(p_values: list[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given."""
    ordered = np.argsort(p_values, kind="stable")
    stepped = np.asarray(p_values, dtype=np.float64)[ordered] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[ordered] = np.minimum(1.0, np.maximum.accumulate(stepped))
    return [float(p) for p in adjusted]


def resolvable_drop(n: int, flip_rate: float, alpha: float = 0.05, power: float = 0.8) -> float:
    """The smallest margin (a fraction) that n examples can pass with `power`, if the candidate lost nothing.

    `flip_rate` is the share of examples that flip either way. Never below the rule of three's 1 - alpha^(1/n), which is
    what is left open when nothing flips at all.
    """
    reach = float(special.ndtri(1 - alpha) + special.ndtri(power))
    return max(reach * sqrt(flip_rate / n), 1 - float(alpha ** (1 / n)))


def paired_bootstrap(
    baseline: ArrayLike,
    candidate: ArrayLike,
    statistic: Callable[[NDArray[Any]], float] = np.mean,
    seed: int = 0,
    draws: int = 2000,
    confidence: float = 0.95,
) -> Difference:
    """Candidate minus baseline of any statistic of per-example scores, with its bootstrap interval (BCa, Efron 1987).

    Examples are drawn together for both. For proportions use `paired_difference`. Without bounds where every example
    scores alike: the bootstrap can only repeat what it saw, and would call the difference certain.
    """
    before, after = np.asarray(baseline), np.asarray(candidate)
    if before.shape != after.shape or len(before) < 2:
        raise ValueError("baseline and candidate need scores of the same examples, at least two")
    value = float(statistic(after)) - float(statistic(before))
    if np.array_equal(before, after):
        return Difference(value, None, None, confidence)
    rows = np.arange(len(before))
    found = stats.bootstrap(
        (rows,),
        lambda drawn: float(statistic(after[drawn])) - float(statistic(before[drawn])),
        n_resamples=draws,
        vectorized=False,
        confidence_level=confidence,
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    if not np.isfinite([found.low, found.high]).all():
        return Difference(value, None, None, confidence)
    return Difference(value, float(found.low), float(found.high), confidence)


def _rows(rows: ArrayLike) -> NDArray[Any]:
    """A mask or indices as numpy indexes them; an empty list would otherwise be floats."""
    return np.asarray(rows) if np.size(rows) else np.zeros(0, dtype=np.intp)


def _outcome(p_value: float, p_inferior: float, alpha: float) -> Outcome:
    if p_value <= alpha:
        return "non-inferior"
    return "inferior" if p_inferior <= alpha else "inconclusive"
