"""Asking an opened model: decisions on examples, and the evidence for an answer in inputs that were changed.

Inputs go to the runtime one at a time, or as many at once as change no answer, as everywhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mct import MctError
from mct.bench.jobs.run import Model
from mct.models.progress import Report, silent
from mct.models.tasks.examples import Example, Outputs
from mct.models.tasks.tokens import Tokenize, Tokens
from mct.release.inspection.asking.questions import Decision, Manner, Target, evidence, manner_of
from mct.release.inspection.asking.words import Cut
from mct.targets.runtimes.table import Session, runtime_for

DAMAGED = "its weights are damaged"
MASKS = ("[MASK]", "<mask>", "[UNK]", "<unk>")
"""What hides a word without moving the others: what the tokenizer has for that, else what it has for unknown ones."""


@dataclass(frozen=True)
class Asked:
    """One model, ready to be asked. `fill` is the token that hides a word."""

    name: str
    model: Model
    manner: Manner
    session: Session
    at_once: int
    fill: int

    @property
    def tokenize(self) -> Tokenize:
        """Its tokenizer."""
        return self.model.tokenize


@dataclass(frozen=True)
class Told:
    """An example as a model was asked it, and what it decided. `outputs` are those of each input, while needed."""

    cuts: tuple[Cut, ...]
    decision: Decision
    outputs: tuple[Outputs, ...] = field(default=(), repr=False)


def ready(model: Model) -> Asked:
    """An opened model as this room asks it. MctError for a task whose answers cannot be explained."""
    writes = model.subject.executable.network == "causal-lm"
    at_once = 1 if writes else runtime_for(model.subject.format).answers_at_once
    numbers = (model.tokenize.tokenizer.token_to_id(token) for token in MASKS)
    fill = next((number for number in numbers if number is not None), 0)
    return Asked(model.subject.name, model, manner_of(model.subject.task), model.session, at_once, fill)


def outputs_of(asked: Asked, inputs: Sequence[Tokens]) -> Iterator[Outputs]:
    """The outputs of each input, a batch of one. MctError where they are no numbers."""
    import numpy as np

    for first in range(0, len(inputs), asked.at_once):
        batch = inputs[first : first + asked.at_once]
        found = asked.session(batch)
        if not all(np.isfinite(values).all() for values in found.values()):
            raise MctError(f"{asked.name} answers by what is no number (NaN or infinity)", DAMAGED)
        for row in range(len(batch)):
            yield {name: values[row : row + 1] for name, values in found.items()}


def decide(asked: Asked, example: Example, keep: bool = False) -> Told:
    """What the model decides on one example; with `keep` its outputs stay at hand."""
    return next(_decided(asked, [example], keep))


def decide_all(asked: Asked, examples: Sequence[Example], report: Report = silent, keep: bool = False) -> list[Told]:
    """What the model decides on every example, in order; with `keep` outputs stay at hand."""
    found = []
    for number, told in enumerate(_decided(asked, examples, keep)):
        if number % 50 == 0:
            report(f"answers of {asked.name}", number / len(examples))
        found.append(told)
    return found


def _decided(asked: Asked, examples: Sequence[Example], keep: bool) -> Iterator[Told]:
    manner, heads = asked.manner, asked.model.subject.heads
    for first in range(0, len(examples), asked.at_once):
        some = examples[first : first + asked.at_once]
        cuts = [manner.cut(asked.tokenize, example) for example in some]
        found = outputs_of(asked, [cut.tokens for each in cuts for cut in each])
        for example, own in zip(some, cuts, strict=True):
            _require_asked(own, example)
            outputs = [next(found) for _ in own]
            told = manner.decide(outputs, example, own, heads)
            yield Told(tuple(own), told, tuple(outputs) if keep else ())


def _require_asked(cuts: Sequence[Cut], example: Example) -> None:
    if not cuts or not all(cut.tokens.ids for cut in cuts):
        raise MctError(f"{example.text[:60]!r} gives a model nothing to read", "leave that row out")


def evidence_without(asked: Asked, told: Told, target: Target) -> tuple[float, list[float]]:
    """The evidence for an answer as it is, and with each word of its input hidden in turn. `told` has its outputs."""
    cut, whole = told.cuts[target.input], told.outputs[target.input]
    beside = told.outputs[1 + target.index] if target.measure == "cosine" else None
    inputs = [hidden(asked, cut, word, target) for word in range(len(cut.words))]
    return evidence(whole, target, beside), [evidence(each, target, beside) for each in outputs_of(asked, inputs)]


def hidden(asked: Asked, cut: Cut, word: int, target: Target) -> Tokens:
    """An input without one word: left out, where anything stays and nothing must keep its place, else masked."""
    if (target.place is None or target.place < 0) and len(cut.places[word]) < len(cut.tokens.ids) - (
        target.place is not None
    ):
        return cut.without(word)
    return cut.masked(word, asked.fill)
