"""Student's t interval for the mean of a few independent values: of processes, or of jackknife's pseudo-values."""

from collections.abc import Sequence
from math import inf, sqrt

import numpy as np
from scipy import special

from mct.bench.statistics.percentiles import Floats


def student(values: Sequence[float] | Floats, confidence: float) -> tuple[float, float]:
    """Lower and upper bound; infinite where there are fewer than two values."""
    if len(values) < 2:
        return -inf, inf
    centre, error = float(np.mean(values)), float(np.std(values, ddof=1)) / sqrt(len(values))
    reach = float(special.stdtrit(len(values) - 1, (1 + confidence) / 2)) * error
    return centre - reach, centre + reach
