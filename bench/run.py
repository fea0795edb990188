"""Try a model by hand: a request in, the answer out, as JSON. The same encode, session and decode that bench measures.

A request is a text, or a JSON object where the task needs more than a text: {"query": "…", "docs": ["…", "…"]} for a
scorer of pairs, {"prompt": "…", "answers": ["…"]} for a reward model.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mct import MctError
from mct.bench.subject import Subject, identify
from mct.models.checkpoint_files import stop_ids
from mct.models.examples import Kind, Outputs, Request, find_kind
from mct.models.tables import load
from mct.targets.machine import probe_machine
from mct.targets.runtimes import Generator, Session, open_session, runtime_for

if TYPE_CHECKING:
    from mct.models.tasks import Head
    from mct.models.tokens import Tokenize

MOST_SCORES = 5

# What a request of these tasks looks like, by example.
SHAPES = {
    "pair-scoring": {"query": "manga about cooking", "docs": ["Food Wars! 1", "Attack on Titan 3"]},
    "reward": {"prompt": "Where is my order?", "answers": ["It arrives tomorrow.", "No idea."]},
}


@dataclass(frozen=True)
class Model:
    """An opened artifact or checkpoint. `stop` are the token ids that end a text, for language models."""

    subject: Subject
    kind: Kind
    tokenize: Tokenize
    session: Session
    stop: frozenset[int]


def open_model(path: Path, threads: int | None = None) -> Model:
    """Open an artifact or a checkpoint on `threads` threads (all that may be used if None)."""
    subject = identify(path)
    runtime = runtime_for(subject.format)
    open_tokenizer = load("mct.models.tokens:open_tokenizer")
    return Model(
        subject=subject,
        kind=find_kind(subject.task),
        tokenize=open_tokenizer(subject.path, subject.executable.max_tokens),
        session=open_session(runtime, subject.executable, threads or probe_machine().usable_threads),
        stop=stop_ids(subject.path),
    )


def read_request(model: Model, line: str) -> Request:
    """A line as a request of the model's task. MctError where it has another shape."""
    shape = SHAPES.get(model.subject.task)
    if shape is None:
        return _text_of(line)
    example = json.dumps(shape, ensure_ascii=False)
    try:
        request = json.loads(line)
    except json.JSONDecodeError as error:
        raise MctError(f"{model.subject.name} does {model.subject.task}: a text is not enough", example) from error
    if not isinstance(request, dict) or set(request) != set(shape) or not all(request.values()):
        raise MctError(f"a request of {model.subject.task} has {' and '.join(shape)}", example)
    return request


def _text_of(line: str) -> str:
    """The line itself, or the text of a data row."""
    try:
        row = json.loads(line) if line.startswith("{") else None
    except json.JSONDecodeError:
        row = None
    return str(row["text"]) if isinstance(row, dict) and "text" in row else line


def ask(model: Model, request: Request, most: int = 64) -> dict[str, Any]:
    """The request and its answer; with the likeliest labels' probabilities where a head has one label.

    A language model continues the text by at most `most` tokens.
    """
    inputs = model.kind.encode(model.tokenize, request)
    if model.subject.task == "causal-lm":
        found = cast(Generator, model.session).generate(inputs[0], most, model.stop)
        return {"request": request, "answer": model.tokenize.text(found), "tokens": len(found)}
    outputs = model.session(inputs)
    heads = model.subject.heads
    answer = model.kind.decode(outputs, inputs, heads)
    return {"request": request, "answer": answer} | _scores(outputs, heads)


def _scores(outputs: Outputs, heads: tuple[Head, ...]) -> dict[str, Any]:
    if len(heads) != 1 or heads[0].kind != "label":
        return {}
    import numpy as np

    logits = outputs["logits"][0]
    shares = np.exp(logits - logits.max())
    shares /= shares.sum()
    best = np.argsort(-shares, kind="stable")[:MOST_SCORES]
    return {"scores": {heads[0].labels[place]: round(float(shares[place]), 4) for place in best}}
