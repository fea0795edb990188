"""Latency by the length of the request: what a user of long texts meets, which one P95 over all of them hides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mct.bench.samples.measurement import Block
from mct.bench.statistics.percentiles import Estimate, estimate_percentile, percentile
from mct.bench.statistics.rounding import rounded

GROUPS = 4


@dataclass(frozen=True)
class LengthGroup:
    """Requests of `tokens` (fewest, most) tokens, milliseconds. P95 is None where they are too few for its interval."""

    tokens: tuple[int, int]
    n: int
    p50_ms: float
    p95_ms: float | None
    p95_ci_ms: tuple[float, float] | None

    def as_json(self) -> dict[str, Any]:
        """As result.schema.json has it."""
        plain: dict[str, Any] = rounded(asdict(self), 5)
        return plain


def by_length(blocks: Sequence[Block]) -> tuple[LengthGroup, ...]:
    """Up to four groups of about as many requests each, from short to long; none where lengths were not kept."""
    if not blocks or any(block.tokens is None for block in blocks):
        return ()
    rounds = sorted({block.round for block in blocks})
    lengths = [_joined(blocks, number, "tokens") for number in rounds]
    times_ms = [_joined(blocks, number, "end_to_end_ns") / 1e6 for number in rounds]
    every = np.concatenate(lengths)
    cuts = np.unique(np.quantile(every, [place / GROUPS for place in range(1, GROUPS)], method="lower"))
    places = [np.searchsorted(cuts, each) for each in lengths]
    found = []
    for group in np.unique(np.concatenate(places)):
        mine = [times[place == group] for times, place in zip(times_ms, places, strict=True)]
        tokens = every[np.concatenate(places) == group]
        found.append(_group((int(tokens.min()), int(tokens.max())), [each for each in mine if len(each)]))
    return tuple(found)


def _group(tokens: tuple[int, int], processes: Sequence[Any]) -> LengthGroup:
    p95: Estimate | None = estimate_percentile(processes, 0.95)
    every = np.concatenate(processes)
    return LengthGroup(
        tokens=tokens,
        n=len(every),
        p50_ms=percentile(every, 0.50),
        p95_ms=None if p95 is None else p95.value,
        p95_ci_ms=None if p95 is None else (p95.low, p95.high),
    )


def _joined(blocks: Sequence[Block], number: int, field: str) -> Any:
    """One process's values in time order."""
    return np.concatenate(
        [np.asarray(getattr(block, field), dtype=np.float64) for block in blocks if block.round == number]
    )
