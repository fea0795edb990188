"""SetFit's head, read from its pickle without running it: arrays and one linear model, and nothing else.

SetFit saves a scikit-learn model by joblib, which is a pickle with the arrays' raw bytes between its instructions; its
differentiable head, a torch layer, holds tensors whose numbers are a file of torch's own within the pickle. A pickle is
a program; this reader knows only the instructions that build plain values, and the few names below stand for empty
boxes here, so that nothing is imported and nothing is called, whatever the file says. A leaf: numpy alone.

Format: joblib's numpy_pickle.py (NumpyArrayWrapper), numpy's pickled scalars and arrays, torch/serialization.py
(_legacy_save) and torch/_utils.py (_rebuild_tensor_v2), Python's pickletools.
"""

import io
import pickle
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mct import MctError
from mct.models.checkpoints.files import SETFIT, SetFit, distinct, read_if_there

HEAD = "model_head.pkl"

# What a name in the pickle stands for. numpy moved its core in version 2.
_MODEL, _WRAPPER, _ARRAY, _DTYPE, _REBUILD, _SCALAR = "model", "wrapper", "ndarray", "dtype", "rebuild", "scalar"
_TORCH_HEAD, _LAYER, _NO_ITEMS, _STORAGE, _TENSOR, _PARAMETER = (
    "head",
    "layer",
    "none",
    "storage",
    "tensor",
    "parameter",
)
_FLOATS = "floats"
_NAMES = {
    "sklearn.linear_model._logistic LogisticRegression": _MODEL,
    "sklearn.linear_model.logistic LogisticRegression": _MODEL,
    "joblib.numpy_pickle NumpyArrayWrapper": _WRAPPER,
    "numpy ndarray": _ARRAY,
    "numpy dtype": _DTYPE,
    "numpy._core.multiarray _reconstruct": _REBUILD,
    "numpy.core.multiarray _reconstruct": _REBUILD,
    "numpy._core.multiarray scalar": _SCALAR,
    "numpy.core.multiarray scalar": _SCALAR,
    "setfit.modeling SetFitHead": _TORCH_HEAD,
    "torch.nn.modules.linear Linear": _LAYER,
    "collections OrderedDict": _NO_ITEMS,
    "torch.storage _load_from_bytes": _STORAGE,
    "torch._utils _rebuild_tensor_v2": _TENSOR,
    "torch._utils _rebuild_parameter": _PARAMETER,
    "torch FloatStorage": _FLOATS,
}

_NUMBER_OR_TEXT = re.compile(r"[biuf][1248]|U\d{1,6}|O8?")

# Instructions that build plain values, protocols 2 to 5. Those that call, import or fetch are written anew below.
_PLAIN = (
    "PROTO", "FRAME", "STOP", "MARK", "POP", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1",
    "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
    "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_DICT", "EMPTY_SET",
    "SETITEM", "SETITEMS", "MEMOIZE", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "GLOBAL", "STACK_GLOBAL",
)  # fmt: skip


# What Python's own reader and numpy raise on bytes that are no such pickle (SystemError: a text of no characters).
_DAMAGE = (
    KeyError, ValueError, TypeError, IndexError, AttributeError, EOFError, ArithmeticError, SystemError, struct.error,
    RecursionError,
)  # fmt: skip


@dataclass(frozen=True)
class LinearHead:
    """A linear layer over an embedding: `weight` (labels, width) and `bias` (labels,) float32, `labels` in row order.

    A head with one row for two labels is written as two rows whose difference it is: softmax gives the same answer.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    labels: tuple[str, ...]


def read_head(folder: Path) -> LinearHead:
    """The head of a SetFit folder. MctError, and nothing run, where the file holds more than one of SetFit's heads."""
    path = folder / HEAD
    model = _read_model(path)
    try:
        weight, bias, classes = (_torch_layer if model.type_name == _TORCH_HEAD else _regression)(model.state)
        labels = _labels(folder, classes)
        with np.errstate(over="raise"):
            return _as_layer(weight.astype(np.float32), bias.astype(np.float32), labels)
    except pickle.UnpicklingError as error:
        raise _refused(path, str(error)) from error
    except _DAMAGE as error:
        raise _refused(path, "it is no trained head") from error


def _regression(state: dict[str, Any]) -> tuple[NDArray[Any], NDArray[Any], list[Any]]:
    """Weight, bias and classes of a LogisticRegression."""
    weight, bias, classes = (np.asarray(state[name]) for name in ("coef_", "intercept_", "classes_"))
    return weight, bias, classes.tolist()


