"""GGUF reward models by llama.cpp on the CPU: the decoder's last vector, and the score layer that is kept beside it."""

import ctypes
from collections.abc import Sequence

import llama_cpp as llama
import numpy as np
from numpy.typing import NDArray

from mct.models.tasks.tokens import Tokens
from mct.targets.llama.context import decode, open_contexts
from mct.targets.llama.heads import open_outputs
from mct.targets.runtimes.table import Executable, Session

Array = NDArray[np.float32]


def open_session(executable: Executable, threads: int) -> Session:
    """Open `executable.model` on `threads` threads; "logits" are float32 (batch, 1)."""
    contexts = open_contexts(executable, threads, embeddings=True)
    width = int(llama.llama_model_n_embd(contexts.model))
    answer = open_outputs(executable, width)

    def infer(batch: Sequence[Tokens]) -> dict[str, Array]:
        pooled = [np.empty((1, width), dtype=np.float32) for _ in batch]
        for tokens, vector in zip(batch, pooled, strict=True):
            context = contexts.ready(len(tokens.ids))
            decode(context, tokens.ids, each=True)
            ctypes.memmove(vector.ctypes.data, llama.llama_get_embeddings_seq(context, 0), vector.nbytes)
        return answer(pooled)

    return infer
