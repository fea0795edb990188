"""Is it still the same model? Every artifact is run against its checkpoint on real inputs before it is called one.

At full precision the answers must be equal: the largest difference of any output is bounded per format, and an answer
may differ only where the original itself cannot tell two answers apart. A language model must moreover continue real
prompts by the same tokens, cache and all. Below full precision the agreement is recorded, and the budget decides.

Bounds are shares of the spread of the original's own outputs (`mct.compress.run.agreement.spread`), since what a
difference does depends on what it is held against: a fixed bound that fits logits lets scores between 0 and 1 change
their order.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np

from mct import MctError
from mct.compress.run.agreement import Outputs, agreement, likeness, min_cosine, spread
from mct.compress.run.parity_inputs import DECODERS, LM_TOKENS, ParityInputs, ask, ask_decoder, cut
from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.tasks.examples import Request
from mct.models.tasks.tokens import Tokens
from mct.targets.runtimes.table import DEFERRED, Executable, Generator, Session, open_session, original, runtime_for

FULL_PRECISIONS = {"fp32", "f32"}

# Largest |difference| of an output at full precision, in spreads of that output. Rounding alone makes 2e-5. llama.cpp
# takes GELU by its tanh approximation from a table in half precision: that makes up to 7e-3. A tensor in the wrong
# place makes a tenth and more. A checkpoint that another was made of runs by the same library.
TOLERANCE = {"onnx": 1e-3, "openvino": 1e-3, "gguf": 2e-2, "checkpoint": 1e-4}
LEAST_COSINE = 1 - 1e-4

PROMPTS = 4
PROMPT_TOKENS = 16
NEW_TOKENS = 64


@dataclass(frozen=True)
class Continuation:
    """A language model's greedy continuation of `prompt`; `margins`: how much likelier each token was than the next."""

    prompt: Tokens
    tokens: tuple[int, ...]
    margins: tuple[float, ...]


@dataclass(frozen=True)
class Reference:
    """What a checkpoint, whose tokenizer is in `folder`, gives to what it was asked.

    `outputs` has one entry an input, arrays of (1, ...); of a language model's input the logits of its last tokens are
    kept. `continued` is empty for other tasks.
    """

    folder: Path
    asked: ParityInputs
    outputs: tuple[Outputs, ...]
    continued: tuple[Continuation, ...]

    @cached_property
    def spreads(self) -> dict[str, float]:
        """How much each output differs from input to input."""
        return {name: spread([each[name] for each in self.outputs]) for name in self.outputs[0]}


@dataclass(frozen=True)
class Parity:
    """How far an artifact is from its checkpoint. `agreement` is the share of `decisions` that are the same.

    It is None where there was nothing to decide, as of one document alone. `near_ties` counts differing ones where the
    original decides by less than twice the tolerance. `tolerance` and `max_delta` (the largest difference) are in
    spreads of the output (see `mct.compress.run.agreement.spread`), the other deltas in its own units.

    `more` has what only some tasks have: "min_cosine" of embedders; "longest_input" and "reach" (tokens; see
    `ParityInputs`) of decoders; what `mct.compress.run.agreement.likeness` tells of language models, and
    "continued_alike" (share of prompts continued by the same 64 tokens) and "continued_otherwise" (those that part at a
    token that was no near tie).
    """

    inputs: int
    inputs_sha256: str
    max_abs_delta: float
    mean_abs_delta: float
    max_delta: float
    agreement: float | None
    decisions: int
    near_ties: int
    tolerance: float
    more: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain values, for mct.json."""
        return asdict(self)


def run_original(checkpoint: Checkpoint, requests: Sequence[Request], threads: int) -> Reference:
    """Outputs of the checkpoint, run by torch at fp32, on `requests`. MctError where it gives no numbers itself."""
    asked = (ask_decoder if checkpoint.network in DECODERS else ask)(checkpoint, requests)
    session = open_session(runtime_for("checkpoint"), original(checkpoint), threads)
    outputs = _outputs(session, asked)
    if not _finite(outputs):
        raise MctError(f"{checkpoint.path} itself gives NaN or infinite outputs", "is it trained, and saved whole?")
    prompts = _prompts(asked, checkpoint.max_tokens) if asked.task == "causal-lm" else []
    return Reference(checkpoint.vocabulary, asked, outputs, tuple(_continued(session, prompt) for prompt in prompts))


def measure_parity(reference: Reference, form: str, executable: Executable, threads: int) -> Parity:
    """Run an exported model on the reference's inputs and compare. `form` is "<format>-<precision>"."""
    before, after = run_exported(reference, form, executable, threads)
    return compare(before, after, TOLERANCE[form.partition("-")[0]])


