"""The decoders of results/onnx_graphs.py: our graph beside that of onnxruntime-genai's model builder.

Decoders that the builder does not know end in the reason why; for them there is nothing else to take. For the others
both files are run by ONNX Runtime alone, on the same tokens, in one process, in turns A B B A: in a turn each prompt is
read at once and continued token after token, with the cache handed on. The tokens to come are those of the next prompt,
so that neither side's answers decide what it is asked. Both give logits for every token of a prompt: each could be made
to give the last alone, ours by an input (`num_logits_to_keep`), the builder's by an option (`prune_lm_head`).
"""

import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from onnx_graphs_models import MESSAGES, WORK, checkpoint_folder, figures, times_faster
from tokenizers import Tokenizer

from mct import MctError
from mct.bench.statistics.ratio import compare_percentile
from mct.compress.onnx import export_decoder, quantise_decoder
from mct.compress.plan.passes import Product, Resources
from mct.compress.run.agreement import spread
from mct.models.checkpoints.checkpoint import Checkpoint, inspect
from mct.models.checkpoints.load import load_model
from mct.models.writing.drafts import draft_folder
from mct.targets.machine import probe_machine

BUILDER = "onnxruntime-genai's builder"
PROMPTS, PROMPT_TOKENS, NEW_TOKENS, PADDING = 4, 64, 16, 20
FEWEST_ROUNDS = 8

Ids = NDArray[np.int64]
Logits = NDArray[np.float32]
Cache = Mapping[str, Logits]


@dataclass(frozen=True)
class Decoder:
    """A file opened, and the cache that it begins with: nothing seen."""

    file: Path
    session: ort.InferenceSession
    empty: Cache

    def __call__(self, ids: Ids, past: Cache, mask: Ids | None = None) -> tuple[Logits, Cache]:
        """Logits of ids (1, new) that follow on what is in the cache, and the cache after them."""
        if mask is None:
            mask = np.ones((1, ids.shape[1] + next(iter(past.values())).shape[2]), np.int64)
        names = [value.name for value in self.session.get_outputs()]
        found = self.session.run(names, {"input_ids": ids, "attention_mask": mask, **past})
        outputs = dict(zip(names, found, strict=True))
        return outputs.pop("logits"), {
            name.replace("present", "past_key_values"): value for name, value in outputs.items()
        }


@dataclass(frozen=True)
class Turn:
    """Milliseconds of each prompt and of each token after it."""

    prompt_ms: NDArray[np.float64]
    token_ms: NDArray[np.float64]


def decoder_rows(name: str, threads: int, seconds: float) -> list[dict[str, Any]]:
    """Our graph against the builder's, at fp32 and with 4-bit weights. MctError where the builder is not installed."""
    if importlib.util.find_spec("onnxruntime_genai") is None:
        raise MctError("onnxruntime-genai is not installed", "pip install onnxruntime-genai")
    checkpoint = inspect(checkpoint_folder(name))
    model, prompts = load_model(checkpoint), prompts_of(checkpoint)
    with torch.inference_mode():
        expected = model(torch.from_numpy(prompts)).logits.numpy()
    width = model.config.hidden_size // model.config.num_attention_heads
    rows = []
    with draft_folder(WORK, name) as draft:
        for precision, file in written(checkpoint, draft).items():
            theirs = opened(built(checkpoint, precision, draft / f"builder-{precision}"), threads, width)
            ours = opened(file, threads, width)
            row = {
                side: held_against(expected, decoder, prompts) for side, decoder in (("ours", ours), ("theirs", theirs))
            }
            rows.append({"precision": precision, "against": BUILDER, **row, **in_turns(theirs, ours, prompts, seconds)})
    return rows


def prompts_of(checkpoint: Checkpoint) -> Ids:
    """(prompts, tokens): shop messages, one after the other, as the checkpoint's tokenizer cuts them."""
    text = " ".join(json.loads(line)["text"] for line in MESSAGES.read_text(encoding="utf-8").splitlines())
    ids = Tokenizer.from_file(str(checkpoint.path / "tokenizer.json")).encode(text, add_special_tokens=False).ids
    return np.array(ids[: PROMPTS * PROMPT_TOKENS], np.int64).reshape(PROMPTS, PROMPT_TOKENS)


def written(checkpoint: Checkpoint, draft: Path) -> dict[str, Path]:
    """Our files by precision."""
    resources = Resources(checkpoint, None, probe_machine(), 0)
    full = export_decoder.run(Product(checkpoint.path, ""), draft, {}, resources)
    small = quantise_decoder.run(full, draft, {"bits": 4}, resources)
    return {"fp32": draft / full.model, "int4": draft / small.model}


