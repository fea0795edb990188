"""How much of a cascade's work its second stage does, and what becomes of its P95 when that share drifts.

As long as fewer than one request in twenty goes on, the 95th percentile is the first stage's; beyond that it is the
second's. Texts that change move the share, so the report says how far it is from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from mct.bench.samples.measurement import Block, Measurement
from mct.bench.statistics.levels import ERROR
from mct.bench.statistics.percentiles import percentile
from mct.bench.statistics.rounding import rounded

SHARES = (0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.2)
"""Shares of requests that P95 is told for."""
FINE = np.arange(0, 1001) / 1000
LEAST = 10
"""Timed requests of either stage, to say what a mixture of both takes."""


@dataclass(frozen=True)
class Cascade:
    """Of the `of` examples `deferred` went to the second stage; `upper` is that share's one-sided 95 % upper bound.

    `p95_ms` pairs a share with the P95 that a mixture of both stages' timed requests has with it, () where too few were
    timed. `most` is the highest share that keeps the limit, None without limit or where none does.
    """

    deferred: int
    of: int
    upper: float
    p95_ms: tuple[tuple[float, float], ...]
    most: float | None

    def as_json(self) -> dict[str, Any]:
        """As result.schema.json has it."""
        plain: dict[str, Any] = rounded(asdict(self), 5)
        return plain


def assess_cascade(measured: Measurement, limit_ms: float | None) -> Cascade | None:
    """None of what is no cascade, or has no answers."""
    if measured.answers is None or not measured.answers.deferred:
        return None
    of, deferred = len(measured.answers.deferred), sum(measured.answers.deferred)
    upper = 1.0 if deferred == of else float(stats.beta.ppf(1 - ERROR, deferred + 1, of - deferred))
    first, second = _times_ms(measured.blocks, 0), _times_ms(measured.blocks, 1)
    if min(len(first), len(second)) < LEAST:
        return Cascade(deferred, of, upper, (), None)
    drift = tuple((share, mixed_percentile(first, second, share, 0.95)) for share in SHARES)
    kept = [
        share for share in FINE if limit_ms is not None and mixed_percentile(first, second, share, 0.95) <= limit_ms
    ]
    return Cascade(deferred, of, upper, drift, float(kept[-1]) if kept else None)


def mixed_percentile(first: Sequence[float], second: Sequence[float], share: float, p: float) -> float:
    """The least value that a share `p` of requests does not exceed, where `share` of them are as in `second`."""
    if share <= 0 or share >= 1:
        return percentile(np.asarray(second if share >= 1 else first), p)
    values = np.concatenate([first, second])
    weights = np.concatenate([np.full(len(first), (1 - share) / len(first)), np.full(len(second), share / len(second))])
    order = np.argsort(values, kind="stable")
    place = int(np.searchsorted(np.cumsum(weights[order]), p - 1e-12))
    return float(values[order][min(place, len(values) - 1)])


def _times_ms(blocks: Sequence[Block], went_on: int) -> Any:
    """Of all timed requests those that one of the stages answered, in milliseconds."""
    times = [
        np.asarray(block.end_to_end_ns, dtype=np.float64)[np.asarray(block.deferred) == went_on] / 1e6
        for block in blocks
        if block.deferred is not None
    ]
    return np.concatenate(times) if times else np.zeros(0)
