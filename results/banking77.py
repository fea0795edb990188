"""Real input that nobody here wrote: three Banking77 checkpoints in all three formats, held against their originals.

Run from the repository root after `python results/banking77_checkpoints.py`: `python results/banking77.py`. Writes
banking77.json and banking77.md beside this file. Three questions are answered, and each row says whether it was met:

- parity: the same 500 test texts through the checkpoint and through each artifact (at full precision the largest
  difference of a logit and the same answer on every text; below it the share of equal answers);
- buckets: OpenVINO INT8 on texts of mixed length against one repeated text of the median length, taken turn by turn in
  one process, so that the ratio does not depend on the machine's mood;
- bench: `mct bench` itself on the fine-tuned MiniLM, with its table.
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from mct import MctError
from mct.compress.plan.plan import make_plan
from mct.compress.run.artifact import executable, read_artifact
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.models.checkpoints.checkpoint import inspect
from mct.models.progress import shown
from mct.models.tasks.tokens import Tokens, open_tokenizer
from mct.models.writing.folders import write_atomically, write_json
from mct.targets.machine import probe_machine
from mct.targets.runtimes.table import Session, open_session, runtime_for

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "shared" / "data" / "banking77"
WORK = HERE.parent / ".cache" / "banking77"
CHECKPOINTS = ("minilm", "distilbert", "roberta")
FORMS = {
    "onnx": ("fp32", "fp16", "int8", "int8-static"),
    "openvino": ("fp32", "int8"),
    "gguf": ("f32", "f16", "q8_0", "q4_k_m"),
}
FULL_TOLERANCE = {"onnx-fp32": 1e-3, "openvino-fp32": 1e-3, "gguf-f32": 1e-2}
LEAST_AGREEMENT = {"onnx-int8": 0.98, "openvino-int8": 0.98, "gguf-q8_0": 0.995}
BUCKET_LIMIT = 1.3
MODEL_FILES = {".onnx", ".xml", ".bin", ".gguf", ".safetensors"}


def main() -> None:
    """Run all three and write what was seen."""
    if not DATA.is_dir():
        raise MctError(f"{DATA} is not here", "this evidence needs the Banking77 files")
    parity = [row for name in CHECKPOINTS for row in parity_rows(name)]
    found = {"machine": probe_machine().cpu, "parity": parity, "buckets": buckets(WORK / "artifacts" / "minilm")}
    write_json(HERE / "banking77.json", found)
    write_atomically(HERE / "banking77.md", markdown(found) + bench(WORK / "artifacts" / "minilm"))


def parity_rows(name: str) -> list[dict[str, Any]]:
    """Every form of one checkpoint, made afresh, with the evidence that compress itself recorded."""
    checkpoint = inspect(WORK / name)
    out = WORK / "artifacts" / name
    rows = []
    for kind, precisions in FORMS.items():
        plan = make_plan(checkpoint, [kind], precisions)
        resources, texts = gather(plan, DATA / "train.jsonl", DATA / "test.jsonl", {}, seed=0)
        with shown() as report:
            folders = execute(plan, resources, texts, out, report)
        rows += [_parity_row(name, folder) for folder in folders]
    return rows


def _parity_row(name: str, folder: Path) -> dict[str, Any]:
    artifact = read_artifact(folder)
    parity, form = artifact.parity, artifact.name
    if form in FULL_TOLERANCE:
        met = parity["max_abs_delta"] <= FULL_TOLERANCE[form] and parity["agreement"] == 1.0
    else:
        met = parity["agreement"] >= LEAST_AGREEMENT.get(form, 0.0)
    files = [folder / name for name in artifact.files if Path(name).suffix in MODEL_FILES]
    size_mb = sum(file.stat().st_size for file in files) / 1e6
    return {"checkpoint": name, "form": form, "model_mb": round(size_mb, 1), **parity, "met": met}


def buckets(artifacts: Path) -> dict[str, float | bool]:
    """Median of mixed lengths over median of one repeated length, OpenVINO INT8, both timed in alternation."""
    folder = artifacts / "openvino-int8"
    artifact = read_artifact(folder)
    session = open_session(runtime_for("openvino"), executable(artifact, folder), probe_machine().usable_threads)
    encode = open_tokenizer(folder, artifact.max_tokens)
    texts = [json.loads(line)["text"] for line in (DATA / "test.jsonl").read_text(encoding="utf-8").splitlines()]
    mixed = [encode(text) for text in texts]
    middle = sorted(mixed, key=lambda tokens: len(tokens.ids))[len(mixed) // 2]
    times_ms: dict[str, list[float]] = {"mixed": [], "repeated": []}
    for tokens in mixed[:300]:
        session([tokens])
    for tokens in mixed:
        times_ms["mixed"].append(_timed_ms(session, tokens))
        times_ms["repeated"].append(_timed_ms(session, middle))
    mixed_ms, repeated_ms = (statistics.median(times_ms[kind]) for kind in ("mixed", "repeated"))
    ratio = mixed_ms / repeated_ms
    return {"mixed_p50_ms": mixed_ms, "repeated_p50_ms": repeated_ms, "ratio": ratio, "met": ratio <= BUCKET_LIMIT}


def _timed_ms(session: Session, tokens: Tokens) -> float:
    started = time.perf_counter_ns()
    session([tokens])
    return (time.perf_counter_ns() - started) / 1e6


def bench(artifacts: Path) -> str:
    """The table of `mct bench` on the shipped forms of MiniLM, the original as baseline."""
    root = HERE.parent  # paths relative to it, so that the result names no folder of this machine
    original = (WORK / "minilm").relative_to(root)
    forms = [artifacts.relative_to(root) / form for form in ("onnx-fp32", "onnx-int8", "openvino-int8", "gguf-q8_0")]
    command = [sys.executable, "-m", "mct.cli", "bench", original, *forms, "--baseline", original]
    command += ["--data", DATA / "test.jsonl", "--budgets", HERE / "banking77.toml", "--budget", "banking77"]
    done = subprocess.run(
        [*map(str, command), "--json", str(HERE / "banking77-bench.json")], stdout=subprocess.PIPE, text=True, cwd=root
    )
    if done.returncode not in {0, 1, 3}:
        raise SystemExit(done.returncode)
    return f"\n## Bench of the fine-tuned MiniLM, 3,080 test texts (exit code {done.returncode})\n\n{done.stdout}"


def markdown(found: dict[str, Any]) -> str:
    """The parity and bucket tables."""
    lines = [
        "# Banking77: three families through the three formats",
        "",
        "| checkpoint | form | model MB | max \\|Δlogit\\| | same answer on 500 texts | asked for | met |",
        "|--|--|--:|--:|--:|--|--|",
    ]
    for row in found["parity"]:
        form = row["form"]
        full = f"max ≤ {FULL_TOLERANCE[form]:g}, all equal" if form in FULL_TOLERANCE else ""
        asked = full or (f"≥ {LEAST_AGREEMENT[form]:.1%}" if form in LEAST_AGREEMENT else "recorded")
        lines.append(
            f"| {row['checkpoint']} | {form} | {row['model_mb']} | {row['max_abs_delta']:.2g} "
            f"| {row['agreement']:.2%}{_near_ties(row)} | {asked} | {'yes' if row['met'] else 'NO'} |"
        )
    mixed = found["buckets"]
    lines += [
        "",
        "OpenVINO INT8, P50 in milliseconds, the two taken in alternation:",
        "",
        "| 3,080 texts of mixed length | one repeated text of median length | ratio | asked for | met |",
        "|--:|--:|--:|--|--|",
        f"| {mixed['mixed_p50_ms']:.2f} | {mixed['repeated_p50_ms']:.2f} | {mixed['ratio']:.2f} | ≤ {BUCKET_LIMIT} "
        f"| {'yes' if mixed['met'] else 'NO'} |",
        "",
    ]
    return "\n".join(lines)


def _near_ties(row: dict[str, Any]) -> str:
    """How many of the differing answers the original itself could hardly tell apart."""
    return f" ({row['near_ties']} near tie)" if row["near_ties"] else ""


if __name__ == "__main__":
    main()
