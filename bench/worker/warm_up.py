"""When is a process warm? When it has stopped getting faster, not after a fixed number of requests.

Requests are made in windows. Noise only ever adds time, so what is watched is the fastest window: once two windows in a
row are no faster (by more than 3 %) than the fastest before them, warm-up has ended. A process that still gets faster
at the time cap is measured anyway, and says so.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

GAIN = 0.03
QUIET_WINDOWS = 2
WINDOW_S = 0.04
LEAST_REQUESTS = 10
CAP_S = 4.0

TimeSome = Callable[[int], Sequence[int]]


@dataclass(frozen=True)
class WarmUp:
    """What it took. `typical_ns` is the median of the last window; `ended` is False when the cap came first."""

    requests: int
    seconds: float
    ended: bool
    typical_ns: float


def has_settled(medians: Sequence[float]) -> bool:
    """True when the last two windows brought no gain over the fastest window before them."""
    if len(medians) < QUIET_WINDOWS + 2:
        return False
    fastest = min(medians[:-QUIET_WINDOWS])
    return min(medians[-QUIET_WINDOWS:]) >= fastest * (1 - GAIN)


def warm_up(time_some: TimeSome, cap_s: float = CAP_S) -> WarmUp:
    """Make requests until settled or capped. `time_some(count)` makes `count` requests and gives their nanoseconds."""
    medians: list[float] = []
    requests, spent_ns = 0, 0
    count = LEAST_REQUESTS
    while not has_settled(medians) and spent_ns < cap_s * 1e9:
        window = time_some(count)
        medians.append(median(window))
        requests += len(window)
        spent_ns += sum(window)
        count = max(LEAST_REQUESTS, int(WINDOW_S * 1e9 / max(medians[-1], 1)))
    return WarmUp(requests, spent_ns / 1e9, has_settled(medians), medians[-1])
