"""GGUF F32 to a smaller type, by llama.cpp's own quantiser, so that the blocks are those its kernels were written for.

Norms, biases, positions and segment vectors stay F32 in every type; all matrices get the type asked for, or the mixture
that llama.cpp makes of a name with "_M" in it. Sparing the two matrices of a classifier's head was tried on a 77-label
MiniLM at Q8_0: 99.80 % of 1500 answers kept instead of 99.73 %, for 2 % more bytes, so there is no exception for them.

The types with "K" and "IQ" in their names have blocks of 256: a matrix whose rows these do not divide is written in a
type with blocks of 32 that is a little larger. Weights that were trained in 4 bits are those of Q4_0: nothing is
weighed there, so that they stay as they are. What was really written is read back and noted. A new type is a row in the
table of passes.
"""

import ctypes
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from shutil import copy2
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import llama_cpp as llama
import numpy as np
from gguf import GGMLQuantizationType, GGUFReader
from gguf.gguf_reader import ReaderTensor
from numpy.typing import NDArray

from mct import MctError
from mct.compress.gguf.importance import Importance, measure
from mct.compress.mixed.sensitivity import choose, require_known
from mct.compress.plan.passes import Product, Resources
from mct.compress.run.kept_files import carry
from mct.models.training.grids import INT4, lies_on
from mct.targets.llama.encoders import reason, start_backend

MODEL = "model.gguf"
BLOCK = 256

TRAINED_TYPE, KEPT_TYPE, HEAD_TYPE = "Q4_0", "Q8_0", "F16"
MATRIX = 2

# Types whose blocks have no choice to make: importance changes nothing in them.
_INDIFFERENT = frozenset({"F16", "BF16", "Q8_0"})


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write `model.gguf` in `options["type"]`, a name of llama.cpp's file types ("Q8_0"); a head outside is copied.

    Errors are weighed by an importance matrix where there are calibration texts. `options["recover"]`, where there is
    one: the costliest matrices are written in Q8_0 until that share of the loss is won back. MctError
    where llama.cpp refuses the model.
    """
    require_known(options)
    type_name = options["type"]
    weighed = resources.calibration and type_name not in _INDIFFERENT
    trained = type_name == TRAINED_TYPE and was_trained(source.folder / source.model)
    importance = measure(resources) if weighed and not trained else None
    heads = _heads(source.folder / source.model) if trained else ()  # training left them in float
    wanted = Wanted(type_name, resources.machine.usable_threads, importance, dict.fromkeys(heads, HEAD_TYPE))
    notes = {"weights": "as trained"} if trained else {}
    if "recover" not in options:
        return _write(source, draft, wanted, notes)
    with TemporaryDirectory() as folder:
        quantise(source.folder / source.model, Path(folder) / MODEL, wanted)
        tensors = GGUFReader(Path(folder) / MODEL).tensors
        matrices = [tensor.name for tensor in tensors if tensor.tensor_type.name == type_name]

    def make(few: Collection[str], folder: Path) -> Product:
        apart = {**wanted.apart, **dict.fromkeys(sorted(set(matrices) - set(few)), KEPT_TYPE)}
        return _write(source, folder, replace(wanted, apart=apart), notes)

    choice = choose(source, matrices, make, options["recover"], "gguf", resources)
    product = make(set(matrices) - set(choice.kept), draft)
    return replace(product, notes={**product.notes, **choice.notes()})


@dataclass(frozen=True)
class Wanted:
    """What llama.cpp is told: the type, with how many threads, what errors weigh, and tensors in types `apart`."""

    type_name: str
    threads: int
    importance: Importance | None = None
    apart: Mapping[str, str] = field(default_factory=dict)


def _write(source: Product, draft: Path, wanted: Wanted, notes: Mapping[str, Any]) -> Product:
    quantise(source.folder / source.model, draft / MODEL, wanted)
    carry(source, draft)
    if "head" in source.settings:
        copy2(source.folder / source.settings["head"], draft / source.settings["head"])
    of_prefix = "prefix" in source.settings  # whose state is that of a cache in full precision
    settings = {key: value for key, value in source.settings.items() if of_prefix or key != "cache"}
    found = {"type": wanted.type_name, **written(draft / MODEL), **notes}
    importance = {"importance": dict(wanted.importance.notes)} if wanted.importance else {}
    return Product(draft, MODEL, settings, found | importance)


def quantise(source: Path, target: Path, wanted: Wanted) -> None:
    """Write the F32 file `source` as it is `wanted`. MctError where llama.cpp refuses it."""
    start_backend()
    parameters = llama.llama_model_quantize_default_params()
    parameters.ftype = file_type(wanted.type_name)
    parameters.nthread = wanted.threads
    lent = _lend(wanted.importance) if wanted.importance else None
    if lent is not None:
        parameters.imatrix = lent.entries
    overrides = _overrides(wanted.apart)
    if wanted.apart:
        parameters.tt_overrides = overrides
    if llama.llama_model_quantize(str(source).encode(), str(target).encode(), parameters) != 0:
        raise MctError(f"llama.cpp cannot quantise to {wanted.type_name}{reason()}", "choose another precision")


def was_trained(path: Path) -> bool:
    """Whether the matrices of an F32 file's layers lie on the grid of Q4_0, as training for 4 bits leaves them."""
    first = next(_matrices(path), None)
    return first is not None and lies_on(np.asarray(first.data), INT4)


def _heads(path: Path) -> list[str]:
    """The matrices of a classifier's head."""
    tensors = GGUFReader(path).tensors
    return [tensor.name for tensor in tensors if tensor.name.startswith("cls.") and len(tensor.shape) == MATRIX]


def _matrices(path: Path) -> Iterator[ReaderTensor]:
    """The matrices of an F32 file's layers; those of experts, which are stacked, are left out."""
    tensors = GGUFReader(path).tensors
    return (tensor for tensor in tensors if tensor.name.startswith("blk.") and len(tensor.shape) == MATRIX)


def _overrides(apart: Mapping[str, str]) -> Any:
    """The array of structs that llama.cpp takes: regular expressions of names, and types; ended by one without."""
    kind = llama.llama_model_tensor_override
    patterns = [(f"^{re.escape(name)}$".encode(), int(GGMLQuantizationType[to])) for name, to in apart.items()]
    return (kind * (len(patterns) + 1))(*(kind(*pair) for pair in patterns), kind(None, 0))


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
