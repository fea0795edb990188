"""The highest rate of Poisson arrivals at which a percentile of latency stays below a limit, with its interval.

What a server was seen to take for each request, and the gaps between arrivals, give the latency at a nearby rate too:
the same gaps, all longer or shorter, before the same services (common arrivals). Latency grows with the rate then, so
the rate that just meets the limit is one crossing of one curve, and all of the traffic tells where it is, whichever
rate it was served at. The steeper the curve, the less a rate hangs on noise: at a utilisation of 0.9 an error of 30 %
in P95 is one of 3 % in the rate.

Processes started afresh differ by a factor, so they are brought to one pace, joined into one long run whose queue never
begins empty again, and the curve is read at every process's own pace. The interval speaks of the typical process, the
geometric mean of them all; it comes from leaving out each in turn (jackknife, which also takes away the first-order
bias that a crossing of a noisy curve has) with Student's t.

Pure functions on arrays, times in any one unit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

import numpy as np

from mct.bench.statistics.levels import CONFIDENCE
from mct.bench.statistics.percentiles import Floats, percentile
from mct.bench.statistics.queueing import relaxation, serve, settling
from mct.bench.statistics.student import student

LOWEST, HIGHEST = 0.02, 0.99
"""Utilisations between which a rate is looked for: what misses the limit at the lowest misses it without any queue."""
STEPS = 30
BATCHES = (1, 4, 16, 64, 256)
FEWEST_BATCHES = 20
FEWEST_PROCESSES = 4
ENOUGH = 8
"""All traffic together must last this many relaxations of the queue at the rate that is found."""
SHORT = 12.0
"""A queue watched for n relaxations looks shorter than it is, and P95 lower, by about this over n (simulated)."""


@dataclass(frozen=True)
class Trace:
    """What one process served: the gaps before its requests at rate 1, and how long each took the server."""

    gaps: Floats
    services: Floats


@dataclass(frozen=True)
class HighestRate:
    """The rate of the typical process and its interval, and each process's own; 0 stands for the lowest looked at.

    `enough` is False where there was too little traffic for the interval to be believed.
    """

    value: float
    low: float
    high: float
    each: tuple[float, ...]
    enough: bool


def highest_rate(traces: Sequence[Trace], limit: float, p: float, confidence: float = CONFIDENCE) -> HighestRate:
    """The highest rate that keeps the p-percentile of latency below `limit`, from at least two processes."""
    whole, count = _log_rates(traces, limit, p), len(traces)
    without = [_log_rates([*traces[:k], *traces[k + 1 :]], limit, p).mean() for k in range(count)]
    pseudo = count * whole.mean() - (count - 1) * np.array(without)
    low, high = student(pseudo, confidence)
    services = np.concatenate([trace.services for trace in traces])
    utilisation = min(exp(low) * float(services.mean()), HIGHEST)
    relaxations = len(services) / relaxation(utilisation, dispersion(services))
    flattered = SHORT / relaxations * (1 - utilisation) / utilisation
    return HighestRate(
        value=exp(float(pseudo.mean())),
        low=exp(low - flattered),
        high=exp(high),
        each=tuple(float(rate) for rate in np.exp(whole)),
        enough=count >= FEWEST_PROCESSES and relaxations >= ENOUGH,
    )


def likely_rate(traces: Sequence[Trace], limit: float, p: float) -> float:
    """The same rate without an interval, from however few processes."""
    return exp(float(_log_rates(traces, limit, p).mean()))


def _log_rates(traces: Sequence[Trace], limit: float, p: float) -> Floats:
    """The logarithm of the rate that each process meets the limit at, read from the curve of all of them."""
    paces = _paces(traces)
    gaps = np.concatenate([trace.gaps for trace in traces])
    services = np.concatenate([trace.services / pace for trace, pace in zip(traces, paces, strict=True)])
    rates, latencies = _curve(gaps, services, p)
    found: Floats = np.interp(np.log(limit / paces), np.log(latencies), np.log(rates)) - np.log(paces)
    return found


def _paces(traces: Sequence[Trace]) -> Floats:
    """How much slower each process is than the typical one, as far as that is more than the luck of its sample.

    A process that met more of the slow requests is not slower for it: what is taken for pace would be missing from the
    queue. So the means are drawn together by the share of their variance that sampling alone explains.
    """
    logs = np.log([trace.services.mean() for trace in traces])
    spread = float(logs.var(ddof=1)) if len(traces) > 1 else 0.0
    luck = float(np.mean([dispersion(trace.services) / len(trace.services) for trace in traces]))
    own = max(0.0, 1 - luck / spread) if spread > 0 else 0.0
    paces: Floats = np.exp(own * (logs - logs.mean()))
    return paces


def _curve(gaps: Floats, services: Floats, p: float) -> tuple[Floats, Floats]:
    """The p-percentile of latency at rates from the lowest to the highest, denser where it is steep."""
    mean, variation = float(services.mean()), dispersion(services)
    utilisations = 1 - np.geomspace(1 - LOWEST, 1 - HIGHEST, STEPS)
    latencies = []
    for utilisation in utilisations:
        skip = settling(float(utilisation), variation, len(gaps) // 4)
        latencies.append(percentile(serve(np.cumsum(gaps * mean / utilisation), services)[skip:], p))
    return utilisations / mean, np.maximum.accumulate(latencies)


def dispersion(services: Floats) -> float:
    """The squared coefficient of variation that a queue feels: of sums of many services, for their number.

    Services that follow one another are alike where a neighbour disturbs them in bursts; the sums then vary more than
    their parts say, and the queue remembers longer. Batch means, over the batch size that shows most of it.
    """
    sizes = [size for size in BATCHES if len(services) >= FEWEST_BATCHES * size]
    return max((size * _batch_variance(services, size) for size in sizes), default=0.0) / float(services.mean()) ** 2


def _batch_variance(services: Floats, size: int) -> float:
    count = len(services) // size
    return float(services[: count * size].reshape(count, size).mean(axis=1).var(ddof=1))
