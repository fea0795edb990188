"""One server, requests that come when they come: what queueing theory says of the latency, and how long to watch it.

A closed loop sends the next request when the last is answered, so a slow server is asked less often and its queue is
never seen. Here arrivals wait for nobody. Latency is then waiting plus service; its P95 climbs steeply as the
utilisation (rate times mean service) nears 1, and from 1 on there is no steady state and no P95 at all.

Pure functions on arrays, times in any one unit. Simulated and real traffic meet here: `serve` gives the latencies of
an ideal server, so that a search which works on real processes can be held against formulas.
"""

from collections.abc import Sequence
from math import ceil, sqrt

import numpy as np

from mct.bench.statistics.percentiles import Floats, percentile

SETTLE = 3
"""Relaxations after which a queue that began empty is typical: what comes before is left out."""
BISECTIONS = 12
SIMULATED = 20_000


def serve(arrivals: Sequence[float] | Floats, services: Sequence[float] | Floats) -> Floats:
    """Latencies, from arrival to end of service, at one server that serves in order of arrival.

    Lindley's recursion (1952): a request starts at its arrival or at the end of the one before, whichever is later.
    """
    begins, takes = np.asarray(arrivals, dtype=np.float64), np.asarray(services, dtype=np.float64)
    done = np.cumsum(takes)
    latest = np.maximum.accumulate(begins - (done - takes))
    latencies: Floats = done + latest - begins
    return latencies


def relaxation(utilisation: float, variation: float = 0.0) -> float:
    """Requests after which a queue has about forgotten its state, at least 1; infinite from utilisation 1 on.

    Successive requests wait in the same queue, so the effective number of n latencies is n / this at most, and a run
    must last for many of these before it tells of a steady state.

    The M/M/1 queue relaxes in 1 / (1 - sqrt(rho))^2 services (Cohen 1982), rho times as many requests; other services
    scale that by (1 + c^2) / 2, the heavy-traffic rule, with `variation` c^2 their squared coefficient of variation.
    """
    if utilisation >= 1:
        return float("inf")
    return max(1.0, utilisation * (1 + variation) / 2 / (1 - sqrt(utilisation)) ** 2)


def settling(utilisation: float, variation: float, most: int) -> int:
    """Requests to leave out at the beginning of a segment, at most `most`."""
    return ceil(min(SETTLE * relaxation(utilisation, variation), most))


def guess_max_rate(services: Floats, limit: float, p: float, seed: int = 0) -> float:
    """The rate at which the p-percentile would meet `limit` if services came as those measured, in any order.

    Simulated: no evidence, but the place where a search best begins. 0 where no rate meets the limit.
    """
    rng = np.random.default_rng(seed)
    gaps, takes = rng.exponential(1.0, SIMULATED), rng.choice(services, SIMULATED)
    low, high = 0.0, 1 / float(np.mean(services))
    for _ in range(BISECTIONS):
        rate = (low + high) / 2
        meets = percentile(serve(np.cumsum(gaps / rate), takes), p) < limit
        low, high = (rate, high) if meets else (low, rate)
    return low
