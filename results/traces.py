"""Latencies of one artifact in many processes started afresh, recorded for results/coverage.py to resample.

`python results/traces.py ARTIFACT DATA NAME` starts `--processes` of them one after the other, warms each up as
`mct bench` does, times `--requests` requests of DATA in each and adds them to traces.npz as `NAME`: a row a process, in
units of 100 nanoseconds. `--list` prints what is recorded. What the machine did beside it belongs into NAME.
"""

import argparse
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mct.bench.measure.launch import start_worker
from mct.bench.measure.sampling import plan_bench
from mct.bench.samples.subject import identify
from mct.bench.transport.site import Setting
from mct.bench.worker.facts import facts_here
from mct.models.tasks.datasets import read_dataset, read_examples
from mct.models.tasks.table import find_task

TRACES = Path(__file__).parent / "traces.npz"
UNIT_NS = 100
CAP_S = 60.0


def read_traces() -> dict[str, NDArray[np.float64]]:
    """Milliseconds by name, a row a process."""
    with np.load(TRACES, allow_pickle=False) as stored:
        return {name: stored[name].astype(np.float64) * UNIT_NS / 1e6 for name in stored.files}


def record(artifact: Path, data: Path, processes: int, requests: int) -> NDArray[np.uint32]:
    """Time them; every process sees the texts in an order of its own, as in `mct bench`."""
    subject = identify(artifact)
    examples = read_examples(read_dataset(data, find_task(subject.task), {}), subject.task, subject.heads)
    plan = plan_bench(facts_here())
    rows = []
    for number in range(processes):
        setting = Setting(examples, plan.threads, plan.affinity, seed=number)
        with closing(start_worker(subject, setting, number)) as runner:
            block = runner.run(requests, CAP_S, number)
        rows.append(np.asarray(block.end_to_end_ns, dtype=np.int64) // UNIT_NS)
        print(f"\rprocess {number + 1} of {processes}", end="", flush=True)
    print()
    shortest = min(map(len, rows))
    return np.array([row[:shortest] for row in rows], dtype=np.uint32)


def main() -> None:
    """Record, or list."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("artifact", type=Path, nargs="?")
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("name", nargs="?")
    parser.add_argument("--processes", type=int, default=60)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--list", action="store_true")
    wanted = parser.parse_args()
    if not wanted.list:
        found = record(wanted.artifact, wanted.data, wanted.processes, wanted.requests)
        stored = dict(np.load(TRACES, allow_pickle=False)) if TRACES.is_file() else {}
        np.savez_compressed(TRACES, **(stored | {wanted.name: found}))
    for name, trace in read_traces().items():
        p50, p95 = np.quantile(trace, [0.5, 0.95], axis=1)
        spread = ", ".join(f"P{p} {q.std(ddof=1) / q.mean():.1%}" for p, q in ((50, p50), (95, p95)))
        print(f"{name}: {trace.shape[0]} processes x {trace.shape[1]} requests; between processes {spread}")


if __name__ == "__main__":
    main()
