"""A real pretrained Llama in every form: P95 of a continuation and what was lost, in the same row.

Run from the repository root: `python results/language_model.py`. TinyStories-656K through `mct compress` to every form,
and the GGUF types that an importance matrix can weigh once more without one. All are scored on the same paragraphs
(perplexity, divergence from the original, share of the same likeliest token) and timed in one `mct bench`: figures of
different texts or runs do not compare. What is made and timed stays in `.cache/language_model` and is not done again;
remove that folder, or only `bench.json` in it, to have it done again. language_model_gguf.json has a wider model too.
"""

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from forms import ORIGINAL, ROOT, Job, is_made, line, make, measure, metric_cell, number, p95_cell

from mct.bench.samples.subject import identify
from mct.compress.plan.passes_gguf import WEIGHED_TYPES
from mct.compress.run.agreement import divergence
from mct.compress.run.inputs import encode_requests
from mct.models.checkpoints.checkpoint import inspect
from mct.models.tasks.examples import Outputs, find_kind
from mct.models.tasks.tokens import Tokens
from mct.models.writing.folders import write_atomically, write_json
from mct.targets.machine import probe_machine
from mct.targets.runtimes.table import open_session, runtime_for

HERE = Path(__file__).resolve().parent
PARAGRAPHS = ROOT.parent / "shared" / "data" / "lm_tinystories" / "paragraphs.jsonl"
WORK = Path(".cache/language_model")
TRAIN, TEST, LONGEST = slice(0, 1000), slice(3900, 4300), 256
FORMS = {
    "onnx": ("fp32", "fp16", "int8", "int4"),
    "openvino": ("fp32", "fp16", "int8", "int4"),
    "gguf": ("f32", "f16", "q8_0", "q6_k", "q5_k_m", "q4_k_m", "q4_0", "iq4_xs", "q3_k_m", "q2_k"),
}
JOB = Job(
    Path("../shared/weights/tinystories656K"), WORK, FORMS, WORK / "train.jsonl", WORK / "test.jsonl",
    "response-lora", 240,
)  # fmt: skip
UNWEIGHED = {"gguf": tuple(kind.lower() for kind in WEIGHED_TYPES)}
WITHOUT = replace(JOB, out=WORK / "unweighed", forms=UNWEIGHED, train=None)
EXPLAINED = """\
Written by `python results/language_model.py`. Times are of one greedy continuation by 32 tokens after the other, end to
end. Perplexity, KL divergence from the original (nats a token) and the share of tokens for which both have the same
favourite are over the same 400 paragraphs, which no form was calibrated on; "next token" is the share of them that the
form puts first, with its difference to the original's in points, paired. In brackets: 95 % intervals. A type without
importance matrix takes time and size of the same type with one, whose blocks are the same.
"""


def main() -> int:
    """Make, time, score, write."""
    write_paragraphs()
    refused = make(JOB)
    make(WITHOUT)  # whatever it could refuse is refused above
    timed = {row["form"]: row for row in measure(JOB)}
    found = {"refused": refused, "rows": rows(timed)}
    write_json(HERE / "language_model.json", found)
    write_atomically(HERE / "language_model.md", markdown(found, timed[ORIGINAL]))
    return 0


def write_paragraphs() -> None:
    """The first paragraphs to calibrate on, the last ones to measure on."""
    lines = PARAGRAPHS.read_text(encoding="utf-8").splitlines(keepends=True)
    for part, chosen in (("train", TRAIN), ("test", TEST)):
        write_atomically(ROOT / WORK / f"{part}.jsonl", "".join(lines[chosen]))


# -- what was lost ------------------------------------------------------------------------------------------------


