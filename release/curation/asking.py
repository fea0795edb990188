"""What models say of texts: an embedder's vectors, a classifier's label with its probability. A leaf."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mct import MctError
from mct.bench.jobs.run import ask, open_model
from mct.models.progress import Report, silent
from mct.targets.runtimes.table import runtime_for


def embed(folder: Path, texts: Sequence[str], report: Report = silent) -> NDArray[np.float32] | None:
    """A vector a text, (texts, width); None where the checkpoint or artifact gives no embeddings."""
    model = open_model(folder)
    if model.subject.task != "sentence-embedding":
        return None
    inputs = [model.kind.encode(model.tokenize, text)[0] for text in texts]
    # Texts of one length together need no padding; as many at once as change no answer.
    order = sorted(range(len(texts)), key=lambda place: (len(inputs[place].ids), place))
    at_once, found = runtime_for(model.subject.format).answers_at_once, [np.zeros(0, np.float32)] * len(texts)
    for start in range(0, len(order), at_once):
        report("embedding texts", 0.6 * start / len(order))
        some = order[start : start + at_once]
        vectors = model.session([inputs[place] for place in some])["sentence_embedding"]
        for place, vector in zip(some, vectors, strict=True):
            found[place] = np.asarray(vector, np.float32)
    return np.stack(found)


def labeller(folder: Path) -> Callable[[str], tuple[str, float]]:
    """A function that gives a text's likeliest label and its probability. MctError where the model gives no label."""
    model = open_model(folder)
    if len(model.subject.heads) != 1 or model.subject.heads[0].kind != "label":
        raise MctError(
            f"{folder} gives no label, so it cannot say whether a text has the one intended",
            "give a classifier as --teacher",
        )

    def label(text: str) -> tuple[str, float]:
        said = ask(model, text)
        return said["answer"], said["scores"][said["answer"]]

    return label


def labels_of(folder: Path) -> tuple[str, ...]:
    """The labels that a classifier knows."""
    from mct.bench.samples.subject import identify

    return tuple(identify(folder).labels)
