"""Does `mct compare` cry wolf on this machine, and does it find a tenth? One artifact against itself, again and again.

Run from the repository root, on a machine that does nothing else, after `python results/demo.py --runs 1`:
`python results/compare_noise.py [--same 40] [--slower 20]`. Both sides are the demo's router as ONNX INT8; in the
second series every request of B takes a tenth longer, from the text to the label. Each comparison is what the command
line runs, with `--max-seconds 40`. Every outcome is written to
compare_noise.json as it comes, and a started series is continued, not begun again; compare_noise.md is the table.
"""

import argparse
import os
import time
from pathlib import Path
from typing import Any

from mct.bench.jobs.compare import CompareJob, run_compare
from mct.bench.judge.compare import Limits
from mct.models.data.declared import read_object
from mct.models.writing.folders import write_atomically, write_json
from mct.targets.machine import probe_machine
from mct.targets.target import find_target

HERE = Path(__file__).resolve().parent
DEMO = HERE.parent / ".cache" / "demo"
ARTIFACT = DEMO / "artifacts-small" / "onnx-int8"
TEXTS = DEMO / "intent-router-small" / "data" / "test.jsonl"
MAX_S = 40.0
ROWS = 300
FOUND = HERE / "compare_noise.json"
SERIES = {"same": 1.0, "slower": 1.1}
ASKED = {"same": "at most 2 of 40 called different", "slower": "at least 19 of 20 called slower"}


def main() -> None:
    """Run what is still missing of both series, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--same", type=int, default=40)
    parser.add_argument("--slower", type=int, default=20)
    wanted = vars(parser.parse_args())
    found = read_object(FOUND) if FOUND.is_file() else {"machine": _machine(), "same": [], "slower": []}
    data = _few_rows()
    for number in range(max(wanted.values())):
        for series in [name for name in SERIES if len(found[name]) <= number < wanted[name]]:
            found[series].append(one(data, SERIES[series], seed=number))
            write_json(FOUND, found)
            print(series, len(found[series]), found[series][-1], flush=True)
    write_atomically(HERE / "compare_noise.md", markdown(found))


def _machine() -> str:
    here = probe_machine()
    vnni = "with" if any("vnni" in each for each in here.instruction_sets) else "without"
    return f"{here.cpu} ({vnni} VNNI)"


def one(data: Path, slow_down: float, seed: int) -> dict[str, Any]:
    """One comparison; its outcome and how long it took."""
    cpu = find_target("cpu")
    results = HERE.parent / ".cache" / "compare-noise"
    job = CompareJob(
        ARTIFACT,
        ARTIFACT,
        data,
        (cpu, cpu),
        Limits(),
        results=results,
        slow_down_b=slow_down,
        seed=seed,
        max_seconds=MAX_S,
    )
    began, load = time.monotonic(), os.getloadavg()[0]
    comparison, _ = run_compare(job)
    return {
        "outcome": comparison.latency,
        "shown": list(comparison.latency_shown),
        "p95_ratio": round(comparison.p95.value, 4),
        "p95_ci": [round(comparison.p95.low, 4), round(comparison.p95.high, 4)],
        "p50_ratio": round(comparison.p50.value, 4),
        "p50_ci": [round(comparison.p50.low, 4), round(comparison.p50.high, 4)],
        "detectable": round(comparison.p95.detectable, 4),
        "detectable_p50": round(comparison.p50.detectable, 4),
        "rounds": comparison.p95.rounds,
        "load_before": round(load, 2),
        "seconds": round(time.monotonic() - began, 1),
    }


def _few_rows() -> Path:
    """The first rows of the test set: the answers, which no cap counts, shall not be what the series waits for."""
    path = HERE.parent / ".cache" / "compare-noise" / "rows.jsonl"
    lines = TEXTS.read_text(encoding="utf-8").split("\n")[:ROWS]
    write_atomically(path, "\n".join(lines) + "\n")
    return path


def _row(series: str, runs: list[dict[str, Any]]) -> str:
    factor, total = SERIES[series], len(runs)
    count = {name: sum(run["outcome"] == name for run in runs) for name in ("faster", "slower", "no difference")}
    shown = ", ".join(str(sum(name in run["shown"] for run in runs)) for name in ("P50", "P95"))
    held = ", ".join(str(sum(run[key][0] <= factor <= run[key][1] for run in runs)) for key in ("p50_ci", "p95_ci"))
    seconds = sorted(run["seconds"] for run in runs)
    cells = [
        "the same" if factor == 1 else f"slower by {factor - 1:.0%} from end to end",
        *(str(each) for each in (total, *count.values(), total - sum(count.values()))),
        shown,
        f"{held} of {total}",
        f"{seconds[total // 2]:.0f}, {seconds[-1]:.0f}",
        ASKED[series],
    ]
    return f"| {' | '.join(cells)} |"


def markdown(found: dict[str, Any]) -> str:
    """Outcomes per series."""
    lines = [
        "# `mct compare` on a real, noisy machine",
        "",
        f"ONNX INT8 of the demo's router against itself, {found['machine']}, two threads.",
        "",
        f"Every comparison judges P50 and P95 together and is capped at {MAX_S:g} s, starts included.",
        "",
        "| B is | runs | faster | slower | no difference | inconclusive | shown at P50, at P95 | interval holds the "
        "truth at P50, at P95 | seconds, median and most | asked for |",
        "|--|--:|--:|--:|--:|--:|--:|--:|--:|--|",
        *(_row(series, found[series]) for series in SERIES if found[series]),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
