"""What it costs to keep adapters beside their base, held against merging each: latency, bytes, and the swap itself.

Run from the repository root, on a machine that does nothing else: `python results/adapters.py`; it takes under four
minutes. A Llama of 3 million weights, drawn at random (how long a request takes does not hang on their values), has
two LoRA adapters on all linear layers. For each form the artifact that keeps them is compared with two others, by
`mct compare`'s own measurement: with an adapter, against that adapter merged; without one, against the base alone. Then
what a swap takes: to read an adapter's file, beside opening a merged artifact anew.

Everything goes to adapters.json, the table to adapters.md.
"""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import llama_cpp
import onnxruntime as ort
import peft
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from mct.bench.jobs.compare import CompareJob, run_compare
from mct.bench.judge.compare import Comparison, Limits
from mct.compress.plan.plan import make_plan
from mct.compress.run.artifact import executable, read_artifact
from mct.compress.run.execute import execute
from mct.compress.run.resources import gather
from mct.models.checkpoints.adapted import NOTHING, Told
from mct.models.checkpoints.checkpoint import inspect
from mct.models.scenarios.responses.llama import shared_llama
from mct.models.scenarios.shop import dialogues
from mct.models.writing.folders import size_mb, write_atomically, write_json
from mct.targets.llama.encoders import start_backend
from mct.targets.machine import probe_machine
from mct.targets.runtimes.table import open_session, runtime_for
from mct.targets.target import find_target

HERE = Path(__file__).resolve().parent
FOUND = HERE / "adapters.json"

HIDDEN, LAYERS, HEADS, FEED_FORWARD = 256, 4, 4, 640
RANKS = {"polite": 8, "brief": 16}
MEASURED = "brief"
FORMS = ("onnx-int8", "gguf-q8_0")
ROWS, MAX_S, OPENINGS = 24, 25.0, 10
COLUMNS = (
    "form", "merged, MB each", "kept, MB", "of that an adapter", "P50, kept / merged", "P95, kept / merged",
    "P50 without an adapter", "P95 without an adapter", "ms to read an adapter", "ms to open a merged artifact",
)  # fmt: skip


