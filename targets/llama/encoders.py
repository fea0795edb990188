"""GGUF encoders by llama.cpp, on the CPU or a GPU, through the low-level calls of llama-cpp-python.

The high-level class of that package returns one score per text; a classifier has one per label. Each input is one call
of the encoder: without a KV cache or padding, it costs what its own tokens cost.

llama.cpp's flash attention works in tiles of 64 queries: below that it makes the whole model a tenth to a quarter
slower than plain attention, above it up to twice as fast. A context has one kind, so a session opens two over the same
weights.

The settings of an artifact's mct.json, written by mct.compress.gguf.export_encoder:

- "pooling": what the file gives for an input: "rank" one value a label, "cls", "mean" or "last" one vector, "none" one
  a token. It is written in the file too; here it is checked.
- "outputs": what is made of that, by output name: {"logits": {"per": "text", "steps": [{"linear": "dense"}, "relu",
  {"linear": "output"}]}}. "per" says whether it is made of the first row of an input ("text") or of all ("token"); a
  step is a layer of the head's file, an activation ("relu", "tanh", "sigmoid", "gelu") or "normalise". Without
  "outputs" the values are the logits.
- "head": the safetensors file of these layers: "dense.weight" (values out, values in), "dense.bias".
- "second_stage": another file of the folder, asked what this one is not sure of (see `mct.targets.llama.cascade`).
- "second_segment": how pairs are taken: "added" (see mct.targets.llama.segments) or "ignored", as a model
  that tells no segments apart does. Without it, an input with a second segment is refused.
"""

import ctypes
import os
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from typing import Any, NamedTuple

import llama_cpp as llama
import numpy as np
from llama_cpp import _ggml
from numpy.typing import NDArray

from mct import MctError
from mct.models.tasks.tokens import Tokens
from mct.targets.devices.gpus import is_cuda
from mct.targets.llama.cascade import open_cascade
from mct.targets.llama.heads import open_outputs
from mct.targets.llama.segments import open_segments
from mct.targets.runtimes.table import Executable, Session

Array = NDArray[np.float32]
Encode = Callable[[Tokens], Array]
Put = Callable[[Tokens], Any]

FLASH_TILE = 64
ALL_LAYERS = 999
WITH_AMX = b"AMX_INT8 = 1"
POOLINGS = {
    llama.LLAMA_POOLING_TYPE_NONE: "none",
    llama.LLAMA_POOLING_TYPE_MEAN: "mean",
    llama.LLAMA_POOLING_TYPE_CLS: "cls",
    llama.LLAMA_POOLING_TYPE_LAST: "last",
    llama.LLAMA_POOLING_TYPE_RANK: "rank",
}
_ERROR = 4  # GGML_LOG_LEVEL_ERROR of ggml.h
_errors: deque[str] = deque(maxlen=8)


class _Compute(NamedTuple):
    """What a context computes with."""

    threads: int
    on_gpu: bool


def open_session(executable: Executable, threads: int) -> Session:
    """Open `executable.model` on `threads` threads, for any task of an encoder.

    MctError where llama.cpp cannot read the file or it holds another model than its manifest says. The session frees
    the model when it is dropped.
    """
    if "second_stage" in executable.settings:
        return open_cascade(executable, threads, open_session)
    start_backend()
    with ExitStack() as opened:
        model = _load(executable, opened)
        encode, width = _encoder(model, executable, threads, opened)
        answer = open_outputs(executable, width)

        def infer(batch: Sequence[Tokens]) -> dict[str, Array]:
            return answer([encode(tokens) for tokens in batch])

        weakref.finalize(infer, opened.pop_all().close)
    return infer


def start_backend() -> None:
    """Make llama.cpp ready for this process, its log silenced, and forget earlier errors."""
    _initialise()
    _errors.clear()


@cache
def _initialise() -> None:
    _ggml.libggml.ggml_set_abort_callback(_last_words)
    llama.llama_log_set(_hear, None)
    llama.llama_backend_init()


def reason() -> str:
    """What llama.cpp gave as the reason of the failure just seen, ready to append; "" where it gave none."""
    text = f": {_errors[0]}" if _errors else ""
    _errors.clear()
    return text


def layers_on_gpu(executable: Executable) -> int:
    """How many layers go to the device: all or none. MctError where this llama.cpp is built for no GPU."""
    if not is_cuda(executable.device):
        return 0
    if not llama.llama_supports_gpu_offload():
        raise MctError(
            "this llama.cpp is built for no GPU",
            "CMAKE_ARGS=-DGGML_CUDA=on pip install --force-reinstall --no-binary llama-cpp-python llama-cpp-python",
        )
    return ALL_LAYERS


def load_model(executable: Executable) -> int:
    """The weights of `executable.model` on its device, to be freed by the caller. MctError where they cannot be read.

    A library that was compiled with AMX keeps weights as they are, not rearranged for it: compiled by GCC 12 it loads
    a tile configuration of which most is missing, and the process ends at the first product (see .dev/llama_cpp.cmake,
    by which ours is compiled without).
    """
    path = executable.folder / executable.model
    parameters = llama.llama_model_default_params()
    parameters.n_gpu_layers = layers_on_gpu(executable)
    parameters.use_extra_bufts = WITH_AMX not in llama.llama_print_system_info()
    model = llama.llama_model_load_from_file(str(path).encode(), parameters) if path.is_file() else None
    if model is None:
        raise MctError(f"llama.cpp cannot load {path}{reason()}", "compress the checkpoint again")
    return int(model)


