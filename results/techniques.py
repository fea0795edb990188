"""Every technique from its checkpoint to a verdict: what it is told to be, what it becomes, what it kept.

Run from the repository root: `python results/techniques.py [--size SIZE] [--only NAME]`. A row is a scenario, whose
checkpoint `mct models build` makes, or a type of adapter, which peft trains for a minute on the small Llama of
response-lora (techniques_adapters.py). Each goes through `mct models inspect`, `mct compress` to the forms below and
one `mct bench` beside the checkpoint as torch runs it, under its scenario's budget. What is made and measured stays in
`.cache/techniques` and is not done again. Writes techniques.json and techniques.md beside this file.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from forms import MCT, ROOT, Job, is_made, line, make, number, run_bench
from peft import PeftType
from techniques_adapters import ADAPTERS, BASE, write_adapter

from mct.compress.merge.obstacles import why_not_type
from mct.models.checkpoints.adapters import SOFT_PROMPTS
from mct.models.data.declared import read_object
from mct.models.scenarios.table import SCENARIOS
from mct.models.writing.folders import write_atomically, write_json

HERE = Path(__file__).resolve().parent
WORK = Path(".cache/techniques")
FOUND = HERE / "techniques.json"
CHECKPOINT = "checkpoint"
FORMS = {"onnx": ("fp32", "int8"), "openvino": ("fp32", "int8"), "gguf": ("f32", "q8_0")}
TIMED = {"onnx": FORMS["onnx"]}
"""Of an adapter: once it is on its base, its graph is that of any other on the same base."""
COLUMNS = (
    "what", "detected as", "formats", "P95 ms, torch", "fastest", "P95 ms", "times faster", "what it must keep",
    "verdict",
)  # fmt: skip
EXPLAINED = """\
Written by `python results/techniques.py --size {size}`. *Detected as*: what `mct models inspect` tells from the folder
alone. *Formats*: those in which the model was written and gave the original's answers, at full precision and at 8 bits;
the reasons for those that are missing stand below. *Fastest*: of the artifacts whose verdict is not a fail, that with
the least P95; its P95 with its 95 % interval, and how many times faster that is than the checkpoint as torch runs it,
in turns in one run (of the adapters below the scenarios, which share one base, ONNX forms alone are timed). *What it
must keep*: the budget's lines beside latency, each with what was measured; the verdict is over all lines. Models at
this size are small and data is short, so many lines are inconclusive: that is what the intervals say. Measured on
{machines}.
"""


@dataclass(frozen=True)
class Case:
    """A row: its name, its checkpoint (a folder relative to the repository root) and the budget it is held to."""

    name: str
    checkpoint: Path
    budget: str


def main() -> int:
    """Do what is not done yet, and write down all that is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="tiny", help="of the scenarios' checkpoints")
    parser.add_argument("--only", default="", help="only rows with this in their name")
    parser.add_argument("--max-seconds", type=int, default=40, help="of timing, for all forms of a row")
    parser.add_argument("--render", action="store_true", help="write the table again, and do nothing else")
    told = parser.parse_args()
    cases = list_cases(told.size)
    wanted = [] if told.render else [case for case in cases if told.only in case.name]
    started = time.monotonic()
    for done, case in enumerate(wanted):
        say(started, done / len(wanted), case.name)
        build(case, told.size)
        job = job_of(case, told.max_seconds)
        refused = make(job)
        run_bench(replace(job, forms=TIMED) if case.name in ADAPTERS else job)
        write_json(ROOT / job.out / "found.json", {"refused": refused, "told": inspect(case)})
    write_found(told.size, cases)
    return 0


def list_cases(size: str) -> list[Case]:
    """The scenarios that have a checkpoint, in the table's order, then the adapters."""
    built = [
        Case(f"{each.number} {each.name}", WORK / size / each.name / CHECKPOINT, each.name)
        for each in SCENARIOS
        if each.build
    ]
    adapters = [Case(name, WORK / size / "adapters" / name.replace(" ", "-") / CHECKPOINT, BASE) for name in ADAPTERS]
    return built + adapters


