"""One request as the user feels it: text in, label out; and the loop that times many of them.

The clock is read four times a request: around the whole, and around the runtime within it. All else that the loop does
stands outside what it times. Imports no library of its own: tokenizer and runtime come by name through their tables, so
that an ONNX artifact is timed in a process that never saw torch.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, NamedTuple

from mct import MctError
from mct.models.tables import load
from mct.targets.runtimes import Executable, Runtime, Session, open_session

if TYPE_CHECKING:
    from mct.models.tokens import Tokenize, Tokens

Decode = Callable[[Mapping[str, Any], int], str]


@dataclass(frozen=True)
class Predictor:
    """The three steps of a request, each a function: text to tokens, tokens to arrays, a row of these to the answer."""

    encode: Tokenize
    infer: Session
    decode: Decode

    def __call__(self, text: str) -> str:
        return self.decode(self.infer([self.encode(text)]), 0)


class Timings(NamedTuple):
    """Nanoseconds per request, in the order they were made."""

    end_to_end: array[int]
    model: array[int]


def import_runtime(runtime: Runtime, task: str) -> None:
    """Import everything a predictor of this runtime needs, so that loading can be told apart from importing."""
    load("mct.models.tokens:open_tokenizer")
    load(runtime.opener(task), runtime.extra)


def open_predictor(runtime: Runtime, executable: Executable, labels: Sequence[str], threads: int) -> Predictor:
    """Open tokenizer and model. MctError where a library is missing, a file is damaged, or the task has no decoder."""
    open_tokenizer = load("mct.models.tokens:open_tokenizer")
    return Predictor(
        encode=open_tokenizer(executable.folder, executable.max_tokens),
        infer=open_session(runtime, executable, threads),
        decode=_decoder(executable.task, labels),
    )


def slowed(predictor: Predictor, factor: float) -> Predictor:
    """The same predictor, each call of its runtime made `factor` times as long by waiting; itself where that is 1."""
    if factor == 1.0:
        return predictor
    infer = predictor.infer

    def wait_as_well(batch: Sequence[Tokens]) -> dict[str, Any]:
        began = perf_counter_ns()
        outputs = infer(batch)
        ended = perf_counter_ns()
        until = began + factor * (ended - began)
        while perf_counter_ns() < until:
            pass
        return outputs

    return replace(predictor, infer=wait_as_well)


def time_requests(predictor: Predictor, texts: Sequence[str], cap_ns: int) -> Timings:
    """Make one request per text, one after the other, and time each; stop early once `cap_ns` have passed."""
    encode, infer, decode, clock = predictor.encode, predictor.infer, predictor.decode, perf_counter_ns
    end_to_end, model = array("q", bytes(8 * len(texts))), array("q", bytes(8 * len(texts)))
    index, stop = 0, clock() + cap_ns
    for index, text in enumerate(texts):
        began = clock()
        tokens = encode(text)
        entered = clock()
        outputs = infer([tokens])
        left = clock()
        decode(outputs, 0)
        ended = clock()
        end_to_end[index] = ended - began
        model[index] = left - entered
        if ended > stop:
            break
    return Timings(end_to_end[: index + 1], model[: index + 1])


def answer_all(predictor: Predictor, texts: Sequence[str], at_once: int) -> tuple[list[str], list[int]]:
    """The answer to every text and its length in tokens, `at_once` texts to a call: untimed, for the quality score."""
    answers: list[str] = []
    lengths: list[int] = []
    for first in range(0, len(texts), at_once):
        batch = [predictor.encode(text) for text in texts[first : first + at_once]]
        outputs = predictor.infer(batch)
        answers += [predictor.decode(outputs, row) for row in range(len(batch))]
        lengths += [len(tokens.ids) for tokens in batch]
    return answers, lengths


def _decoder(task: str, labels: Sequence[str]) -> Decode:
    if task != "sequence-classification":
        raise MctError(f"mct cannot bench the task {task!r} yet", "it can bench: sequence-classification")
    names = tuple(labels)

    def top_label(outputs: Mapping[str, Any], row: int) -> str:
        return names[int(outputs["logits"][row].argmax())]

    return top_label
