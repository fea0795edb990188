"""One request as the user feels it: text in, answer out; and the loop that times many of them.

The clock is read four times a request: around the whole, and around the runtime within it; once more where a language
model gives its first token. All else that the loop does stands outside what it times. Imports no library of its own:
tokenizer and runtime come by name through their tables, so that an ONNX artifact is timed in a process that never saw
torch.

A request may be several inputs (a query with its candidates). They go to the runtime in as large pieces as change no
answer: what is timed is then also what parity was checked on, and no score depends on its neighbours.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from mct import MctError
from mct.bench.worker.originals import Originals
from mct.models.tables import load
from mct.models.tasks.examples import Answer, Kind, Request, find_kind
from mct.models.tasks.table import network_of
from mct.targets.runtimes.table import DEFERRED, Executable, Generator, Runtime, Session, ShowsExperts, open_session

if TYPE_CHECKING:
    from mct.models.tasks.table import Head
    from mct.models.tasks.tokens import Tokenize, Tokens

NEW_TOKENS = 32
"""What a language model is timed to write, at most."""


@dataclass(frozen=True)
class Predictor:
    """The three steps of a request, each a function: to inputs, these to what the runtime gives, that to the answer."""

    encode: Callable[[Request], list[Tokens]]
    infer: Callable[[list[Tokens]], Any]
    decode: Callable[[Any, list[Tokens]], Answer]

    def __call__(self, request: Request) -> Answer:
        inputs = self.encode(request)
        return self.decode(self.infer(inputs), inputs)


@dataclass(frozen=True)
class Opened:
    """A loaded model. `timed` answers as a user asks, `scored` as the score asks: they differ for language models only.

    `at_once` is how many inputs of `scored` one call may take. `together` answers a list of requests in one call,
    however many, as throughput is asked for; None where a runtime writes one text at a time.
    """

    timed: Predictor
    scored: Predictor
    at_once: int
    together: Predictor | None


class Written(NamedTuple):
    """What a language model wrote, and the moment (of `perf_counter_ns`) when its first token was there."""

    ids: list[int]
    first_at_ns: int


class Pause(NamedTuple):
    """A wait after each request, for `share` of what it took; with `counts` it is a part of the request.

    A pause changes what comes after it (threads fall asleep, caches cool: 2 % were seen at a tenth). So who wants to
    know whether a slow-down of known size is found lets both sides pause, and counts it on one.
    """

    share: float
    counts: bool


NO_PAUSE = Pause(0.0, counts=False)


class Timings(NamedTuple):
    """Per request, in the order they were made: nanoseconds, and the tokens of the request, over all of its inputs.

    Of language models also the nanoseconds until the first new token was there, and how many there were in the end; of
    a cascade 1 for each request that went to its second stage, else 0.
    """

    end_to_end: array[int]
    model: array[int]
    tokens: array[int]
    first: array[int]
    written: array[int]
    deferred: array[int]


def import_runtime(runtime: Runtime, task: str) -> None:
    """Import everything a predictor of this runtime needs, so that loading can be told apart from importing."""
    load("mct.models.tasks.tokens:open_tokenizer")
    load(runtime.opener(network_of(task)), runtime.extra)


def open_predictor(
    runtime: Runtime,
    executable: Executable,
    heads: Sequence[Head],
    threads: int,
    new_tokens: int = NEW_TOKENS,
    originals: Originals | None = None,
) -> Opened:
    """Open tokenizer and model. MctError where a library is missing or a file is damaged.

    A language model is timed writing at most `new_tokens` tokens, and scored beside `originals`.
    """
    kind, open_tokenizer = find_kind(executable.task), load("mct.models.tasks.tokens:open_tokenizer")
    tokenize = open_tokenizer(executable.vocabulary, executable.max_tokens)
    session = opened = open_session(runtime, executable, threads)
    writes = executable.network == "causal-lm"
    at_once = 1 if writes else runtime.answers_at_once
    if kind.condense is not None:
        whole: Any = opened.with_experts if isinstance(opened, ShowsExperts) else opened
        session = cast(Session, (originals or Originals()).condensing(kind, whole))
    scored = Predictor(
        encode=partial(kind.encode, tokenize),
        infer=in_pieces(session, at_once),
        decode=lambda outputs, inputs: kind.decode(outputs, inputs, heads),
    )
    writer = cast(Generator, opened)
    timed = _writer(writer, kind, tokenize, executable, new_tokens) if writes else scored
    if kind.wrote is not None:
        scored = _written_out(_writer(writer, kind, tokenize, executable, kind.most_written), kind.wrote, executable)
    return Opened(timed, scored, at_once, None if writes else _together(replace(scored, infer=session)))


def watching(one: Predictor, task: str, heads: Sequence[Head], labels: Sequence[str]) -> Predictor:
    """The same with an answer's scores of some labels beside it: (answer, {label: score})."""
    confidence = find_kind(task).confidence
    if confidence is None:
        raise MctError(f"{task} gives no score of a label", "a false-alarm rate is for classifiers")

    def decode(outputs: Any, inputs: list[Tokens]) -> Answer:
        return one.decode(outputs, inputs), {label: confidence(outputs, heads, label) for label in labels}

    return replace(one, decode=decode)


def noting_deferred(one: Predictor, noted: list[bool]) -> Predictor:
    """The same, and of each request that a cascade answers it is noted whether that went to the second stage."""

    def decode(outputs: Any, inputs: list[Tokens]) -> Answer:
        if DEFERRED in outputs:
            noted.append(bool(outputs[DEFERRED].any()))
        return one.decode(outputs, inputs)

    return replace(one, decode=decode)