def _load(executable: Executable, opened: ExitStack) -> int:
    path = executable.folder / executable.model
    model = load_model(executable)
    opened.callback(llama.llama_model_free, model)
    if (positions := llama.llama_model_n_ctx_train(model)) < executable.max_tokens:
        raise MctError(
            f"{path} takes inputs of up to {positions} tokens, its manifest says {executable.max_tokens}",
            "compress the checkpoint again",
        )
    return model


def _encoder(model: int, executable: Executable, threads: int, opened: ExitStack) -> tuple[Encode, int]:
    """A function from one input to what llama.cpp gives for it, (1 or tokens, values), and the number of values."""
    most = executable.max_tokens
    short = min(most, FLASH_TILE - 1)
    compute = _Compute(threads, is_cuda(executable.device))
    plain = _context(model, short, compute, llama.LLAMA_FLASH_ATTN_TYPE_DISABLED, opened)
    tiled = _context(model, most, compute, llama.LLAMA_FLASH_ATTN_TYPE_AUTO, opened)
    pooling = _pooling(plain, executable)
    width = int(llama.llama_model_n_cls_out(model) if pooling == "rank" else llama.llama_model_n_embd(model))
    put = _put(executable)

    def encode(tokens: Tokens) -> Array:
        count = len(tokens.ids)
        if not 0 < count <= most:  # llama.cpp ends the process on an input longer than its buffers
            raise MctError(f"an input has {count} tokens; this model takes 1 to {most}", "truncate it")
        context = plain if count <= short else tiled
        if llama.llama_encode(context, put(tokens)) != 0:
            raise MctError(f"llama.cpp refused an input of {count} tokens{reason()}", "is it this model's tokenizer?")
        if pooling == "none":
            return _copied(llama.llama_get_embeddings(context), (count, width))
        return _copied(llama.llama_get_embeddings_seq(context, 0), (1, width))

    return encode, width


def _copied(source: Any, shape: tuple[int, int]) -> Array:
    values = np.empty(shape, dtype=np.float32)
    ctypes.memmove(values.ctypes.data, source, values.nbytes)
    return values


def _pooling(context: int, executable: Executable) -> str:
    found = POOLINGS[llama.llama_pooling_type(context)]
    if found != executable.settings.get("pooling", found):
        raise MctError(
            f"{executable.folder / executable.model} pools by {found!r}, its manifest says "
            f"{executable.settings['pooling']!r}",
            "compress the checkpoint again",
        )
    return found


def _put(executable: Executable) -> Put:
    """A function that makes llama.cpp's batch of an input: its ids, or vectors where it has a second segment."""
    ids = np.zeros(executable.max_tokens, dtype=np.int32)
    ids_pointer = ids.ctypes.data_as(ctypes.POINTER(llama.llama_token))
    put_pair = _PAIRS[executable.settings.get("second_segment", "refused")](executable)

    def put(tokens: Tokens) -> Any:
        if put_pair is not None and any(tokens.type_ids):
            return put_pair(tokens)
        ids[: len(tokens.ids)] = tokens.ids
        return llama.llama_batch_get_one(ids_pointer, len(tokens.ids))

    return put


def _put_vectors(executable: Executable) -> Put:
    embed = open_segments(executable.folder / executable.model)
    kept: list[Array] = []  # llama.cpp reads the vectors from here

    def put_vectors(tokens: Tokens) -> Any:
        kept[:] = [np.ascontiguousarray(embed(tokens))]
        pointer = kept[0].ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        return llama.llama_batch(n_tokens=len(tokens.ids), embd=pointer)

    return put_vectors


def _refuse_pair(tokens: Tokens) -> Any:
    raise MctError(
        "an input has a second segment (a text pair), which llama.cpp's encoder cannot tell from the first",
        "this artifact was not made for pairs",
    )


_PAIRS: Mapping[str, Callable[[Executable], Put | None]] = {
    "added": _put_vectors,
    "ignored": lambda executable: None,
    "refused": lambda executable: _refuse_pair,
}


def _context(model: int, tokens: int, compute: _Compute, flash: int, opened: ExitStack) -> int:
    """A context for one input of up to `tokens`; an encoder sees all of it at once, so the batch must hold it whole."""
    parameters = llama.llama_context_default_params()
    parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = tokens
    parameters.n_threads = parameters.n_threads_batch = compute.threads
    parameters.flash_attn_type = flash
    parameters.embeddings = True
    parameters.offload_kqv = parameters.op_offload = compute.on_gpu
    context = llama.llama_init_from_model(model, parameters)
    if context is None:
        raise MctError(f"llama.cpp cannot run this model{reason()}", "compress the checkpoint again")
    opened.callback(llama.llama_free, context)
    return int(context)


def _listen(level: int, text: bytes, _data: object) -> None:
    """Keep llama.cpp's errors for our own message; the rest of its log is not the user's business."""
    if level == _ERROR:
        _errors.append(text.decode(errors="replace").strip())


def _tell(text: bytes) -> None:
    """Say why llama.cpp is about to end the process, in place of the stack trace that it would print."""
    os.write(2, b"llama.cpp: " + text + b"\n")


# Held here: llama.cpp keeps only the addresses.
_hear = llama.llama_log_callback(_listen)
_last_words = ctypes.CFUNCTYPE(None, ctypes.c_char_p)(_tell)