def run_exported(reference: Reference, form: str, executable: Executable, threads: int) -> tuple[Reference, Reference]:
    """The reference, and what an exported model gives to the same: without inputs longer than the model takes."""
    format_name, _, _ = form.partition("-")
    session = open_session(runtime_for(format_name), executable, threads)
    reference = _that_fit(reference, executable.max_tokens)
    outputs = _outputs(session, reference.asked)
    if not _finite(outputs):
        raise MctError("the exported model gives NaN or infinite outputs", "try another precision")
    generator = cast(Generator, session)
    written = [(each.prompt, tuple(generator.generate(each.prompt, NEW_TOKENS))) for each in reference.continued]
    continued = tuple(Continuation(prompt, tokens, ()) for prompt, tokens in written)
    return reference, Reference(executable.folder, reference.asked, outputs, continued)


def require_parity(parity: Parity, form: str, folder: Path) -> None:
    """MctError where a full-precision export is not the model it was made from."""
    if reason := _difference(parity):
        raise MctError(
            f"{form} of {folder} is not the same model: {reason}",
            "this export is refused; please report the architecture, or try another format",
        )


def _difference(parity: Parity) -> str:
    """What makes a full-precision export another model; "" where nothing does."""
    same = 1.0 if parity.agreement is None else parity.agreement
    differing = round((1 - same) * parity.decisions) - parity.near_ties
    if parity.max_delta > parity.tolerance or differing > 0:
        return (
            f"max |difference| {parity.max_abs_delta:.2g}, which is {parity.max_delta:.2%} of how much the original's "
            f"outputs differ among themselves (at most {parity.tolerance:.2%}); {differing} of {parity.decisions} "
            "answers differ"
        )
    if parity.more.get("min_cosine", 1.0) < LEAST_COSINE:
        return f"the cosine of a vector with the original's is {parity.more['min_cosine']:.6f}"
    if parity.more.get("continued_otherwise", 0.0) > 0:
        return f"only {parity.more['continued_alike']:.0%} of prompts are continued by the same {NEW_TOKENS} tokens"
    return ""


def _outputs(session: Session, asked: ParityInputs) -> tuple[Outputs, ...]:
    found = (session([tokens]) for tokens in asked.inputs)
    if asked.task == "causal-lm":
        return tuple({"logits": each["logits"][:, -LM_TOKENS:].copy()} for each in found)
    return tuple({name: value for name, value in each.items() if name != DEFERRED} for each in found)


def _finite(outputs: Sequence[Outputs]) -> bool:
    return all(np.isfinite(value).all() for each in outputs for value in each.values())


def _prompts(asked: ParityInputs, most: int) -> list[Tokens]:
    """The beginnings of the first inputs, and as much of the long one as leaves room for what is to come."""
    room = most - NEW_TOKENS
    beginnings = [cut(tokens, min(asked.before + PROMPT_TOKENS, room)) for tokens in asked.inputs[:PROMPTS]]
    return [*beginnings, cut(asked.inputs[-1], room)] if room > asked.before else []


def _continued(session: Session, prompt: Tokens) -> Continuation:
    tokens = tuple(cast(Generator, session).generate(prompt, NEW_TOKENS))
    ids = [*prompt.ids, *tokens]
    logits = session([Tokens(ids, [0] * len(ids))])["logits"][0, -len(tokens) - 1 : -1]
    two = np.sort(logits, axis=-1)[:, -2:]
    return Continuation(prompt, tokens, tuple((two[:, 1] - two[:, 0]).tolist()))


