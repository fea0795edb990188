"""How fast untaught shapes are: what a network costs does not depend on what it has learned.

So what cannot meet the budget is never taught. All are timed in one run, in turns, by the same bench as any artifact,
in few processes: what is wanted is an order, and the verdict comes later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mct.bench.jobs.job import Job, run_job
from mct.bench.store.reading import read_run
from mct.targets.budget import Budget
from mct.targets.target import Target

SECONDS_EACH, LEAST_EACH, LEAST_SECONDS = 6.0, 3.0, 6.0
ROUNDS = 2
TEXTS = 120


@dataclass(frozen=True)
class Timed:
    """Milliseconds from text to answer; P95 of all requests, and of the quickest and the slowest process; megabytes."""

    p50_ms: float
    p95_ms: float
    low_ms: float
    high_ms: float
    size_mb: float

    def as_json(self) -> dict[str, float]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Race:
    """What is to be timed: folders, on the texts of a file, for a target, in `most` seconds if that is possible at all.

    What is kept goes below `results`.
    """

    paths: tuple[Path, ...]
    texts: Path
    target: Target
    results: Path
    seed: int
    most: float


def time_all(race: Race) -> dict[str, Timed]:
    """The times of each folder by its path; what could not be measured, or too little, is left out."""
    job = Job(
        paths=race.paths, data=race.texts, target=race.target, results=race.results, seed=race.seed, rounds=ROUNDS,
        max_seconds=max(LEAST_SECONDS, LEAST_EACH * len(race.paths), min(race.most, SECONDS_EACH * len(race.paths))),
    )  # fmt: skip
    result = run_job(job)
    processes = read_run(race.results / f"{result['id']}.json").latencies_ms
    entries = [entry for entry in result["artifacts"] if processes.get(entry["artifact"])]
    return {entry["path"]: _timed(processes[entry["artifact"]], entry["size_mb"]) for entry in entries}


def _timed(processes: Sequence[Any], size_mb: float) -> Timed:
    together = np.concatenate(processes)
    tails = [float(np.percentile(each, 95)) for each in processes]
    p50, p95 = (float(np.percentile(together, share)) for share in (50, 95))
    return Timed(p50, p95, min(tails), max(tails), size_mb)


def too_costly(timed: Timed, budget: Budget) -> str:
    """Which limit of the budget a shape misses whatever it may learn; "" where it misses none."""
    if budget.p95_ms is not None and timed.low_ms > budget.p95_ms:
        return f"P95 {timed.p95_ms:.3g} ms, and the budget is {budget.p95_ms:g} ms"
    if budget.size_mb is not None and timed.size_mb > budget.size_mb:
        return f"{timed.size_mb:.3g} MB, and the budget is {budget.size_mb:g} MB"
    return ""
