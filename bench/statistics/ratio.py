"""A against B: the ratio of a latency percentile from interleaved processes, how sure it is, and when to stop.

`mct compare` runs pairs of processes, one of A and one of B, that take short turns (A B B A ...) on the same texts, so
that both see the same work at the same moment of the machine. Each turn of A is held against its neighbour of B: the
log ratio of their percentiles. On a shared machine the speed wanders by half within a second and stalls come in bursts,
so a pair is summed up by the middle of its turns' log ratios (a quarter trimmed on either side), not by a percentile
over all its requests, which the worst moment of either side would decide. It is symmetric about zero when A and B are
alike, whatever the latencies look like, and exact when B is A times a factor. What it does not see is a tail that
shows in fewer than a quarter of the turns.

The pair is the unit of independence: the interval comes from the spread between pairs, so that it speaks of the
artifacts and not of two processes. The run stops once that spread is small enough, or a slow-down is plain at a far
stricter level (`PLAIN`, after Haybittle & Peto); results/coverage.md shows that these interim looks leave the promised
level.

Where rounds follow each other instead (`mct bench` with a base), each is summed up by its P95, and from eight rounds
on the most extreme on either side is trimmed (Yuen 1974).

Pure functions on arrays, no I/O.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from typing import Literal

import numpy as np
from scipy import special

from mct.bench.statistics.dependence import Floats
from mct.bench.statistics.percentiles import percentile

Outcome = Literal["faster", "slower", "no difference", "inconclusive"]
Turns = Sequence[Floats]
"""The latencies of one process, turn by turn."""

FEWEST_ROUNDS = 6
TRIM = 8
"""One round in so many is trimmed on either side."""
TRIM_TURNS = 4
"""One turn in so many."""
ALARM = 0.01
"""Level at which a difference is claimed. Stricter than the interval's: a comparison runs on every pull request, and an
alarm in twenty of them would soon be ignored."""
PLAIN = ALARM / 20
"""Level at which a slow-down ends the run: as many interim looks as a run may take then cost little of `ALARM`."""
POWER = 0.95
"""With which a run tells its `detectable` ratio from 1."""


@dataclass(frozen=True)
class Ratio:
    """Latency of B over that of A: above 1 B is slower. `low` and `high` bound it two-sided with `confidence`.

    `rounds` counts the fresh processes of each. `p_value` is that of "no difference", two-sided. `detectable` is the
    smallest ratio above 1 that as many rounds, as noisy as these, tell from 1 with 95 % power at level `ALARM` (half of
    it where two percentiles are judged together).
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


def compare_percentile(
    a_rounds: Sequence[Floats], b_rounds: Sequence[Floats], p: float, confidence: float = 0.95
) -> Ratio:
    """Ratio of the p-percentile of B to that of A, each over all requests of a round.

    Round i of A and of B ran at the same time; at least two rounds. For long turns on different texts.
    """
    values = log_ratios(a_rounds, b_rounds, p)
    return _ratio(*trimmed_mean(values), len(values), degrees_of_freedom(len(values)), confidence, ALARM)


def compare_turns(a_pairs: Sequence[Turns], b_pairs: Sequence[Turns], p: float, confidence: float = 0.95) -> Ratio:
    """Ratio of the p-percentile of B to that of A, turn against turn; at least two pairs of processes.

    Turn k of A and of B of a pair came side by side, on the same texts. One of two that `judge_latency` judges.
    """
    _require_pairs(len(a_pairs), len(b_pairs), "processes", 2)
    return estimate_ratio([turn_log_ratios(a, b, p) for a, b in zip(a_pairs, b_pairs, strict=True)], confidence)


def estimate_ratio(pairs: Sequence[Floats], confidence: float = 0.95) -> Ratio:
    """The ratio that the log ratios of each pair's turns tell of: the mean of the pairs' middles, with Student's t."""
    values = np.array([_middle(turns) for turns in pairs])
    n = len(values)
    return _ratio(float(values.mean()), float(values.std(ddof=1)) / sqrt(n), n, n - 1, confidence, ALARM / 2)


