"""One llama.cpp context over a causal model, grown as longer inputs come: what generation and reward scoring share.

A leaf. The memory of keys and values is reserved whole when a context is made, for as many tokens as it may hold: a
model that takes 128k tokens would cost gigabytes for a prompt of twenty. So a context begins small and is made anew,
twice as long, when an input does not fit.
"""

import ctypes
import struct
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
from mct.targets.devices.gpus import is_cuda
from mct.targets.llama.encoders import load_model, reason, start_backend
from mct.targets.runtimes.table import Executable

Array = NDArray[np.float32]

SMALLEST = 512
MARK_BYTES = 8
STEP = 512  # tokens that are computed at once
CACHES = {"f32": llama.GGML_TYPE_F32, "f16": llama.GGML_TYPE_F16}


@dataclass
class Contexts:
    """The model and its present context. `longest` is the most tokens an input and its continuation may have.

    `before` is the number of tokens whose keys and values stand before every input, as the state in the file `prefix`.
    """

    model: int
    longest: int
    vocabulary: int
    settings: Mapping[str, Any]
    threads: int
    embeddings: bool
    on_gpu: bool = False
    adapter: Any = None
    prefix: Path | None = None
    before: int = 0
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
        memory = llama.llama_get_memory(self.context)
        if self.before:
            llama.llama_memory_seq_rm(memory, 0, self.before, -1)
        else:
            llama.llama_memory_clear(memory, False)
        return self.context

    def _grow(self, tokens: int) -> None:
        self.opened.close()
        self.capacity = 0
        size = SMALLEST
        while size < tokens:
            size *= 2
        size = min(size, self.longest)
        self.context = _make(self, size + self.before)
        self.opened.callback(llama.llama_free, self.context)
        if self.prefix is not None:
            _put_before(self.context, self.prefix, self.before)
        self.capacity = size


def open_contexts(executable: Executable, threads: int, embeddings: bool) -> Contexts:
    """Load the model. `settings["cache"]` is the type of its memory: "f32" or "f16" (llama.cpp's own choice).

    `settings["adapters"]` are files beside it, by name, of which the one that is asked for is put on it. MctError where
    llama.cpp cannot read a file. `settings["prefix"]` is a saved state of `settings["prefix_tokens"]` tokens, which
    stand before every input. The model is freed when the value is dropped.
    """
    start_backend()
    model = load_model(executable)
    before = int(executable.settings.get("prefix_tokens", 0))
    found = Contexts(
        model=model,
        longest=min(executable.max_tokens, int(llama.llama_model_n_ctx_train(model)) - before),
        vocabulary=int(llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))),
        settings=executable.settings,
        threads=threads,
        embeddings=embeddings,
        on_gpu=is_cuda(executable.device),
        adapter=_load_adapter(model, executable.adapter) if executable.adapter else None,
        prefix=executable.folder / executable.settings["prefix"] if before else None,
        before=before,
    )
    weakref.finalize(found, _free, found.opened, model)
    return found


def _load_adapter(model: Any, path: Path) -> Any:
    """An adapter for the model, freed with it. It has to be there before a context is made."""
    found = llama.llama_adapter_lora_init(model, str(path).encode()) if path.is_file() else None
    if found is None:
        raise MctError(f"llama.cpp cannot load {path}{reason()}", "compress the checkpoint again")
    return found


def _put_before(context: int, path: Path, tokens: int) -> None:
    """Read a saved state into an empty context. MctError where this llama.cpp does not read it.

    Not by `llama_state_seq_load_file`, which ends the process on a file that ends too early.
    """
    content = path.read_bytes() if path.is_file() else b""
    head = struct.pack("<3I", llama.LLAMA_STATE_SEQ_MAGIC, llama.LLAMA_STATE_SEQ_VERSION, tokens)
    state = _mark(context) + content[len(head) + 4 * tokens :]
    room = (ctypes.c_uint8 * len(state)).from_buffer_copy(state)
    if not content.startswith(head) or llama.llama_state_seq_set_data(context, room, len(state), 0) == 0:
        raise MctError(
            f"this llama.cpp (llama-cpp-python {llama.__version__}) cannot read {path}{reason()}",
            "a saved state is read by the versions that it was made with: compress the checkpoint again",
        )


def _mark(context: int) -> bytes:
    """What a state in memory begins with, and one in a file does not: taken from that of nothing."""
    size = llama.llama_state_seq_get_size(context, 0)
    empty = (ctypes.c_uint8 * size)()
    llama.llama_state_seq_get_data(context, empty, size, 0)
    return bytes(empty)[:MARK_BYTES]


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
    parameters.offload_kqv = parameters.op_offload = contexts.on_gpu
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
