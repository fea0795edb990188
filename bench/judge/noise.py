"""Could this run be trusted? What disturbed it, and how much the same artifact differs from itself.

Noise is measured where it acts, per block of requests: CPU time that neighbours took (other virtual machines: stolen;
other processes: waited), and the A/A floor, the spread between blocks of one and the same artifact. That processes
differ is normal, and the interval of a percentile knows it; what it does not know is told here: time that was taken,
and rounds whose order was no chance (`WANDERS` is the share of false alarms, however many rounds there are). A run that
fails here says what to do about it. Noise only adds time: what is fast enough in spite of it passes.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from mct.bench.samples.measurement import Block, per_process_ms
from mct.bench.statistics.levels import ERROR
from mct.bench.statistics.percentiles import FEWEST_PROCESSES, percentile
from mct.bench.statistics.rounding import rounded
from mct.bench.statistics.wandering import wandering_p

MOST_STOLEN = 0.02
MOST_WAITED = 0.05
"""The size of the tail beyond P95: with more than that taken away, P95 is the neighbours'."""
WANDERS = 0.01
MAD_TO_SIGMA = 1.4826
"""Makes the median absolute deviation of a Gaussian its standard deviation."""


@dataclass(frozen=True)
class Stability:
    """Whether a run was steady, and if not, why and what to do: one sentence each.

    `stolen_share` and `waited_share` are shares of the CPU time wanted; `floor_p50` and `floor_p95` the relative spread
    of blocks; `drift` the slowest round's P50 over the fastest's, minus 1, and `drift_p` the chance that rounds in
    random order follow one another as smoothly. None: not to be had from this run.
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
    drift_p: float | None

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
        drift_p=wandering_p(np.array(medians)) if len(medians) > 1 else None,
    )
    reasons = (*_reasons(figures, len(medians)), *_stopped(blocks))
    return replace(figures, ok=not reasons, reasons=reasons)


def least_disturbed_ms(blocks: Sequence[Block], p: float) -> float:
    """What the p-percentile would be at least without noise: that of the process which noise spared most.

    Its lower bound by the order of its requests, less the share of its time that others took.
    """
    bounds = []
    for number, requests in zip(sorted({block.round for block in blocks}), per_process_ms(blocks), strict=True):
        own = [block for block in blocks if block.round == number]
        taken = sum(block.stolen_s + (block.waited_s or 0.0) for block in own) / _wanted_s(own)
        rank = int(stats.binom.ppf(ERROR / 2, len(requests), p))
        bounds.append(float(np.sort(requests)[max(0, rank - 1)]) * (1 - taken))
    return min(bounds)


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


def _stopped(blocks: Sequence[Block]) -> list[str]:
    """That the quota stopped it, as it does where more threads run than the quota has time for."""
    share = sum(block.throttled_s or 0.0 for block in blocks) / sum(block.wall_s for block in blocks)
    if share <= MOST_STOLEN:
        return []
    return [f"its control group's quota stopped it for {share:.1%} of the time: raise it, or give fewer threads"]


def _reasons(figures: Stability, rounds: int) -> list[str]:
    found = []
    if figures.stolen_share > MOST_STOLEN:
        taken = f"{figures.stolen_share:.1%}"
        found.append(f"other virtual machines took {taken} of the CPU time: use a dedicated machine, or try later")
    if figures.waited_share is not None and figures.waited_share > MOST_WAITED:
        taken = f"{figures.waited_share:.1%}"
        found.append(f"other processes took {taken} of the CPU time: stop them, or give fewer threads")
    if figures.drift is not None and figures.drift_p is not None and figures.drift_p <= WANDERS:
        found.append(
            f"its speed wandered while it was measured, by {figures.drift:.0%} from the fastest round to the slowest:"
            " let the machine come to rest, or look at its clock governor and temperature"
        )
    if rounds < FEWEST_PROCESSES:
        processes = "one fresh process" if rounds == 1 else f"{rounds} fresh processes"
        found.append(f"only {processes} could be measured, so how they differ is not known: give it more time")
    return found
