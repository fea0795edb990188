"""Every check that needs a GPU, in one command of less than six minutes: `python results/gpu.py`.

A bare machine will do: Python 3.11 or later, PyTorch, transformers and numpy. Router, embedder, a cross-encoder with 50
candidates and a Llama of a billion parameters, all with random weights, on GPU 0 (`--device cuda:1` for another) and,
the same models, on the CPU beside it: launched kernel by kernel (eager), replayed as CUDA graphs, by torch.compile, in
halves, 8 and 4 bits; one request at a time, and a stream of requests at half of what it can serve. P50 and P95 come
with their distribution-free 95 % interval and stand against the budgets' GPU column.

One process a part, which is ended when its share of the time is over: what it has not come to is a row with the reason,
and so is what fails. Writes gpu-DEVICE.json and .md into --out. `--small --device cpu` runs the same in seconds without
a GPU. What one process shows says nothing of how another would differ: `mct bench --target gpu` is for that.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import re
import select
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":  # installed or not: the repository's root is the package
    alone = tempfile.TemporaryDirectory(prefix="mct-")
    Path(alone.name, "mct").symlink_to(ROOT)
    sys.path[:0] = [alone.name, str(ROOT / "results")]

GPU_WAYS = {
    "router": ("fp32 eager", "fp16 eager", "bf16 eager", "fp16 graphs", "bf16 graphs", "int8 graphs", "int4 graphs",
               "fp16 compile", "fp16 compile graphs"),
    "embedder": ("fp32 eager", "fp16 eager", "fp16 graphs", "fp16 compile graphs"),
    "cross-encoder": ("fp32 eager", "fp16 eager", "fp16 graphs", "int8-dynamic graphs"),
    "llama": ("bf16 eager", "bf16 graphs", "fp16 graphs", "int8 graphs", "int4 graphs", "int8 compile graphs",
              "bf16 compile graphs"),
}  # fmt: skip
CPU_WAYS = {"router": "fp32 eager", "embedder": "fp32 eager", "cross-encoder": "fp32 eager", "llama": "bf16 eager"}
SHARES = {"router": 0.28, "embedder": 0.12, "cross-encoder": 0.15, "llama": 0.45}
BUDGETS = {
    "router": "intent-router", "embedder": "embedding-adapter", "cross-encoder": "reranker", "llama": "response-lora",
}  # fmt: skip
WHOLE_S, SMALL_S = 330.0, 60.0
STREAM_SHARE = 0.5
MOST, LEAST = 2000, 20
COMPARED = 32
CANDIDATES = 50
MEASURED = 0.4
"""Of a row's time; the rest is for opening, compiling and recording."""


@dataclass
class Row:
    """One model in one way on one device: what was measured, or why it was not. Times in milliseconds."""

    part: str
    device: str
    way: str
    requests: int = 0
    p50: list[float | None] = field(default_factory=list)
    p95: list[float | None] = field(default_factory=list)
    first_token_p50: float | None = None
    per_token_p50: float | None = None
    stream_qps: float | None = None
    stream_p95: list[float | None] = field(default_factory=list)
    weights_mb: float | None = None
    same_answers: float | None = None
    energy_per_request_mj: float | None = None
    power_w: float | None = None
    clock_mhz: int | None = None
    slowed_by: list[str] = field(default_factory=list)
    budget_ms: float | None = None
    verdict: str = ""
    opened_s: float | None = None
    failure: str = ""


