"""A real language model in OpenVINO at every precision: what each costs in bytes, and what it loses.

`python results/language_model_openvino.py`, from the repository root. TinyStories-656K (Llama, 2 layers) on paragraphs
of TinyStories' validation set: INT4 learns from the first ones, every precision is scored on later ones. Perplexity,
mean KL divergence from the original and the share of tokens on which both have the same favourite, token by token on
real text; a random choice of 400 paragraphs resolves about one point of share. Also, for INT4, each of its methods by
itself, since the pass picks one of them by texts that it holds out. Writes language_model_openvino.json beside this
file and prints the table.
"""

import json
import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mct import MctError
from mct.compress import quantise_openvino_lm
from mct.compress.agreement import divergence
from mct.compress.artifact import executable, read_artifact
from mct.compress.execute import execute
from mct.compress.export_openvino import save
from mct.compress.inputs import encode_requests
from mct.compress.material import gather
from mct.compress.plan import make_plan, supported
from mct.models.checkpoint import Checkpoint, inspect
from mct.models.folders import write_json
from mct.models.tokens import Tokens
from mct.targets.machine import probe_machine
from mct.targets.runtimes import Executable, Session, open_session, original, runtime_for

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[1] / "shared"
MODEL, DATA = SHARED / "weights" / "tinystories656K", SHARED / "data" / "lm_tinystories" / "paragraphs.jsonl"
LEARNT_FROM, SCORED_FROM, SCORED = 300, 2000, 400
LONGEST = 256
COLUMNS = ("form", "size_mb", "perplexity", "mean_kl", "same_top", "tokens_per_s", "continued_alike")

Logits = NDArray[np.float32]


def main() -> None:
    """Make every precision, score each, write and print."""
    if not MODEL.is_dir() or not DATA.is_file():
        raise MctError(f"{SHARED} has no TinyStories model or texts", "this evidence needs both")
    checkpoint, texts = inspect(MODEL), [json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()]
    inputs = _inputs(checkpoint, texts[SCORED_FROM : SCORED_FROM + SCORED])
    before = _answers(open_session(runtime_for("checkpoint"), original(checkpoint), 1), inputs)
    rows = [
        {"form": "original (torch, fp32)", "size_mb": _mb(MODEL / "model.safetensors"), **score(inputs, before, before)}
    ]
    with tempfile.TemporaryDirectory() as scratch:
        rows += list(artifact_rows(checkpoint, texts, Path(scratch), inputs, before))
        rows += list(method_rows(checkpoint, texts, Path(scratch), inputs, before))
    tokens = sum(len(one.ids) - 1 for one in inputs)
    write_json(
        HERE / "language_model_openvino.json",
        {"machine": probe_machine().cpu, "paragraphs": len(inputs), "tokens": tokens, "rows": rows},
    )
    print(table(rows))


def artifact_rows(
    checkpoint: Checkpoint, texts: Sequence[dict[str, str]], scratch: Path, inputs: list[Tokens], before: list[Logits]
) -> Iterator[dict[str, Any]]:
    """What `mct compress` makes, each scored."""
    plan = make_plan(checkpoint, ["openvino"], supported(checkpoint.task)["openvino"])
    files = {name: scratch / f"{name}.jsonl" for name in ("data", "eval")}
    _write(files["data"], texts[:LEARNT_FROM])
    _write(files["eval"], texts[SCORED_FROM : SCORED_FROM + SCORED])
    material, requests = gather(plan, files["data"], files["eval"], {}, seed=0)
    for folder in execute(plan, material, requests, scratch / "artifacts"):
        artifact = read_artifact(folder)
        notes = artifact.lineage[-1]["notes"]
        row = {"form": artifact.name, "size_mb": _mb(folder / "openvino_model.bin")}
        row |= _scored(executable(artifact, folder), inputs, before)
        yield row | {"continued_alike": artifact.parity["more"]["continued_alike"], "notes": dict(notes)}


def method_rows(
    checkpoint: Checkpoint, texts: Sequence[dict[str, str]], scratch: Path, inputs: list[Tokens], before: list[Logits]
) -> Iterator[dict[str, Any]]:
    """Each way to choose 4-bit weights, at each group size, on the fp32 artifact."""
    source = scratch / "artifacts" / "openvino-fp32"
    artifact = read_artifact(source)
    learnt = _inputs(checkpoint, texts[: quantise_openvino_lm.LEARNT_FROM])
    for group in (32, 64, 128):
        for method, options in quantise_openvino_lm.METHODS.items():
            graph = quantise_openvino_lm.rounded(
                source / artifact.model, "INT4_ASYM", learnt, group_size=group, **options
            )
            draft = scratch / f"{method}-{group}"
            draft.mkdir()
            save(graph, draft / artifact.model)
            opened = Executable(draft, artifact.model, checkpoint.task, 0, checkpoint.max_tokens, artifact.settings)
            row = {"form": f"int4, {method}, groups of {group}", "size_mb": _mb(draft / "openvino_model.bin")}
            yield row | _scored(opened, inputs, before)


def _scored(opened: Executable, inputs: list[Tokens], before: list[Logits]) -> dict[str, Any]:
    session = open_session(runtime_for("openvino"), opened, 1)
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
    """New tokens a second after short prompts, on one thread: an indication, taken once."""
    prompts = [Tokens(one.ids[:16], one.type_ids[:16]) for one in inputs[:8]]
    session.generate(prompts[0], 8)
    start = time.perf_counter()
    made = sum(len(session.generate(prompt, 64)) for prompt in prompts)
    return round(made / (time.perf_counter() - start))


def _inputs(checkpoint: Checkpoint, rows: Sequence[dict[str, str]]) -> list[Tokens]:
    inputs = encode_requests(checkpoint, [row["text"] for row in rows])
    return [Tokens(one.ids[:LONGEST], one.type_ids[:LONGEST]) for one in inputs if len(one.ids) > 1]


def _write(path: Path, rows: Sequence[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _mb(file: Path) -> float:
    return round(file.stat().st_size / 1e6, 3)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The figures as Markdown."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|--" * len(COLUMNS) + "|"]
    return "\n".join(lines + ["| " + " | ".join(str(row.get(name, "")) for name in COLUMNS) + " |" for row in rows])


if __name__ == "__main__":
    main()
