"""A against B: the ratio of a latency percentile from processes that ran side by side, how sure it is, when to stop.

A pair is two fresh processes, one of A and one of B, that took turns on the same texts, so that both saw the same work
at the same moment of the machine. The ratio is that of the two pooled percentiles: a tail that shows in a fiftieth of
the requests or a fifth of the turns counts for what it is. The pair is the unit of independence: then the interval
speaks of the artifacts and not of two processes: it is Student's t with the larger of two standard errors, the
delete-one-pair jackknife's (Shao & Tu 1995) and that of the pairs' own log ratios. Either alone is too narrow
somewhere: the first where a pair more or less leaves a percentile where it was, the second where pairs are unlike.

A run stops once its spread is small enough, or a slow-down is plain at a far stricter level (`PLAIN`, after Haybittle &
Peto). results/coverage.md shows that these interim looks leave the promised level, and that the interval holds where
one side stalls, spikes or differs from process to process.

Pure functions on arrays, no I/O.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, sqrt
from typing import Literal

import numpy as np
from scipy import special

from mct.bench.statistics.percentiles import Floats, percentile

Outcome = Literal["faster", "slower", "no difference", "inconclusive"]

FEWEST_ROUNDS = 6
ALARM = 0.01
"""Level at which a difference is claimed. Stricter than the interval's: a comparison runs on every pull request, and an
alarm in twenty of them would soon be ignored."""
PLAIN = ALARM / 20
"""Level at which a slow-down ends the run: as many interim looks as a run may take then cost little of `ALARM`."""
MOST_LOG = 100.0
"""Beyond it two pairs may differ by what no number holds."""
POWER = 0.95
"""With which a run tells its `detectable` ratio from 1."""


@dataclass(frozen=True)
class Ratio:
    """Latency of B over that of A: above 1 B is slower. `low` and `high` bound it two-sided with `confidence`.

    `rounds` counts the fresh processes of each. `p_value` is that of "no difference", two-sided. `detectable` is the
    smallest ratio above 1 that as many rounds, as noisy as these, tell from 1 with 95 % power at half of level `ALARM`
    (two percentiles are judged together).
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
    """The outcome, and the `margin` (a fraction) that "no difference" means: none larger than this.

    `shown` names the ratios that are shown to differ from 1, where several were judged together.
    """

    outcome: Outcome
    margin: float
    shown: tuple[str, ...] = ()


def compare_percentile(a: Sequence[Floats], b: Sequence[Floats], p: float, confidence: float = 0.95) -> Ratio:
    """Ratio of the p-percentile of B to that of A over all requests; process i of A ran beside process i of B."""
    if len(a) != len(b) or len(a) < 2:
        raise ValueError(f"A and B need the same number of processes, at least 2: {len(a)} and {len(b)}")
    before, after = [np.log(each) for each in a], [np.log(each) for each in b]
    n, centre = len(a), _log_ratio(before, after, p)
    without = [_log_ratio(before[:i] + before[i + 1 :], after[:i] + after[i + 1 :], p) for i in range(n)]
    own = [percentile(y, p) - percentile(x, p) for x, y in zip(before, after, strict=True)]
    error = max(sqrt(n - 1) * float(np.std(without)), float(np.std(own, ddof=1)) / sqrt(n))
    return _ratio(centre, error, n, confidence)


def judge_latency(p50: Ratio, p95: Ratio, margin: float = 0.10) -> Judgement:
    """Both percentiles together, at level `ALARM` for the two (Holm 1979).

    Slower where either is shown to be. Faster where either is shown to be and neither may be slower by more than
    `margin`. "No difference" where both intervals exclude any larger than `margin`; inconclusive otherwise.
    """
    ratios = {"P50": p50, "P95": p95}
    if min(p50.rounds, p95.rounds) < FEWEST_ROUNDS:
        return Judgement("inconclusive", margin)
    shown = _shown(ratios, ALARM)
    if any(ratios[name].value > 1 for name in shown):
        return Judgement("slower", margin, shown)
    if shown and max(p50.high, p95.high) <= 1 + margin:
        return Judgement("faster", margin, shown)
    alike = are_alike(p50, margin) and are_alike(p95, margin)
    return Judgement("no difference" if alike else "inconclusive", margin, shown)


def are_alike(ratio: Ratio, margin: float) -> bool:
    """Whether the interval excludes any difference larger than `margin` in either direction."""
    return 1 / (1 + margin) <= ratio.low and ratio.high <= 1 + margin


def is_decided(p50: Ratio, p95: Ratio, detect: float = 1.10) -> bool:
    """May the run stop? Once both percentiles would show a ratio of `detect`, or one is plainly slower."""
    ratios = {"P50": p50, "P95": p95}
    slower = any(ratios[name].value > 1 for name in _shown(ratios, PLAIN))
    return slower or max(p50.detectable, p95.detectable) <= detect


def _log_ratio(a: Sequence[Floats], b: Sequence[Floats], p: float) -> float:
    return percentile(np.concatenate(b), p) - percentile(np.concatenate(a), p)


def _shown(ratios: dict[str, Ratio], level: float) -> tuple[str, ...]:
    """Names of those that differ from 1 at `level` for all together: the smallest p-value faces the strictest test."""
    shown: list[str] = []
    for name in sorted(ratios, key=lambda name: ratios[name].p_value):
        if ratios[name].p_value >= level / (len(ratios) - len(shown)):
            break
        shown.append(name)
    return tuple(sorted(shown))


def _ratio(centre: float, error: float, n: int, confidence: float) -> Ratio:
    """From the log ratio of n pairs and its standard error."""
    degrees = n - 1
    reach = float(special.stdtrit(degrees, (1 + confidence) / 2)) * error
    told_apart = float(special.stdtrit(degrees, 1 - ALARM / 4) + special.stdtrit(degrees, POWER))
    p_value = float(2 * special.stdtr(degrees, -abs(centre) / error)) if error else float(centre == 0)
    low, high, detectable = (exp(min(log, MOST_LOG)) for log in (centre - reach, centre + reach, told_apart * error))
    return Ratio(exp(centre), low, high, p_value, detectable, n, confidence)