def judge_ratio(ratio: Ratio, margin: float = 0.10) -> Judgement:
    """Faster or slower where no difference is ruled out at level `ALARM`; "no difference" where the interval excludes
    any larger than `margin` in either direction; inconclusive otherwise, and always below `FEWEST_ROUNDS`.
    """
    if ratio.rounds < FEWEST_ROUNDS:
        return Judgement("inconclusive", margin)
    if ratio.p_value < ALARM:
        return Judgement("slower" if ratio.value > 1 else "faster", margin)
    return Judgement("no difference" if are_alike(ratio, margin) else "inconclusive", margin)


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


def log_ratios(a_rounds: Sequence[Floats], b_rounds: Sequence[Floats], p: float) -> Floats:
    """Natural log of B's percentile over A's, round by round."""
    _require_pairs(len(a_rounds), len(b_rounds), "rounds", 2)
    pairs = zip(a_rounds, b_rounds, strict=True)
    return np.array([log(percentile(b, p) / percentile(a, p)) for a, b in pairs])


def turn_log_ratios(a: Turns, b: Turns, p: float) -> Floats:
    """Of one pair, turn by turn, over the requests that both sides made: one may have been cut off."""
    _require_pairs(len(a), len(b), "turns", 1)
    both = [(x[: len(y)], y[: len(x)]) for x, y in zip(a, b, strict=True)]
    return np.array([log(percentile(y, p) / percentile(x, p)) for x, y in both])


def trimmed_mean(values: Floats) -> tuple[float, float]:
    """Mean less the most extreme eighth on either side, and its standard error by winsorised variance (Yuen 1974)."""
    ordered, n = np.sort(values), len(values)
    cut = n // TRIM
    core = ordered[cut : n - cut]
    winsorised = np.clip(ordered, core[0], core[-1])
    error = sqrt(float(winsorised.var(ddof=1)) * (n - 1) / (len(core) * (len(core) - 1)))
    return float(core.mean()), error


def degrees_of_freedom(rounds: int) -> int:
    """What the spread of so many rounds is credited with: those left by trimming less one, at most `FEWEST_ROUNDS`'.

    How many rounds there are may depend on their spread (after Stein 1945).
    """
    return min(rounds - 2 * (rounds // TRIM), FEWEST_ROUNDS) - 1


def _middle(values: Floats) -> float:
    cut = len(values) // TRIM_TURNS
    return float(np.sort(values)[cut : len(values) - cut].mean())


def _require_pairs(a: int, b: int, what: str, least: int) -> None:
    if a != b or a < least:
        raise ValueError(f"A and B need the same number of {what}, at least {least}: {a} and {b}")


def _shown(ratios: dict[str, Ratio], level: float) -> tuple[str, ...]:
    """Names of those that differ from 1 at `level` for all together: the smallest p-value faces the strictest test."""
    shown: list[str] = []
    for name in sorted(ratios, key=lambda name: ratios[name].p_value):
        if ratios[name].p_value >= level / (len(ratios) - len(shown)):
            break
        shown.append(name)
    return tuple(sorted(shown))


def _ratio(centre: float, error: float, n: int, degrees: int, confidence: float, level: float) -> Ratio:
    """From the mean log ratio of n rounds or pairs and its standard error; `level` is what `detectable` speaks of."""
    reach = float(special.stdtrit(degrees, (1 + confidence) / 2)) * error
    told_apart = float(special.stdtrit(degrees, 1 - level / 2) + special.stdtrit(degrees, POWER))
    p_value = float(2 * special.stdtr(degrees, -abs(centre) / error)) if error else float(centre == 0)
    detectable = exp(told_apart * error)
    return Ratio(exp(centre), exp(centre - reach), exp(centre + reach), p_value, detectable, n, confidence)
