"""Did processes that ran one after the other differ by chance, or did something wander while they ran?

Processes started afresh differ; that alone is no fault of the machine, and the interval of a percentile accounts for
it. It does not where neighbours in time are alike: a machine that grows hot, a neighbour that came and went. So the
order is tested: the squared differences of successive values against those of all orders that the same values could
have come in (von Neumann's ratio as a permutation test, Bartels 1982). Its false alarms are exactly at most the level,
for any number of processes and any distribution of them.
"""

from functools import lru_cache
from itertools import permutations
from math import factorial

import numpy as np
from numpy.typing import NDArray

from mct.bench.statistics.percentiles import Floats
from mct.bench.statistics.ratio_metric import SAME

ORDERS = 5_040
"""All of them up to seven values, a sample of as many beyond."""


def wandering_p(values: Floats) -> float:
    """Chance that values (positive, in order of time) in random order have neighbours as alike; 1 for too few."""
    if len(values) < 4:
        return 1.0
    scores = np.log(values)
    seen = float(np.sum(np.diff(scores) ** 2))
    alike = np.sum(np.diff(scores[_orders(len(values))], axis=1) ** 2, axis=1) <= seen + SAME
    exact = factorial(len(values)) <= ORDERS
    return float(alike.mean()) if exact else (1 + int(alike.sum())) / (1 + ORDERS)


@lru_cache(maxsize=64)
def _orders(n: int) -> NDArray[np.intp]:
    if factorial(n) <= ORDERS:
        return np.array(list(permutations(range(n))), dtype=np.intp)
    rng = np.random.default_rng(n)
    return np.array([rng.permutation(n) for _ in range(ORDERS)], dtype=np.intp)