def fitting(asked: ParityInputs, most: int) -> list[int]:
    """Places of the inputs of at most `most` tokens."""
    return [place for place, tokens in enumerate(asked.inputs) if len(tokens.ids) <= most]


def at(reference: Reference, places: Sequence[int]) -> Reference:
    """The reference at these inputs alone."""
    asked = reference.asked
    inputs, groups = tuple(asked.inputs[place] for place in places), tuple(asked.groups[place] for place in places)
    outputs = tuple(reference.outputs[place] for place in places)
    return replace(reference, asked=replace(asked, inputs=inputs, groups=groups), outputs=outputs)


def _that_fit(reference: Reference, most: int) -> Reference:
    """The reference without inputs of more than `most` tokens."""
    places = fitting(reference.asked, most)
    if not places:
        raise MctError(f"no input is as short as the {most} tokens that this artifact takes", "give shorter texts too")
    continued = tuple(each for each in reference.continued if len(each.prompt.ids) + NEW_TOKENS <= most)
    return replace(at(reference, places), continued=continued)


def answers_alike(reference: Reference, other: Reference) -> bool:
    """Whether the other gives every output of the reference, of as many values."""
    theirs = other.outputs[0]
    ours = reference.outputs[0].items()
    return all(name in theirs and theirs[name].shape[-1] == value.shape[-1] for name, value in ours)


def compare(reference: Reference, other: Reference, tolerance: float) -> Parity:
    """How far another model's answers to the same inputs are from the reference's."""
    outputs = other.outputs
    if not answers_alike(reference, other):
        raise MctError(
            f"{other.folder} does not answer by as many values as {reference.folder} does",
            "answers of another shape cannot be compared",
        )
    deltas: dict[str, list[Any]] = {name: [] for name in reference.outputs[0]}
    for before, after in zip(reference.outputs, outputs, strict=True):
        for name in before:
            deltas[name].append(np.abs(after[name] - before[name]).ravel())
    found = agreement(reference.asked, reference.outputs, outputs, tolerance)
    spreads, largest = reference.spreads, {name: float(max(map(np.max, each))) for name, each in deltas.items()}
    ids = [tokens.ids for tokens in reference.asked.inputs]
    return Parity(
        inputs=len(ids),
        inputs_sha256=hashlib.sha256(json.dumps(ids).encode()).hexdigest(),
        max_abs_delta=max(largest.values()),
        mean_abs_delta=float(np.concatenate([part for each in deltas.values() for part in each]).mean()),
        max_delta=max(delta / spreads[name] for name, delta in largest.items()),
        agreement=found.share,
        decisions=found.decisions,
        near_ties=found.near_ties,
        tolerance=tolerance,
        more=_more(reference, other, tolerance),
    )


def _more(reference: Reference, other: Reference, tolerance: float) -> dict[str, float]:
    more = {}
    if reference.asked.task == "sentence-embedding":
        more["min_cosine"] = min_cosine(reference.outputs, other.outputs)
    if reference.asked.task in DECODERS:
        more["longest_input"] = float(max(len(tokens.ids) for tokens in reference.asked.inputs))
        more["reach"] = float(reference.asked.reach)
    if reference.asked.task == "causal-lm":
        more |= likeness(reference.outputs, other.outputs)
    if reference.continued:
        more |= _continued_alike(reference, [each.tokens for each in other.continued], tolerance)
    return more


def _continued_alike(reference: Reference, continued: Sequence[tuple[int, ...]], tolerance: float) -> dict[str, float]:
    tie = 2 * tolerance * reference.spreads["logits"]
    both = list(zip(reference.continued, continued, strict=True))
    tied = sum(_parts_at_a_tie(before, after, tie) for before, after in both)
    alike = float(np.mean([before.tokens == after for before, after in both]))
    return {"continued_alike": alike, "continued_otherwise": float(len(both) - tied)}


def _parts_at_a_tie(before: Continuation, after: Sequence[int], tie: float) -> bool:
    """True where two continuations are the same, or part at a token that the original chose by a hair."""
    parted = [place for place, (a, b) in enumerate(zip(before.tokens, after, strict=False)) if a != b]
    return len(before.tokens) == len(after) if not parted else before.margins[parted[0]] <= tie