def in_pieces(session: Session, at_once: int) -> Callable[[list[Tokens]], Mapping[str, Any]]:
    """The session for any number of inputs, at most `at_once` of them to a call. Rows of outputs are one per input."""

    def infer(inputs: list[Tokens]) -> Mapping[str, Any]:
        if len(inputs) <= at_once:
            return session(inputs)
        import numpy as np

        parts = [session(inputs[first : first + at_once]) for first in range(0, len(inputs), at_once)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    return infer


def _together(one: Predictor) -> Predictor:
    """The same for a list of requests at once, as a predictor whose request is the list."""
    sizes: list[int] = []

    def encode(requests: Any) -> list[Tokens]:
        encoded = [one.encode(request) for request in requests]
        sizes[:] = map(len, encoded)
        return [tokens for inputs in encoded for tokens in inputs]

    def decode(outputs: Any, inputs: list[Tokens]) -> list[Answer]:
        found, first = [], 0
        for size in sizes:
            last = first + size
            own = {name: value[first:last] for name, value in outputs.items()}
            found.append(one.decode(own, inputs[first:last]))
            first = last
        return found

    return Predictor(encode, one.infer, decode)


def time_requests(predictor: Predictor, requests: Sequence[Request], cap_ns: int, pause: Pause = NO_PAUSE) -> Timings:
    """Make the requests one after the other, and time each; stop early once `cap_ns` have passed."""
    encode, infer, decode, clock = predictor.encode, predictor.infer, predictor.decode, perf_counter_ns
    end_to_end, model, tokens = (array("q", bytes(8 * len(requests))) for _ in range(3))
    first, written, deferred = array("q"), array("q"), array("q")
    index, stop = 0, clock() + cap_ns
    for index, request in enumerate(requests):
        began = clock()
        inputs = encode(request)
        entered = clock()
        outputs = infer(inputs)
        left = clock()
        decode(outputs, inputs)
        ended = clock()
        if pause.share:
            ended = _waited(began, ended, pause)
        end_to_end[index] = ended - began
        model[index] = left - entered
        tokens[index] = sum(len(each.ids) for each in inputs)
        if isinstance(outputs, Written):
            first.append(outputs.first_at_ns - began)
            written.append(len(outputs.ids))
        elif DEFERRED in outputs:
            deferred.append(int(outputs[DEFERRED].any()))
        if ended > stop:
            break
    return Timings(end_to_end[: index + 1], model[: index + 1], tokens[: index + 1], first, written, deferred)


def _waited(began: int, ended: int, pause: Pause) -> int:
    """When a request ended, of which the wait after it is a part or not; it has been waited."""
    until = ended + pause.share * (ended - began)
    while (now := perf_counter_ns()) < until:
        pass
    return now if pause.counts else ended


def answer_all(predictor: Predictor, requests: Sequence[Request], at_once: int) -> list[Answer]:
    """The answer to every request, as many to a call as `at_once` inputs allow: untimed, for the quality score."""
    answers: list[Answer] = []
    for group in _groups([predictor.encode(request) for request in requests], at_once):
        outputs = predictor.infer([tokens for inputs in group for tokens in inputs])
        first = 0
        for inputs in group:
            last = first + len(inputs)
            answers.append(predictor.decode({name: value[first:last] for name, value in outputs.items()}, inputs))
            first = last
    return answers


def count_tokens(predictor: Predictor, requests: Sequence[Request]) -> list[int]:
    """How long each request is, over all of its inputs."""
    return [sum(len(tokens.ids) for tokens in predictor.encode(request)) for request in requests]


def _groups(encoded: Sequence[list[Tokens]], at_once: int) -> Iterator[list[list[Tokens]]]:
    """Requests that follow one another, together as long as they have `at_once` inputs at most."""
    group: list[list[Tokens]] = []
    for inputs in encoded:
        if group and sum(map(len, group)) + len(inputs) > at_once:
            yield group
            group = []
        group.append(inputs)
    if group:
        yield group


def _written_out(one: Predictor, wrote: Callable[[Path, str], Answer], executable: Executable) -> Predictor:
    """The same for answers to many requests: what counts of what is written, one row an input."""
    return Predictor(
        encode=one.encode,
        infer=lambda inputs: {"written": [one.infer([tokens]) for tokens in inputs]},
        decode=lambda outputs, inputs: wrote(executable.folder, one.decode(outputs["written"][0], inputs)),
    )


def _writer(session: Generator, kind: Kind, tokenize: Tokenize, executable: Executable, new_tokens: int) -> Predictor:
    """A language model as a user feels it: a prompt in, at most `new_tokens` more tokens out, as text.

    A prompt that leaves no room for them within the model's longest input is cut.
    """
    room = max(1, executable.max_tokens - new_tokens)
    most = min(new_tokens, executable.max_tokens - room)
    stop = load("mct.models.checkpoints.files:stop_ids")(executable.sizes)

    def encode(request: Request) -> list[Tokens]:
        (tokens,) = [tokenize(request)] if isinstance(request, str) else kind.encode(tokenize, request)
        return [tokens._replace(ids=tokens.ids[:room], type_ids=tokens.type_ids[:room])]

    def write(inputs: list[Tokens]) -> Written:
        coming = session.write(inputs[0], most, stop)
        ids = list(islice(coming, 1))
        first_at_ns = perf_counter_ns()
        return Written([*ids, *coming], first_at_ns)

    return Predictor(encode=encode, infer=write, decode=lambda written, inputs: tokenize.text(written.ids))