def main() -> int:
    """Run all parts, print the table, write both files."""
    asked = _arguments()
    if asked.part:
        for row in run_part(asked.part, asked.device, asked.until, asked.small):
            print(json.dumps(asdict(row)), flush=True)
        return 0
    if asked.device.startswith("cuda") and (missing := no_gpu(asked.device)):
        print(
            f"error: {missing}\nhint: python results/gpu.py --small --device cpu runs the same in small",
            file=sys.stderr,
        )
        return 2
    began = monotonic()
    rows: list[Row] = []
    for part in [asked.only] if asked.only else list(SHARES):
        seconds = asked.seconds * (1.0 if asked.only else SHARES[part])
        until = monotonic() + seconds
        rows += run_part(part, asked.device, until, asked.small) if asked.small else supervised(part, asked, until)
        print(f"[{monotonic() - began:5.0f} s] {part}", file=sys.stderr)
    found = {"machine": describe_machine(asked.device), "seconds": round(monotonic() - began, 1),
             "rows": [asdict(row) for row in rows]}  # fmt: skip
    text = table(found)
    print(text)
    if asked.out is not None:
        name = re.sub(r"[^a-z0-9]+", "-", found["machine"]["device"].lower()).strip("-")
        asked.out.mkdir(parents=True, exist_ok=True)
        (asked.out / f"gpu-{name}.json").write_text(json.dumps(found, indent=1) + "\n")
        (asked.out / f"gpu-{name}.md").write_text(text + "\n")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda:0", help="cuda:0, cuda:1, … or cpu")
    parser.add_argument("--small", action="store_true", help="tiny models: to try the script")
    parser.add_argument("--seconds", type=float, help="for everything")
    parser.add_argument("--only", choices=list(SHARES), help="one part alone")
    parser.add_argument("--out", type=Path, help="folder for gpu-DEVICE.json and .md, such as results")
    parser.add_argument("--part", choices=list(SHARES), help=argparse.SUPPRESS)
    parser.add_argument("--until", type=float, default=math.inf, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    asked.seconds = asked.seconds or (SMALL_S if asked.small else WHOLE_S)
    return asked


def no_gpu(device: str) -> str:
    """Why nothing can run on that GPU here; "" where it can."""
    import torch

    count, index = torch.cuda.device_count(), device.partition(":")[2] or "0"
    if not torch.cuda.is_available():
        return f"torch {torch.__version__} finds no GPU here"
    return "" if index.isdigit() and int(index) < count else f"{device} is none of the {count} GPUs that torch finds"


def ways_of(part: str, device: str) -> list[tuple[str, str]]:
    """Device and way of each row: the GPU's own, then the CPU's. On the CPU alone, those that need no compiler."""
    if device == "cpu":
        return [("cpu", way) for way in GPU_WAYS[part] if "compile" not in way]
    rows = [*((device, way) for way in GPU_WAYS[part]), ("cpu", CPU_WAYS[part])]
    return sorted(rows, key=lambda row: "compile" in row[1])  # what may take all the time that is left comes last


def supervised(part: str, asked: argparse.Namespace, until: float) -> list[Row]:
    """The rows of a part from a process of its own, which is ended at that moment of the system's monotonic clock."""
    command = [sys.executable, __file__, "--part", part, "--device", asked.device, "--until", str(until)]
    command += ["--small"] if asked.small else []
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)
        rows, reason = _rows_until(process, until)
        errors.seek(0)
        said = [line for line in errors.read().decode(errors="replace").splitlines() if line.strip()]
    if not reason and process.returncode:
        reason = f"the process ended with {process.returncode}: {said[-1][:160] if said else 'it said nothing'}"
    left = ways_of(part, asked.device)[len(rows) :]
    return rows + [Row(part, device, way, failure=reason or "not reached") for device, way in left]


def _rows_until(process: subprocess.Popen[bytes], deadline: float) -> tuple[list[Row], str]:
    assert process.stdout is not None
    pending = b""
    while True:
        if not select.select([process.stdout], [], [], max(0.0, deadline - monotonic()))[0]:
            process.kill()
            process.wait()
            reason = "its part's share of the time was over"
            break
        chunk = os.read(process.stdout.fileno(), 1 << 16)
        if not chunk:
            process.wait()
            reason = ""
            break
        pending += chunk
    lines = pending.decode(errors="replace").split("\n")[:-1]
    return [Row(**json.loads(line)) for line in lines if line.startswith("{")], reason


def run_part(part: str, device_name: str, until: float, small: bool) -> Iterator[Row]:
    """The rows of one part, each as soon as it is measured. One that fails is a row with the reason."""
    import gpu_models
    import torch

    if small:  # no test of how fast: a neighbour's thread would be waited for at every operation
        torch.set_num_threads(1)
    assert gpu_models  # imported before the first row, whose time it would take
    ways = ways_of(part, device_name)
    wanted: list[Any] | None = None
    for number, (device, way) in enumerate(ways):
        row = Row(part, device, way, budget_ms=budget_of(part, device))
        try:
            left_s = (until - monotonic()) / (len(ways) - number)
            answers = measure(row, small, max(0.2, MEASURED * left_s))
            wanted = answers if wanted is None else wanted
            row.same_answers = round(sum(map(alike, wanted, answers)) / len(wanted), 4)
        except Exception as error:
            row.failure = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        yield row


