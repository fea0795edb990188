"""What each GGUF type costs a language model, with and without an importance matrix, on TinyStories.

Run from the repository root: `python results/language_model_gguf.py`. Two models: the pretrained TinyStories-656K, and,
because its width of 128 lets no block of 256 in, a Llama of width 256 trained here for some minutes on the same texts
(kept in build/, made anew where absent). Each type is held against the model itself at fp32: size, perplexity, mean
Kullback-Leibler divergence, share of tokens with the same first choice. Calibration and evaluation are paragraphs of
different stories; the interval of a difference comes from drawing evaluation paragraphs anew (bootstrap).

The table goes to stdout, everything to results/language_model_gguf.json.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from mct.compress.gguf import export_decoder as export_gguf_lm
from mct.compress.gguf import quantise as quantise_gguf
from mct.compress.plan.passes import Product, Resources
from mct.compress.plan.passes_gguf import EXACT_TYPES, WEIGHED_TYPES
from mct.compress.run.agreement import divergence
from mct.models.checkpoints.checkpoint import Checkpoint, inspect
from mct.models.data.declared import read_object
from mct.models.tasks.datasets import Dataset, read_dataset
from mct.models.tasks.table import find_task
from mct.models.tasks.tokens import Tokens, open_tokenizer
from mct.models.writing.folders import write_json
from mct.targets.machine import probe_machine
from mct.targets.runtimes.table import Executable, Session, open_session, original, runtime_for

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
PRETRAINED = SHARED / "weights" / "tinystories656K"
TEXTS = SHARED / "data" / "lm_tinystories" / "paragraphs.jsonl"
WIDE = ROOT / "build" / "tinystories-wide"
MODELS = {"656K": PRETRAINED, "wide": WIDE}
RESULT = Path(__file__).with_suffix(".json")

TRAINED_ON, CALIBRATED_ON, EVALUATED_ON = slice(0, 3800), slice(0, 1000), slice(3900, 4300)
STEPS, BATCH, LENGTH, PEAK = 600, 16, 128, 2e-3
DRAWS = 2000
COLUMNS = (
    "type", "importance", "kB", "perplexity", "mean KL (nats)", "same top token", "KL with / without", "written as",
)  # fmt: skip


@dataclass(frozen=True)
class Losses:
    """One model on the evaluation paragraphs: for each of them the summed nll and KL, hits, and tokens."""

    nll: np.ndarray
    kl: np.ndarray
    same: np.ndarray
    tokens: np.ndarray

    def summary(self) -> dict[str, float]:
        """Figures over all tokens."""
        total = self.tokens.sum()
        return {
            "perplexity": round(float(np.exp(self.nll.sum() / total)), 4),
            "mean_kl": float(self.kl.sum() / total),
            "same_top": round(float(self.same.sum() / total), 4),
        }


def main() -> None:
    """The models asked for, every type; what was found of others stays."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=MODELS, action="append", help="one of the models; both without it")
    parser.add_argument("--table", action="store_true", help="measure nothing, print the table of what there is")
    asked = parser.parse_args()
    found = read_object(RESULT)["models"] if RESULT.is_file() else {}
    if not asked.table:
        found |= measure_all(asked.only or list(MODELS), found)
    print(table(found))


def measure_all(names: Sequence[str], before: dict[str, Any]) -> dict[str, Any]:
    """The named models, trained first where that is needed; written to the result file as they come."""
    rows = read_dataset(TEXTS, find_task("causal-lm"), {})
    if "wide" in names and not (WIDE / "model.safetensors").is_file():
        train_wide([row["text"] for row in rows.rows[TRAINED_ON]])
    found = dict(before)
    for name in names:
        found[name] = compare(inspect(MODELS[name]), rows)
        about = {"texts_sha256": rows.sha256, "calibrated_on": _span(CALIBRATED_ON)}
        write_json(RESULT, {**about, "evaluated_on": _span(EVALUATED_ON), "models": found})
    return found


def _span(rows: slice) -> list[int]:
    return [rows.start, rows.stop]


def compare(checkpoint: Checkpoint, rows: Dataset) -> dict[str, Any]:
    """Every type of one model beside the model itself."""
    inputs = _encode(checkpoint, [row["text"] for row in rows.rows[EVALUATED_ON]])
    session = open_session(runtime_for("checkpoint"), original(checkpoint), 1)
    logits = [session([tokens])["logits"][0] for tokens in inputs]
    calibration = replace(rows, rows=rows.rows[CALIBRATED_ON])
    plain = Resources(checkpoint, None, probe_machine(), 0)
    with tempfile.TemporaryDirectory() as scratch:
        exported = export_gguf_lm.run(Product(checkpoint.path, ""), _new(scratch, "f32"), {}, plain)
        found = [_entry("F32", exported, _losses(_session(exported, checkpoint), inputs, logits))]
        for kind in (*EXACT_TYPES, *WEIGHED_TYPES):
            found += _with_and_without(kind, exported, plain, calibration, scratch, inputs, logits)
    own = _losses(session, inputs, logits).summary()
    return {
        "parameters": checkpoint.parameters,
        "evaluation": {"paragraphs": len(inputs), "tokens": sum(len(tokens.ids) - 1 for tokens in inputs)},
        "original_perplexity": own["perplexity"],
        "types": found,
    }


