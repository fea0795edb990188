"""The score test for a difference of paired proportions: how much worse the candidate can still be, given the flips.

Of n examples `lost` were right only before and `gained` right only after. Under "the true drop is d" the likeliest
rates have a closed form, and the distance of lost - gained from n*d in its own standard errors is Tango's (1998)
score. Referring it to the normal distribution is good when there are many flips and too bold when there are few, which
is the usual case here: so its tail is summed exactly over the flips that could have come, at those likeliest rates (the
E method, Lloyd 2008). Without any flip the chance is (1 - d)^n, the rule of three.

Pure functions on counts. `mct.bench.statistics.paired` is what others use.
"""

from typing import Literal

import numpy as np
from scipy import optimize, special

from mct.bench.statistics.percentiles import Floats

Counts = Floats | float
Side = Literal["less", "more"]

LARGEST_GRID = 60_000
"""Outcomes summed at most. Beyond it there are hundreds of flips, and the normal tail is as good."""
TAIL_SD = 7.0
"""Standard deviations of the flips to either side that are summed: what lies beyond is below 1e-11."""


def drop_p_value(lost: int, gained: int, n: int, drop: float, side: Side) -> float:
    """Chance of evidence as strong for a drop that is `side` ("less" or "more") than `drop`, if it is exactly that."""
    if drop < 0:
        return drop_p_value(gained, lost, n, -drop, "more" if side == "less" else "less")
    rate = likeliest_gain(lost, gained, n, drop)
    sign = 1.0 if side == "less" else -1.0
    seen = sign * float(score(lost, gained, n, drop))
    losses, gains = _likely_counts(n, float(rate) + drop)[:, None], _likely_counts(n, float(rate))[None, :]
    if losses.size * gains.size > LARGEST_GRID:
        return float(special.ndtr(seen))
    as_strong = sign * score(losses, gains, n, drop) <= seen + 1e-9
    return float(min(1.0, np.sum(_chance(losses, gains, n, float(rate), drop), where=as_strong)))


def drop_bound(lost: int, gained: int, n: int, alpha: float) -> float:
    """The smallest drop above the one seen that is excluded with error `alpha`: an upper bound for the true drop."""

    def surplus(drop: float) -> float:
        return drop_p_value(lost, gained, n, drop, "less") - alpha

    seen = (lost - gained) / n
    return 1.0 if seen >= 1 else float(optimize.brentq(surplus, seen, 1.0, xtol=1e-7))


def score_interval(lost: int, gained: int, n: int, confidence: float) -> tuple[float, float]:
    """Tango's interval for the drop: those drops whose score lies within the normal quantiles."""
    z = float(special.ndtri((1 + confidence) / 2))
    return -_score_bound(gained, lost, n, z), _score_bound(lost, gained, n, z)


def score(lost: Counts, gained: Counts, n: int, drop: float) -> Floats:
    """lost - gained - n*drop in its standard errors under the likeliest rates; for drop >= 0, elementwise."""
    rate = likeliest_gain(lost, gained, n, drop)
    distance = lost - gained - n * drop
    error = np.sqrt(n * np.maximum(0.0, 2 * rate + drop - drop**2))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.abs(distance) < 1e-12, 0.0, distance / error)


def likeliest_gain(lost: Counts, gained: Counts, n: int, drop: float) -> Floats:
    """Maximum-likelihood rate of gains when the rate of losses is that plus `drop` >= 0 (root of a quadratic)."""
    b = lost * (1 + drop) + gained * (1 - drop) - 2 * n * drop
    root = np.sqrt(b**2 + 8 * n * gained * drop * (1 - drop))
    return np.asarray(np.clip((b + root) / (4 * n), 0.0, (1 - drop) / 2), dtype=np.float64)


def _score_bound(lost: int, gained: int, n: int, z: float) -> float:
    def surplus(drop: float) -> float:
        if drop < 0:
            return z - float(score(gained, lost, n, -drop))
        return float(score(lost, gained, n, drop)) + z

    seen = (lost - gained) / n
    return 1.0 if seen >= 1 else float(optimize.brentq(surplus, seen, 1.0, xtol=1e-10))


def _likely_counts(n: int, rate: float) -> Floats:
    reach = TAIL_SD * np.sqrt(n * rate * (1 - min(1.0, rate))) + TAIL_SD**2 / 3
    return np.arange(max(0, np.floor(n * rate - reach)), min(n, np.ceil(n * rate + reach)) + 1) if rate else np.zeros(1)


def _chance(losses: Floats, gains: Floats, n: int, rate: float, drop: float) -> Floats:
    """Trinomial probabilities of so many losses and gains; zero where they exceed n."""
    rest = n - losses - gains
    ways = special.gammaln(n + 1) - special.gammaln(losses + 1) - special.gammaln(gains + 1)
    logs = ways - special.gammaln(np.maximum(rest, 0) + 1) + special.xlogy(losses, rate + drop)
    logs = logs + special.xlogy(gains, rate) + special.xlogy(np.maximum(rest, 0), max(0.0, 1 - 2 * rate - drop))
    return np.where(rest >= 0, np.exp(logs), 0.0)