def build(case: Case, size: str) -> None:
    """Make the row's checkpoint, where it is not there."""
    if (ROOT / case.checkpoint).is_dir():
        return
    if case.name in ADAPTERS:
        write_adapter(case.name, ROOT / WORK / size / BASE / CHECKPOINT, ROOT / case.checkpoint)
        return
    command = [*MCT, "models", "build", case.budget, "--size", size, "-o", str(case.checkpoint)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def inspect(case: Case) -> dict[str, Any]:
    """What `mct models inspect` says of the checkpoint."""
    command = [*MCT, "models", "inspect", str(case.checkpoint), "--json"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def job_of(case: Case, max_seconds: int) -> Job:
    """What is to be made of a row's checkpoint and measured on its data."""
    train, test = (case.checkpoint / "data" / f"{part}.jsonl" for part in ("train", "test"))
    return Job(case.checkpoint, case.checkpoint.parent / "out", FORMS, train, test, case.budget, max_seconds)


def say(started: float, share: float, name: str) -> None:
    """Where the run is and how long it may still take, on stderr."""
    elapsed = time.monotonic() - started
    left = f", about {elapsed * (1 - share) / share / 60:.0f} min left" if share else ""
    print(f"[{elapsed:5.0f} s] {name}{left}", file=sys.stderr, flush=True)


# -- the table ----------------------------------------------------------------------------------------------------


def write_found(size: str, cases: list[Case]) -> None:
    """techniques.json and techniques.md from every row that was measured, here or before."""
    stored = read_object(FOUND) if FOUND.is_file() else {"size": "", "rows": {}}
    before = stored["rows"] if stored["size"] == size else {}
    rows = {case.name: found for case in cases if (found := read_row(case) or before.get(case.name))}
    if rows:
        write_json(FOUND, {"size": size, "rows": rows})
        write_atomically(HERE / "techniques.md", markdown(read_object(FOUND)))


def markdown(found: Mapping[str, Any]) -> str:
    """The page of these figures."""
    rows = found["rows"]
    table = [line(COLUMNS), "|--" * 3 + "|--:|--|--:|--:|--|--|"]
    table += [line(cells(name, row)) for name, row in rows.items()]
    missing = [f"- **{name}**, {form}: {why}" for name, row in rows.items() for form, why in row["refused"].items()]
    absent = [f"- {case.name}: not measured" for case in list_cases(found["size"]) if case.name not in rows]
    absent += [f"- {each.number} {each.name}: no model; {each.technique}" for each in SCENARIOS if not each.build]
    missing += [f"- **{kind}**, any: {why}" for kind, why in types_without_a_way().items()]
    machines = sorted({machine(row["environment"]) for row in rows.values()})
    parts = [
        "# Every technique", EXPLAINED.format(size=found["size"], machines="; ".join(machines)),
        "\n".join(table), "## Forms that cannot be", "\n".join(missing) or "None.", "## Rows without a model",
        "\n".join(absent) or "None.",
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def types_without_a_way() -> dict[str, str]:
    """The types of peft's adapters that become no model of any format, each with the reason that the plan gives."""
    ways = SOFT_PROMPTS | {"PREFIX_TUNING"}
    reasons = {kind.value: why_not_type(kind.value) for kind in PeftType if kind.value not in ways}
    return {kind: why for kind, why in sorted(reasons.items()) if why}


def machine(environment: Mapping[str, Any]) -> str:
    """What a row was measured on."""
    return f"{environment['cpu']} ({', '.join(environment['instruction_sets'])}), {environment['threads']} threads"


def read_row(case: Case) -> dict[str, Any] | None:
    """What was found of a row, without its samples; None where it was not measured here."""
    out = ROOT / case.checkpoint.parent / "out"
    files = (out / "found.json", out / "bench.json")
    if not all(file.is_file() for file in files):
        return None
    made = [f"{kind}-{precision}" for kind, wanted in FORMS.items() for precision in wanted]
    found = read_object(files[0]) | {"bench": read_object(files[1])}
    return summary(found | {"made": [form for form in made if is_made(job_of(case, 1), form)]})


def summary(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row's figures without its samples: every artifact's latency, headline, lines of the verdict."""
    kept = ("artifact", "latency", "size_mb", "peak_rss_mb", "speedup", "verdict", "failure")
    artifacts = []
    for entry in row["bench"]["artifacts"]:
        quality = {name: value for name, value in (entry["quality"] or {}).items() if name not in {"slices", "others"}}
        artifacts.append({name: entry.get(name) for name in kept} | {"quality": quality or None})
    told = {name: row["told"][name] for name in ("technique", "task", "model_type")}
    environment = row["bench"]["artifacts"][0]["environment"]
    return {**told, "refused": row["refused"], "made": row["made"], "environment": environment, "artifacts": artifacts}


def cells(name: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    """One row of the table."""
    entries = {entry["artifact"]: entry for entry in row["artifacts"]}
    original = entries.pop(CHECKPOINT)
    best = fastest(entries)
    faster = best and best.get("speedup")
    return (
        name,
        row["technique"],
        ", ".join(row["made"]),
        _p95(original),
        best["artifact"] if best else "-",
        _p95(best),
        f"{faster['p95']:.2f} ({faster['p95_ci'][0]:.2f} to {faster['p95_ci'][1]:.2f})" if faster else "-",
        kept_lines(best),
        best["verdict"]["outcome"] if best and best["verdict"] else "-",
    )


def fastest(entries: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Of the artifacts that did not fail, that with the least P95; of all where every one failed."""
    timed = [entry for entry in entries.values() if entry["latency"] and entry["latency"]["p95_ms"]]
    sound = [entry for entry in timed if entry["verdict"] and entry["verdict"]["outcome"] != "fail"]
    return min(sound or timed, key=lambda entry: float(entry["latency"]["p95_ms"]), default=None)


def kept_lines(entry: Mapping[str, Any] | None) -> str:
    """The budget's lines beside latency, each with what was measured and its outcome."""
    if entry is None or not entry["verdict"]:
        return "-"
    signs = {"pass": "✓", "fail": "✗", "inconclusive": "?"}
    lines = [each for each in entry["verdict"]["lines"] if not each["limit"].startswith("P95")]
    return "; ".join(f"{each['limit']}: {each['measured']} {signs[each['outcome']]}" for each in lines)


def _p95(entry: Mapping[str, Any] | None) -> str:
    latency = (entry or {}).get("latency")
    if not latency or latency["p95_ms"] is None:
        return "-"
    ends = latency["p95_ci_ms"]
    interval = f" ({number(ends[0], '{:.2f}')} to {number(ends[1], '{:.2f}')})" if ends else ""
    return f"{latency['p95_ms']:.2f}{interval}"


if __name__ == "__main__":
    sys.exit(main())