def measure(row: Row, small: bool, seconds: float) -> list[Any]:
    """Open the model, warm it up, time it for so long; gives its answers to the first requests."""
    import gpu_models

    from mct.targets.devices.nvml import open_meter
    from mct.targets.devices.torch_device import TorchDevice

    device, size = TorchDevice(row.device), gpu_models.SMALL if small else gpu_models.WHOLE
    requests = gpu_models.requests_of(row.part, size, 8 if small else COMPARED if row.part == "llama" else 256)
    meter = open_meter(row.device.partition(":")[2]) if device.cuda else None
    began = perf_counter()
    opened = gpu_models.open_model(row.part, size, device, row.way.split())
    compared = requests[: 2 if row.part == "llama" or small else COMPARED]
    answers = [list(opened.answer(each)) if opened.writes else opened.answer(each) for each in compared]
    row.opened_s, row.weights_mb = round(perf_counter() - began, 2), round(opened.weights_mb, 1)
    _every_length(opened, requests[:2] if small else requests, seconds / 4)
    device.synchronise()
    before, started = meter.read() if meter else None, perf_counter()
    whole, first, each = _timed(opened, requests, seconds / 2)
    after, spent_s = meter.read() if meter else None, perf_counter() - started
    row.requests = len(whole)
    row.p50, row.p95 = estimate(whole, 0.5), estimate(whole, 0.95)
    row.first_token_p50, row.per_token_p50 = (_middle(first), _middle(each)) if opened.writes else (None, None)
    row.verdict = judge(row.p95, row.budget_ms)
    if after is not None and before is not None:
        row.power_w, row.clock_mhz, row.slowed_by = after.power_w, after.clock_mhz, list(after.slowed_by)
        if before.energy_mj is not None and after.energy_mj is not None:
            row.energy_per_request_mj = round((after.energy_mj - before.energy_mj) / len(whole), 3)
            row.power_w = round((after.energy_mj - before.energy_mj) / 1e3 / spent_s, 1)
    _stream(row, opened, requests, seconds / 4)
    return answers


def _every_length(opened: Any, requests: Sequence[Any], cap_s: float) -> None:
    """One untimed request of each shape: what is compiled or recorded for a shape is so before it is timed."""
    ended, met = monotonic() + max(cap_s, 1.0), set()
    for request in requests:
        shape = max(map(len, request)), len(request)
        if shape not in met and monotonic() < ended:
            met.add(shape)
            answer = opened.answer(request)
            if opened.writes:
                list(answer)


def _timed(opened: Any, requests: Sequence[Any], cap_s: float) -> tuple[list[float], list[float], list[float]]:
    """Milliseconds of each request, one after the other; of a decoder also to the first token, and per further one."""
    whole: list[float] = []
    first: list[float] = []
    each: list[float] = []
    ended = perf_counter() + cap_s
    while len(whole) < MOST and (perf_counter() < ended or len(whole) < 3):
        began = perf_counter()
        answer = opened.answer(requests[len(whole) % len(requests)])
        if opened.writes:
            next(answer)
            at_first = perf_counter()
            further = sum(1 for _ in answer)
            first.append((at_first - began) * 1e3)
            each.append((perf_counter() - at_first) * 1e3 / max(1, further))
        whole.append((perf_counter() - began) * 1e3)
    return whole, first, each


def _stream(row: Row, opened: Any, requests: Sequence[Any], cap_s: float) -> None:
    """Requests that arrive at half the rate it can serve, whether or not the last is done (open loop, Poisson)."""
    from mct.bench.worker.open_loop import poisson_arrivals, serve_traffic

    middle = row.p50[0]
    if middle is None:
        return
    rate = STREAM_SHARE * 1e3 / middle
    count = min(MOST, int(rate * cap_s))
    if count < LEAST:
        return
    asked = [requests[number % len(requests)] for number in range(count)]
    answer = (lambda request: list(opened.answer(request))) if opened.writes else opened.answer
    times = serve_traffic(answer, asked, poisson_arrivals(rate, count, seed=0), 2 * cap_s)
    waited = [(end - due) / 1e6 for due, end in zip(times.scheduled_ns, times.ended_ns, strict=True)]
    row.stream_qps, row.stream_p95 = round(rate, 1), estimate(waited, 0.95)


def estimate(values: Sequence[float], share: float) -> list[float | None]:
    """A percentile with its distribution-free 95 % interval from order statistics; None where that is not finite.

    The ranks l and u hold the percentile with P(l <= Bin(n, share) < u); no more than 2.5 % is left on either side. It
    speaks of requests like these in this process, which are not independent.
    """
    ordered, count = sorted(values), len(values)
    if not ordered:
        return [None, None, None]
    point = ordered[min(count - 1, math.ceil(share * count) - 1)]
    below, low, high = 0.0, None, None
    for rank in range(count + 1):  # below is P(Bin < rank)
        if below <= 0.025 and rank > 0:
            low = rank
        if high is None and below >= 0.975 and rank > 0:
            high = rank
        below += math.exp(
            math.lgamma(count + 1) - math.lgamma(rank + 1) - math.lgamma(count - rank + 1)
            + rank * math.log(share) + (count - rank) * math.log1p(-share)
        )  # fmt: skip
    if low is None or high is None or high > count:
        return [round(point, 4), None, None]
    return [round(point, 4), round(ordered[low - 1], 4), round(ordered[high - 1], 4)]


