"""Integrated gradients of one answer (Sundararajan, Taly & Yan 2017), for checkpoints, by torch.

The path leads from a baseline, every word's tokens replaced by [PAD] (else [MASK], [UNK], the end of a text), to the
text itself, in the space of the embedding layer; special tokens stay as they are on both ends. Gradients are summed at
the points of Gauss and Legendre, of which a smooth path needs few; more are taken where that leaves a gap. What all
words get should add up to the evidence at the text less that at the baseline (completeness); the gap that is left is
stated, not hidden. A leaf.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from mct import MctError
from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.checkpoints.files import pad_id
from mct.models.checkpoints.load import load_model, load_module
from mct.models.tasks.tokens import Tokenize, Tokens
from mct.release.inspection.asking.opened import Told
from mct.release.inspection.asking.questions import Target
from mct.targets.runtimes.batches import padded
from mct.targets.runtimes.run_torch import input_names

POINTS, AT_ONCE = (16, 32, 64, 128, 256), 8
CLOSE = 0.01
"""A gap of so much of the evidence is small enough; else more points are taken."""
BASELINES = ("[PAD]", "<pad>", "[MASK]", "<mask>", "[UNK]", "<unk>", "</s>", "<|endoftext|>")
Tensor = torch.Tensor


@dataclass(frozen=True)
class Gradients:
    """What each word is worth to the answer, in its own evidence's unit, and the completeness gap in the same."""

    words: tuple[float, ...]
    gap: float


@dataclass(frozen=True)
class Differentiable:
    """A loaded checkpoint. `baseline` is the token of a text that says nothing, `name` what it is called."""

    module: torch.nn.Module
    embedding: torch.nn.Module
    names: tuple[str, ...]
    baseline: int
    name: str
    fill: int
    writes: bool


def open_differentiable(checkpoint: Checkpoint, tokenize: Tokenize) -> Differentiable:
    """The checkpoint once more, for its gradients. MctError where it has no embedding layer of a transformer."""
    writes = checkpoint.network == "causal-lm"
    module: torch.nn.Module = load_model(checkpoint) if writes else load_module(checkpoint)
    heart: Any = module if writes else getattr(module, "model", None)
    heart = getattr(heart, "inner", heart)
    if not isinstance(heart, PreTrainedModel) or not isinstance(heart.get_input_embeddings(), torch.nn.Embedding):
        raise MctError(f"{checkpoint.path} has no embedding layer that gradients reach", "occlusion explains it too")
    for weights in module.parameters():
        weights.requires_grad_(False)
    numbers = {token: tokenize.tokenizer.token_to_id(token) for token in BASELINES}
    name, baseline = next(((token, number) for token, number in numbers.items() if number is not None), ("token 0", 0))
    fill = pad_id(checkpoint.sizes)
    return Differentiable(module, heart.get_input_embeddings(), tuple(input_names(heart)), baseline, name, fill, writes)


def integrated_gradients(model: Differentiable, told: Told, target: Target) -> Gradients:
    """Of the words of the input that the target is taken from. `told` has its outputs, where the target is a cosine."""
    cut = told.cuts[target.input]
    beside = told.outputs[1 + target.index][target.output][0] if target.measure == "cosine" else None
    inputs = _inputs(model, cut.tokens)
    owned = [place for places in cut.places for place in places]
    blank = inputs["input_ids"].clone()
    blank[0, owned] = model.baseline
    with torch.no_grad():
        whole, nothing = model.embedding(inputs["input_ids"]), model.embedding(blank)
    with torch.no_grad():
        ends = _evidence(model, inputs, torch.cat([nothing, whole]), target, beside).double().numpy()
    moved = float(ends[1] - ends[0])
    for points in POINTS:
        tokens = _tokens((nothing, whole), points, lambda path: _evidence(model, inputs, path, target, beside))
        gap = abs(moved - float(tokens.sum()))
        if gap <= CLOSE * max(abs(moved), 1.0):
            break
    return Gradients(tuple(float(tokens[list(places)].sum()) for places in cut.places), gap)


def _tokens(ends: tuple[Tensor, Tensor], points: int, evidence: Callable[[Tensor], Tensor]) -> Any:
    """What each token is worth, (tokens,): its way from the one end to the other, by the mean slope along it."""
    nothing, whole = ends
    nodes, weights = np.polynomial.legendre.leggauss(points)
    mean = torch.zeros_like(whole[0])
    for first in range(0, points, AT_ONCE):
        some = slice(first, first + AT_ONCE)
        shares = torch.tensor((nodes[some] + 1) / 2, dtype=whole.dtype)[:, None, None]
        path = (nothing + shares * (whole - nothing)).requires_grad_()
        (slope,) = torch.autograd.grad(evidence(path).sum(), path)
        mean += (slope * torch.tensor(weights[some] / 2, dtype=whole.dtype)[:, None, None]).sum(dim=0)
    return ((whole - nothing)[0] * mean).sum(dim=-1).double().numpy()


def _inputs(model: Differentiable, tokens: Tokens) -> Mapping[str, Tensor]:
    if model.writes:
        return {"input_ids": torch.tensor([tokens.ids])}
    return {name: torch.from_numpy(array) for name, array in padded([tokens], model.names, model.fill).items()}


def _evidence(
    model: Differentiable, inputs: Mapping[str, Tensor], embedded: Tensor, target: Target, beside: Any
) -> Tensor:
    """The target's number at each of several embeddings, (several, tokens, width), of one input."""
    several = {name: value.expand(len(embedded), -1) for name, value in inputs.items()}
    handle = model.embedding.register_forward_hook(lambda module, given, found: embedded)
    try:
        found = (
            model.module(**several) if not model.writes else {"logits": model.module(**several, use_cache=False).logits}
        )
    finally:
        handle.remove()
    rows: Tensor = found[target.output]
    if target.measure == "cosine":
        return torch.nn.functional.cosine_similarity(rows, torch.as_tensor(np.array(beside))[None], dim=-1)
    rows = rows if target.place is None else rows[:, target.place]
    own = rows[:, target.index]
    if target.measure == "logit":
        return own
    others = torch.cat([rows[:, : target.index], rows[:, target.index + 1 :]], dim=-1)
    against = others if target.measure == "log-odds" else rows
    return own - torch.logsumexp(against, dim=-1) if against.shape[-1] else own
