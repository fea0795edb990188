"""Keys and values that stand before those of every text, as a saved state of llama.cpp's cache: prefix tuning.

llama.cpp reads such a state back into the cache (`llama_state_seq_load_file`), and what follows goes on behind it. How
it lays the state out is its own affair and changes with its versions, so this build is asked: it writes the state of as
many arbitrary tokens, and only the numbers in it are replaced. Where a field is not as expected, it is refused.

Keys stand in the cache as they are after rotation, so their channels are ordered as the graph rotates them.
Layout: llama.cpp, llama-kv-cache.cpp, state_write. Li and Liang 2021, arXiv:2101.00190.
"""

import ctypes
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import llama_cpp as llama
import numpy as np
from numpy.typing import NDArray

from mct import MctError
from mct.compress.gguf.graphs.decoders import Decoder
from mct.models.checkpoints.load_adapter import Prefix
from mct.targets.llama.context import decode, open_contexts
from mct.targets.runtimes.table import Executable

FILE = "prefix.state"
FLOAT = 4
F32 = 0  # GGML_TYPE_F32
MARK = 0xAF143CD8  # what the state of one sequence begins with

Floats = NDArray[np.float32]


def write_state(folder: Path, model: str, decoder: Decoder, prefix: Sequence[Prefix]) -> None:
    """Write `prefix.state` for the F32 model beside it. MctError where this llama.cpp keeps states otherwise."""
    tokens = prefix[0][0].shape[2]
    contexts = open_contexts(Executable(folder, model, "causal-lm", 0, tokens, {"cache": "f32"}), 1, embeddings=False)
    context = contexts.ready(tokens)
    ids = (llama.llama_token * tokens)()
    decode(context, list(ids), each=False)
    size = llama.llama_state_seq_get_size(context, 0)
    state = (ctypes.c_uint8 * size)()
    if llama.llama_state_seq_get_data(context, state, size, 0) != size:
        raise _otherwise("its size is not what it says")
    changed = (ctypes.c_uint8 * size).from_buffer(_replaced(bytearray(state), _layers(decoder, prefix)))
    llama.llama_memory_clear(llama.llama_get_memory(context), False)
    if llama.llama_state_seq_set_data(context, changed, size, 0) == 0:
        raise _otherwise("it does not take back what it wrote")
    if llama.llama_state_seq_save_file(context, str(folder / FILE).encode(), 0, ids, tokens) == 0:
        raise MctError(f"llama.cpp cannot write {folder / FILE}", "is there room on the disk?")


def _layers(decoder: Decoder, prefix: Sequence[Prefix]) -> list[tuple[Floats, Floats]]:
    """Keys and values of each layer as (tokens, channels), a key's channels in the order of the graph's own keys."""
    weights = {weight.name: weight for weight in decoder.weights}
    found = []
    for number, (keys, values) in enumerate(prefix):
        by_channel = _channels(keys)
        if (weight := weights.get(f"blk.{number}.attn_k.weight")) is not None:
            by_channel = weight.arrange([by_channel])
        found.append((np.ascontiguousarray(by_channel.T), np.ascontiguousarray(_channels(values).T)))
    return found


def _channels(tensor: Floats) -> Floats:
    """(1, heads, tokens, width) as (heads * width, tokens)."""
    _, heads, tokens, width = tensor.shape
    made: Floats = tensor[0].transpose(0, 2, 1).reshape(heads * width, tokens)
    return made


@dataclass
class _State:
    """The bytes of a state, and where in them the reading stands."""

    data: bytearray
    place: int = 0

    def expect(self, what: str, kind: str, *wanted: int) -> None:
        """Read one number. MctError unless it is one of those wanted."""
        self.read(what, kind, wanted)

    def read(self, what: str, kind: str, wanted: Sequence[int] = ()) -> int:
        """Read one number, one of those `wanted` if any are named."""
        size = struct.calcsize(f"<{kind}")
        if self.place + size > len(self.data):
            raise _otherwise("it ends too early")
        (number,) = struct.unpack_from(f"<{kind}", self.data, self.place)
        self.place += size
        if wanted and number not in wanted:
            raise _otherwise(f"{what} is {number}")
        return int(number)

    def put(self, values: Floats) -> None:
        """Replace as many numbers as there are."""
        content = np.ascontiguousarray(values, dtype="<f4").tobytes()
        self.data[self.place : self.place + len(content)] = content
        self.place += len(content)


def _replaced(data: bytearray, layers: Sequence[tuple[Floats, Floats]]) -> bytearray:
    """The state with the numbers of `layers`, each (tokens, channels), in the place of its own."""
    state, size, (tokens, _) = _State(data), len(data), layers[0][0].shape
    state.expect("its mark", "I", MARK)
    state.expect("what it was asked for", "I", llama.LLAMA_STATE_SEQ_FLAGS_NONE)
    state.expect("the number of streams", "I", 1)
    state.expect("the number of cells", "I", tokens)
    for position in range(tokens):
        state.expect("a position", "i", position)
        state.expect("the number of sequences", "I", 1)
        state.expect("a sequence", "i", 0)
    turned = state.read("the order of values", "I", (0, 1))
    state.expect("the number of layers", "I", len(layers))
    for keys, _ in layers:
        state.expect("the type of keys", "i", F32)
        state.expect("the size of a key", "Q", FLOAT * keys.shape[1])
        state.put(keys)
    for _, values in layers:
        state.expect("the type of values", "i", F32)
        if turned:
            state.expect("the size of a number", "I", FLOAT)
            state.expect("the number of channels", "I", values.shape[1])
            state.put(values.T)
        else:
            state.expect("the size of a value", "Q", FLOAT * values.shape[1])
            state.put(values)
    if state.place != size or len(data) != size:
        raise _otherwise("it goes on behind the last layer")
    return data


def _otherwise(reason: str) -> MctError:
    return MctError(
        f"this llama.cpp (llama-cpp-python {llama.__version__}) keeps the state of its cache otherwise: {reason}",
        "choose --format onnx or openvino, which hold a prefix in their graphs",
    )


def settings_of(prefix: Sequence[Prefix]) -> Mapping[str, str | int]:
    """What a runtime is told of it."""
    return {"prefix": FILE, "prefix_tokens": prefix[0][0].shape[2]}
