"""What an importance matrix is worth to an encoder: each weighed GGUF type with and without one, at equal size.

Run from the repository root after `python results/banking77.py`: `python results/encoder_gguf.py`, a minute. The MiniLM
fine-tuned on Banking77 (77 labels); the matrix comes from its training texts, the figures from 1,500 texts of the test
part, held against the checkpoint itself at fp32. Writes encoder_gguf.json and encoder_gguf.md beside this file.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from forms import ROOT, line

from mct.bench.samples.subject import identify
from mct.compress.gguf import quantise as quantise_gguf
from mct.compress.plan.passes import Product, Resources
from mct.compress.plan.passes_gguf import WEIGHED_TYPES
from mct.compress.run.parity import Reference, measure_parity, run_original
from mct.models.checkpoints.checkpoint import inspect
from mct.models.tasks.datasets import read_dataset
from mct.models.tasks.table import find_task
from mct.models.writing.folders import write_atomically, write_json
from mct.targets.machine import probe_machine

HERE = Path(__file__).resolve().parent
CHECKPOINT = ROOT / ".cache" / "banking77" / "minilm"
F32 = ROOT / ".cache" / "banking77" / "artifacts" / "minilm" / "gguf-f32"
DATA = ROOT.parent / "shared" / "data" / "banking77"
TEXTS = 1500
EXPLAINED = """\
Written by `python results/encoder_gguf.py`: a MiniLM fine-tuned on Banking77, 1,500 test texts. "Same answer" and the
mean difference of a logit are against the checkpoint at fp32; importance comes from 256 training texts. A width of 384
lets no block of 256 into most matrices, so llama.cpp writes those in other types than the name says.
"""


def main() -> int:
    """Write every type twice, and what both lose."""
    checkpoint, task = inspect(CHECKPOINT), find_task("sequence-classification")
    train, test = (read_dataset(DATA / f"{part}.jsonl", task) for part in ("train", "test"))
    bare = Resources(checkpoint, None, probe_machine(), seed=0)
    reference = run_original(checkpoint, test.column("text")[:TEXTS], bare.machine.usable_threads)
    weighed = replace(bare, calibration=train)
    found = [row(kind, resources, reference) for kind in WEIGHED_TYPES for resources in (bare, weighed)]
    write_json(HERE / "encoder_gguf.json", found)
    write_atomically(HERE / "encoder_gguf.md", markdown(found))
    return 0


def row(kind: str, resources: Resources, reference: Reference) -> dict[str, Any]:
    """One type, weighed or not."""
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder)
        product = quantise_gguf.run(Product(F32, quantise_gguf.MODEL), draft, {"type": kind}, resources)
        executable = replace(identify(F32).executable, folder=draft)
        parity = measure_parity(reference, f"gguf-{kind.lower()}", executable, resources.machine.usable_threads)
        return {
            "type": kind,
            "importance": resources.calibration is not None,
            "bytes": (draft / product.model).stat().st_size,
            "same_answer": parity.agreement,
            "mean_abs_delta": parity.mean_abs_delta,
            "tensors": product.notes["tensors"],
        }


def markdown(found: list[dict[str, Any]]) -> str:
    """One line a type, both ways side by side."""
    head = ("type", "MB", "same answer", "with importance", "mean difference", "with importance", "written as")
    table = [line(head), "|--|" + "--:|" * 5 + "--|"]
    for bare, weighed in zip(found[::2], found[1::2], strict=True):
        shares, deltas = ([each[key] for each in (bare, weighed)] for key in ("same_answer", "mean_abs_delta"))
        size = f"{weighed['bytes'] / 1e6:.2f}" + ("" if weighed["bytes"] == bare["bytes"] else " (not the same)")
        kinds = ", ".join(f"{count} {name}" for name, count in weighed["tensors"].items() if name != "F32")
        table.append(line((bare["type"], size, *(f"{s:.2%}" for s in shares), *(f"{d:.4f}" for d in deltas), kinds)))
    return "\n\n".join(["# An importance matrix for an encoder", EXPLAINED.strip(), "\n".join(table)]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
