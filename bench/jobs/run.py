"""Try a model by hand: a request in, the answer out, as JSON. The same encode, session and decode that bench measures.

A request is a text, or a JSON object where the task needs more than a text: {"query": "…", "docs": ["…", "…"]} for a
scorer of pairs, {"prompt": "…", "answers": ["…"]} for a reward model, {"question": "…", "documents": ["…"]} for a
language model that was taught to answer from documents: these are filled into the prompt that it was taught with.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from msgspec import Meta, Struct
from msgspec.structs import asdict

from mct import MctError
from mct.bench.samples.subject import Subject, identify
from mct.compress.run.artifact import DISTRUST
from mct.models.checkpoints.adapted import NOTHING, Told
from mct.models.checkpoints.files import stop_ids
from mct.models.data.declared import Name, parse_json
from mct.models.tables import load
from mct.models.tasks.examples import Kind, Outputs, Request, find_kind
from mct.models.tasks.multi_head import SUFFIX
from mct.targets.machine import probe_machine
from mct.targets.runtimes.table import Generator, Session, open_session, runtime_for

if TYPE_CHECKING:
    from mct.models.tasks.table import Head
    from mct.models.tasks.tokens import Tokenize

MOST_SCORES = 5


class Candidates(Struct, frozen=True, forbid_unknown_fields=True):
    """What a scorer of pairs is asked."""

    query: Name
    docs: Annotated[list[Name], Meta(min_length=1)]


class Choices(Struct, frozen=True, forbid_unknown_fields=True):
    """What a reward model is asked."""

    prompt: Name
    answers: Annotated[list[Name], Meta(min_length=1)]


# What a request of these tasks is, and how it looks.
SHAPES: Mapping[str, tuple[type[Struct], Mapping[str, Any]]] = {
    "pair-scoring": (Candidates, {"query": "manga about cooking", "docs": ["Food Wars! 1", "Attack on Titan 3"]}),
    "reward": (Choices, {"prompt": "Where is my order?", "answers": ["It arrives tomorrow.", "No idea."]}),
}


class Question(Struct, frozen=True, forbid_unknown_fields=True):
    """What a language model that answers from documents is asked."""

    question: Name
    documents: list[Name]


class Row(Struct, frozen=True):
    """A row of data, as far as it asks."""

    text: Name


@dataclass(frozen=True)
class Model:
    """An opened artifact or checkpoint. `stop` are the token ids that end a text, for language models."""

    subject: Subject
    kind: Kind
    tokenize: Tokenize
    session: Session
    stop: frozenset[int]


def open_model(path: Path, threads: int | None = None, told: Told = NOTHING) -> Model:
    """Open an artifact or a checkpoint on `threads` threads (all that may be used if None)."""
    subject = identify(path, told)
    runtime = runtime_for(subject.format)
    open_tokenizer = load("mct.models.tasks.tokens:open_tokenizer")
    return Model(
        subject=subject,
        kind=find_kind(subject.task),
        tokenize=open_tokenizer(subject.executable.vocabulary, subject.executable.max_tokens),
        session=open_session(runtime, subject.executable, threads or probe_machine().usable_threads),
        stop=stop_ids(subject.executable.sizes),
    )


def read_request(model: Model, line: str) -> Request:
    """A line as a request of the model's task. MctError where it has another shape, or is no text at all."""
    try:
        content = line.encode()
    except UnicodeEncodeError as error:
        raise MctError("a request is not UTF-8 text", "write it in the terminal's own encoding, UTF-8") from error
    if model.subject.prompt_format is not None and line.startswith("{"):
        asked = parse_json(content, Question, "a question", '{"question": "…", "documents": ["…", "…"]}')
        return model.subject.prompt_format.fill(asked.question, asked.documents)
    if model.subject.task not in SHAPES:
        return _text_of(line)
    kind, shape = SHAPES[model.subject.task]
    example = json.dumps(shape, ensure_ascii=False)
    return asdict(parse_json(content, kind, f"a request of {model.subject.task}", example))


def _text_of(line: str) -> str:
    """The line itself, or the text of a data row."""
    if not line.startswith("{"):
        return line
    try:
        return parse_json(line.encode(), Row, line).text
    except MctError:
        return line


def ask(model: Model, request: Request, most: int = 64) -> dict[str, Any]:
    """The request and its answer; with the likeliest labels' probabilities where a head has one label.

    A language model continues the text by at most `most` tokens.
    """
    inputs = model.kind.encode(model.tokenize, request)
    if model.subject.task == "causal-lm":
        found = cast(Generator, model.session).generate(inputs[0], most, model.stop)
        answer, form = model.tokenize.text(found), model.subject.prompt_format
        return {"request": request, "answer": form.until_stop(answer) if form else answer, "tokens": len(found)}
    outputs = model.session(inputs)
    heads = model.subject.heads
    _check_outputs(model.subject, outputs)
    answer = model.kind.decode(outputs, inputs, heads)
    return {"request": request, "answer": answer} | _scores(outputs, heads)


def _check_outputs(subject: Subject, outputs: Outputs) -> None:
    """MctError where the model does not give what its heads answer by, or gives what is no number."""
    import numpy as np

    for head in subject.heads:
        found = outputs.get(head.name if len(subject.heads) == 1 else head.name + SUFFIX)
        if found is None or found.shape[-1] != len(head.labels):
            raise MctError(f"{subject.name} has no output for the {len(head.labels)} labels of {head.name!r}", DISTRUST)
    if not all(np.isfinite(each).all() for each in outputs.values()):
        raise MctError(f"{subject.name} answers by what is no number (NaN or infinity)", "its weights are damaged")


def _scores(outputs: Outputs, heads: tuple[Head, ...]) -> dict[str, Any]:
    if len(heads) != 1 or heads[0].kind != "label":
        return {}
    import numpy as np

    logits = outputs["logits"][0]
    shares = np.exp(logits - logits.max())
    shares /= shares.sum()
    best = np.argsort(-shares, kind="stable")[:MOST_SCORES]
    return {"scores": {heads[0].labels[place]: round(float(shares[place]), 4) for place in best}}
