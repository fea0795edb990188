"""Does the bracket of `mct bench --find-max-load` hold, and how narrow is it?

Run from the repository root: `python results/max_load.py`, five minutes. Writes max_load.json and max_load.md beside
this file. Whole searches, as users run them, on servers that answer on paper: requests are served one after the other
in a loop that stands here, with services drawn here, and the truth is the rate at which a far longer run of the same
loop just meets the limit. Nothing of it is shared with what estimates the rate.

`python results/max_load.py real` searches five times on this machine, three minutes each, and adds what was found.
"""

import json
import random
import sys
import tempfile
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from math import exp, log
from pathlib import Path
from statistics import NormalDist, fmean
from typing import Any

from mct.bench.jobs.job import Job
from mct.bench.jobs.load import Loaded
from mct.bench.jobs.max_load import MAX_SECONDS, find_max_load, search_subject
from mct.bench.judge.max_load import MaxLoad
from mct.bench.measure.sampling import BenchPlan
from mct.bench.samples.measurement import Block, Start
from mct.bench.samples.subject import Subject
from mct.bench.store.store import LoadRecording
from mct.bench.transport.site import Setting
from mct.bench.worker.open_loop import Segment, Traffic
from mct.models.progress import shown, silent
from mct.models.writing.folders import write_atomically, write_json
from mct.targets.machine import probe_machine
from mct.targets.runtimes.table import Executable
from mct.targets.target import find_target

HERE = Path(__file__).resolve().parent
SEARCHES = 30
MEAN_MS = 6.0
START_S = 2.0
TRUTH_REQUESTS = 200_000
PACES = 7
"""Quantiles of the paces of processes over which the typical rate is worked out."""

Services = Callable[[random.Random], Iterator[float]]


def exponential(rng: random.Random) -> Iterator[float]:
    """As wild as services get."""
    while True:
        yield rng.expovariate(1 / MEAN_MS)


def lognormal(rng: random.Random) -> Iterator[float]:
    """As texts of mixed lengths make them."""
    while True:
        yield MEAN_MS * rng.lognormvariate(-0.045, 0.3)


def tailed(rng: random.Random) -> Iterator[float]:
    """One request in fifty takes eight times as long."""
    while True:
        yield MEAN_MS / 1.14 * (8 if rng.random() < 0.02 else 1) * rng.lognormvariate(0, 0.1)


def bursts(rng: random.Random) -> Iterator[float]:
    """A neighbour now and then: a tenth of the requests, forty in a row on average, take twice as long."""
    disturbed = False
    while True:
        disturbed = rng.random() < (1 - 1 / 40 if disturbed else 1 / 360)
        yield MEAN_MS / 1.1 * (2 if disturbed else 1) * rng.lognormvariate(0, 0.1)


KINDS: dict[str, Services] = {"exponential": exponential, "log-normal": lognormal, "tail": tailed, "bursts": bursts}
CELLS = [(kind, busy, spread) for kind in KINDS for busy in (0.6, 0.85) for spread in (0.0, 0.1)]


def latencies(gaps: Sequence[float], services: Sequence[float]) -> list[float]:
    """One server, in order of arrival: who comes while another is served waits for it."""
    wait, found = 0.0, []
    for gap, service in zip(gaps, services, strict=True):
        wait = max(0.0, wait - gap) + service
        found.append(wait)
    return found


def p95(values: Sequence[float]) -> float:
    """The plain percentile."""
    return sorted(values)[int(0.95 * len(values))]


@dataclass(frozen=True)
class Truth:
    """A long run of one kind of service: which rate meets which limit."""

    gaps: tuple[float, ...]
    services: tuple[float, ...]

    def p95_at(self, rate: float) -> float:
        """P95 in ms at `rate` requests a millisecond."""
        return p95(latencies([gap / rate for gap in self.gaps], self.services)[1000:])

    def rate_at(self, limit: float) -> float:
        """The rate whose P95 is `limit`, to a thousandth."""
        low, high = 0.02 / MEAN_MS, 0.995 / MEAN_MS
        while high - low > 0.001 * low:
            middle = (low + high) / 2
            low, high = (middle, high) if self.p95_at(middle) < limit else (low, middle)
        return low


