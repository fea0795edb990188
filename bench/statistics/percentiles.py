"""Percentiles of latency samples with intervals that keep their promise, and the decision against a limit.

An interval for a percentile needs no assumption on the shape of the latencies: between which order statistics the true
percentile lies is a binomial question. Two things spoil the textbook version. Order statistics are discrete, so at
n = 200 the interval covers more than it says: here they are interpolated (Hutson 1999). And samples are dependent, so
the interval covers less than it says: here n is replaced by the effective sample size
(`mct.bench.statistics.dependence`). results/coverage.md shows what both together achieve.

Pure functions on arrays, no I/O. A percentile is named by its fraction: P95 is 0.95. Latencies are in any unit; results
are in the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log
from typing import Literal

import numpy as np
from scipy import optimize, special

from mct.bench.statistics.dependence import Floats, measure_dependence

Decision = Literal["below", "above", "undecided"]

FEWEST_PROCESSES = 3


@dataclass(frozen=True)
class Estimate:
    """A percentile with its two-sided interval. `effective_n` independent samples carry what these `n` do."""

    value: float
    low: float
    high: float
    n: int
    effective_n: int
    confidence: float


def minimum_sample(p: float, confidence: float = 0.95, two_sided: bool = True) -> int:
    """Fewest independent samples at which a p-percentile's interval is finite: P95 72 (59 one-sided), P99 368 (299).

    The upper bound can be at most the largest sample, which lies below the percentile with probability p^n.
    """
    error = (1 - confidence) / (2 if two_sided else 1)
    return ceil(log(error) / log(max(p, 1 - p)))


def mlperf_query_count(p: float, margin: float | None = None, confidence: float = 0.99) -> int:
    """Queries after MLPerf Inference's rule, z^2 p(1-p) / margin^2 with margin (1-p)/20: 50,425 for P95.

    That many keep the share of samples above the percentile within `margin` of 1-p, with `confidence`.
    """
    margin = (1 - p) / 20 if margin is None else margin
    return round(float(special.ndtri((1 + confidence) / 2)) ** 2 * p * (1 - p) / margin**2)


def percentile(values: Floats, p: float) -> float:
    """The median-unbiased percentile (Hyndman & Fan 1996, type 8), to which the interval shrinks at confidence 0."""
    return float(np.quantile(values, p, method="median_unbiased"))


def estimate_percentile(
    blocks: Sequence[Floats], p: float, confidence: float = 0.95, least_inflation: float = 1.0
) -> Estimate | None:
    """The p-percentile of all blocks together with its two-sided interval; None where that interval is not finite.

    Each block is one process's samples in time order. None is the refusal: fewer samples, or a smaller effective
    number of them, than `minimum_sample(p, confidence)`. With a single block the interval speaks of that process only.
    Where processes differ so much that the effective number is too small, the processes themselves are the sample.
    `least_inflation` is dependence known beforehand, which a short sample may fail to show.
    """
    sample = _pool(blocks)
    if len(sample) < minimum_sample(p, confidence):
        return None
    value = percentile(sample, p)
    effective_n = len(sample) / max(least_inflation, measure_dependence(blocks, p, value).inflation)
    low = _bound(sample, effective_n, p, (1 + confidence) / 2)
    high = _bound(sample, effective_n, p, (1 - confidence) / 2)
    if low is None or high is None:
        return _estimate_by_process(blocks, p, confidence, least_inflation, effective_n)
    return Estimate(value, low, high, len(sample), int(effective_n), confidence)


def _estimate_by_process(
    blocks: Sequence[Floats], p: float, confidence: float, inflation: float, effective_n: float
) -> Estimate | None:
    """The percentile with a t-interval over the logarithms of the processes' own percentiles, stretched to hold it.

    None with fewer than `FEWEST_PROCESSES`, or where one has too few samples for one of them to lie beyond its
    percentile (P95: 20): then it is the samples that are missing.
    """
    processes = [block for block in blocks if len(block)]
    few = ceil(1 / (1 - max(p, 1 - p)))
    if len(processes) < FEWEST_PROCESSES or min(len(block) for block in processes) / inflation < few:
        return None
    value = percentile(_pool(processes), p)
    logs = np.log([percentile(block, p) for block in processes])
    reach = special.stdtrit(len(logs) - 1, (1 + confidence) / 2) * np.std(logs, ddof=1) / np.sqrt(len(logs))
    low, high = float(np.exp(logs.mean() - reach)), float(np.exp(logs.mean() + reach))
    n = sum(len(block) for block in processes)
    return Estimate(value, min(low, value), max(high, value), n, int(effective_n), confidence)


def decide_below(
    blocks: Sequence[Floats],
    p: float,
    limit: float,
    interim_looks: int,
    error: float = 0.05,
    least_inflation: float = 1.0,
) -> Decision:
    """Whether the p-percentile is below or above `limit`, at no more than so many looks while samples come.

    Each interim look spends its share of `error` (Bonferroni), half of it on either answer, so that over all of them a
    false answer has probability at most `error` however they are spaced and wherever the true percentile lies, on the
    limit too. "above" can be said before "below": it needs no sample beyond the percentile.
    """
    sample = _pool(blocks)
    if len(sample) < 2:
        return "undecided"
    spent = error / interim_looks / 2
    effective_n = len(sample) / max(least_inflation, measure_dependence(blocks, p, percentile(sample, p)).inflation)
    high = _bound(sample, effective_n, p, spent)
    if high is not None and high < limit:
        return "below"
    low = _bound(sample, effective_n, p, 1 - spent)
    return "above" if low is not None and low > limit else "undecided"


def _pool(blocks: Sequence[Floats]) -> Floats:
    parts = [np.asarray(block, dtype=np.float64) for block in blocks if len(block)]
    return np.sort(np.concatenate(parts)) if parts else np.zeros(0)


def _bound(ordered: Floats, effective_n: float, p: float, above: float) -> float | None:
    """The value that lies below the true p-percentile with probability `above`; None beyond the sample's ends.

    At rank u of N independent samples the chance of lying below is I_p((N+1)u, (N+1)(1-u)) (Hutson 1999), continuous
    in u, with order statistics interpolated at (n+1)u.
    """
    n = len(ordered)

    def surplus(u: float) -> float:
        return float(special.betainc((effective_n + 1) * u, (effective_n + 1) * (1 - u), p)) - above

    first, last = 1 / (effective_n + 1), effective_n / (effective_n + 1)
    if last <= first or surplus(first) < 0 or surplus(last) > 0:
        return None
    rank = (n + 1) * float(optimize.brentq(surplus, first, last, xtol=1e-7)) - 1
    return float(np.interp(rank, np.arange(n), ordered))