def _with_and_without(
    kind: str, exported: Product, plain: Resources, calibration: Dataset, scratch: str, inputs: Sequence[Tokens],
    logits: Sequence[np.ndarray],
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """One type without an importance matrix, and with one where it makes a difference."""
    bare = quantise_gguf.run(exported, _new(scratch, kind), {"type": kind}, plain)
    without = _losses(_session(bare, plain.checkpoint), inputs, logits)
    yield _entry(kind, bare, without)
    if kind in WEIGHED_TYPES:
        resources = replace(plain, calibration=calibration)
        weighed = quantise_gguf.run(exported, _new(scratch, f"{kind}-weighed"), {"type": kind}, resources)
        with_it = _losses(_session(weighed, plain.checkpoint), inputs, logits)
        yield _entry(kind, weighed, with_it) | {"kl_ratio": _ratio(with_it, without)}
    shutil.rmtree(Path(scratch) / kind)


def _entry(kind: str, product: Product, losses: Losses) -> dict[str, Any]:
    size = (product.folder / product.model).stat().st_size
    return {"type": kind, "bytes": size, **losses.summary(), "notes": dict(product.notes)}


def _ratio(weighed: Losses, bare: Losses) -> dict[str, float]:
    """Mean KL with the matrix over mean KL without, and its 95 % interval over paragraphs drawn anew, in pairs."""
    drawn = np.random.default_rng(0).integers(len(bare.kl), size=(DRAWS, len(bare.kl)))
    ratios = weighed.kl[drawn].sum(axis=1) / bare.kl[drawn].sum(axis=1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return {"ratio": float(weighed.kl.sum() / bare.kl.sum()), "low": float(low), "high": float(high)}


def _losses(session: Session, inputs: Sequence[Tokens], logits: Sequence[np.ndarray]) -> Losses:
    rows = [
        _loss(tokens, before, session([tokens])["logits"][0]) for tokens, before in zip(inputs, logits, strict=True)
    ]
    return Losses(*(np.array(column) for column in zip(*rows, strict=True)))


def _loss(tokens: Tokens, before: np.ndarray, after: np.ndarray) -> tuple[float, float, int, int]:
    """Summed nll, summed KL, same first choices, number of tokens; the last position foresees nothing we know."""
    ids, before, after = np.asarray(tokens.ids[1:]), before[:-1], after[:-1].astype(np.float64)
    shifted = after - after.max(axis=1, keepdims=True)
    likelihood = shifted[np.arange(len(ids)), ids] - np.log(np.exp(shifted).sum(axis=1))
    same = int((before.argmax(axis=1) == after.argmax(axis=1)).sum())
    return float(-likelihood.sum()), float(divergence(before, after).sum()), same, len(ids)


def _session(product: Product, checkpoint: Checkpoint) -> Session:
    """On one thread: with such small models two wait for one another, and on a busy machine for long."""
    executable = Executable(product.folder, product.model, "causal-lm", 0, checkpoint.max_tokens, product.settings)
    return open_session(runtime_for("gguf"), executable, 1)


def _encode(checkpoint: Checkpoint, texts: Sequence[str]) -> list[Tokens]:
    tokenize = open_tokenizer(checkpoint.path, min(256, checkpoint.max_tokens))
    found = [tokenize(text) for text in texts]
    return [tokens for tokens in found if len(tokens.ids) > 1]


def _new(scratch: str, name: str) -> Path:
    folder = Path(scratch) / name
    folder.mkdir()
    return folder


# -- a model wide enough for blocks of 256 ----------------------------------------------------------------------------


def train_wide(texts: Sequence[str]) -> None:
    """Train a small Llama from nothing, with the tokenizer of TinyStories-656K, and write it to build/."""
    torch.manual_seed(0)
    tokenize = open_tokenizer(PRETRAINED, 10_000)
    stream = torch.tensor([token for text in texts for token in tokenize(text).ids])
    config = LlamaConfig(
        vocab_size=2048, hidden_size=256, intermediate_size=768, num_hidden_layers=4, num_attention_heads=8,
        num_key_value_heads=4, max_position_embeddings=512, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK, weight_decay=0.1, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK, total_steps=STEPS, pct_start=0.1)
    for step in range(STEPS):
        starts = torch.randint(len(stream) - LENGTH, (BATCH,))
        batch = torch.stack([stream[start : start + LENGTH] for start in starts])
        loss = model(input_ids=batch, labels=batch).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            print(f"step {step}: loss {loss.item():.3f}", file=sys.stderr, flush=True)
    model.save_pretrained(WIDE)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copyfile(PRETRAINED / name, WIDE / name)


def table(found: dict[str, Any]) -> str:
    """One Markdown table a model."""
    lines = []
    for name, model in found.items():
        size, tokens = f"{model['parameters']:,} parameters", f"{model['evaluation']['tokens']:,} tokens"
        lines += [f"### {name}: {size}, perplexity {model['original_perplexity']:.3f} at fp32 on {tokens}", ""]
        lines += [f"| {' | '.join(COLUMNS)} |", "|--" * len(COLUMNS) + "|"]
        lines += [_line(entry) for entry in model["types"]]
        lines.append("")
    return "\n".join(lines)


def _line(entry: dict[str, Any]) -> str:
    ratio = entry.get("kl_ratio")
    versus = f"{ratio['ratio']:.2f} ({ratio['low']:.2f}–{ratio['high']:.2f})" if ratio else ""
    kinds = entry["notes"].get("tensors", {"F32": "all"})
    return (
        f"| {entry['type']} | {'yes' if ratio else 'no'} | {entry['bytes'] / 1000:,.0f} | {entry['perplexity']:.3f} "
        f"| {entry['mean_kl']:.2e} | {entry['same_top']:.1%} | {versus} "
        f"| {', '.join(f'{count} {kind}' for kind, count in kinds.items() if kind != 'F32' or count == 'all')} |"
    )


if __name__ == "__main__":
    main()
