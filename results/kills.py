"""Kill `mct bench` at any moment: is every stored result still readable, and is no process left behind?

Run from the repository root after `python results/banking77.py`: `python results/kills.py [--kills 50]`, some minutes.
One run is left alone, to learn how long it takes; the others get SIGKILL at a random moment of that time, which no
program can catch. Then each complete result must follow from its samples again, and each cut-off recording must be
readable up to where it ends. Writes kills.json beside this file and exits with 1 where any of it does not hold.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mct.bench.samples_file import PARTIAL, read_samples
from mct.bench.store import list_results, read_result, recompute
from mct.models.folders import write_atomically, write_json

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
ARTIFACTS = [ROOT / ".cache" / "banking77" / "artifacts" / "minilm" / form for form in ("onnx-int8", "gguf-q8_0")]
TEXTS = ROOT.parent / "shared" / "data" / "banking77" / "test.jsonl"
ROWS, MAX_SECONDS, GRACE_S = 100, 4, 5.0
MARK = "MCT_KILLS"
"""In the environment of every process of a run, so that those it leaves behind are found."""


def main() -> int:
    """Kill, look, write down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    kills = parser.parse_args().kills
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        data, store = Path(folder, "test.jsonl"), Path(folder, "results")
        write_atomically(data, "".join(TEXTS.read_text(encoding="utf-8").splitlines(keepends=True)[:ROWS]))
        began = time.monotonic()
        started(data, store).wait()
        whole_s = time.monotonic() - began
        left = [kill(data, store, rng.uniform(0.0, whole_s)) for _ in range(kills)]
        results, cut_off = readable(store)
    found = {
        "kills": kills,
        "seconds_of_a_whole_run": round(whole_s, 1),
        "processes_alive_when_killed": sum(workers for workers, _ in left),
        "processes_left_behind": sum(orphans for _, orphans in left),
        "complete_results_that_follow_from_their_samples": results,
        "cut_off_recordings_that_can_be_read": cut_off,
    }
    write_json(HERE / "kills.json", found)
    print("\n".join(f"{value:>6}  {what.replace('_', ' ')}" for what, value in found.items()))
    return int(found["processes_left_behind"] > 0)


def started(data: Path, store: Path) -> subprocess.Popen[bytes]:
    """A run of two artifacts, some seconds long."""
    command = [sys.executable, "-m", "mct.cli", "bench", *ARTIFACTS, "--data", data, "--results", store]
    command += ["--max-seconds", MAX_SECONDS]
    quiet = subprocess.DEVNULL
    return subprocess.Popen([*map(str, command)], stdout=quiet, stderr=quiet, env={**os.environ, MARK: "yes"})


def kill(data: Path, store: Path, after_s: float) -> tuple[int, int]:
    """Kill a run `after_s` seconds after its start: how many workers it had then, and how many are left at last."""
    run = started(data, store)
    time.sleep(after_s)
    workers = [pid for pid in alive() if pid != run.pid]
    run.kill()
    run.wait()
    deadline = time.monotonic() + GRACE_S
    while any(alive()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return len(workers), len(list(alive()))


def alive() -> Iterator[int]:
    """The processes of a run that live, zombies not among them."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state = (process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
            if f"{MARK}=yes".encode() in (process / "environ").read_bytes() and state not in "ZX":
                yield int(process.name)


def readable(store: Path) -> tuple[int, int]:
    """How many complete results and how many cut-off recordings there are; an error where one cannot be read."""
    results = list_results(store)
    for path in results:
        found = read_result(path)
        if recompute(store / found["samples"]) != found:
            raise SystemExit(f"{path.name} does not follow from its samples")
    recordings = [path for path in store.glob(f"*{PARTIAL}") if path.stat().st_size]
    for path in recordings:
        read_samples(path)
    return len(results), len(recordings)


if __name__ == "__main__":
    sys.exit(main())