def long_run(kind: str) -> Truth:
    """The run that decides what is true."""
    rng = random.Random(f"truth {kind}")
    gaps = tuple(rng.expovariate(1) for _ in range(TRUTH_REQUESTS))
    return Truth(gaps, tuple(islice(KINDS[kind](rng), TRUTH_REQUESTS)))


def typical_qps(truth: Truth, limit: float, spread: float) -> float:
    """The geometric mean over processes whose paces are log-normal: one of pace c meets rate(limit / c) / c."""
    if spread == 0:
        return 1e3 * truth.rate_at(limit)
    quantiles = [NormalDist().inv_cdf((place + 0.5) / PACES) for place in range(PACES)]
    paces = [exp(spread * each) for each in quantiles]
    return 1e3 * exp(fmean(log(truth.rate_at(limit / pace) / pace) for pace in paces))


@dataclass
class Server:
    """A process on paper: its own pace, its own draws, and a clock that only serving moves."""

    services: Iterator[float]
    rng: random.Random
    round: int
    pace: float
    now_s: list[float]
    start: Start = field(default=Start(0, 0.0, 1e3 * START_S, 1.0, 0.0, 1.0, 1.0, 40, 0.4, True, MEAN_MS, ()))

    def run(self, count: int, cap_s: float, position: int) -> Block:
        """A closed loop."""
        times = [round(1e6 * self.pace * each) for each in islice(self.services, count)]
        wall_s = sum(times) / 1e9
        self.now_s[0] += wall_s
        arrays = array("q", times), array("q", times)
        return Block(self.round, position, *arrays, wall_s, wall_s, 0, 0.0, 0.0, 0, 0)

    def serve(self, traffic: Traffic, position: int) -> Segment:
        """Poisson arrivals."""
        gaps = [self.rng.expovariate(traffic.qps / 1e3) for _ in range(traffic.count)]
        takes = [self.pace * each for each in islice(self.services, traffic.count)]
        due, arrivals = 0.0, []
        for gap in gaps:
            due += gap
            arrivals.append(due)
        ended = [arrival + took for arrival, took in zip(arrivals, latencies(gaps, takes), strict=True)]
        started = [end - took for end, took in zip(ended, takes, strict=True)]
        self.now_s[0] += ended[-1] / 1e3
        times = (array("q", [round(1e6 * each) for each in part]) for part in (arrivals, started, ended))
        return Segment(self.round, position, traffic.qps, traffic.count, *times, 0.0, 0.0, 0.0)

    def close(self) -> None:
        """Nothing to end."""


SUBJECT = Subject(
    "on paper", Path(), "onnx", "fp32", "onnxruntime", "sequence-classification", (),
    Executable(Path(), "", "sequence-classification", 0, 32), (), 0.0, "0" * 64,
)  # fmt: skip


def search(kind: str, limit_ms: float, spread: float, seed: int) -> MaxLoad:
    """One whole search of three minutes on paper."""
    now_s = [0.0]

    def launch(subject: Subject, setting: Setting, number: int) -> Server:
        rng = random.Random(f"{kind} {seed} {number}")
        now_s[0] += START_S
        return Server(KINDS[kind](rng), rng, number, rng.lognormvariate(0, spread), now_s)

    with tempfile.TemporaryDirectory() as folder:
        recording = LoadRecording(Path(folder), {"id": "paper", "samples": "paper.samples.jsonl.gz"})
        ready = Loaded((SUBJECT,), Setting((), 1, (), 0), BenchPlan(threads=1), MAX_SECONDS, recording)
        return search_subject(ready, SUBJECT, limit_ms, silent, launch, lambda: now_s[0])


