"""Quality of a compressed model against its baseline, on the same examples.

Most examples are answered alike by both; what tells the two apart are the flips. Comparing two accuracies as if they
came from different examples throws that away: it misses real losses and needs many times the data. And a test that
finds "no difference" has not shown that there is none: a budget asks for non-inferiority, that a drop larger than the
margin is excluded by the data. So there are three answers, and a set too small to exclude the drop gives the third.

Where every example is right or wrong the tests are exact. Where it adds a part (mean nDCG, F1 over entities), or where
examples belong together, they are a paired bootstrap (`mct.bench.statistics.bootstrap`). Right or wrong examples that
belong together are held to the exact test of their groups as well, and the more cautious of the two counts: so to group
them never makes a small set look certain.

Pure functions, no I/O. What is compared is given as a `RatioMetric` of `mct.bench.statistics.ratio_metric`, or as an
array that says "right" per example. Quality and drops are fractions (0.005 is half a point); a drop is baseline minus
candidate. The trade-off: the tests here cost milliseconds where a textbook formula costs none, and hold their error at
zero flips, where the textbook is certain of everything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil, log, log1p, sqrt
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from mct.bench.statistics.bootstrap import Resampled, resample_change
from mct.bench.statistics.ratio_metric import SAME, RatioMetric, as_metric, counted
from mct.bench.statistics.score_test import Side, drop_bound, drop_p_value, score_interval

Outcome = Literal["non-inferior", "inferior", "inconclusive"]
Method = Literal["exact", "bootstrap"]
SIDES: tuple[Side, Side] = ("less", "more")
Scored = ArrayLike | RatioMetric


@dataclass(frozen=True)
class Flips:
    """Indices, among `n`, of the examples on which the candidate does worse (`lost`) or better (`gained`)."""

    lost: tuple[int, ...]
    gained: tuple[int, ...]
    n: int


@dataclass(frozen=True)
class GroupFlips:
    """Groups of right or wrong examples, as what flips: how many of `n` do worse or better on balance.

    A flip of one changes the metric by `size` / n: less than 1 where groups flip in part. One flip that nobody saw, of
    an average group as a whole, is in it.
    """

    lost: int
    gained: int
    n: int
    size: float

    def p_value(self, margin: float, side: Side) -> float:
        """As `drop_p_value`, of groups; 0 where the groups could not drop by as much."""
        drop = margin / self.size
        return drop_p_value(self.lost, self.gained, self.n, drop, side) if drop < 1 else 0.0


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
    lost. `n` counts the examples that add to the metric at all.
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
    method: Method = "exact"


def find_flips(baseline: Scored, candidate: Scored) -> Flips:
    """Which examples were lost (right, then wrong; or less of it right than before) and gained."""
    before, after = _pair(baseline, candidate)
    change = after.each - before.each
    lost, gained = np.flatnonzero(change < -SAME), np.flatnonzero(change > SAME)
    return Flips(tuple(lost.tolist()), tuple(gained.tolist()), counted(before, after))


def difference(
    baseline: Scored, candidate: Scored, confidence: float = 0.95, change: Resampled | None = None
) -> Difference:
    """Candidate minus baseline with its interval: Tango's score interval, or the bootstrap's.

    `change` is a bootstrap made elsewhere, where the examples' parts depend on one another.
    """
    before, after = _pair(baseline, candidate)
    if change is None and before.exact and after.exact:
        flips = find_flips(before, after)
        return paired_difference(len(flips.lost), len(flips.gained), flips.n, confidence)
    change, outside = change or resample_change(before, after), (1 - confidence) / 2
    low, high = change.bound(outside), change.bound(1 - outside)
    if groups := _group_flips(before, after):
        least, most = score_interval(groups.lost, groups.gained, groups.n, confidence)
        low, high = min(low, -groups.size * most), max(high, -groups.size * least)
    return Difference(change.value, low, high, confidence)


def difference_p(baseline: Scored, candidate: Scored, change: Resampled | None = None) -> float:
    """Two-sided p-value of "there is no difference": McNemar's mid-p, or the bootstrap's."""
    before, after = _pair(baseline, candidate)
    if change is None and before.exact and after.exact:
        flips = find_flips(before, after)
        return mcnemar_mid_p(len(flips.lost), len(flips.gained))
    change = change or resample_change(before, after)
    return min(1.0, 2 * min(change.p_below(0.0), change.p_above(0.0)))


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


def non_inferior(
    baseline: Scored, candidate: Scored, margin: float, alpha: float = 0.05, change: Resampled | None = None
) -> NonInferiority:
    """Is the candidate's drop below `margin` (a fraction), above it, or does this set not tell; error `alpha` each way.

    The test is `mct.bench.statistics.score_test`'s, or the bootstrap of `mct.bench.statistics.bootstrap`; `change` is
    one made elsewhere, where the examples' parts depend on one another.
    """
    before, after = _pair(baseline, candidate)
    flips = find_flips(before, after)
    lost, gained, n = len(flips.lost), len(flips.gained), flips.n
    method: Method = "exact" if change is None and before.exact and after.exact else "bootstrap"
    if method == "exact":
        drop, resolvable = (lost - gained) / n, resolvable_drop(n, (lost + gained) / n, alpha)
        least, most = -drop_bound(gained, lost, n, alpha), drop_bound(lost, gained, n, alpha)
        p_value, p_inferior = (drop_p_value(lost, gained, n, margin, side) for side in SIDES)
    else:
        change = change or resample_change(before, after)
        drop, resolvable = -change.value, _reach(alpha) * change.error
        least, most = -change.bound(1 - alpha), -change.bound(alpha)
        p_value, p_inferior = change.p_below(-margin), change.p_above(-margin)
        if groups := _group_flips(before, after):
            flipping, size = (groups.lost + groups.gained) / groups.n, groups.size
            resolvable = max(resolvable, size * resolvable_drop(groups.n, flipping, alpha))
            least = min(least, -size * drop_bound(groups.gained, groups.lost, groups.n, alpha))
            most = max(most, size * drop_bound(groups.lost, groups.gained, groups.n, alpha))
            least, most = max(-1.0, least), min(1.0, most)
            p_value = max(p_value, groups.p_value(margin, "less"))
            p_inferior = max(p_inferior, groups.p_value(margin, "more"))
    return NonInferiority(
        _outcome(p_value, p_inferior, alpha), n, lost, gained, drop, drop_at_least=least, drop_at_most=most,
        margin=margin, alpha=alpha, p_value=p_value, p_inferior=p_inferior, resolvable=resolvable, method=method,
    )  # fmt: skip


def compare_slices(
    slices: Mapping[str, tuple[Scored, Scored]], margin: float, alpha: float = 0.05
) -> dict[str, NonInferiority]:
    """`non_inferior` for each slice (baseline and candidate on its examples, not empty), where all of them must hold.

    Each passes at the full `alpha`: the chance that all pass although one lost the margin is at most that of the one
    (intersection-union test, Berger 1982). To fail, any one is enough, so these p-values are Holm's (1979): the chance
    of accusing any that did not lose the margin is at most `alpha`. Bounds are those of each slice by itself.
    """
    alone = [non_inferior(before, after, margin, alpha) for before, after in slices.values()]
    accused = holm([each.p_inferior for each in alone])
    judged = (
        replace(each, outcome=_outcome(each.p_value, p_inferior, alpha), p_inferior=p_inferior)
        for each, p_inferior in zip(alone, accused, strict=True)
    )
    return dict(zip(slices, judged, strict=True))


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
    return max(_reach(alpha, power) * sqrt(flip_rate / n), 1 - float(alpha ** (1 / n)))


def examples_needed(flip_rate: float, margin: float, alpha: float = 0.05, power: float = 0.8) -> int:
    """The fewest examples at which `resolvable_drop` is at most `margin`."""
    by_flips = flip_rate * (_reach(alpha, power) / margin) ** 2
    return ceil(max(by_flips, log(alpha) / log1p(-margin)))


def _reach(alpha: float, power: float = 0.8) -> float:
    """Standard errors between a drop of zero and the margin it passes with this power."""
    return float(special.ndtri(1 - alpha) + special.ndtri(power))


def _group_flips(before: RatioMetric, after: RatioMetric) -> GroupFlips | None:
    """None where examples stand for themselves, or add parts."""
    if before.groups is None or not (before.binary and after.binary):
        return None
    one, other = before.by_group(), after.by_group()
    change = (other.got - one.got) / one.of.mean()
    lost, gained = int((change < 0).sum()), int((change > 0).sum())
    size = (float(np.abs(change).sum()) + 1) / (lost + gained + 1)
    return GroupFlips(lost, gained, len(one), size)


def _pair(baseline: Scored, candidate: Scored) -> tuple[RatioMetric, RatioMetric]:
    before, after = as_metric(baseline), as_metric(candidate)
    if len(before) != len(after) or not len(before):
        raise ValueError("baseline and candidate need one answer each for the same examples, at least one")
    return before, after


def _outcome(p_value: float, p_inferior: float, alpha: float) -> Outcome:
    if p_value <= alpha:
        return "non-inferior"
    return "inferior" if p_inferior <= alpha else "inconclusive"
