"""When is a process warm? When it is shown to have stopped getting faster, not after a fixed number of requests.

Every lap makes the same few requests, so that laps differ by the process's state and not by the length of texts. A lap
counts by the middle of its requests, each against its own usual time: a disturbance that hits some of them moves
nothing. The first third of all laps is left out; then the first block is held against the last. Warm-up has ended when
no more than `MOST_GAIN` can have been gained between them, which noise makes harder to show and not easier, and when a
sign test of all pairs of laps sees no trend (Mann & Kendall). Laps are looked at seldom, each time with a quarter more
of them, so that the luckiest of many looks does not decide.

A process that is not shown to be warm at the time cap is measured anyway, and says so. What takes far longer than the
cap to get warm is not seen from here.

Standard library alone: this runs in the worker, where every import is part of the measure.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log, sqrt
from statistics import median

MOST_GAIN = 0.04
"""Share of the time of a request that may at most have been gained since the first third of warm-up."""
NEGLIGIBLE = 0.015
"""A gain shown to be smaller than this is no reason to go on, even where it is beyond doubt that there is one."""
SURE = 1.645
"""One-sided, 95 %."""
FEWEST_LAPS = 12
LEAST_S = 0.4
LOOK_AGAIN = 1.25
LAP_S = 0.03
FEWEST_REQUESTS, MOST_REQUESTS = 2, 32
CAP_S = 4.0
MAD_TO_SIGMA = 1.4826
MEDIAN_TO_MEAN = 1.2533
"""How much wider than a mean's a median's standard error is, for Gaussian values."""

Lap = Sequence[int]
MakeLap = Callable[[], Lap]


@dataclass(frozen=True)
class WarmUp:
    """What it took. `typical_ns` is the median request of its latest two thirds; `ended` is False at the cap."""

    requests: int
    seconds: float
    ended: bool
    typical_ns: float


def requests_a_lap(first_ns: float) -> int:
    """How many requests make up a lap, where one takes about this long."""
    return min(MOST_REQUESTS, max(FEWEST_REQUESTS, round(LAP_S * 1e9 / max(first_ns, 1.0))))


def warm_up(make_lap: MakeLap, cap_s: float = CAP_S) -> WarmUp:
    """Make laps until warm or capped. `make_lap()` makes the same requests every time and gives their nanoseconds."""
    laps: list[Lap] = []
    spent_ns, look, ended = 0, FEWEST_LAPS, False
    while not ended and spent_ns < cap_s * 1e9:
        laps.append(make_lap())
        spent_ns += sum(laps[-1])
        if len(laps) >= look and spent_ns >= LEAST_S * 1e9:
            ended = is_warm(laps)
            look = int(len(laps) * LOOK_AGAIN)
    latest = [time for lap in _latest(laps) for time in lap]
    return WarmUp(sum(map(len, laps)), spent_ns / 1e9, ended, median(latest))


def is_warm(laps: Sequence[Lap]) -> bool:
    """True when the latest two thirds of these laps are shown to have gained next to nothing, and show no trend."""
    paces = _paces(_latest(laps))
    block = len(paces) // 3
    gain, error = _gain(paces[:block], paces[-block:])
    most = gain + SURE * error
    return most <= log(1 + NEGLIGIBLE) or (most <= log(1 + MOST_GAIN) and not _falls(paces))


def _latest(laps: Sequence[Lap]) -> Sequence[Lap]:
    return laps[len(laps) // 3 :]


def _paces(laps: Sequence[Lap]) -> list[float]:
    """Each lap's time on the log scale: the middle of its requests, each against its own median over these laps."""
    usual = [max(median(times), 1) for times in zip(*laps, strict=True)]
    return [median(log(max(time, 1) / own) for time, own in zip(lap, usual, strict=True)) for lap in laps]


def _gain(first: Sequence[float], last: Sequence[float]) -> tuple[float, float]:
    """How much lower the last block's median is than the first's, and the standard error of that."""
    apart = [abs(value - median(block)) for block in (first, last) for value in block]
    sigma = MAD_TO_SIGMA * median(apart)
    return median(first) - median(last), MEDIAN_TO_MEAN * sigma * sqrt(1 / len(first) + 1 / len(last))


def _falls(paces: Sequence[float]) -> bool:
    """True where later laps are faster than earlier ones more often than chance has it (Mann-Kendall, one-sided)."""
    size = len(paces)
    score = sum((later > earlier) - (later < earlier) for at, earlier in enumerate(paces) for later in paces[at + 1 :])
    return score < -SURE * sqrt(size * (size - 1) * (2 * size + 5) / 18)
