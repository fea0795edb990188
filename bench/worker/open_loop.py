"""Open-loop traffic inside the worker: requests come when a Poisson process says so, whether or not the last is done.

One server, in order of arrival, as on an edge box. A request that arrives while another is served waits, and its wait
is counted: latency runs from the scheduled arrival (no coordinated omission). Between arrivals the server sleeps, as a
real one would, and spins for the last moment only, because a sleep ends late.

Standard library alone: this runs in the worker, where every import is part of the measure.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter_ns, sleep
from typing import Any, NamedTuple

SPIN_NS = 150_000
"""The last part of a wait is spun: Linux ends a sleep up to 50 µs late by design, and waking takes its time."""

ARRAYS = ("scheduled_ns", "started_ns", "ended_ns")


@dataclass(frozen=True)
class Traffic:
    """What to send: `count` requests at `qps` a second, arrivals drawn from `seed`, cut off after `cap_s` seconds."""

    qps: float
    count: int
    seed: int
    cap_s: float


class Times(NamedTuple):
    """Nanoseconds since the segment began, per request in order of arrival."""

    scheduled_ns: array[int]
    started_ns: array[int]
    ended_ns: array[int]


@dataclass(frozen=True)
class Segment:
    """One segment of traffic in one process: when each request was due, begun and done, and what disturbed it.

    `asked` requests were scheduled; fewer were served where the time cap cut the segment off.
    """

    round: int
    position: int
    qps: float
    asked: int
    scheduled_ns: array[int]
    started_ns: array[int]
    ended_ns: array[int]
    cpu_s: float
    stolen_s: float
    waited_s: float | None


def poisson_arrivals(rate: float, count: int, seed: int) -> list[float]:
    """Arrival times of a Poisson process of this rate, given that it brings `count` arrivals in `count` / rate.

    Seeded exponential gaps, scaled to that span: the offered rate is then exactly the one asked for, where free gaps
    would miss it by 1 / sqrt(count) and move the queue with it.
    """
    rng = random.Random(seed)
    gaps = [rng.expovariate(1.0) for _ in range(count + 1)]
    scale = count / rate / sum(gaps)
    now, found = 0.0, []
    for gap in gaps[:-1]:
        now += gap * scale
        found.append(now)
    return found


def serve_traffic(
    answer: Callable[[Any], object], requests: Sequence[Any], arrivals_s: Sequence[float], cap_s: float
) -> Times:
    """Answer request i no earlier than `arrivals_s[i]`, one after the other; stop early once `cap_s` have passed."""
    clock = perf_counter_ns
    scheduled = array("q", [round(arrival * 1e9) for arrival in arrivals_s])
    started, ended = array("q", bytes(8 * len(requests))), array("q", bytes(8 * len(requests)))
    index, cap_ns = 0, int(cap_s * 1e9)
    origin = clock()
    for index, request in enumerate(requests):
        _wait_until(origin + scheduled[index])
        began = clock()
        answer(request)
        done = clock()
        started[index], ended[index] = began - origin, done - origin
        if done - origin > cap_ns:
            break
    return Times(scheduled[: index + 1], started[: index + 1], ended[: index + 1])


def segment_from(reply: Mapping[str, Any]) -> Segment:
    """The segment that a worker's reply (or a stored record) tells of."""
    fields: dict[str, Any] = {key: array("q", value) if key in ARRAYS else value for key, value in reply.items()}
    return Segment(**fields)


def segment_record(segment: Segment) -> dict[str, Any]:
    """The same as JSON-able values."""
    fields = {name: getattr(segment, name) for name in segment.__dataclass_fields__}
    return {key: value.tolist() if key in ARRAYS else value for key, value in fields.items()}


def _wait_until(moment_ns: int) -> None:
    left = moment_ns - perf_counter_ns()
    if left > SPIN_NS:
        sleep((left - SPIN_NS) / 1e9)
    while perf_counter_ns() < moment_ns:
        pass
