"""Could this run be trusted? What disturbed it, and how much the same artifact differs from itself.

Noise is measured where it acts, per block of requests: CPU time that neighbours took (other virtual machines: stolen;
other processes: waited), and the A/A floor, the spread between blocks of one and the same artifact. A run that fails
here says what to do about it, and its latency passes only where noise of that size could not have mattered.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import inf
from typing import Any

import numpy as np

from mct.bench.judge.rounding import rounded
from mct.bench.samples.measurement import Block, per_process_ms
from mct.bench.statistics.percentiles import percentile

MOST_STOLEN = 0.02
MOST_WAITED = 0.05
"""The size of the tail beyond P95: with more than that taken away, P95 is the neighbours'."""
MOST_FLOOR = 0.15
MOST_DRIFT = 0.15
FEWEST_ROUNDS = 2
MAD_TO_SIGMA = 1.4826
"""Makes the median absolute deviation of a Gaussian its standard deviation."""


@dataclass(frozen=True)
class Stability:
    """Whether a run was steady, and if not, why and what to do: one sentence each.

    `stolen_share` and `waited_share` are shares of the CPU time wanted; `floor_p50` and `floor_p95` the relative spread
    of blocks; `drift` the slowest round's P50 over the fastest's, minus 1. None: not to be had from this run.
    """

    ok: bool
    reasons: tuple[str, ...]
    stolen_share: float
    waited_share: float | None
    switches_per_request: float
    switches_per_s: float
    floor_p50: float | None
    floor_p95: float | None
    drift: float | None

    @property
    def disturbance(self) -> float:
        """The largest relative error that this noise may have caused; infinite where only one process was seen."""
        if self.drift is None:
            return inf
        taken = min(0.99, self.stolen_share + (self.waited_share or 0.0))
        return max(self.drift, self.floor_p95 or 0.0, taken / (1 - taken))

    def as_json(self) -> dict[str, Any]:
        """As result.schema.json has it."""
        plain: dict[str, Any] = rounded(asdict(self), 5)
        return plain


def assess(blocks: Sequence[Block]) -> Stability | None:
    """The stability of a subject's blocks; None where nothing was timed."""
    if not blocks:
        return None
    requests = sum(len(block.end_to_end_ns) for block in blocks)
    switches = sum(block.involuntary_switches for block in blocks)
    waits = [block.waited_s for block in blocks if block.waited_s is not None]
    medians = [float(np.median(process)) for process in per_process_ms(blocks)]
    figures = Stability(
        ok=True,
        reasons=(),
        stolen_share=sum(block.stolen_s for block in blocks) / _wanted_s(blocks),
        waited_share=sum(waits) / _wanted_s(blocks) if waits else None,
        switches_per_request=switches / requests,
        switches_per_s=switches / sum(block.wall_s for block in blocks),
        floor_p50=_floor(blocks, 0.50),
        floor_p95=_floor(blocks, 0.95),
        drift=max(medians) / min(medians) - 1 if len(medians) > 1 else None,
    )
    reasons = tuple(_reasons(figures, len(medians)))
    return replace(figures, ok=not reasons, reasons=reasons)


def fastest_ms(blocks: Sequence[Block]) -> float:
    """P5 of all requests: the shortest inputs at the least disturbed moments. Where these are too slow, all is."""
    return percentile(np.concatenate(per_process_ms(blocks)), 0.05)


def _wanted_s(blocks: Sequence[Block]) -> float:
    """CPU seconds that the blocks used, were robbed of, or waited for; at least their wall time, so never 0."""
    wanted = sum(block.cpu_s + block.stolen_s + (block.waited_s or 0.0) for block in blocks)
    return max(wanted, sum(block.wall_s for block in blocks), 1e-9)


def _floor(blocks: Sequence[Block], p: float) -> float | None:
    """How much two blocks of the same artifact differ: robust relative spread of their p-percentile."""
    if len(blocks) < 4:
        return None
    values = np.array([percentile(np.asarray(block.end_to_end_ns, dtype=np.float64), p) for block in blocks])
    centre = float(np.median(values))
    return MAD_TO_SIGMA * float(np.median(np.abs(values - centre))) / centre


def _reasons(figures: Stability, rounds: int) -> list[str]:
    found = []
    if figures.stolen_share > MOST_STOLEN:
        taken = f"{figures.stolen_share:.1%}"
        found.append(f"other virtual machines took {taken} of the CPU time: use a dedicated machine, or try later")
    if figures.waited_share is not None and figures.waited_share > MOST_WAITED:
        taken = f"{figures.waited_share:.1%}"
        found.append(f"other processes took {taken} of the CPU time: stop them, or give fewer threads")
    if figures.floor_p50 is not None and figures.floor_p50 > MOST_FLOOR:
        differ = f"{figures.floor_p50:.0%}"
        found.append(f"two blocks of the same artifact differ by about {differ}: run it again on a quieter machine")
    if figures.drift is not None and figures.drift > MOST_DRIFT:
        found.append(
            f"the slowest round was {figures.drift:.0%} slower than the fastest: let the machine come to rest, or look"
            " at its clock governor and temperature"
        )
    if rounds < FEWEST_ROUNDS:
        found.append(
            "only one fresh process could be measured, so how processes differ is not known: give it more time"
        )
    return found
