"""A against B: the ratio of a latency percentile from interleaved rounds, how sure it is, and how many rounds it takes.

A round starts one fresh process of A and one of B and lets them take turns (A B B A), so that both see the same
moment of the machine. What differs between rounds (memory layout of a process, neighbours, clock) is then part of the
spread of the per-round ratios, and an interval made from that spread speaks of the artifacts, not of two processes.
The per-round log ratio is symmetric about zero when A and B are alike, whatever the latencies look like. A stall that
meets one side of one round spoils that round: from eight rounds on the most extreme on either side is trimmed
(Yuen 1974), which costs little when nothing stalled. How many rounds to run is decided from the spread of those done,
so that spread is credited with no more degrees of freedom than the fewest rounds have (after Stein 1945): otherwise
runs that look calm by luck would stop early and alarm too often.

Pure functions on arrays, no I/O. The trade-off: per-round percentiles of small rounds are coarse; rounds of a few
hundred samples suit P95.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, exp, log, sqrt
from typing import Literal

import numpy as np
from scipy import special

from mct.bench.dependence import Floats
from mct.bench.statistics import percentile

Outcome = Literal["faster", "slower", "no difference", "inconclusive"]

FEWEST_ROUNDS = 6
TRIM = 8
"""One round in so many is trimmed on either side."""
ALARM = 0.01
"""Level at which a difference is claimed. Stricter than the interval's: a comparison runs on every pull request, and an
alarm in twenty of them would soon be ignored."""


@dataclass(frozen=True)
class Ratio:
    """Latency of B over that of A: above 1 B is slower. `low` and `high` bound it two-sided with `confidence`.

    `p_value` is that of "no difference", two-sided. `detectable` is the smallest ratio above 1 that as many rounds, as
    noisy as these, tell from 1 with 95 % power at level `ALARM`.
    """

    value: float
    low: float
    high: float
    p_value: float
    detectable: float
    rounds: int
    confidence: float


@dataclass(frozen=True)
class Judgement:
    """The outcome, and the `margin` (a fraction) that "no difference" means: none larger than this."""

    outcome: Outcome
    margin: float


def compare_percentile(
    a_rounds: Sequence[Floats], b_rounds: Sequence[Floats], p: float, confidence: float = 0.95
) -> Ratio:
    """Ratio of the p-percentile of B to that of A. Round i of A and of B ran at the same time; at least two rounds."""
    ratios = log_ratios(a_rounds, b_rounds, p)
    centre, error = trimmed_mean(ratios)
    degrees = degrees_of_freedom(len(ratios))
    reach = float(special.stdtrit(degrees, (1 + confidence) / 2)) * error
    return Ratio(
        value=exp(centre),
        low=exp(centre - reach),
        high=exp(centre + reach),
        p_value=_p_value(centre, error, degrees),
        detectable=exp(_reach(degrees) * error),
        rounds=len(ratios),
        confidence=confidence,
    )


def judge_ratio(ratio: Ratio, margin: float = 0.10) -> Judgement:
    """Faster or slower where no difference is ruled out at level `ALARM`; "no difference" where the interval excludes
    any larger than `margin` in either direction; inconclusive otherwise, and always below `FEWEST_ROUNDS`.
    """
    if ratio.rounds < FEWEST_ROUNDS:
        return Judgement("inconclusive", margin)
    if ratio.p_value < ALARM:
        return Judgement("slower" if ratio.value > 1 else "faster", margin)
    alike = 1 / (1 + margin) <= ratio.low and ratio.high <= 1 + margin
    return Judgement("no difference" if alike else "inconclusive", margin)


def plan_rounds(
    a_rounds: Sequence[Floats], b_rounds: Sequence[Floats], p: float, detect: float = 1.10, most: int = 40
) -> int:
    """How many rounds in all, judging by the rounds so far, tell a ratio of `detect` from 1 with 95 % power at `ALARM`.

    Call it after `FEWEST_ROUNDS` and again after each further one; stop once it asks for no more than are done. Never
    above `most`, which the time cap sets; the ratio then says in `detectable` what that was enough for.
    """
    ratios = log_ratios(a_rounds, b_rounds, p)
    _, error = trimmed_mean(ratios)
    needed = ceil(len(ratios) * (_reach(degrees_of_freedom(len(ratios))) * error / log(detect)) ** 2)
    return min(most, max(FEWEST_ROUNDS, needed))


def samples_per_round(
    request_s: float, start_s: float, budget_s: float, rounds: int = 10, fewest: int = 200, most: int = 2000
) -> int:
    """Samples of each side per round: as long sampling as starting processes, within the time for `rounds` rounds.

    Time spent on starts lowers the noise between processes, time spent on requests that within them; an even split is
    within a factor of two of the best whichever dominates. `fewest` wins over the budget: below it a P95 is coarse.
    """
    even = start_s / request_s
    affordable = (budget_s / rounds - 2 * start_s) / (2 * request_s)
    return int(min(most, max(fewest, min(even, affordable))))


def log_ratios(a_rounds: Sequence[Floats], b_rounds: Sequence[Floats], p: float) -> Floats:
    """Natural log of B's percentile over A's, round by round."""
    if len(a_rounds) != len(b_rounds) or len(a_rounds) < 2:
        raise ValueError("A and B need the same number of rounds, at least two")
    pairs = zip(a_rounds, b_rounds, strict=True)
    return np.array([log(percentile(b, p) / percentile(a, p)) for a, b in pairs])


def trimmed_mean(values: Floats) -> tuple[float, float]:
    """Mean less the most extreme eighth on either side, and its standard error by winsorised variance (Yuen 1974)."""
    ordered, n = np.sort(values), len(values)
    cut = n // TRIM
    core = ordered[cut : n - cut]
    winsorised = np.clip(ordered, core[0], core[-1])
    error = sqrt(float(winsorised.var(ddof=1)) * (n - 1) / (len(core) * (len(core) - 1)))
    return float(core.mean()), error


def degrees_of_freedom(rounds: int) -> int:
    """What the spread of so many rounds is credited with: those left by trimming less one, at most the pilot's."""
    return min(rounds - 2 * (rounds // TRIM), FEWEST_ROUNDS) - 1


def _reach(degrees: int, power: float = 0.95) -> float:
    """Standard errors between 1 and the ratio that is told from it with `power` at level `ALARM`."""
    return float(special.stdtrit(degrees, 1 - ALARM / 2) + special.stdtrit(degrees, power))


def _p_value(centre: float, error: float, degrees: int) -> float:
    if error == 0:
        return 1.0 if centre == 0 else 0.0
    return float(2 * special.stdtr(degrees, -abs(centre) / error))