def _torch_layer(state: dict[str, Any]) -> tuple[NDArray[Any], NDArray[Any], list[Any]]:
    """The same of a differentiable head, whose classes are the numbers of its outputs and whose logits are scaled."""
    if state["multitarget"]:
        raise pickle.UnpicklingError("it answers yes or no for each label by itself")
    layer = state["_modules"]["linear"].state["_parameters"]
    scale = state["temperature"] + state["eps"]
    weight = np.asarray(layer["weight"]) / scale
    bias = np.zeros(len(weight)) if layer["bias"] is None else np.asarray(layer["bias"]) / scale
    return weight, bias, list(range(len(weight)))


def read_labels(folder: Path) -> tuple[str, ...]:
    """The labels of a SetFit folder's head, in the order of its outputs."""
    return read_head(folder).labels


def _labels(folder: Path, classes: list[Any]) -> tuple[str, ...]:
    """The head's classes; where they are numbers and SetFit's settings name the labels, these names."""
    settings = read_if_there(folder / SETFIT, SetFit)
    if settings.labels and all(isinstance(each, int) for each in classes):
        names = dict(enumerate(settings.labels))
        classes = [names[each] for each in classes]
    return distinct([str(each) for each in classes], str(folder / HEAD))


def _as_layer(weight: NDArray[np.float32], bias: NDArray[np.float32], labels: tuple[str, ...]) -> LinearHead:
    bias = np.broadcast_to(bias, weight.shape[:1])  # without an intercept scikit-learn keeps a single 0
    if len(labels) == 2 and len(weight) == 1:
        weight, bias = np.concatenate([-weight / 2, weight / 2]), np.concatenate([-bias / 2, bias / 2])
    if weight.ndim != 2 or len(weight) != len(labels) or not np.isfinite(weight).all() or not np.isfinite(bias).all():
        raise ValueError(f"{weight.shape} for {len(labels)} labels")
    return LinearHead(np.ascontiguousarray(weight), np.ascontiguousarray(bias), labels)


def _read_model(path: Path) -> "_Box":
    """The model in the file, its attributes as its state."""
    try:
        found = _Reader(path.read_bytes()).load()
    except FileNotFoundError as error:
        raise MctError(f"{path} does not exist", "give the folder that SetFit saved") from error
    except pickle.UnpicklingError as error:
        raise _refused(path, str(error)) from error
    except _DAMAGE as error:
        raise _refused(path, "it is damaged, or no pickle of the kind that joblib writes") from error
    is_head = isinstance(found, _Box) and found.type_name in (_MODEL, _TORCH_HEAD) and isinstance(found.state, dict)
    if not is_head:
        raise _refused(path, "it is no logistic regression, nor SetFit's own head")
    assert isinstance(found, _Box)
    return found


def _refused(path: Path, reason: str) -> MctError:
    return MctError(
        f"{path} is not read: {reason}",
        "mct reads a LogisticRegression or a SetFitHead saved by SetFit; anything else in a pickle could be a program",
    )


@dataclass
class _Box:
    """Stands for an object of an allowed kind: how it was made, and the state it was given."""

    type_name: str
    made_with: tuple[Any, ...] = ()
    state: Any = None


class _Reader(pickle._Unpickler):  # the one written in Python: its instructions can be replaced
    """Reads one pickle, and the array bytes between its instructions. Inheritance is what the library asks for."""

    stack: list[Any]
    append: Callable[[Any], None]

    def __init__(self, content: bytes) -> None:
        self.file = io.BytesIO(content)
        self.size = len(content)
        super().__init__(self.file)

    def find_class(self, module: str, name: str) -> Any:
        """A box's kind for an allowed name; refused for any other. Nothing is imported."""
        if f"{module} {name}" not in _NAMES:
            raise pickle.UnpicklingError(f"it holds {module}.{name}")
        return _Box("name", (_NAMES[f"{module} {name}"],))

    def make(self) -> None:
        """REDUCE and NEWOBJ: a box of the kind that was named, or the value that a scalar stands for."""
        made_with, name = self.stack.pop(), self.stack.pop()
        if not isinstance(name, _Box) or name.type_name != "name" or not isinstance(made_with, tuple):
            raise pickle.UnpicklingError("it calls something")
        (type_name,) = name.made_with
        self.append(_MAKE[type_name](*made_with) if type_name in _MAKE else _Box(type_name, made_with))

    def build(self) -> None:
        """BUILD: give the last box its state. Array boxes become arrays, of bytes that may follow in the file."""
        state, box = self.stack.pop(), self.stack.pop()
        if not isinstance(box, _Box) or box.type_name == "name" or box.state is not None:
            raise pickle.UnpicklingError("it changes something that is no plain value")
        box.state = state
        if box.type_name == _WRAPPER:
            self.append(self.read_array(state))
        elif box.type_name == _REBUILD:
            self.append(_array(*state[1:]))
        else:
            self.append(box)

    def read_array(self, wrapper: dict[str, Any]) -> NDArray[Any]:
        """joblib's array: a byte that counts the padding, the padding, the raw values (a pickle again for objects)."""
        dtype, shape = _dtype(wrapper["dtype"]), tuple(int(length) for length in wrapper["shape"])
        if dtype.hasobject:
            nested = _Reader(self.file.read())
            values = nested.load()
            self.file.seek(nested.file.tell() - nested.size, io.SEEK_END)
            return np.asarray(values)
        if wrapper.get("numpy_array_alignment_bytes") is not None:
            self.file.seek(self.file.read(1)[0], io.SEEK_CUR)
        needed = prod(shape) * dtype.itemsize
        if needed > self.size - self.file.tell():
            raise EOFError
        values = np.frombuffer(self.file.read(needed), dtype)
        return values.reshape(shape, order="F" if wrapper["order"] == "F" else "C")