def judge(p95: Sequence[float | None], limit: float | None) -> str:
    """Whether P95 holds the budget, by its interval."""
    if limit is None or len(p95) < 3 or p95[1] is None or p95[2] is None:
        return "" if limit is None else "inconclusive"
    return "pass" if p95[2] <= limit else "fail" if p95[1] > limit else "inconclusive"


def budget_of(part: str, device: str) -> float | None:
    """P95 in milliseconds: of the GPU's column for a GPU, of the CPU's for a CPU."""
    name = BUDGETS[part]
    if device == "cpu":
        found: dict[str, Any] = tomllib.loads((ROOT / "targets/budgets.toml").read_text())[name]
    else:
        found = tomllib.loads((ROOT / "targets/targets.toml").read_text())["gpu"]["budgets"][name]
    return float(found["p95_ms"])


def describe_machine(device: str) -> dict[str, Any]:
    """Device, driver, versions, clocks; None of what is not told."""
    import torch
    import transformers

    from mct.targets.devices.gpus import find_gpus
    from mct.targets.devices.nvml import open_meter
    from mct.targets.machine import probe_machine

    machine, index = probe_machine(), device.partition(":")[2] or "0"
    told: dict[str, Any] = {
        "device": machine.cpu, "cpu": machine.cpu, "threads": torch.get_num_threads(),
        "python": platform.python_version(), "torch": torch.__version__, "transformers": transformers.__version__,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }  # fmt: skip
    if device.startswith("cuda"):
        gpu = next((each for each in find_gpus() if str(each.index) == index), None)
        meter = open_meter(index)
        now = meter.read() if meter else None
        told |= {
            "device": torch.cuda.get_device_name(device), "cuda": torch.version.cuda,
            "compute_capability": list(torch.cuda.get_device_capability(device)),
            "memory_mb": torch.cuda.get_device_properties(device).total_memory // 2**20,
            "driver": gpu.driver if gpu else None, "nvml": meter is not None,
            "most_clock_mhz": now.most_clock_mhz if now else None,
            "memory_clock_mhz": now.memory_clock_mhz if now else None,
        }  # fmt: skip
    return told


def alike(one: Any, other: Any) -> float:
    """1 for the same label, of vectors the same direction, of scores the same best candidate; 0 otherwise.

    Of texts the share of tokens that are the same before the first that is not.
    """
    if isinstance(one, list) and one and isinstance(one[0], int):
        return next((at for at, pair in enumerate(zip(one, other, strict=True)) if pair[0] != pair[1]), len(one)) / len(
            one
        )
    if isinstance(one, list) and one and isinstance(one[0], float):
        if len(one) == CANDIDATES:
            return float(one.index(max(one)) == other.index(max(other)))
        size = math.sqrt(sum(a * a for a in one) * sum(b * b for b in other))
        return float(sum(a * b for a, b in zip(one, other, strict=True)) >= 0.99 * size)
    return float(one == other)


def _middle(values: Sequence[float]) -> float | None:
    return round(sorted(values)[len(values) // 2], 4) if values else None


def table(found: dict[str, Any]) -> str:
    """Markdown: the machine, then a row a measurement."""
    machine = {name: value for name, value in found["machine"].items() if value is not None}
    head = ("part", "device", "way", "n", "P50 ms", "P95 ms", "budget", "first token", "per token", "stream/s",
            "its P95", "MB", "same answers", "mJ", "W", "MHz", "ready s")  # fmt: skip
    lines = [
        f"# {machine['device']}", "",
        f"`python results/gpu.py`, {found['seconds']:g} s. " + ", ".join(f"{k} {v}" for k, v in machine.items()) + ".",
        "", "| " + " | ".join(head) + " |", "|--" * len(head) + "|",
    ]  # fmt: skip
    for row in (Row(**each) for each in found["rows"]):
        if row.failure:
            lines.append(f"| {row.part} | {row.device} | {row.way} | not measured: {row.failure.replace('|', '/')} |")
            continue
        limit = "" if row.budget_ms is None else f"{row.budget_ms:g}: {row.verdict}"
        cells = (
            row.part, row.device, row.way, row.requests, _interval(row.p50), _interval(row.p95), limit,
            _number(row.first_token_p50), _number(row.per_token_p50), _number(row.stream_qps),
            _interval(row.stream_p95), _number(row.weights_mb), _number(row.same_answers),
            _number(row.energy_per_request_mj), _number(row.power_w),
            _number(row.clock_mhz) + (f" ({', '.join(row.slowed_by)})" if row.slowed_by else ""),
            _number(row.opened_s),
        )  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def _interval(value: Sequence[float | None]) -> str:
    if not value or value[0] is None:
        return ""
    return _number(value[0]) + ("" if value[1] is None else f" ({_number(value[1])} to {_number(value[2])})")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


if __name__ == "__main__":
    sys.exit(main())
