"""Text pairs for llama.cpp, which adds the first segment's vector to every token, whatever segment it is of.

Its encoder takes vectors in place of token ids. So a pair is handed over as vectors: each token's row of the word
table, and for the second segment's tokens the difference of the two segment vectors besides, which makes the graph's
own sum the right one. The rows come from the GGUF file itself, widened by the library that quantised them (ggml, which
llama-cpp-python carries), so nothing is kept twice. A leaf.
"""

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from llama_cpp import _ggml
from numpy.typing import NDArray

from mct import MctError
from mct.models.tasks.tokens import Tokens

Array = NDArray[np.float32]
Embed = Callable[[Tokens], Array]
Rows = Callable[[NDArray[np.int64]], Array]

WORDS, SEGMENTS = b"token_embd.weight", b"token_types.weight"


class _InitParams(ctypes.Structure):
    """gguf_init_params of gguf.h."""

    _fields_ = (("no_alloc", ctypes.c_bool), ("context", ctypes.c_void_p))


def open_segments(path: Path) -> Embed:
    """A function from a pair's tokens to the vectors, (tokens, width), that llama.cpp takes for them.

    MctError where the file has no such tables, and for a token id that is in no row.
    """
    words, segments = _open_tables(path)
    known = segments(np.arange(2))
    difference = known[1] - known[0]

    def embed(tokens: Tokens) -> Array:
        second = np.asarray(tokens.type_ids, dtype=np.float32)[:, None]
        vectors: Array = words(np.asarray(tokens.ids)) + second * difference
        return vectors

    return embed


def _open_tables(path: Path) -> tuple[Rows, Rows]:
    file = _call("gguf_init_from_file", ctypes.c_void_p, str(path).encode(), _InitParams(True, None))
    if file is None:
        raise MctError(f"llama.cpp cannot read {path}", "compress the checkpoint again")
    try:
        return _open_table(path, file, WORDS), _open_table(path, file, SEGMENTS)
    finally:
        _call("gguf_free", None, ctypes.c_void_p(file))


def _open_table(path: Path, file: int, name: bytes) -> Rows:
    """A function from row numbers to the rows of one matrix, as float32."""
    context = ctypes.c_void_p(file)
    place = _call("gguf_find_tensor", ctypes.c_int64, context, name)
    if place < 0:
        raise MctError(f"{path} has no tensor {name.decode()}", "compress the checkpoint again")
    number = ctypes.c_int64(place)
    shape = _call("gguf_get_tensor_ne", ctypes.POINTER(ctypes.c_int64), context, number)
    width, count = int(shape[0]), int(shape[1])
    size = _call("gguf_get_tensor_size", ctypes.c_size_t, context, number)
    offset = _call("gguf_get_data_offset", ctypes.c_size_t, context)
    offset += _call("gguf_get_tensor_offset", ctypes.c_size_t, context, number)
    type_name = _call("gguf_get_tensor_type", ctypes.c_int, context, number)
    widen = _widener(_call("ggml_type_name", ctypes.c_char_p, ctypes.c_int(type_name)).decode())
    stored = np.memmap(path, np.uint8, "r", offset, (count, size // count))

    def read(rows: NDArray[np.int64]) -> Array:
        if rows.min() < 0 or rows.max() >= count:
            raise MctError(f"{name.decode()} of {path} has no row {rows.max()}", "is it this model's tokenizer?")
        return widen(np.ascontiguousarray(stored[rows]), width)

    return read


def _widener(type_name: str) -> Callable[[NDArray[np.uint8], int], Array]:
    """Stored rows of one of ggml's types, by its own name for it ("q8_0"), and their width to float32 rows."""
    if type_name == "f32":
        return lambda rows, width: rows.view(np.float32)
    if type_name == "f16":
        return lambda rows, width: rows.view(np.float16).astype(np.float32)
    if type_name == "bf16":
        return lambda rows, width: (rows.view(np.uint16).astype(np.uint32) << 16).view(np.float32)

    def widen(rows: NDArray[np.uint8], width: int) -> Array:
        wide = np.empty((len(rows), width), dtype=np.float32)
        pointer = wide.ctypes.data_as(ctypes.c_void_p)
        _call(
            f"dequantize_row_{type_name}",
            None,
            rows.ctypes.data_as(ctypes.c_void_p),
            pointer,
            ctypes.c_int64(wide.size),
        )
        return wide

    return widen


def _call(name: str, gives: Any, *arguments: object) -> Any:
    """One of ggml's functions, by its name in its headers."""
    function = _ggml.libggml[name]  # a new object every time: its result type is nobody else's
    function.restype = gives
    return function(*arguments)
