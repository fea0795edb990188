"""Is it still the same model? Every artifact is run against its checkpoint on real inputs before it is called one.

At full precision the answers must be equal: the largest difference of any output is bounded per format, and an answer
may differ only where the original itself cannot tell two answers apart. A language model must moreover continue real
prompts by the same tokens, cache and all. Below full precision the agreement is recorded, and the budget decides.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from mct import MctError
from mct.compress.agreement import Outputs, agreement, mean_divergence, min_cosine
from mct.compress.inputs import encode_requests
from mct.models.checkpoint import Checkpoint
from mct.models.examples import Request
from mct.models.tokens import Tokens
from mct.targets.runtimes import Executable, Generator, Session, open_session, original, runtime_for

FULL_PRECISIONS = {"fp32", "f32"}

# Largest |difference| of an output at full precision. llama.cpp takes GELU by its tanh approximation from a table in
# half precision: that alone moved logits of real classifiers by 0.01. A tensor in the wrong place moves them by tenths.
TOLERANCE = {"onnx": 1e-3, "openvino": 1e-3, "gguf": 3e-2}
LEAST_COSINE = 1 - 1e-4

# A language model gives a row of logits for every token: fewer and shorter inputs say as much.
LM_INPUTS = 40
LM_TOKENS = 96
PROMPTS = 4
PROMPT_TOKENS = 16
NEW_TOKENS = 64


@dataclass(frozen=True)
class Reference:
    """The checkpoint's own outputs on encoded real inputs, one entry an input, arrays of shape (1, ...).

    `continued` are a language model's greedy continuations of the first prompts, empty for other tasks; `margins` say
    by how much it chose each of their tokens over the next best.
    """

    task: str
    inputs: tuple[Tokens, ...]
    outputs: tuple[Outputs, ...]
    continued: tuple[tuple[int, ...], ...]
    margins: tuple[tuple[float, ...], ...]
    inputs_sha256: str


@dataclass(frozen=True)
class Parity:
    """How far an artifact is from its checkpoint. `agreement` is the share of `decisions` that are the same.

    `near_ties` counts differing ones where the original decides by less than twice the tolerance. `more` has what only
    some tasks have: "min_cosine" of embedders; "mean_kl" (nats a token) and "continued_alike" (share of prompts
    continued by the same 64 tokens) and "continued_otherwise" (those that part at a token that was no near tie) of
    language models.
    """

    inputs: int
    inputs_sha256: str
    max_abs_delta: float
    mean_abs_delta: float
    agreement: float
    decisions: int
    near_ties: int
    tolerance: float
    more: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain values, for mct.json."""
        return asdict(self)


def run_original(checkpoint: Checkpoint, requests: Sequence[Request], threads: int) -> Reference:
    """Outputs of the checkpoint, run by torch at fp32, on `requests`."""
    inputs = encode_requests(checkpoint, requests)
    if checkpoint.task == "causal-lm":
        inputs = [_cut(tokens, LM_TOKENS) for tokens in inputs[:LM_INPUTS]]
    session = open_session(runtime_for("checkpoint"), original(checkpoint), threads)
    digest = hashlib.sha256(json.dumps([tokens.ids for tokens in inputs]).encode()).hexdigest()
    continued = _continue(session, inputs) if checkpoint.task == "causal-lm" else ()
    margins = tuple(_margins(session, tokens, found) for tokens, found in zip(inputs, continued, strict=False))
    return Reference(checkpoint.task, tuple(inputs), _outputs(session, inputs), continued, margins, digest)


def measure_parity(reference: Reference, form: str, executable: Executable, threads: int) -> Parity:
    """Run an exported model on the reference's inputs and compare. `form` is "<format>-<precision>"."""
    format_name, _, _ = form.partition("-")
    session = open_session(runtime_for(format_name), executable, threads)
    outputs = _outputs(session, reference.inputs)
    continued = _continue(session, reference.inputs) if reference.continued else ()
    return _compare(reference, outputs, continued, TOLERANCE[format_name])


