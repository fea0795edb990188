"""An engine with a model in it, loaded and warm: what the worker obeys commands with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from mct.bench.web.engine import Engine
from mct.bench.web.packages import installed
from mct.bench.web.processes import count, peak_rss_mb, worked_ticks
from mct.bench.worker.counters import read_mb
from mct.bench.worker.predict import Predictor, open_predictor
from mct.bench.worker.warm_up import CAP_S, WarmUp, requests_a_lap, warm_up
from mct.bench.worker.worker import Reply, in_batches, of_length, shuffled_forever, spread
from mct.models.tables import load
from mct.models.tasks.examples import Kind, Request, find_kind
from mct.models.tasks.table import Head
from mct.targets.machine import cgroup_folders
from mct.targets.runtimes.table import Executable, installed_version, runtime_for

if TYPE_CHECKING:
    from mct.models.tasks.tokens import Tokenize


@dataclass(frozen=True)
class Bench:
    """A loaded, warm engine and the endless seeded order in which the requests are made, by their places.

    `holder` is the process that holds the model. `tokenize` and `kind` encode as Python runtimes do, and `native` is
    such a runtime: what JavaScript makes of a request is held against theirs.
    """

    engine: Engine
    pause: Sequence[float]
    requests: Sequence[Request]
    scored: Sequence[Request]
    order: Iterator[int]
    watched: Sequence[str]
    kind: Kind
    tokenize: Tokenize
    groups: Sequence[Path]
    holder: int = 0
    native: Predictor | None = None

    def next_rows(self, count: int) -> list[int]:
        """The next `count` places of the order."""
        return list(islice(self.order, count))

    def time(self, rows: Sequence[int], cap_s: float, pause: Sequence[float] = (0.0, False)) -> Reply:
        """What the engine timed of the requests in these places; see `timeRequests` of engine.mjs."""
        return self.engine.ask("time", rows=list(rows), cap_ms=cap_s * 1e3, pause=list(pause))


def executable_of(job: Mapping[str, Any]) -> Executable:
    """The artifact as the job has it."""
    return Executable(**{**job["executable"], "folder": Path(job["executable"]["folder"])})


def get_ready(job: Mapping[str, Any], engine: Engine) -> tuple[Bench, Reply]:
    """Import, load, make the first call and warm up, each timed by the engine itself; no warm-up if it is not timed."""
    engine.ask("ready")
    disk_mb = _read_mb(engine)
    candidates = {process: (peak_rss_mb(process), worked_ticks(process)) for process in engine.holders()}
    imported = engine.ask("import")["import_ms"]
    bench, opened = _open(job, engine)
    # A browser has several processes for pages. The one that opened a model worked for it.
    holder = max(candidates, key=lambda process: worked_ticks(process) - candidates[process][1])
    bench = replace(bench, holder=holder)
    if not job["timed"]:
        return replace(bench, native=_open_native(job)), {}
    read_now_mb = _read_mb(engine)
    first = engine.ask("first", row=0)
    bench.time(_one_of_each_length(bench), CAP_S)
    warmed = _warm_up(bench)
    return bench, {
        "import_ms": imported,
        "load_ms": imported + sum(opened["stages_ms"].values()),  # from nothing to ready, the import included
        "first_call_ms": first["first_call_ms"],
        "stages_ms": opened["stages_ms"],
        "downloads": job["web"]["downloads"],
        "read_mb": read_now_mb - disk_mb,
        "peak_rss_mb": peak_rss_mb(holder),
        "bare_rss_mb": candidates[holder][0],
        "libraries": sorted(installed()),
        "warm_up_requests": warmed.requests,
        "warm_up_s": warmed.seconds,
        "warm_up_ended": warmed.ended,
        "typical_ms": warmed.typical_ns / 1e6,
    }


def _open(job: Mapping[str, Any], engine: Engine) -> tuple[Bench, Reply]:
    executable, requests = executable_of(job), job["requests"]
    if job["length"]:
        executable, requests = of_length(executable, requests, job["length"], job["new_tokens"])
    if job["batch"] > 1:
        requests = in_batches(requests, job["batch"], job["seed"])
    tokenize = load("mct.models.tasks.tokens:open_tokenizer")(executable.vocabulary, executable.max_tokens)
    settings, scored = executable.settings, requests if job["scored"] is None else job["scored"]
    opened = engine.ask(
        "open",
        task=executable.task,
        requests=requests,
        scored=scored,
        batched=job["batch"] > 1,
        heads=job["heads"],
        watched=list(job["watched"]),
        max_tokens=executable.max_tokens,
        special=tokenize.special,
        pad_id=int(settings.get("pad_id", 0)),
        threads=min(job["threads"], int(settings.get("threads") or job["threads"])),
        provider=job["web"]["provider"],
    )
    bench = Bench(
        engine=engine,
        pause=job["pause"],
        requests=requests,
        scored=scored,
        order=shuffled_forever(len(requests), job["seed"]),
        watched=tuple(job["watched"]),
        kind=find_kind(executable.task),
        tokenize=tokenize,
        groups=cgroup_folders(),
    )
    return bench, opened


def _open_native(job: Mapping[str, Any]) -> Predictor | None:
    """The same artifact by this machine's own runtime; None where that is not installed."""
    runtime = runtime_for(job["format"])
    if installed_version(runtime) is None:
        return None
    heads = tuple(Head(head["name"], head["kind"], tuple(head["labels"])) for head in job["heads"])
    return open_predictor(runtime, executable_of(job), heads, threads=1).scored


def _warm_up(bench: Bench) -> WarmUp:
    """Warm up on the same few requests over and over, which take nothing from the order."""
    typical_ns = median(bench.time(spread(bench.requests, 3), CAP_S)["end_to_end_ns"])
    lap = spread(bench.requests, requests_a_lap(typical_ns))
    return warm_up(lambda: bench.time(lap, CAP_S)["end_to_end_ns"])


def _one_of_each_length(bench: Bench) -> list[int]:
    """A request of every number of tokens: what is done per length is done before anything is timed."""
    lengths = bench.engine.ask("lengths", of="requests", first=0, last=len(bench.requests))["tokens"]
    return list({length: row for row, length in enumerate(lengths)}.values())


def _read_mb(engine: Engine) -> float:
    """From disk, by the engine and by this process, which serves a page its files."""
    return count(engine.processes()).read_mb + (read_mb() or 0.0)
