"""GGUF language models by llama.cpp on the CPU: logits of every position, and greedy text with a KV cache.

Through the low-level calls of llama-cpp-python: its high-level class keeps no logits but the last and samples where we
want the likeliest token.
"""

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import llama_cpp as llama
import numpy as np
from numpy.typing import NDArray

from mct.models.tasks.tokens import Tokens
from mct.targets.llama.context import STEP, Contexts, decode, open_contexts
from mct.targets.runtimes.table import Executable

Array = NDArray[np.float32]


@dataclass(frozen=True)
class _Generator:
    """The loaded model, answering one input at a time."""

    contexts: Contexts

    def __call__(self, batch: Sequence[Tokens]) -> dict[str, Array]:
        (tokens,) = batch
        context = self.contexts.ready(len(tokens.ids))
        logits = np.empty((1, len(tokens.ids), self.contexts.vocabulary), dtype=np.float32)
        for start in range(0, len(tokens.ids), STEP):
            part = tokens.ids[start : start + STEP]
            decode(context, part, each=True)
            into = logits[0, start : start + len(part)]
            ctypes.memmove(into.ctypes.data, llama.llama_get_logits(context), into.nbytes)
        return {"logits": logits}

    def write(self, prompt: Tokens, most: int, stop: frozenset[int] = frozenset()) -> Iterator[int]:
        """Greedy, one token at a time. MctError where prompt and `most` tokens do not fit the model."""
        context = self.contexts.ready(len(prompt.ids) + most)
        for start in range(0, len(prompt.ids), STEP):
            decode(context, prompt.ids[start : start + STEP], each=False)
        for count in range(most):
            token = self._likeliest(context)
            if token in stop:
                return
            yield token
            if count + 1 < most:
                decode(context, [token], each=False)

    def generate(self, prompt: Tokens, most: int, stop: frozenset[int] = frozenset()) -> list[int]:
        """The same all at once."""
        return list(self.write(prompt, most, stop))

    def _likeliest(self, context: int) -> int:
        pointer = llama.llama_get_logits_ith(context, -1)
        return int(np.ctypeslib.as_array(pointer, shape=(self.contexts.vocabulary,)).argmax())


def open_session(executable: Executable, threads: int) -> _Generator:
    """Open `executable.model` on `threads` threads. MctError where llama.cpp cannot read the file."""
    return _Generator(open_contexts(executable, threads, embeddings=False))