def rows(timed: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The original, then every form that was made, with its losses and times."""
    texts = [json.loads(text)["text"] for text in (ROOT / JOB.test).read_text(encoding="utf-8").splitlines()]
    encoded = encode_requests(inspect(ROOT / JOB.checkpoint), texts)
    inputs = [Tokens(tokens.ids[:LONGEST], tokens.type_ids[:LONGEST]) for tokens in encoded]
    before = answers(ROOT / JOB.checkpoint, inputs)
    found = [{"form": ORIGINAL, "imatrix": "", "timed": timed[ORIGINAL], **losses(inputs, before, before)}]
    found += [
        {"form": form, "imatrix": imatrix, "timed": timed.get(form)}
        | losses(inputs, before, answers(ROOT / job.out / form, inputs))
        for job in (JOB, WITHOUT)
        for form, imatrix in made(job).items()
    ]
    return found


def made(job: Job) -> dict[str, str]:
    """The forms of a job that are there, and whether an importance matrix weighed them: yes, no, or not to be asked."""
    forms = [f"{kind}-{precision}" for kind, wanted in job.forms.items() for precision in wanted]
    can_be_weighed = [f"gguf-{precision}" for precision in WITHOUT.forms["gguf"]]
    weighed = "yes" if job.train else "no"
    return {form: weighed if form in can_be_weighed else "" for form in forms if is_made(job, form)}


def answers(folder: Path, inputs: Sequence[Tokens]) -> list[Outputs]:
    """The logits that an artifact or checkpoint gives for every input."""
    subject = identify(folder)
    session = open_session(runtime_for(subject.format), subject.executable, probe_machine().usable_threads)
    return [session([tokens]) for tokens in inputs]


def losses(inputs: Sequence[Tokens], before: Sequence[Outputs], after: Sequence[Outputs]) -> dict[str, float]:
    """Perplexity of the real next tokens, divergence from the original, share of tokens with the same favourite."""
    kind = find_kind("causal-lm")
    assert kind.condense is not None
    figures = [kind.condense(outputs, tokens, None) for tokens, outputs in zip(inputs, after, strict=True)]
    scored = [kind.decode(each, [tokens], ()) for tokens, each in zip(inputs, figures, strict=True)]
    pairs = [(a["logits"][0], b["logits"][0]) for a, b in zip(before, after, strict=True)]
    return {
        "perplexity": math.exp(sum(each["nll"] for each in scored) / sum(each["tokens"] for each in scored)),
        "mean_kl": float(np.concatenate([divergence(a, b) for a, b in pairs]).mean()),
        "same_top": float(np.concatenate([a.argmax(-1) == b.argmax(-1) for a, b in pairs]).mean()),
    }


# -- the table ----------------------------------------------------------------------------------------------------


def markdown(found: dict[str, Any], timed: dict[str, Any]) -> str:
    """One row a form."""
    head = (
        "form", "importance matrix", "P50 ms", "P95 ms", "perplexity", "KL", "same favourite", "next token", "size MB",
    )  # fmt: skip
    table = [line(head), "|--|--|" + "--:|" * (len(head) - 2), *(line(_cells(row)) for row in found["rows"])]
    notes = [f"- **{form}** cannot be had: {why}" for form, why in found["refused"].items()]
    notes += [f"- **{row['form']}** failed: {row['timed']['failure']}" for row in found["rows"] if _failed(row)]
    where = f"TinyStories-656K (Llama, 2 layers of width 128); {timed['cpu']}, {timed['threads']} threads."
    parts = ["# A language model in every form", EXPLAINED, "\n".join(table), "\n".join(notes), where]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _failed(row: dict[str, Any]) -> bool:
    return bool(row["timed"] and row["timed"]["failure"])


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    timed = row["timed"]
    return (
        row["form"],
        row["imatrix"],
        number(timed and timed["p50_ms"], "{:.2f}"),
        p95_cell(timed) if timed else "-",
        number(row["perplexity"], "{:.3f}"),
        number(row["mean_kl"], "{:.5f}"),
        number(row["same_top"], "{:.2%}"),
        metric_cell(timed["quality"] if timed and row["imatrix"] != "no" else None),
        number(timed and timed["size_mb"], "{:.2f}"),
    )


if __name__ == "__main__":
    sys.exit(main())
