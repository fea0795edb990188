"""OpenVINO models on the CPU, one compiled shape for each of a few input lengths.

OpenVINO's fast path is a fixed shape; with free axes it prepares anew for every length that comes. So the model is
compiled for the lengths its pass recorded, and an input is padded to the next of them. An input beyond the longest is
padded to a multiple of 64, compiled when first met and kept.
"""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from mct import MctError
from mct.models.tokens import Tokens
from mct.targets.batches import Arrays, fill
from mct.targets.runtimes import Executable, Session

# Step, in tokens, of the lengths that are compiled on demand.
STEP = 64


@dataclass(frozen=True)
class _Bucket:
    """One compiled length: the request, and the arrays it reads in place, each (1, length)."""

    request: ov.InferRequest
    arrays: Arrays


def open_session(executable: Executable, threads: int) -> Session:
    """Compile the model for its recorded lengths on `threads` threads. Inputs of a batch are answered one by one.

    Not safe for two threads at once: a bucket has one request. MctError where OpenVINO cannot read the file.
    """
    core = _core(threads)
    model = _read(core, executable)
    pad_id = int(executable.settings.get("pad_id", 0))
    ladder = sorted(int(length) for length in executable.settings.get("buckets", ()))
    buckets = {length: _compile(core, model, length) for length in ladder}

    def bucket_for(size: int) -> _Bucket:
        place = bisect.bisect_left(ladder, size)
        if place == len(ladder):
            ladder.append(min(-(-size // STEP) * STEP, max(executable.max_tokens, size)))
            buckets[ladder[-1]] = _compile(core, model, ladder[-1])
        return buckets[ladder[place]]

    def infer(batch: Sequence[Tokens]) -> dict[str, NDArray[np.float32]]:
        return {"logits": np.concatenate([_infer_one(bucket_for(len(one.ids)), one, pad_id) for one in batch])}

    return infer


def _core(threads: int) -> ov.Core:
    """fp32 is asked for by name: CPUs with bfloat16 would use that, and answers differ in the third digit."""
    core = ov.Core()
    core.set_property(
        "CPU",
        {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
        },
    )
    return core


def _read(core: ov.Core, executable: Executable) -> ov.Model:
    path = executable.folder / executable.model
    try:
        return core.read_model(path)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise MctError(f"openvino cannot open {path}: {reason}", "compress the checkpoint again") from error


def _compile(core: ov.Core, model: ov.Model, length: int) -> _Bucket:
    names = [port.any_name for port in model.inputs]
    model.reshape({name: [1, length] for name in names})
    request = core.compile_model(model, "CPU").create_infer_request()
    arrays = {name: np.zeros((1, length), dtype=np.int64) for name in names}
    for name, array in arrays.items():
        request.set_tensor(name, ov.Tensor(array, shared_memory=True))
    return _Bucket(request, arrays)


def _infer_one(bucket: _Bucket, tokens: Tokens, pad_id: int) -> NDArray[np.float32]:
    for name, array in bucket.arrays.items():
        array[0, len(tokens.ids) :] = pad_id if name == "input_ids" else 0
    fill(bucket.arrays, 0, tokens)
    bucket.request.infer()
    logits: NDArray[np.float32] = bucket.request.get_output_tensor(0).data.copy()
    return logits
