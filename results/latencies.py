"""Latencies as no estimator of mct supposes them, for results/coverage.py: numpy alone, nothing of mct is imported.

A request is gamma, Pareto or of two modes, never log-normal; processes differ by a gamma or a uniform factor; slow
moments are runs of a two-state chain; the share of stalled requests differs from process to process by a beta law.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rng = np.random.Generator


def _gamma(rng: Rng, n: int) -> Floats:
    return 0.5 + rng.gamma(3.0, 0.2, n)


def _pareto(rng: Rng, n: int) -> Floats:
    return 0.8 + 0.3 * rng.pareto(3.5, n)


def _two_modes(rng: Rng, n: int) -> Floats:
    return np.where(rng.random(n) < 0.9, 1.0, 2.5) * (0.9 + 0.2 * rng.random(n))


REQUESTS: dict[str, Callable[[Rng, int], Floats]] = {"gamma": _gamma, "Pareto": _pareto, "two modes": _two_modes}


@dataclass(frozen=True)
class World:
    """How latencies come about; `spread` is the standard deviation between processes, relative to their mean.

    `slow` is the share of requests in slow moments, 2.5 times as long, which last for `lasting` requests on average;
    with `stalls` some requests take 2 to 4 times as long, 5 % of them on average, and a share of its own per process.
    """

    requests: str = "gamma"
    spread: float = 0.0
    uniform: bool = False
    slow: float = 0.0
    lasting: float = 8.0
    stalls: bool = False

    @property
    def name(self) -> str:
        """In words."""
        parts: list[str] = [self.requests, f"processes {self.spread:.0%}{' (uniform)' if self.uniform else ''}"]
        parts += [f"{self.slow:.0%} in slow moments of {self.lasting:g}"] if self.slow else []
        parts += ["stalls differ"] if self.stalls else []
        return ", ".join(parts)

    def process(self, rng: Rng, n: int) -> Floats:
        """n requests of one fresh process, in order."""
        return self.factor(rng) * self.moments(rng, REQUESTS[self.requests](rng, n), self.stall_share(rng))

    def factor(self, rng: Rng) -> float:
        """How much slower than another one fresh process happens to be."""
        if self.uniform:
            return 1 + self.spread * sqrt(12) * (rng.random() - 0.5)
        return rng.gamma(1 / self.spread**2, self.spread**2) if self.spread else 1.0

    def stall_share(self, rng: Rng) -> float:
        """The share of one process's requests that stall."""
        return rng.beta(2, 38) if self.stalls else 0.0

    def moments(self, rng: Rng, requests: Floats, stalled: float) -> Floats:
        """Requests of one stretch of time, slow moments and stalls added."""
        n = len(requests)
        if self.slow:
            requests = np.where(self._slow_moments(rng, n), 2.5 * requests, requests)
        if stalled:
            requests = np.where(rng.random(n) < stalled, requests * (2 + 2 * rng.random(n)), requests)
        return requests

    def _slow_moments(self, rng: Rng, n: int) -> NDArray[np.bool_]:
        state, at, found = rng.random() < self.slow, 0, np.empty(n, dtype=bool)
        while at < n:
            ends = 1 / self.lasting if state else self.slow / (1 - self.slow) / self.lasting
            until = at + rng.geometric(ends)
            found[at:until], at, state = state, until, not state
        return found

    def percentile(self, p: float, processes: int = 20_000, requests: int = 200) -> float:
        """The true one, from many more processes than anybody would start."""
        rng = np.random.default_rng(99)
        return float(np.quantile(np.concatenate([self.process(rng, requests) for _ in range(processes)]), p))


PLAIN = (
    *(World(requests, spread) for requests in REQUESTS for spread in (0.0, 0.05, 0.1, 0.2)),
    World("gamma", 0.2, uniform=True),
)
UNEVEN = tuple(
    replace(World(requests, spread), **more)  # type: ignore[arg-type]
    for requests in ("gamma", "Pareto")
    for spread, more in ((0.1, {"slow": 0.1}), (0.1, {"stalls": True}))
)
RARE = (World("gamma", 0.0, slow=0.03),)
"""So few slow moments that some runs see none, just where P95 lies: beyond what a sample can tell."""
