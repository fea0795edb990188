"""That a search comes to the same whatever happens to it: killed, with one worker or two, on a cluster that loses one.

Run from the repository root: `python results/auto_again.py`. Each search is on the shop's router at its tiny size, in
a folder of its own below `.cache/auto-again`, where another budget is impossible and a third one absurd. Writes
auto_again.json and auto_again.md beside this file.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from forms import MCT, ROOT, line

from mct.models.data.declared import read_object
from mct.models.writing.folders import write_atomically, write_json
from mct.targets.machine import probe_machine

HERE = Path(__file__).resolve().parent
WORK = ROOT / ".cache" / "auto-again"
BUDGETS = """
[usual]
task = "sequence-classification"
p95_ms = 15.0
quality_max_drop = 0.02

[impossible]
task = "sequence-classification"
p95_ms = 0.001

[absurd]
task = "sequence-classification"
p95_ms = 1000.0
quality_max_drop = 0.10
"""
TARGETS = """
[box]
device = "cpu"
about = "a box with one runtime"
runtimes = ["onnxruntime"]
"""
KILLS = 3
COLUMNS = ("search", "seconds", "exit code", "winner", "as fast", "what is said")
EXPLAINED = """\
Written by `python results/auto_again.py` on {cpu}. *As fast*: finalists that the verdict does not show to be slower
than the winner; which of them wins is chance. Killed: SIGKILL at {kills} random moments, each time the same command
again; "repeated" counts candidates whose artifact was written a second time.
"""


def main() -> int:
    """Search in every way, and write down what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--time", default="4m", help="for each search")
    told = parser.parse_args()
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    (WORK / "budgets.toml").write_text(BUDGETS)
    (WORK / "targets.toml").write_text(TARGETS)
    subprocess.run([*MCT, "models", "build", "intent-router", "--size", "tiny", "-o", WORK / "router"], check=True)
    ways: dict[str, Callable[[], dict[str, Any]]] = {
        "two workers": lambda: run("two", told.time, "--workers", "2"),
        "one worker": lambda: run("one", told.time, "--workers", "1"),
        f"killed {KILLS} times": lambda: killed("killed", told.time),
        "a cluster, a worker of which is killed": lambda: clustered("cluster", told.time),
        "an impossible budget (0.001 ms)": lambda: run("impossible", told.time, budget="impossible"),
        "an absurd budget (1 s, 10 points)": lambda: run("absurd", told.time, budget="absurd"),
    }
    found = {}
    for name, search in ways.items():
        print(name, file=sys.stderr, flush=True)
        found[name] = search()
        write_found(found)
    return 0


def command(out: str, allowed: str, *more: str, budget: str = "usual") -> list[str]:
    """The search as it is typed."""
    files = ["--budgets", WORK / "budgets.toml", "--target", "box", "--targets", WORK / "targets.toml"]
    asked = [*MCT, "compress", WORK / "router", "-o", WORK / out, "--auto", "--budget", budget, *files]
    return list(map(str, [*asked, "--time", allowed, *more]))


def run(out: str, allowed: str, *more: str, budget: str = "usual") -> dict[str, Any]:
    """One search to its end."""
    began = time.monotonic()
    done = subprocess.run(command(out, allowed, *more, budget=budget), cwd=ROOT, check=False, capture_output=True)
    return _kept(out, time.monotonic() - began, done.returncode)


def killed(out: str, allowed: str) -> dict[str, Any]:
    """One that is killed at random moments, and goes on each time."""
    drawn, began, written = random.Random(0), time.monotonic(), dict[str, int]()
    repeated = 0
    for _ in range(KILLS):
        process = subprocess.Popen(
            command(out, allowed), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        with suppress(subprocess.TimeoutExpired):
            process.wait(drawn.uniform(10, 40))
        process.send_signal(signal.SIGKILL)
        process.wait()
        repeated += _written_again(out, written)
    found = run(out, allowed)
    repeated += _written_again(out, written)
    return found | {"seconds": time.monotonic() - began, "repeated": repeated}


def _written_again(out: str, before: dict[str, int]) -> int:
    """How many artifacts have other times than before; what is there now is noted."""
    now = {str(path): path.stat().st_mtime_ns for path in (WORK / out).glob(".search/*/made/*/*/mct.json")}
    again = sum(1 for path, moment in now.items() if before.get(path, moment) != moment)
    before.update(now)
    return again


def clustered(out: str, allowed: str) -> dict[str, Any]:
    """One on a local cluster of two, whose plain worker is killed once it has begun to make something."""
    from dask.distributed import Nanny, Scheduler, SpecCluster

    workers = {
        name: {"cls": Nanny, "options": {"nthreads": 1, "resources": resources, "local_directory": str(WORK / "dask")}}
        for name, resources in (("plain", {}), ("kept", {"bench": 1}))
    }
    scheduler = {"cls": Scheduler, "options": {"dashboard_address": ":0"}}
    began = time.monotonic()
    with SpecCluster(workers=workers, scheduler=scheduler) as cluster:
        engine = cluster.scheduler_address.replace("tcp://", "dask://")
        process = subprocess.Popen(
            command(out, allowed, "--engine", engine), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(20)
        os.kill(cluster.workers["plain"].process.pid, signal.SIGKILL)
        code = process.wait()
    return _kept(out, time.monotonic() - began, code)


def _kept(out: str, seconds: float, code: int) -> dict[str, Any]:
    path = WORK / out / "front.json"
    if not path.is_file():
        return {"seconds": seconds, "code": code, "winner": None, "ties": [], "why": "no front was written"}
    front = read_object(path)
    names = front["judged"]["names"] if front["judged"] else {}
    entries = front["judged"]["result"]["artifacts"] if front["judged"] else []
    by_name = {entry["artifact"]: names.get(entry["path"], "the checkpoint") for entry in entries}
    ties = front["judged"]["result"]["choice"]["ties"] if front["judged"] else []
    said = {"winner": front["winner"], "ties": [by_name[tie] for tie in ties], "why": front["why"]}
    return {"seconds": seconds, "code": code, **said, "spent_s": front["spent_s"], "busy_share": front["busy_share"]}


def write_found(found: dict[str, dict[str, Any]]) -> None:
    """auto_again.json and auto_again.md."""
    table = [line(COLUMNS), "|--|--:|--:|--|--|--|", *(line(_row(name, row)) for name, row in found.items())]
    explained = EXPLAINED.format(cpu=probe_machine().cpu, kills=KILLS)
    write_atomically(
        HERE / "auto_again.md", "\n\n".join(["# The same search again", explained, "\n".join(table)]) + "\n"
    )
    write_json(HERE / "auto_again.json", json.loads(json.dumps(found)))


def _row(name: str, row: dict[str, Any]) -> Sequence[str]:
    said = row["why"] + (f" Repeated: {row['repeated']}." if "repeated" in row else "")
    ties = "; ".join(row["ties"]) or "-"
    return (name, f"{row['seconds']:.0f}", str(row["code"]), row["winner"] or "-", ties, said)


if __name__ == "__main__":
    sys.exit(main())
