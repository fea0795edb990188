"""One llama.cpp context over a causal model, grown as longer inputs come: what generation and reward scoring share.

A leaf. The memory of keys and values is reserved whole when a context is made, for as many tokens as it may hold: a
model that takes 128k tokens would cost gigabytes for a prompt of twenty. So a context begins small and is made anew,
twice as long, when an input does not fit.
"""

import ctypes
import weakref
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import llama_cpp as llama
import numpy as np
from numpy.typing import NDArray

from mct import MctError
from mct.targets.runtimes.run_llama import reason, start_backend
from mct.targets.runtimes.table import Executable

Array = NDArray[np.float32]

SMALLEST = 512
STEP = 512  # tokens that are computed at once
CACHES = {"f32": llama.GGML_TYPE_F32, "f16": llama.GGML_TYPE_F16}


@dataclass
class Contexts:
    """The model and its present context. `longest` is the most tokens an input and its continuation may have."""

    model: int
    longest: int
    vocabulary: int
    settings: Mapping[str, Any]
    threads: int
    embeddings: bool
    adapter: Any = None
    context: int = 0
    capacity: int = 0
    opened: ExitStack = field(default_factory=ExitStack)

    def ready(self, tokens: int) -> int:
        """An empty context for `tokens` tokens. MctError where the model does not take so many.

        What it held is forgotten and not wiped, which would write to all of its memory, for every request.
        """
        if not 0 < tokens <= self.longest:
            raise MctError(f"an input has {tokens} tokens; this model takes 1 to {self.longest}", "truncate it")
        if tokens > self.capacity:
            self._grow(tokens)
        llama.llama_memory_clear(llama.llama_get_memory(self.context), False)
        return self.context

    def _grow(self, tokens: int) -> None:
        self.opened.close()
        self.capacity = 0
        size = SMALLEST
        while size < tokens:
            size *= 2
        size = min(size, self.longest)
        self.context = _make(self, size)
        self.opened.callback(llama.llama_free, self.context)
        self.capacity = size


def open_contexts(executable: Executable, threads: int, embeddings: bool) -> Contexts:
    """Load the model. `settings["cache"]` is the type of its memory: "f32" or "f16" (llama.cpp's own choice).

    `settings["adapters"]` are files beside it, by name, of which the one that is asked for is put on it. MctError where
    llama.cpp cannot read a file. The model is freed when the value is dropped.
    """
    start_backend()
    path = executable.folder / executable.model
    parameters = llama.llama_model_default_params()
    parameters.n_gpu_layers = 0
    model = llama.llama_model_load_from_file(str(path).encode(), parameters) if path.is_file() else None
    if model is None:
        raise MctError(f"llama.cpp cannot load {path}{reason()}", "compress the checkpoint again")
    found = Contexts(
        model=int(model),
        longest=min(executable.max_tokens, int(llama.llama_model_n_ctx_train(model))),
        vocabulary=int(llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))),
        settings=executable.settings,
        threads=threads,
        embeddings=embeddings,
        adapter=_load_adapter(model, executable.adapter) if executable.adapter else None,
    )
    weakref.finalize(found, _free, found.opened, model)
    return found


def _load_adapter(model: Any, path: Path) -> Any:
    """An adapter for the model, freed with it. It has to be there before a context is made."""
    found = llama.llama_adapter_lora_init(model, str(path).encode()) if path.is_file() else None
    if found is None:
        raise MctError(f"llama.cpp cannot load {path}{reason()}", "compress the checkpoint again")
    return found


def _free(opened: ExitStack, model: int) -> None:
    opened.close()
    llama.llama_model_free(model)


def _make(contexts: Contexts, size: int) -> int:
    """llama.cpp's flash attention is off at full precision: it rounds what it accumulates."""
    parameters = llama.llama_context_default_params()
    parameters.n_ctx = size
    parameters.n_batch = parameters.n_ubatch = min(size, STEP)
    if contexts.embeddings:
        parameters.n_batch = parameters.n_ubatch = size  # one vector is pooled from all of an input at once
        parameters.embeddings = True
    parameters.n_threads = parameters.n_threads_batch = contexts.threads
    parameters.type_k = parameters.type_v = CACHES[contexts.settings.get("cache", "f16")]
    full = contexts.settings.get("cache") == "f32"
    parameters.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_DISABLED if full else llama.LLAMA_FLASH_ATTN_TYPE_AUTO
    parameters.offload_kqv = parameters.op_offload = False
    parameters.no_perf = True
    context = llama.llama_init_from_model(contexts.model, parameters)
    if context is None:
        raise MctError(f"llama.cpp cannot run this model{reason()}", "compress the checkpoint again")
    if contexts.adapter:
        adapters, scales = (llama.llama_adapter_lora_p_ctypes * 1)(contexts.adapter), (ctypes.c_float * 1)(1.0)
        llama.llama_set_adapters_lora(context, adapters, 1, scales)
    return int(context)


def decode(context: int, ids: Sequence[int], each: bool) -> None:
    """Run `ids` after what the context holds; logits are kept of `each` of them, or of the last.

    MctError where llama.cpp refuses them (an id that its vocabulary does not have).
    """
    count = len(ids)
    tokens = np.asarray(ids, dtype=np.int32)
    wanted = np.full(count, each, dtype=np.int8)
    wanted[-1] = 1
    batch = llama.llama_batch(
        n_tokens=count,
        token=tokens.ctypes.data_as(ctypes.POINTER(llama.llama_token)),
        logits=wanted.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)),
    )
    if llama.llama_decode(context, batch) != 0:
        raise MctError(f"llama.cpp refused an input of {count} tokens{reason()}", "is it this model's tokenizer?")
