"""Percentiles of latency over processes started afresh, with intervals that hold where processes differ.

What is asked is the percentile of a request to *some* fresh process, not of these few: where a process happens to lie
in memory stays with it for life, and on real machines P95 differs between processes by 5 to 20 %. So the processes are
the sample. Each is summed up by the logarithm of its own percentile. If these were normal, the percentile over all
processes would be a function of their mean and variance alone (it lies the further above their mean, the more they
differ), and its interval follows from the pivots of both: Student's t and chi-square, drawn together (generalised
pivotal quantity, Weerahandi 1993). How much requests add is read off the requests themselves, without a model. Whatever
requests of one process have in common (bursts, drift, memory) is in what the processes' percentiles differ by, and need
not be known.

Where processes differ otherwise than by a factor (some stall and others do not) that model asks for too much at the
lower end: so the lower bound is the lower of its own and of a bound that needs no model, Student's t on each process's
share of requests beyond a value. results/coverage.md shows what is reached, from latencies that know nothing of this.

Pure functions on arrays, no I/O. A percentile is named by its fraction: P95 is 0.95. Latencies are positive, in any
unit; results are in the same. The trade-off: processes that nobody saw (one in twenty that stalls) are not in it, and
with four processes the interval is wide.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, exp, log, sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]
Decision = Literal["below", "above", "undecided"]

FEWEST_PROCESSES = 3
DRAWS = 40_000
NODES = 21
"""Of the quadrature over how processes differ."""
SPREADS = np.concatenate([[0.0], np.geomspace(0.01, 4.0, 20)])
"""Standard deviations of processes, on the log scale, at which the shift is computed; it is interpolated between."""
BETS = (1.0, 0.5, 0.25)
"""How much of the evidence each process may take away: a mixture, since none is best everywhere."""

LARGEST_LOG = 700.0
"""Whose exponential is still a number."""


@dataclass(frozen=True)
class Estimate:
    """A percentile with its two-sided interval, from `n` requests of so many `processes`.

    `effective_n` independent requests would tell as much: fewer than n where processes differ.
    """

    value: float
    low: float
    high: float
    n: int
    processes: int
    effective_n: int
    confidence: float


def minimum_sample(p: float, confidence: float = 0.95, two_sided: bool = True) -> int:
    """Fewest requests at which a p-percentile's interval can be finite: P95 72 (59 one-sided), P99 368 (299).

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
    """The median-unbiased percentile (Hyndman & Fan 1996, type 8)."""
    return float(np.quantile(values, p, method="median_unbiased"))


def estimate_percentile(processes: Sequence[Floats], p: float, confidence: float = 0.95) -> Estimate | None:
    """The p-percentile over processes, of which these are a sample, with its two-sided interval.

    Each process's requests in any order; processes count alike, whatever their number of requests. None is the refusal:
    fewer than `FEWEST_PROCESSES`, fewer requests than `minimum_sample(p, confidence)`, or too few in one process for
    one of them to be expected beyond its percentile (P95: 20).
    """
    logs = [np.sort(np.log(each)) for each in processes if len(each)]
    n = sum(map(len, logs))
    if len(logs) < FEWEST_PROCESSES or n < minimum_sample(p, confidence):
        return None
    if min(map(len, logs)) * (1 - max(p, 1 - p)) < 1 - 1e-9:
        return None
    pooled = percentile(np.concatenate(logs), p)
    below, above = _deviations(logs, p, confidence)
    low = min(pooled + below, _without_model(logs, p, pooled, 1 - confidence))
    return Estimate(
        exp(pooled), exp(min(low, pooled)), exp(max(pooled + above, pooled)), n, len(logs),
        _effective_n(logs, p, pooled), confidence,
    )  # fmt: skip


def decide_below(processes: Sequence[Floats], p: float, limit: float, error: float = 0.05) -> Decision:
    """Whether the p-percentile over processes lies below or above `limit`.

    "below" is false with `error` / 2, "above" with `error`: the interval shows it, or evidence that needs none and may
    be asked for as often as one likes (`evidence_above`).
    """
    if evidence_above(processes, p, limit) >= 2 / error:
        return "above"
    estimate = estimate_percentile(processes, p, 1 - error)
    if estimate is None:
        return "undecided"
    return "below" if estimate.high < limit else "above" if estimate.low > limit else "undecided"