def main() -> None:
    """Make, compare, write."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write_models(work)
        made = {
            "base": compress(work, work / "base", NOTHING),
            "merged": compress(work, work / "adapters", Told(adapter=MEASURED, base=work / "base")),
            "kept": compress(work, work / "adapters", Told(base=work / "base", keep=True)),
        }
        found = {"machine": probe_machine().cpu, "load_before": round(os.getloadavg()[0], 2)}
        found["forms"] = {
            form: measure(work, form, {name: each[form] for name, each in made.items()}) for form in FORMS
        }
    write_json(FOUND, found)
    write_atomically(HERE / "adapters.md", markdown(found))
    print(markdown(found))


def write_models(work: Path) -> None:
    """The base with the shop's small tokenizer, its two adapters in one folder, and requests to time."""
    torch.manual_seed(0)
    start = shared_llama("tiny")
    config = LlamaConfig.from_pretrained(
        start, hidden_size=HIDDEN, num_hidden_layers=LAYERS, num_attention_heads=HEADS, num_key_value_heads=HEADS,
        head_dim=HIDDEN // HEADS, intermediate_size=FEED_FORWARD, max_position_embeddings=512,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(work / "base")  # type: ignore[no-untyped-call]
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(start / name, work / "base" / name)
    base: Any = AutoModelForCausalLM.from_pretrained(work / "base")
    for name, rank in RANKS.items():
        options = peft.LoraConfig(task_type="CAUSAL_LM", r=rank, target_modules="all-linear", init_lora_weights=False)
        if isinstance(base, peft.PeftModel):
            base.add_adapter(name, options)
        else:
            base = peft.get_peft_model(base, options, adapter_name=name)
    base.save_pretrained(work / "adapters")
    rows = dialogues.generate(0, 4 * ROWS)["test"][:ROWS]
    lines = (json.dumps({"text": row["text"], "prompt": row["prompt"]}) for row in rows)
    (work / "rows.jsonl").write_text("\n".join(lines) + "\n")


def compress(work: Path, source: Path, told: Told) -> dict[str, Path]:
    """The artifacts of one way, by form."""
    plan = make_plan(inspect(source, told), ["onnx", "gguf"], ["int8"])
    resources, texts = gather(plan, None, work / "rows.jsonl", {}, seed=0)
    out = work / ("kept" if told.keep else "merged" if told.adapter else "plain")
    return {folder.name: folder for folder in execute(plan, resources, texts, out)}


def measure(work: Path, form: str, made: dict[str, Path]) -> dict[str, Any]:
    """One form: both comparisons, sizes in MB, times in ms."""
    adapter = made["kept"] / read_artifact(made["kept"]).settings["adapters"][MEASURED]
    return {
        "merged_mb": size_mb(made["merged"]),
        "kept_mb": size_mb(made["kept"]),
        "adapter_mb": adapter.stat().st_size / 1e6,
        "with_adapter": compared(work, made["merged"], made["kept"], Told(adapter=MEASURED)),
        "alone": compared(work, made["base"], made["kept"], NOTHING),
        "read_ms": timed(READERS[form.partition("-")[0]](made["kept"], adapter)),
        "open_ms": timed(lambda: opened(made["merged"])),
    }


def compared(work: Path, a: Path, b: Path, told: Told) -> dict[str, Any]:
    """Ratios of B over A, each with its interval."""
    cpu = find_target("cpu")
    job = CompareJob(
        a, b, work / "rows.jsonl", (cpu, cpu), Limits(quality=1.0), results=work / "runs", max_seconds=MAX_S, told=told
    )
    comparison: Comparison = run_compare(job)[0]
    return {
        "outcome": comparison.latency,
        **{
            name: [round(value, 4) for value in (ratio.value, ratio.low, ratio.high)]
            for name, ratio in (("p50", comparison.p50), ("p95", comparison.p95))
        },
    }


def opened(folder: Path) -> Any:
    """A session of the artifact, opened anew."""
    artifact = read_artifact(folder, verify=False)
    return open_session(runtime_for(artifact.format), executable(artifact, folder), 1)


def _onnx_reader(folder: Path, adapter: Path) -> Callable[[], Any]:
    return lambda: ort.AdapterFormat.read_adapter(str(adapter)).get_parameters()


def _gguf_reader(folder: Path, adapter: Path) -> Callable[[], Any]:
    start_backend()
    model = llama_cpp.llama_model_load_from_file(
        str(folder / "model.gguf").encode(), llama_cpp.llama_model_default_params()
    )
    assert model is not None
    return lambda: llama_cpp.llama_adapter_lora_init(model, str(adapter).encode())


READERS = {"onnx": _onnx_reader, "gguf": _gguf_reader}


def timed(act: Callable[[], Any]) -> float:
    """The median of some runs, ms."""
    found = []
    for _ in range(OPENINGS):
        began = time.perf_counter()
        act()
        found.append(1e3 * (time.perf_counter() - began))
    return round(median(found), 2)


def markdown(found: dict[str, Any]) -> str:
    """The table."""
    lines = [
        "# Adapters kept beside their base, and merged",
        "",
        f"Made by `python results/adapters.py` on {found['machine']}, load {found['load_before']} before. A ratio "
        "above 1 says that the artifact which keeps its adapters is slower; in brackets its 95 % interval. Llama of "
        f"{LAYERS} layers, width {HIDDEN}; the adapter has rank {RANKS[MEASURED]} on all linear layers.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"|--|{'--:|' * (len(COLUMNS) - 1)}",
        *(_row(form, each) for form, each in found["forms"].items()),
    ]
    return "\n".join(lines) + "\n"


def _row(form: str, each: dict[str, Any]) -> str:
    ratios = (each[way][name] for way in ("with_adapter", "alone") for name in ("p50", "p95"))
    cells = [
        form,
        *(f"{each[name]:.2f}" for name in ("merged_mb", "kept_mb", "adapter_mb")),
        *(f"{value:.3f} [{low:.3f}, {high:.3f}]" for value, low, high in ratios),
        f"{each['read_ms']:.2f}",
        f"{each['open_ms']:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