def cell(kind: str, busy: float, spread: float) -> dict[str, Any]:
    """How often the bracket holds, and how far it reaches to its farther side."""
    truth = long_run(kind)
    limit_ms = truth.p95_at(busy / MEAN_MS)
    qps = typical_qps(truth, limit_ms, spread)
    found = [search(kind, limit_ms, spread, seed) for seed in range(SEARCHES)]
    told = [each for each in found if each.qps is not None and each.misses_qps is not None]
    reach = sorted(max(1 - each.meets_qps / each.qps, each.misses_qps / each.qps - 1) for each in told)
    return {
        "services": kind, "utilisation": busy, "spread": spread, "limit_ms": round(limit_ms, 2), "qps": round(qps, 2),
        "searches": SEARCHES, "no_answer": SEARCHES - len(told),
        "holds": sum(each.meets_qps <= qps <= each.misses_qps for each in told),
        "off_by": round(fmean(each.qps / qps - 1 for each in told), 4),
        "reach_p50": round(reach[len(reach) // 2], 4), "reach_p90": round(reach[int(0.9 * len(reach))], 4),
    }  # fmt: skip


def simulated() -> list[dict[str, Any]]:
    """All cells."""
    found = []
    for kind, busy, spread in CELLS:
        found.append(cell(kind, busy, spread))
        print(found[-1], file=sys.stderr)
    return found


def real() -> list[dict[str, Any]]:
    """Five searches on this machine."""
    from open_loop import DATA, LIMIT_MS, artifact

    found = []
    with tempfile.TemporaryDirectory() as store, shown() as report:
        job = Job((artifact(report),), DATA / "test.jsonl", find_target("cpu"), results=Path(store))
        for seed in range(5):
            found.append(find_max_load(replace(job, seed=seed), LIMIT_MS, report).results[0].as_json())
    return found


def main() -> None:
    """Simulate, or search for real beside what was simulated before; write both."""
    path = HERE / "max_load.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if sys.argv[1:] == ["real"]:
        found |= {"cpu": probe_machine().cpu, "real": real()}
    else:
        found |= {"simulated": simulated()}
    write_json(path, found)
    write_atomically(HERE / "max_load.md", markdown(found))


def markdown(found: Mapping[str, Any]) -> str:
    """Both tables."""
    lines = [
        "# The highest load: does the bracket hold?",
        "",
        f"Whole searches of {MAX_SECONDS:g} s on servers that answer on paper, mean service {MEAN_MS:g} ms, {SEARCHES}"
        " in each row. The truth is that of a far longer run of the same loop; what estimates it shares no code and no"
        " model with it. *Utilisation*: of the typical process at the true rate. *Spread*: standard deviation of the"
        " logarithm of the processes' paces. *Reach*: from the rate found to the farther end of its bracket. Made by"
        " `results/max_load.py`.",
        "",
        "| services | utilisation | spread | limit ms | true rate /s | bracket holds | off by | reach | 9 of 10 |",
        "|--|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for each in found.get("simulated", ()):
        told = each["searches"] - each["no_answer"]
        lines.append(
            f"| {each['services']} | {each['utilisation']:.0%} | {each['spread']:.0%} | {each['limit_ms']:.1f}"
            f" | {each['qps']:.1f} | {each['holds']} of {told} | {each['off_by']:+.1%} | {each['reach_p50']:.0%}"
            f" | {each['reach_p90']:.0%} |"
        )
    if "real" in found:
        lines += ["", f"## Five searches on one machine ({found['cpu']})", "", "| highest load /s | bracket | reach |"]
        lines += ["|--:|--:|--:|", *map(_real_row, found["real"])]
    return "\n".join(lines) + "\n"


def _real_row(found: Mapping[str, Any]) -> str:
    qps, low, high = found["qps"], found["meets_qps"], found["misses_qps"]
    if qps is None or high is None:
        return f"| - | {'; '.join(found['reasons'])} | - |"
    return f"| {qps:.1f} | {low:.1f} to {high:.1f} | {max(1 - low / qps, high / qps - 1):.0%} |"


if __name__ == "__main__":
    main()