def evidence_above(processes: Sequence[Floats], p: float, limit: float) -> float:
    """An e-value against "the p-percentile over processes is at most `limit`": 40 or more has probability 1/40.

    If the percentile is at most the limit, a fresh process's share of requests beyond it is 1-p at most on average,
    however they are spread: so the product of bets on these shares grows by luck alone as rarely as Ville's inequality
    says, at whatever moment it is looked at (Waudby-Smith & Ramdas 2024). No model, no fewest number of requests.
    """
    shares = np.array([np.mean(np.asarray(each) > limit) for each in processes if len(each)]) / (1 - p)
    with np.errstate(divide="ignore"):
        logs = [np.sum(np.log(1 + bet * (shares - 1))) for bet in BETS]  # a product of hundreds has no number
    return float(np.mean(np.exp(np.minimum(logs, LARGEST_LOG))))


def _deviations(logs: Sequence[Floats], p: float, confidence: float) -> tuple[float, float]:
    """Lower and upper bound of how far the truth lies from the pooled percentile, on the log scale."""
    own = np.array([percentile(each, p) for each in logs])
    within = float(np.mean([_sampling_variance(each, p) for each in logs]))
    spread, k = float(own.var(ddof=1)), len(own)
    shifts = _shifts(np.sort(np.concatenate([each - level for each, level in zip(logs, own, strict=True)])), p)
    normal, chi_square = _pivots(k)
    variance = spread * (k - 1) / chi_square
    drawn = normal * np.sqrt(variance / k) + np.interp(np.sqrt(np.maximum(0.0, variance - within)), SPREADS, shifts)
    drawn -= np.interp(sqrt(max(0.0, spread - within)), SPREADS, shifts)
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


@lru_cache(maxsize=64)
def _pivots(processes: int) -> tuple[Floats, Floats]:
    """Draws of a standard normal and of a chi-square with one degree less than processes; always the same ones."""
    rng = np.random.default_rng(processes)
    strata = (np.arange(DRAWS) + 0.5) / DRAWS
    return special.ndtri(rng.permutation(strata)), special.chdtri(processes - 1, rng.permutation(strata))


def _shifts(residuals: Floats, p: float) -> Floats:
    """How far the percentile over processes that differ by each of `SPREADS` lies above that of processes alike.

    `residuals` are all requests' log latencies less their process's own percentile, sorted. The share below a value is
    averaged over normal processes by Gauss-Hermite quadrature, and solved for p by bisection.
    """
    places, weights = np.polynomial.hermite_e.hermegauss(NODES)
    weights = weights / weights.sum()
    reach = 4 * SPREADS + 1e-9
    low, high = residuals[0] - reach, residuals[-1] + reach
    offsets = SPREADS[:, None] * places
    for _ in range(40):
        middle = (low + high) / 2
        share = np.searchsorted(residuals, middle[:, None] - offsets, side="right") @ weights / len(residuals)
        low, high = np.where(share < p, middle, low), np.where(share < p, high, middle)
    return np.asarray(high - high[0], dtype=np.float64)


def _sampling_variance(ordered: Floats, p: float) -> float:
    """Variance of one process's own percentile through its number of requests: the spacing at one standard error."""
    n = len(ordered)
    step = sqrt(p * (1 - p) / n)
    low, high = max(p - step, 0.5 / n), min(p + step, 1 - 0.5 / n)
    return ((percentile(ordered, high) - percentile(ordered, low)) / (high - low) * step) ** 2


def _without_model(logs: Sequence[Floats], p: float, pooled: float, error: float) -> float:
    """The lowest value whose share of requests at or below it, over processes, is not shown to be less than p."""
    ordered = np.sort(np.concatenate(logs))
    candidates = ordered[: np.searchsorted(ordered, pooled, side="right")]
    candidates = candidates[np.unique(np.linspace(0, len(candidates) - 1, 2000).astype(int))]
    shares = np.array([np.searchsorted(each, candidates, side="right") / len(each) for each in logs])
    error_of_mean = shares.std(axis=0, ddof=1) / sqrt(len(logs))
    reach = float(special.stdtrit(len(logs) - 1, 1 - error))
    possible = np.flatnonzero(shares.mean(axis=0) + reach * error_of_mean >= p)
    return float(candidates[possible[0]]) if len(possible) else pooled


def _effective_n(logs: Sequence[Floats], p: float, pooled: float) -> int:
    """Independent requests whose share below the percentile would vary as much as the mean of the processes' does."""
    shares = np.array([np.searchsorted(each, pooled, side="right") / len(each) for each in logs])
    variance = float(shares.var(ddof=1)) / len(shares)
    n = sum(map(len, logs))
    return min(n, int(p * (1 - p) / variance)) if variance else n