def built(checkpoint: Checkpoint, precision: str, out: Path) -> Path:
    """The builder's file, by its own command line and as it comes."""
    command = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-i", str(checkpoint.path), "-o", str(out)]
    options = ["-p", precision, "-e", "cpu", "-c", str(out / "cache")]
    done = subprocess.run([*command, *options], capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1].replace(str(checkpoint.path), checkpoint.path.name)
        raise MctError(f"the builder refuses it: {said}", "another version may take it")
    return out / "model.onnx"


def opened(file: Path, threads: int, width: int) -> Decoder:
    """A session whose idle threads sleep: two live side by side, and neither is to slow the other."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    caches = [value for value in session.get_inputs() if value.name.startswith("past_key_values.")]
    empty = {value.name: np.zeros((1, value.shape[1], 0, width), np.float32) for value in caches}
    return Decoder(file, session, empty)


def held_against(expected: Logits, decoder: Decoder, prompts: Ids) -> dict[str, Any]:
    """Figures of the file, its logits held against torch's, and against its own behind padding, in their spreads."""
    found = np.concatenate([decoder(prompt[None], decoder.empty)[0] for prompt in prompts])
    delta, unit = np.abs(found - expected), spread([expected])
    largest = float(delta.max())
    deltas = {"max_abs_delta": largest, "mean_abs_delta": float(delta.mean()), "max_delta": largest / unit}
    return figures(decoder.file, deltas) | {"padding_delta": behind_padding(found, decoder, prompts) / unit}


def behind_padding(alone: Logits, decoder: Decoder, prompts: Ids) -> float:
    """The file's largest |difference| from its own logits, for a prompt that stands behind padding in a batch.

    So transformers pads a batch that is to be continued; the builder's graph wants padding at the end.
    """
    kept = PROMPT_TOKENS - PADDING
    ids, mask = prompts[:2].copy(), np.ones((2, PROMPT_TOKENS), np.int64)
    ids[1, :PADDING], ids[1, PADDING:], mask[1, :PADDING] = 0, prompts[1, :kept], 0
    empty = {name: np.repeat(cache, 2, axis=0) for name, cache in decoder.empty.items()}
    padded, _ = decoder(ids, empty, mask)
    return float(np.abs(padded[1, PADDING:] - alone[1, :kept]).max())


def in_turns(theirs: Decoder, ours: Decoder, prompts: Ids, seconds: float) -> dict[str, Any]:
    """How many times faster ours is, and the median milliseconds of both: for a prompt, and for a token after it."""
    turns: dict[str, list[Turn]] = {"theirs": [], "ours": []}
    order = [("theirs", theirs), ("ours", ours)]
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(turns["ours"]) < FEWEST_ROUNDS:
        for side, decoder in order:
            turns[side].append(take_turn(decoder, prompts))
        order.reverse()
    milliseconds = {what: {side: of(turns[side], what) for side in turns} for what in ("prompt", "token")}
    return {
        "speed_up": {
            what: times_faster(compare_percentile(sides["theirs"], sides["ours"], 0.5))
            for what, sides in milliseconds.items()
        },
        "p50_ms": {
            what: {side: round(float(np.median(np.concatenate(values))), 3) for side, values in sides.items()}
            for what, sides in milliseconds.items()
        },
    }


def of(turns: list[Turn], what: str) -> list[NDArray[np.float64]]:
    """The milliseconds of every turn, for prompts or for tokens."""
    return [turn.prompt_ms if what == "prompt" else turn.token_ms for turn in turns]


def take_turn(decoder: Decoder, prompts: Ids) -> Turn:
    """Every prompt, continued by the beginning of the next. The first, which wakes the threads, is not counted."""
    prompt_ms, token_ms = [], []
    for number, prompt in enumerate(prompts):
        milliseconds, cache = timed(decoder, prompt[None], decoder.empty)
        prompt_ms.append(milliseconds)
        for token in prompts[(number + 1) % len(prompts), :NEW_TOKENS]:
            milliseconds, cache = timed(decoder, np.array([[token]]), cache)
            token_ms.append(milliseconds)
    return Turn(np.array(prompt_ms[1:]), np.array(token_ms[NEW_TOKENS:]))


def timed(decoder: Decoder, ids: Ids, past: Cache) -> tuple[float, Cache]:
    """Milliseconds of one step, and the cache after it."""
    began = time.perf_counter()
    _, cache = decoder(ids, past)
    return 1e3 * (time.perf_counter() - began), cache
