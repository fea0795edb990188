"""Several clients of one loaded model, each asking again as soon as it is answered (a closed loop).

They are threads of the process that holds the model, as a server's are, and share the hardware of the target. Where a
runtime's session answers one call at a time, a client waits for its turn, and its wait is a part of its latency.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from threading import Lock
from typing import Any

from mct.bench.worker.predict import Predictor, Timings, time_requests
from mct.models.tasks.examples import Request


@dataclass(frozen=True)
class _Turns(Sequence[Request]):
    """What one client asks: a request of its own, then whichever of the shared ones is next. `most` they can be."""

    own: Request
    shared: Iterator[Request]
    most: int

    def __len__(self) -> int:
        return self.most

    def __iter__(self) -> Iterator[Request]:
        return chain([self.own], self.shared)

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError("requests that are shared come in their order")


def time_clients(predictor: Predictor, requests: Sequence[Request], clients: int, cap_ns: int) -> Timings:
    """Make the requests, so many at a time, and time each; stop early once `cap_ns` have passed.

    The times are those of one client after the other, each in the order of its requests.
    """
    if len(requests) <= clients:
        raise ValueError(f"{clients} clients and only {len(requests)} requests")
    shared, most = iter(requests[clients:]), len(requests) - clients + 1
    asked = [_Turns(request, shared, most) for request in requests[:clients]]
    with ThreadPoolExecutor(clients) as pool:
        found = list(pool.map(lambda turns: time_requests(predictor, turns, cap_ns), asked))
    together = found[0]
    for each in found[1:]:
        together = Timings(*(before + after for before, after in zip(together, each, strict=True)))
    return together


def one_call_at_a_time(predictor: Predictor) -> Predictor:
    """The same for several threads, where the runtime's session is none for two at once."""
    turn = Lock()

    def infer(inputs: list[Any]) -> Any:
        with turn:
            return predictor.infer(inputs)

    return replace(predictor, infer=infer)
