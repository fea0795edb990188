"""GGUF classifiers by llama.cpp on the CPU, through the low-level calls of llama-cpp-python.

The high-level class of that package returns one score per text; a classifier has one per label. Each input is one call
of the encoder: without a KV cache or padding, it costs what its own tokens cost.

llama.cpp's flash attention works in tiles of 64 queries: below that it makes the whole model a tenth to a quarter
slower than plain attention, above it up to twice as fast. A context has one kind, so a session opens two over the same
weights.
"""

import ctypes
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import llama_cpp as llama
import numpy as np
from numpy.typing import NDArray

from mct import MctError
from mct.models.tokens import Tokens
from mct.targets.runtimes import Executable, Session

Array = NDArray[np.float32]
Encode = Callable[[Tokens, Array], None]
Head = Callable[[Array], Array]

FLASH_TILE = 64
_ERROR = 4  # GGML_LOG_LEVEL_ERROR of ggml.h
_errors: deque[str] = deque(maxlen=8)


def open_session(executable: Executable, threads: int) -> Session:
    """Open `executable.model` on `threads` threads; "logits" are float32 (batch, labels).

    MctError where llama.cpp cannot read the file or it holds another model than its manifest says. The session frees
    the model when it is dropped. It refuses inputs with a second segment, which llama.cpp's encoder does not have.
    """
    start_backend()
    with ExitStack() as opened:
        model = _load(executable.folder / executable.model, opened)
        width, head = _outputs(model, executable)
        encode = _encoder(model, executable.max_tokens, width, threads, opened)

        def infer(batch: Sequence[Tokens]) -> dict[str, Array]:
            pooled = np.empty((len(batch), width), dtype=np.float32)
            for row, tokens in enumerate(batch):
                encode(tokens, pooled[row])
            return {"logits": head(pooled)}

        weakref.finalize(infer, opened.pop_all().close)
    return infer


def start_backend() -> None:
    """Make llama.cpp ready for this process, its log silenced, and forget earlier errors."""
    _initialise()
    _errors.clear()


@cache
def _initialise() -> None:
    llama.llama_log_set(_hear, None)
    llama.llama_backend_init()


def reason() -> str:
    """What llama.cpp gave as the reason of the failure just seen, ready to append; "" where it gave none."""
    text = f": {_errors[0]}" if _errors else ""
    _errors.clear()
    return text


def _load(path: Path, opened: ExitStack) -> int:
    parameters = llama.llama_model_default_params()
    parameters.n_gpu_layers = 0
    model = llama.llama_model_load_from_file(str(path).encode(), parameters) if path.is_file() else None
    if model is None:
        raise MctError(f"llama.cpp cannot load {path}{reason()}", "compress the checkpoint again")
    opened.callback(llama.llama_model_free, model)
    return int(model)


def _encoder(model: int, max_tokens: int, width: int, threads: int, opened: ExitStack) -> Encode:
    """A function that encodes one input and writes the `width` values llama.cpp pools from it into an array."""
    short = min(max_tokens, FLASH_TILE - 1)
    plain = _context(model, short, threads, llama.LLAMA_FLASH_ATTN_TYPE_DISABLED, opened)
    tiled = _context(model, max_tokens, threads, llama.LLAMA_FLASH_ATTN_TYPE_AUTO, opened)
    ids = np.zeros(max_tokens, dtype=np.int32)
    ids_pointer = ids.ctypes.data_as(ctypes.POINTER(llama.llama_token))

    def encode(tokens: Tokens, pooled: Array) -> None:
        count = len(tokens.ids)
        _check(tokens, max_tokens)
        ids[:count] = tokens.ids
        context = plain if count <= short else tiled
        if llama.llama_encode(context, llama.llama_batch_get_one(ids_pointer, count)) != 0:
            raise MctError(f"llama.cpp refused an input of {count} tokens{reason()}", "is it this model's tokenizer?")
        ctypes.memmove(pooled.ctypes.data, llama.llama_get_embeddings_seq(context, 0), pooled.nbytes)

    return encode


def _check(tokens: Tokens, most: int) -> None:
    """llama.cpp ends the process on an input longer than its buffers, and reads every segment as the first."""
    if not 0 < len(tokens.ids) <= most:
        raise MctError(f"an input has {len(tokens.ids)} tokens; this model takes 1 to {most}", "truncate it")
    if any(tokens.type_ids):
        raise MctError(
            "an input has a second segment (a text pair), which llama.cpp's encoder cannot tell from the first",
            "use the ONNX or OpenVINO artifact for pairs",
        )


def _context(model: int, tokens: int, threads: int, flash: int, opened: ExitStack) -> int:
    """A context for one input of up to `tokens`; an encoder sees all of it at once, so the batch must hold it whole."""
    parameters = llama.llama_context_default_params()
    parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = tokens
    parameters.n_threads = parameters.n_threads_batch = threads
    parameters.flash_attn_type = flash
    parameters.embeddings = True
    parameters.offload_kqv = parameters.op_offload = False
    context = llama.llama_init_from_model(model, parameters)
    if context is None:
        raise MctError(f"llama.cpp cannot run this model{reason()}", "compress the checkpoint again")
    opened.callback(llama.llama_free, context)
    return int(context)


def _outputs(model: int, executable: Executable) -> tuple[int, Head]:
    """How many values llama.cpp gives per input, and what makes logits of them: nothing, or the head kept outside."""
    if "head" in executable.settings:
        return int(llama.llama_model_n_embd(model)), _outside_head(executable.folder / executable.settings["head"])
    labels = int(llama.llama_model_n_cls_out(model))
    if labels != executable.outputs:
        raise MctError(
            f"{executable.folder / executable.model} has {labels} labels, its manifest says {executable.outputs}",
            "compress the checkpoint again",
        )
    return labels, lambda pooled: pooled


def _outside_head(path: Path) -> Head:
    """DistilBERT's head, which llama.cpp's graph lacks: dense, ReLU, output, on the first token's vector."""
    from safetensors.numpy import load_file

    weights = load_file(path)
    dense, output = weights["dense.weight"].T, weights["output.weight"].T

    def head(pooled: Array) -> Array:
        hidden = np.maximum(pooled @ dense + weights["dense.bias"], 0)
        logits: Array = hidden @ output + weights["output.bias"]
        return logits

    return head


def _listen(level: int, text: bytes, _data: object) -> None:
    """Keep llama.cpp's errors for our own message; the rest of its log is not the user's business."""
    if level == _ERROR:
        _errors.append(text.decode(errors="replace").strip())


_hear = llama.llama_log_callback(_listen)  # held here: llama.cpp keeps only the address
