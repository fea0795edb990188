"""ONNX files by ONNX Runtime, on the CPU or by CUDA. Needs onnxruntime and numpy alone: no torch, no transformers.

On a GPU the inputs are copied there and the outputs back within the call, which gives arrays: that is in what is timed.
The setting "tensorrt" lets TensorRT compile the model, for minutes; engines are kept in the user's cache folder.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as pybind

from mct import MctError
from mct.models.tasks.tokens import Tokens
from mct.models.writing.folders import cache_folder
from mct.targets.devices.gpus import is_cuda
from mct.targets.runtimes.batches import padded
from mct.targets.runtimes.table import Executable, Session

# What it raises: a ValueError where an input is missing, else exceptions that share no base class of their own.
ERRORS: tuple[type[Exception], ...] = (
    ValueError,
    RuntimeError,
    *(each for each in vars(pybind).values() if isinstance(each, type) and issubclass(each, Exception)),
)
MOST_REASON = 200
CPU_PROVIDER = "CPUExecutionProvider"

SPINNING = "session.intra_op.allow_spinning"

# Every token's vector, which an embedder's file has for other programs: no task asks for it.
HIDDEN = "last_hidden_state"


def open_session(executable: Executable, threads: int) -> Session:
    """Open `executable.model` on `threads` threads. MctError where ONNX Runtime cannot read the file."""
    session = open_file(executable, threads)
    inputs = [value.name for value in session.get_inputs()]
    outputs = [value.name for value in session.get_outputs() if value.name != HIDDEN]
    pad_id, path = int(executable.settings.get("pad_id", 0)), executable.folder / executable.model

    def infer(batch: Sequence[Tokens]) -> dict[str, NDArray[np.float32]]:
        try:
            return dict(zip(outputs, session.run(outputs, padded(batch, inputs, pad_id)), strict=True))
        except ERRORS as error:
            raise cannot("run", path, error) from error

    return infer


def open_file(executable: Executable, threads: int) -> ort.InferenceSession:
    """ONNX Runtime's own session of `executable.model`. MctError where it cannot read the file."""
    path, providers = executable.folder / executable.model, providers_for(executable)
    try:
        session = ort.InferenceSession(str(path), _options(executable, threads), providers=providers)
    except ERRORS as error:
        raise cannot("open", path, error) from error
    wanted = providers[0] if isinstance(providers[0], str) else providers[0][0]
    if session.get_providers()[0] != wanted:  # it says so in its log alone, and computes on the CPU
        raise MctError(f"onnxruntime cannot load its {wanted}", "are the CUDA and cuDNN here that it is built for?")
    return session


def providers_for(executable: Executable) -> list[Any]:
    """What is to compute the model, best first. MctError where this ONNX Runtime has none for its device."""
    if not is_cuda(executable.device):
        return [CPU_PROVIDER]
    compiled = ("TensorrtExecutionProvider", _tensorrt_options()) if executable.settings.get("tensorrt") else None
    wanted: list[Any] = [*filter(None, [compiled]), ("CUDAExecutionProvider", {"device_id": 0}), CPU_PROVIDER]
    if missing := [name for name, _ in wanted[:-1] if name not in ort.get_available_providers()]:
        raise MctError(
            f"this onnxruntime is built without {missing[0]}",
            "pip uninstall -y onnxruntime; pip install onnxruntime-gpu",
        )
    return wanted


def _tensorrt_options() -> dict[str, Any]:
    folder = cache_folder() / "tensorrt"
    return {"device_id": 0, "trt_engine_cache_enable": True, "trt_engine_cache_path": str(folder)}


def cannot(what: str, path: Path, error: Exception) -> MctError:
    """The error for a file that ONNX Runtime does not open or run, with its reason in one line."""
    reason = " ".join(str(error).split())[:MOST_REASON]
    return MctError(f"onnxruntime cannot {what} {path}: {reason}", "compress the checkpoint again")


def _options(executable: Executable, threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = min(threads, int(executable.settings.get("threads") or threads))
    options.add_session_config_entry(SPINNING, "1" if executable.settings.get("spinning", True) else "0")
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    return options