_dispatch: dict[int, Callable[..., None]] = {
    getattr(pickle, name)[0]: pickle._Unpickler.dispatch[getattr(pickle, name)[0]] for name in _PLAIN
}
_dispatch |= {pickle.REDUCE[0]: _Reader.make, pickle.NEWOBJ[0]: _Reader.make, pickle.BUILD[0]: _Reader.build}
_Reader.dispatch = _dispatch


def _dtype(box: _Box) -> "np.dtype[Any]":
    """A plain dtype: its name, and the byte order that its state gives."""
    name = str(box.made_with[0])
    if box.type_name != _DTYPE or not _NUMBER_OR_TEXT.fullmatch(name):
        raise pickle.UnpicklingError(f"it holds an array of {name!r}")
    order = box.state[1] if box.state else "="
    return np.dtype((order if order in "<>" else "=") + name) if not name.startswith("O") else np.dtype("O")


def _scalar(dtype: _Box, content: bytes) -> Any:
    return np.frombuffer(content, _dtype(dtype))[0].item()


def _array(shape: tuple[int, ...], dtype: _Box, fortran: bool, content: Any) -> NDArray[Any]:
    """An array as numpy pickles it itself: raw bytes, or a list for objects."""
    found = _dtype(dtype)
    if found.hasobject:
        return np.array([str(each) if isinstance(each, str) else int(each) for each in content]).reshape(shape)
    return np.frombuffer(content, found).reshape(shape, order="F" if fortran else "C")


class _StorageReader(_Reader):
    """Reads a pickle of torch's file of numbers, in which a tuple stands for what lies outside of the pickle."""

    def stored(self) -> None:
        """BINPERSID: the tuple itself."""
        self.append(_Box("stored", self.stack.pop()))


_StorageReader.dispatch = _dispatch | {pickle.BINPERSID[0]: _StorageReader.stored}


def _storage(content: bytes) -> NDArray[np.float32]:
    """The numbers in a file that torch wrote before it wrote archives: five pickles, a count, and the raw values."""
    reader = _StorageReader(content)
    *_, described, _ = (reader.load() for _ in range(5))
    role, kind, *_ = described.made_with
    if role != "storage" or kind.made_with != (_FLOATS,):
        raise pickle.UnpicklingError("it holds numbers that are no 32-bit floats")
    (count,) = struct.unpack("<q", reader.file.read(8))
    return np.frombuffer(reader.file.read(), "<f4", count)


def _tensor(
    values: NDArray[np.float32], offset: int, shape: tuple[int, ...], steps: tuple[int, ...], *_: Any
) -> NDArray[np.float32]:
    """A tensor whose values lie one after the other, as those of a saved layer do."""
    if steps != tuple(prod(shape[place + 1 :]) for place in range(len(shape))):
        raise pickle.UnpicklingError("it holds a tensor that is a view of another one")
    return values[offset : offset + prod(shape)].reshape(shape)


# What is made of a name at once; the others wait in a box for their state.
_MAKE: dict[str, Callable[..., Any]] = {
    _SCALAR: _scalar, _STORAGE: _storage, _TENSOR: _tensor, _PARAMETER: lambda tensor, *_: tensor,
    _NO_ITEMS: dict,
}  # fmt: skip
