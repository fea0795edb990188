"""New texts by a language model of the user's own: a GGUF file through llama.cpp, an artifact, a checkpoint. A leaf.

The model is shown some rows of one label as a list and goes on with it, one line an example. Nothing leaves the
machine.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from mct import MctError
from mct.bench.jobs.run import open_model
from mct.models.tables import missing_library
from mct.release.synthesis.making import Candidate
from mct.targets.machine import probe_machine
from mct.targets.runtimes.table import Generator

SHOTS = 5
MOST_TOKENS = 48
LONGEST_CONTEXT = 1024
TEMPERATURE = 0.9

Continue = Callable[[str, int], str]
"""What a model writes after a prompt, by a seed."""


def written(
    model: Path, texts: Sequence[str], labels: Sequence[str], seed: int, draw: random.Random
) -> Iterator[Candidate]:
    """Candidates of each label in turn, each with the rows that the model was shown."""
    go_on = _open(model)
    by_label = defaultdict[str, list[int]](list)
    for place, label in enumerate(labels):
        by_label[label].append(place)
    names = sorted(by_label)
    for turn in range(10**9):
        label = names[turn % len(names)]
        shown = draw.sample(by_label[label], min(SHOTS, len(by_label[label])))
        said = go_on(_prompt(label, [texts[place] for place in shown]), seed + turn)
        yield Candidate(_first_line(said), label, tuple(shown))


def _prompt(label: str, shown: Sequence[str]) -> str:
    listed = "".join(f"- {' '.join(text.split())}\n" for text in shown)
    return f"Messages of customers that mean: {' '.join(label.split('_'))}\n{listed}-"


def _first_line(said: str) -> str:
    return said.strip().partition("\n")[0].strip().removeprefix("- ").strip()


def _open(model: Path) -> Continue:
    if model.suffix.lower() == ".gguf":
        return _llama_cpp(model)
    opened = open_model(model)
    if opened.subject.task != "causal-lm":
        raise MctError(f"{model} writes no text (it is for {opened.subject.task})", "give a language model as --lm")
    session = cast(Generator, opened.session)

    def go_on(prompt: str, seed: int) -> str:
        # The likeliest continuation: what differs from turn to turn are the rows that are shown.
        (tokens,) = opened.kind.encode(opened.tokenize, prompt)[:1]
        return opened.tokenize.text(session.generate(tokens, MOST_TOKENS, opened.stop))

    return go_on


def _llama_cpp(model: Path) -> Continue:
    try:
        from llama_cpp import Llama
    except ModuleNotFoundError as error:
        raise missing_library("llama_cpp", "gguf") from error
    if not model.is_file():
        raise MctError(f"{model} does not exist", "give a GGUF file of a language model")
    try:
        llama: Any = Llama(str(model), n_ctx=LONGEST_CONTEXT, n_threads=probe_machine().usable_threads, verbose=False)
    except (ValueError, AssertionError) as error:
        raise MctError(f"llama.cpp cannot open {model}: {error}", "give a GGUF file of a language model") from error

    def go_on(prompt: str, seed: int) -> str:
        try:
            said = llama.create_completion(
                prompt, max_tokens=MOST_TOKENS, temperature=TEMPERATURE, seed=seed % 2**31, stop=["\n"]
            )
        except ValueError as error:  # the rows are longer than the context
            raise MctError(f"{model}: {error}", "give rows that are shorter") from error
        return str(said["choices"][0]["text"])

    return go_on
