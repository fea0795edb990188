"""A real language model in ONNX at every precision: what each costs in bytes, and what it loses.

`python results/language_model_onnx.py`, from the repository root. TinyStories-656K (Llama, 2 layers) on paragraphs of
TinyStories' validation set that nothing is calibrated on. Perplexity, mean KL divergence from the original and the
share of tokens on which both have the same favourite, token by token. Beside what `mct compress` makes stand two
others that it could have made, on the same graph: ONNX Runtime's dynamic INT8, and 4-bit weights by each block's whole
range instead of the best of seven. Writes language_model_onnx.json beside this file and prints the table.
"""

import json
import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto
from onnxruntime.quantization import QuantType, quantize_dynamic

from mct import MctError
from mct.compress import onnx_blocks, quantise_onnx_lm
from mct.compress.agreement import divergence
from mct.compress.artifact import executable, read_artifact
from mct.compress.execute import execute
from mct.compress.inputs import encode_requests
from mct.compress.material import gather
from mct.compress.plan import make_plan, supported
from mct.compress.quiet import quiet
from mct.models.checkpoint import Checkpoint, inspect
from mct.models.folders import write_json
from mct.models.tokens import Tokens
from mct.targets.machine import probe_machine
from mct.targets.runtimes import Executable, Session, open_session, original, runtime_for

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[1] / "shared"
MODEL = SHARED / "weights" / "tinystories656K"
PARAGRAPHS = SHARED / "data" / "lm_tinystories" / "paragraphs.jsonl"
SCORED = slice(2000, 2400)
LONGEST = 96
COLUMNS = ("form", "size_mb", "perplexity", "mean_kl", "same_top", "tokens_per_s")

Logits = NDArray[np.float32]


def main() -> None:
    """Score the original, every artifact and the two others; write what was seen."""
    if not MODEL.is_dir() or not PARAGRAPHS.is_file():
        raise MctError(f"{MODEL} or {PARAGRAPHS} is not here", "this evidence needs both")
    checkpoint = inspect(MODEL)
    lines = PARAGRAPHS.read_text(encoding="utf-8").splitlines()[SCORED]
    inputs = _inputs(checkpoint, [json.loads(line)["text"] for line in lines])
    torch_session = open_session(runtime_for("checkpoint"), original(checkpoint), 1)
    before = _answers(torch_session, inputs)
    rows = [
        {"form": "original (torch, fp32)", "size_mb": _mb(MODEL / "model.safetensors"), **score(inputs, before, before)}
        | {"tokens_per_s": _tokens_per_s(torch_session, inputs)}
    ]
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "eval.jsonl").write_text("\n".join(lines), encoding="utf-8")
        rows += list(artifact_rows(checkpoint, Path(scratch), inputs, before))
        rows += list(other_rows(checkpoint, Path(scratch), inputs, before))
    tokens = sum(len(one.ids) - 1 for one in inputs)
    found = {"machine": probe_machine().cpu, "paragraphs": len(inputs), "tokens": tokens, "rows": rows}
    write_json(HERE / "language_model_onnx.json", found)
    print(table(rows))


def artifact_rows(
    checkpoint: Checkpoint, scratch: Path, inputs: list[Tokens], before: list[Logits]
) -> Iterator[dict[str, Any]]:
    """What `mct compress` makes, each scored."""
    plan = make_plan(checkpoint, ["onnx"], supported(checkpoint.task)["onnx"])
    material, requests = gather(plan, None, scratch / "eval.jsonl", {}, seed=0)
    for folder in execute(plan, material, requests, scratch / "artifacts"):
        artifact = read_artifact(folder)
        row = {"form": artifact.name, "size_mb": _mb(folder / artifact.model)}
        row |= _scored(executable(artifact, folder), inputs, before)
        yield row | {"continued_alike": artifact.parity["more"]["continued_alike"]}


