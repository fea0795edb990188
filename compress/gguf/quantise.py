"""GGUF F32 to a smaller type, by llama.cpp's own quantiser, so that the blocks are those its kernels were written for.

Norms, biases, positions and segment vectors stay F32 in every type; all matrices get the type asked for, or the mixture
that llama.cpp makes of a name with "_M" in it. Sparing the two matrices of a classifier's head was tried on a 77-label
MiniLM at Q8_0: 99.80 % of 1500 answers kept instead of 99.73 %, for 2 % more bytes, so there is no exception for them.

The types with "K" and "IQ" in their names have blocks of 256: a matrix whose rows these do not divide is written in a
type with blocks of 32 that is a little larger. What was really written is read back and noted. A new type is a row in
the table of passes.
"""

import ctypes
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from shutil import copy2
from typing import Any, NamedTuple

import llama_cpp as llama
import numpy as np
from gguf import GGUFReader
from numpy.typing import NDArray

from mct import MctError
from mct.compress.gguf.importance import Importance, measure
from mct.compress.plan.passes import Product, Resources
from mct.compress.run.kept_files import carry
from mct.targets.runtimes.run_llama import reason, start_backend

MODEL = "model.gguf"
BLOCK = 256

# Types whose blocks have no choice to make: importance changes nothing in them.
_INDIFFERENT = frozenset({"F16", "BF16", "Q8_0"})


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write `model.gguf` in `options["type"]`, a name of llama.cpp's file types ("Q8_0"); a head outside is copied.

    Errors are weighed by an importance matrix where there are calibration texts. MctError where llama.cpp refuses the
    model.
    """
    type_name = options["type"]
    importance = measure(resources) if resources.calibration and type_name not in _INDIFFERENT else None
    quantise(source.folder / source.model, draft / MODEL, type_name, resources.machine.usable_threads, importance)
    carry(source, draft)
    if "head" in source.settings:
        copy2(source.folder / source.settings["head"], draft / source.settings["head"])
    of_prefix = "prefix" in source.settings  # whose state is that of a cache in full precision
    kept = {key: value for key, value in source.settings.items() if of_prefix or key != "cache"}
    notes = {"type": type_name, **written(draft / MODEL)}
    return Product(draft, MODEL, kept, notes | ({"importance": dict(importance.notes)} if importance else {}))


def quantise(source: Path, target: Path, type_name: str, threads: int, importance: Importance | None) -> None:
    """Write the F32 file `source` in the type `type_name`. MctError where llama.cpp refuses it."""
    start_backend()
    parameters = llama.llama_model_quantize_default_params()
    parameters.ftype = file_type(type_name)
    parameters.nthread = threads
    lent = _lend(importance) if importance else None
    if lent is not None:
        parameters.imatrix = lent.entries
    if llama.llama_model_quantize(str(source).encode(), str(target).encode(), parameters) != 0:
        raise MctError(f"llama.cpp cannot quantise to {type_name}{reason()}", "choose another precision")


def file_type(name: str) -> int:
    """llama.cpp's number for a file type, as its own header has it ("F16", "Q8_0", "Q4_K_M")."""
    number: int = getattr(llama, f"LLAMA_FTYPE_MOSTLY_{name}")
    return number


def written(path: Path) -> dict[str, Any]:
    """What a file holds: the number of tensors of each type, and of matrices whose rows blocks of 256 do not divide."""
    tensors = GGUFReader(path).tensors
    matrices = [tensor for tensor in tensors if tensor.tensor_type.name not in {"F32", "F16", "BF16"}]
    return {
        "tensors": dict(sorted(Counter(tensor.tensor_type.name for tensor in tensors).items())),
        "rows_not_of_256": sum(int(tensor.shape[0]) % BLOCK != 0 for tensor in matrices),
    }


class _Lent(NamedTuple):
    """The array of structs that llama.cpp takes, and the memory that its pointers lead to: to be kept as long."""

    entries: Any
    arrays: list[NDArray[np.float32]]


def _lend(importance: Importance) -> _Lent:
    """The importance of every tensor, ended by an entry without a name."""
    lent = _Lent((llama.llama_model_imatrix_data * (len(importance.tensors) + 1))(), [])
    for entry, (name, values) in zip(lent.entries, importance.tensors.items(), strict=False):
        lent.arrays.append(np.ascontiguousarray(values, dtype=np.float32))
        entry.name = name.encode()
        entry.data = lent.arrays[-1].ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        entry.size = lent.arrays[-1].size
    return lent