def require_parity(parity: Parity, form: str, folder: Path) -> None:
    """MctError where a full-precision export is not the model it was made from."""
    if reason := _difference(parity):
        raise MctError(
            f"{form} of {folder} is not the same model: {reason}",
            "this export is refused; please report the architecture, or try another format",
        )


def _difference(parity: Parity) -> str:
    """What makes a full-precision export another model; "" where nothing does."""
    differing = round((1 - parity.agreement) * parity.decisions) - parity.near_ties
    if parity.max_abs_delta > parity.tolerance or differing > 0:
        return (
            f"max |difference| {parity.max_abs_delta:.2g} (at most {parity.tolerance:g}), "
            f"{differing} of {parity.decisions} answers differ"
        )
    if parity.more.get("min_cosine", 1.0) < LEAST_COSINE:
        return f"the cosine of a vector with the original's is {parity.more['min_cosine']:.6f}"
    if parity.more.get("continued_otherwise", 0.0) > 0:
        return f"only {parity.more['continued_alike']:.0%} of prompts are continued by the same {NEW_TOKENS} tokens"
    return ""


def _cut(tokens: Tokens, most: int) -> Tokens:
    return Tokens(tokens.ids[:most], tokens.type_ids[:most])


def _outputs(session: Session, inputs: Sequence[Tokens]) -> tuple[Outputs, ...]:
    return tuple(session([tokens]) for tokens in inputs)


def _continue(session: Session, inputs: Sequence[Tokens]) -> tuple[tuple[int, ...], ...]:
    generator = cast(Generator, session)
    return tuple(tuple(generator.generate(_cut(tokens, PROMPT_TOKENS), NEW_TOKENS)) for tokens in inputs[:PROMPTS])


def _margins(session: Session, prompt: Tokens, continued: Sequence[int]) -> tuple[float, ...]:
    """By how much each token of a continuation was the likeliest."""
    ids = [*_cut(prompt, PROMPT_TOKENS).ids, *continued]
    logits = session([Tokens(ids, [0] * len(ids))])["logits"][0, -len(continued) - 1 : -1]
    two = np.sort(logits, axis=-1)[:, -2:]
    return tuple((two[:, 1] - two[:, 0]).tolist())


def _parts_at_a_tie(before: Sequence[int], after: Sequence[int], margins: Sequence[float], tolerance: float) -> bool:
    """True where two continuations are the same, or part at a token that the original chose by a hair."""
    parted = [place for place, (a, b) in enumerate(zip(before, after, strict=False)) if a != b]
    return len(before) == len(after) if not parted else margins[parted[0]] <= 2 * tolerance


def _compare(
    reference: Reference, outputs: Sequence[Outputs], continued: Sequence[tuple[int, ...]], tolerance: float
) -> Parity:
    deltas = [
        np.abs(after[name] - before[name]).ravel()
        for before, after in zip(reference.outputs, outputs, strict=True)
        for name in before
    ]
    delta = np.concatenate(deltas)
    if not np.isfinite(delta).all():
        raise MctError("the exported model gives NaN or infinite outputs", "try another precision")
    found = agreement(reference.task, reference.outputs, outputs, tolerance)
    return Parity(
        inputs=len(reference.inputs),
        inputs_sha256=reference.inputs_sha256,
        max_abs_delta=float(delta.max()),
        mean_abs_delta=float(delta.mean()),
        agreement=found.share,
        decisions=found.decisions,
        near_ties=found.near_ties,
        tolerance=tolerance,
        more=_more(reference, outputs, continued, tolerance),
    )


def _more(
    reference: Reference, outputs: Sequence[Outputs], continued: Sequence[tuple[int, ...]], tolerance: float
) -> dict[str, float]:
    more = {}
    if reference.task == "sentence-embedding":
        more["min_cosine"] = min_cosine(reference.outputs, outputs)
    if reference.continued:
        more["mean_kl"] = mean_divergence(reference.outputs, outputs)
        both = list(zip(reference.continued, continued, reference.margins, strict=True))
        more["continued_alike"] = float(np.mean([before == after for before, after, _ in both]))
        tied = [_parts_at_a_tie(before, after, margins, tolerance) for before, after, margins in both]
        more["continued_otherwise"] = float(len(tied) - sum(tied))
    return more