def other_rows(
    checkpoint: Checkpoint, scratch: Path, inputs: list[Tokens], before: list[Logits]
) -> Iterator[dict[str, Any]]:
    """Two ways not taken, on the graph of the fp32 artifact."""
    source = scratch / "artifacts" / "onnx-fp32" / "onnx" / "model.onnx"
    for form, write in (("int8, dynamic", _dynamic), ("int4, whole range of a block", _whole_range)):
        file = scratch / f"{form}.onnx"
        write(source, file)
        opened = Executable(scratch, file.name, checkpoint.task, 0, checkpoint.max_tokens)
        yield {"form": form, "size_mb": _mb(file)} | _scored(opened, inputs, before)


def _dynamic(source: Path, file: Path) -> None:
    with quiet():
        quantize_dynamic(
            source, file, op_types_to_quantize=["MatMul"], per_channel=True, weight_type=QuantType.QInt8,
            extra_options={"DefaultTensorType": TensorProto.FLOAT},
        )  # fmt: skip


def _whole_range(source: Path, file: Path) -> None:
    model, searched = onnx.load(source), onnx_blocks.SHARES[4]
    onnx_blocks.SHARES[4] = (1.0,)
    try:
        quantise_onnx_lm.quantise(model, 4)
    finally:
        onnx_blocks.SHARES[4] = searched
    onnx.save_model(model, file)


def _scored(opened: Executable, inputs: list[Tokens], before: list[Logits]) -> dict[str, Any]:
    session = open_session(runtime_for("onnx"), opened, 1)
    return score(inputs, before, _answers(session, inputs)) | {"tokens_per_s": _tokens_per_s(session, inputs)}


def score(inputs: Sequence[Tokens], before: Sequence[Logits], after: Sequence[Logits]) -> dict[str, float]:
    """Perplexity of real next tokens, and how far the distributions are from the original's."""
    pairs = list(zip(before, after, strict=True))
    nll = np.concatenate([_nll(one, logits) for one, logits in zip(inputs, after, strict=True)])
    return {
        "perplexity": round(math.exp(float(nll.mean())), 4),
        "mean_kl": round(float(np.concatenate([divergence(a, b) for a, b in pairs]).mean()), 6),
        "same_top": round(float(np.concatenate([a.argmax(-1) == b.argmax(-1) for a, b in pairs]).mean()), 5),
    }


def _nll(one: Tokens, logits: Logits) -> NDArray[np.float64]:
    """Of every token after the first, in nats."""
    ids, rows = np.asarray(one.ids[1:]), logits[:-1].astype(np.float64)
    rows = rows - rows.max(-1, keepdims=True)
    result: NDArray[np.float64] = np.log(np.exp(rows).sum(-1)) - rows[np.arange(len(ids)), ids]
    return result


def _answers(session: Session, inputs: Sequence[Tokens]) -> list[Logits]:
    return [session([one])["logits"][0] for one in inputs]


def _tokens_per_s(session: Any, inputs: Sequence[Tokens]) -> int:
    """New tokens a second after short prompts, on one thread: an indication, the best of three."""
    prompts = [Tokens(one.ids[:16], one.type_ids[:16]) for one in inputs[:8]]
    session.generate(prompts[0], 8)
    return max(_pace(session, prompts) for _ in range(3))


def _pace(session: Any, prompts: Sequence[Tokens]) -> int:
    start = time.perf_counter()
    made = sum(len(session.generate(prompt, 64)) for prompt in prompts)
    return round(made / (time.perf_counter() - start))


def _inputs(checkpoint: Checkpoint, texts: Sequence[str]) -> list[Tokens]:
    inputs = encode_requests(checkpoint, texts)
    return [Tokens(one.ids[:LONGEST], one.type_ids[:LONGEST]) for one in inputs if len(one.ids) > 1]


def _mb(file: Path) -> float:
    return round(file.stat().st_size / 1e6, 3)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The figures as Markdown."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|--" * len(COLUMNS) + "|"]
    return "\n".join(lines + ["| " + " | ".join(str(row.get(name, "")) for name in COLUMNS) + " |" for row in rows])


if __name__ == "__main__":
    main()
