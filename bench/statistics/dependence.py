"""The effective sample size of a run of latencies.

Samples of one process follow one another and samples of one process share its memory layout, so n samples carry the
information of fewer. What matters for a percentile is not the variance of the latency but of the indicator "slower than
the percentile". At P95 and n = 200 that indicator is 1 ten times: its own autocorrelation is mostly noise. So the
dependence is read where it can be seen, in the normal scores (ranks mapped to a Gaussian) of all samples: an
autoregression within blocks and a variance component between blocks. A Gaussian copula carries both over to the
indicator. What that model cannot see (stalls that come in clusters, one process with a longer tail) is caught by the
indicator's own long-run variance, which counts once it stands out from its noise.

Pure functions on arrays. The trade-off: weak dependence of a non-Gaussian kind at small n goes unseen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

Floats = NDArray[np.float64]

MOST_ORDERS = 8
"""Longest autoregression tried: beyond some requests back, latencies share drift rather than memory."""
STANDS_OUT = 2.0
"""Standard errors by which the indicator's own variance must exceed the copula's before it replaces it."""


@dataclass(frozen=True)
class Dependence:
    """What was found: lag-1 correlation of the normal scores, share of their variance between blocks, and the outcome.

    `inflation` is the factor (>= 1) by which dependence multiplies the variance of the share of samples above the
    percentile, widened for the few blocks that it may rest on: n / inflation is the effective sample size.
    """

    lag1: float
    between: float
    inflation: float


def measure_dependence(blocks: Sequence[Floats], p: float, threshold: float) -> Dependence:
    """Dependence of the indicator "above `threshold`", where `threshold` is the pooled sample's p-percentile.

    Each block is one process's samples in time order. With one block nothing is known of how processes differ.
    """
    blocks = [np.asarray(block, dtype=np.float64) for block in blocks if len(block)]
    within = autocorrelation([normal_scores(block) for block in blocks], MOST_ORDERS)
    memory = _autoregression(within, sum(map(len, blocks)))
    serial = 1 + 2 * float(np.sum(indicator_correlation(memory, p)))
    between, processes = _between(blocks, 1 + 2 * float(np.sum(memory)), p)
    visible = max(1.0, serial) + processes
    seen = max(visible, _clustering([block > threshold for block in blocks]))
    return Dependence(float(within[1]), between, seen * _few_blocks(processes / seen, len(blocks)))


def normal_scores(values: Floats) -> Floats:
    """Ranks mapped to the standard normal: (rank - 1/2) / n, ties share their mean rank (van der Waerden scores)."""
    ranks: Floats = stats.rankdata(values)
    return np.asarray(special.ndtri((ranks - 0.5) / len(values)), dtype=np.float64)


def autocorrelation(blocks: Sequence[Floats], lags: int) -> Floats:
    """Autocorrelations at lags 0 ... `lags`, pooled over blocks, each about its own mean; 1, 0, 0 ... for constants."""
    centred = [block - block.mean() for block in blocks]
    power = sum(float(block @ block) for block in centred)
    result = np.zeros(lags + 1)
    result[0] = 1.0
    if power > 0:
        for lag in range(1, lags + 1):
            result[lag] = sum(float(block[:-lag] @ block[lag:]) for block in centred if len(block) > lag) / power
    return result


def indicator_correlation(rho: Floats, p: float) -> Floats:
    """Correlation of "both above their p-quantile" for Gaussians correlated by `rho`.

    P(X > z, Y > z) - (1-p)^2 is the integral over r from 0 to rho of the bivariate density at (z, z) (Plackett 1954).
    """
    grid, correlation = _plackett(p)
    return np.interp(rho, grid, correlation)


@lru_cache(maxsize=16)
def _plackett(p: float) -> tuple[Floats, Floats]:
    z = special.ndtri(p)
    grid = np.sin(np.linspace(-np.pi / 2, np.pi / 2, 2001)[1:-1])
    angle = np.arcsin(grid)
    density = np.exp(-(z**2) / (1 + grid)) / (2 * np.pi)  # dr / sqrt(1 - r^2) = d(angle): no singularity at the ends
    area = np.concatenate(([0.0], np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(angle))))
    return grid, (area - np.interp(0.0, grid, area)) / (p * (1 - p))


def _autoregression(correlation: Floats, n: int) -> Floats:
    """Correlations at lags 1 ... 256 of the autoregression that fits best by BIC (Levinson-Durbin); empty for none."""
    best, best_score = np.zeros(0), 0.0
    coefficients, error = np.zeros(0), 1.0
    for order in range(1, len(correlation)):
        reflection = (correlation[order] - coefficients @ correlation[order - 1 : 0 : -1]) / error
        coefficients = np.append(coefficients - reflection * coefficients[::-1], reflection)
        error *= 1 - reflection**2
        if error <= 0:
            break
        score = n * np.log(error) + order * np.log(n)
        if score < best_score:
            best, best_score = coefficients, score
    return _implied(best, correlation)


def _implied(coefficients: Floats, correlation: Floats, lags: int = 256) -> Floats:
    order = len(coefficients)
    if order == 0:
        return np.zeros(0)
    implied = np.zeros(lags + 1)
    implied[: order + 1] = correlation[: order + 1]
    reverse = coefficients[::-1]
    for lag in range(order + 1, lags + 1):
        implied[lag] = reverse @ implied[lag - order : lag]
        if np.max(np.abs(implied[lag - order + 1 : lag + 1])) < 1e-3:
            break
    return implied[1:]


def _between(blocks: Sequence[Floats], long_run: float, p: float) -> tuple[float, float]:
    """Share of the normal scores' variance that lies between blocks, and what it adds to the indicator's inflation.

    One-way variance components by the method of moments, for blocks of unlike length (Searle 1971): `counted` is the
    length that such blocks count for in the spread of their means, `typical` that in the variance of the pooled one.
    `long_run` is the variance inflation within blocks, which makes block means differ even when all are alike.
    """
    if len(blocks) < 2:
        return 0.0, 0.0
    sizes = np.array([len(block) for block in blocks], dtype=np.float64)
    parts = np.split(normal_scores(np.concatenate(blocks)), np.cumsum(sizes).astype(int)[:-1])
    means = np.array([part.mean() for part in parts])
    spread = float(sizes @ (means - np.average(means, weights=sizes)) ** 2) / (len(blocks) - 1)
    inner = sum(float(np.sum((part - part.mean()) ** 2)) for part in parts) / max(1.0, sizes.sum() - len(blocks))
    typical = float(np.sum(sizes**2) / np.sum(sizes))
    counted = float(sizes.sum() - typical) / (len(blocks) - 1)
    component = max(0.0, (spread - inner * max(1.0, long_run)) / counted)
    share = component / (component + inner) if component > 0 else 0.0
    return share, typical * float(indicator_correlation(np.array([share]), p)[0])


def _clustering(slow: Sequence[NDArray[np.bool_]]) -> float:
    """The indicator's own variance inflation, less the noise it would show were the samples independent."""
    n = sum(map(len, slow))
    lags = round(n ** (1 / 3))
    overall = float(np.concatenate(slow).mean())
    correlation = autocorrelation([block.astype(np.float64) for block in slow], lags)
    weights = 1 - np.arange(1, lags + 1) / (lags + 1)
    serial = 1 + 2 * float(weights @ correlation[1:]) - STANDS_OUT * 2 * float(np.sqrt(np.sum(weights**2) / n))
    if len(slow) < 2 or overall in (0.0, 1.0):
        return serial
    sizes = np.array([len(block) for block in slow])
    shares = np.array([block.mean() for block in slow])
    spread = float(sizes @ (shares - overall) ** 2) / (len(slow) - 1) / (overall * (1 - overall))
    return max(serial, float(spread) - STANDS_OUT * float(np.sqrt(2 / (len(slow) - 1))))


def _few_blocks(share: float, blocks: int) -> float:
    """Widening for a variance of which `share` is estimated from few blocks: (t / z)^2, degrees by Satterthwaite."""
    if share <= 0 or blocks < 2:
        return 1.0
    degrees = (blocks - 1) / share**2
    return float((special.stdtrit(degrees, 0.975) / special.ndtri(0.975)) ** 2)
