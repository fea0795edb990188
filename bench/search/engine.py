"""Who does a search's work: processes of this machine, or the workers of a Dask cluster that is there already.

Work that only has to be done goes to all workers at once. What is timed goes to one with nothing beside it: here that
is this machine while no worker has anything to do, on a cluster the one worker that was started with the resource
"bench" and is of the target's kind.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any, Protocol, TypeVar

from mct import MctError
from mct.models.tables import load

_A = TypeVar("_A")
_B = TypeVar("_B")

PARENT_DIED = 1
"""PR_SET_PDEATHSIG of prctl.h."""
TRIES = 2
"""A worker may die of its neighbours' memory; one that dies again dies of what it does."""
SCHEME = "dask://"
BENCH = {"bench": 1}


class Engine(Protocol):
    """`workers` is how many things are done at once. What a function raises is raised when its result comes."""

    workers: int

    def each(self, function: Callable[[_A], _B], orders: Sequence[_A]) -> Iterator[tuple[int, _B | MctError]]: ...

    def alone(self, function: Callable[[_A], _B], order: _A) -> _B: ...


@dataclass
class Local:
    """Processes of this machine, each on its share of the threads; they end with this one, however it ends."""

    workers: int
    threads: int
    pool: Executor | None = field(default=None, init=False)

    def each(self, function: Callable[[_A], _B], orders: Sequence[_A]) -> Iterator[tuple[int, _B | MctError]]:
        """Each order's result as it comes, with its place; MctError as a value where the work was refused."""
        left, tries = list(range(len(orders))), dict.fromkeys(range(len(orders)), 0)
        while left:
            self.pool = self.pool or self._started()
            running = {self.pool.submit(function, orders[place]): place for place in left}
            left = []
            for place, result in _as_they_come(running):
                if not isinstance(result, BrokenProcessPool):
                    yield place, result
                    continue
                tries[place] += 1
                self.pool = None
                if tries[place] < TRIES:
                    left.append(place)
                else:
                    yield place, MctError("a worker process died at it", "it may need more memory than there is")

    def alone(self, function: Callable[[_A], _B], order: _A) -> _B:
        """The result, found in this process, while nobody else works."""
        return function(order)

    def close(self) -> None:
        """Leave nothing running."""
        if self.pool is not None:
            self.pool.shutdown(wait=False, cancel_futures=True)
            for process in getattr(self.pool, "_processes", None) or {}:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGTERM)
        self.pool = None

    def _started(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self.workers, get_context("spawn"), initializer=_begin, initargs=(self.threads, os.getpid())
        )


@dataclass
class Cluster:
    """The workers of a Dask cluster, which see the same folders. One has the resource `bench`, and times."""

    client: Any
    workers: int

    def each(self, function: Callable[[_A], _B], orders: Sequence[_A]) -> Iterator[tuple[int, _B | MctError]]:
        """As `Local.each`; a worker that is lost has its work done by another."""
        submit = self.client.submit
        futures = {submit(function, order, pure=False, retries=TRIES): place for place, order in enumerate(orders)}
        for future in load("dask.distributed:as_completed", "cluster")(futures):
            try:
                yield futures[future], future.result()
            except MctError as error:
                yield futures[future], error

    def alone(self, function: Callable[[_A], _B], order: _A) -> _B:
        """The result of the worker that is kept for timing."""
        future = self.client.submit(function, order, pure=False, resources=BENCH, retries=TRIES)
        found: _B = future.result()
        return found

    def close(self) -> None:
        """Leave the cluster as it was."""
        self.client.close()


@contextmanager
def open_engine(where: str, workers: int, threads: int) -> Iterator[Local | Cluster]:
    """The engine of `--engine`: "" for this machine. MctError where a cluster does not answer, or cannot time."""
    found: Local | Cluster = _cluster(where) if where else Local(workers, threads)
    try:
        yield found
    finally:
        found.close()


def _cluster(where: str) -> Cluster:
    if not where.startswith(SCHEME):
        raise MctError(f"--engine is {where!r}, and should be a cluster's address", "write dask://HOST:PORT")
    client_of = load("dask.distributed:Client", "cluster")
    try:
        client = client_of(f"tcp://{where.removeprefix(SCHEME)}", timeout="10s")
        workers = client.scheduler_info(n_workers=-1)["workers"]
    except (OSError, ValueError) as error:
        raise MctError(
            f"no Dask scheduler answers at {where}", "start one: dask scheduler, then dask worker"
        ) from error
    if not any(worker["resources"].get("bench") for worker in workers.values()):
        client.close()
        raise MctError(
            f"no worker of {where} is kept for timing", 'start one on the target: dask worker … --resources "bench=1"'
        )
    return Cluster(client, max(1, len(workers)))


def _as_they_come(running: dict[Future[_B], int]) -> Iterator[tuple[int, Any]]:
    waiting = set(running)
    while waiting:
        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            error = future.exception()
            if error is not None and not isinstance(error, MctError | BrokenProcessPool):
                raise error
            yield running[future], error or future.result()


def _begin(threads: int, parent: int) -> None:
    """A worker's first act: its share of the threads, and to end when the search does."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PARENT_DIED, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
