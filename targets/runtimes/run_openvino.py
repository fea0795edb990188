"""OpenVINO encoders on the CPU, or a GPU that it knows (Intel's), one compiled shape for each of a few input lengths.

OpenVINO's fast path is a fixed shape; with free axes it prepares anew for every length that comes. So the model is
compiled for the lengths its pass recorded, and an input is padded to the next of them. An input beyond the longest is
padded to a multiple of 64, compiled when first met and kept. What stands on padding is cut off again.
"""

import bisect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mct import MctError
from mct.models.tasks.tokens import Tokens
from mct.targets.arithmetic import arithmetic_of
from mct.targets.machine import probe_machine
from mct.targets.runtimes.batches import Arrays, fill
from mct.targets.runtimes.private_openvino import ov
from mct.targets.runtimes.table import DEFERRED, Executable, Session

# Step, in tokens, of the lengths that are compiled on demand.
STEP = 64

# Axes of an output that has a row for every token.
TOKEN_AXES = 3

LOGITS = "logits"
CPU = "CPU"
MOST_REASON = 200


@dataclass(frozen=True)
class _Bucket:
    """One compiled length: the request, and the arrays it reads in place, each (1, length)."""

    request: ov.InferRequest
    arrays: Arrays


def open_session(executable: Executable, threads: int) -> Session:
    """Compile the model for its recorded lengths on `threads` threads. Inputs of a batch are answered one by one.

    Not safe for two threads at once: a bucket has one request. MctError where OpenVINO cannot read the file, or this
    CPU lacks the precision that the artifact was made for.
    """
    precision = str(executable.settings.get("inference_precision", "f32"))
    device = openvino_device(executable)
    core = open_core(threads, {"INFERENCE_PRECISION_HINT": precision, **rounding_properties()}, device)
    model = read_model(core, executable)
    if device == CPU:
        require_right_branches(model)
    outputs = wanted_outputs(model, executable.network)
    _drop_others(model, outputs)
    pad_id = int(executable.settings.get("pad_id", 0))
    ladder = sorted(int(length) for length in executable.settings.get("buckets", ()))
    buckets = {length: _compile(core, model, length, device) for length in ladder}

    def bucket_for(size: int) -> _Bucket:
        place = bisect.bisect_left(ladder, size)
        if place == len(ladder):
            ladder.append(min(-(-size // STEP) * STEP, max(executable.max_tokens, size)))
            buckets[ladder[-1]] = _compile(core, model, ladder[-1], device)
        return buckets[ladder[place]]

    def infer(batch: Sequence[Tokens]) -> dict[str, NDArray[np.float32]]:
        return _stack_answers([_infer_one(bucket_for(len(one.ids)), one, pad_id, outputs) for one in batch])

    return infer


def openvino_device(executable: Executable) -> str:
    """OpenVINO's own name of an executable's device: "CPU", "GPU", "GPU.1"."""
    return executable.device.partition(":")[2] or CPU


def open_core(threads: int, properties: Mapping[str, str], device: str = CPU) -> ov.Core:
    """OpenVINO for one request at a time, with `properties` of the CPU beside, of which a GPU gets the precision.

    The inference precision has to be among them: CPUs with bfloat16 would use that, and answers differ in the third
    digit. MctError where this CPU cannot compute in bfloat16 and is asked to.
    """
    core = ov.Core()
    hint = properties["INFERENCE_PRECISION_HINT"]
    if device != CPU:
        known = core.available_devices
        if device not in known and f"{device}.0" not in known:
            raise MctError(f"OpenVINO knows no {device} here, but {', '.join(known)}", "is the GPU's driver installed?")
        core.set_property(device, {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint})
        return core
    if hint == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise MctError(
            "this artifact computes in bfloat16, which this CPU does not have", "use the fp16 or the int8 artifact here"
        )
    core.set_property("CPU", {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"})
    core.set_property("CPU", dict(properties))
    return core


def rounding_properties() -> dict[str, str]:
    """What OpenVINO must be told where this machine may not round activations; nothing where it may.

    It rounds those of products with compressed weights to 8 bits if the processor has the instructions, and asks the
    processor alone: under ONEDNN_MAX_CPU_ISA it then fails for want of instructions that it was forbidden.
    """
    return {} if arithmetic_of(probe_machine()).rounds_activations else {"DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}


def read_model(core: ov.Core, executable: Executable) -> ov.Model:
    """The model of an artifact, as written. MctError where OpenVINO cannot read it."""
    path = executable.folder / executable.model
    try:
        return core.read_model(path)
    except RuntimeError as error:
        raise _cannot("open", str(path), error) from error


def _cannot(what: str, model: str, error: RuntimeError) -> MctError:
    reason = (str(error).strip().splitlines() or ["it gives no reason"])[-1][:MOST_REASON]
    return MctError(f"openvino cannot {what} {model}: {reason}", "compress the checkpoint again")


def require_right_branches(model: ov.Model) -> None:
    """MctError for a cascade whose second stage is in INT8, on a CPU with AMX: there OpenVINO computes it wrongly.

    The same stage gives its right answers as a model of its own, and within the `If` on the same CPU without AMX.
    """
    bodies = (op.get_function(0) for op in model.get_ops() if op.get_type_name() == "If")
    if "amx_int8" in probe_machine().instruction_sets and any(
        op.get_type_name() == "FakeQuantize" for body in bodies for op in body.get_ops()
    ):
        raise MctError(
            "OpenVINO computes the INT8 second stage of a cascade wrongly on CPUs with AMX",
            "run it with ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16, or make the cascade in ONNX",
        )


def wanted_outputs(model: ov.Model, task: str) -> list[str]:
    """Names of the outputs that a task asks for, of those a graph has: "logits", "<head>_logits" or the vector.

    And which inputs a cascade deferred.
    """
    ending = "sentence_embedding" if task == "sentence-embedding" else LOGITS
    return [name for port in model.outputs for name in sorted(port.names) if name.endswith(ending) or name == DEFERRED]


def _drop_others(model: ov.Model, wanted: Collection[str]) -> None:
    """Take other outputs out of the graph: an embedder's last hidden state, which other programs read."""
    for port in model.outputs:
        if not port.names & set(wanted):
            model.remove_result(port.node)


def _stack_answers(answers: Sequence[Mapping[str, NDArray[np.float32]]]) -> dict[str, NDArray[np.float32]]:
    """Answers of one input each, (1, ...), as those of a batch; rows of fewer tokens are filled up with zeros."""
    return {name: _stack([answer[name] for answer in answers]) for name in answers[0]}


def _stack(rows: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    if len(rows) == 1:
        return rows[0]
    if rows[0].ndim == TOKEN_AXES:
        longest = max(row.shape[1] for row in rows)
        rows = [np.pad(row, ((0, 0), (0, longest - row.shape[1]), (0, 0))) for row in rows]
    return np.concatenate(rows)


def _compile(core: ov.Core, model: ov.Model, length: int, device: str) -> _Bucket:
    names = [port.any_name for port in model.inputs]
    try:
        model.reshape({name: [1, length] for name in names})
        request = core.compile_model(model, device).create_infer_request()
    except RuntimeError as error:
        raise _cannot(f"prepare inputs of {length} tokens for", model.get_friendly_name(), error) from error
    arrays = {name: np.zeros((1, length), dtype=np.int64) for name in names}
    for name, array in arrays.items():
        request.set_tensor(name, ov.Tensor(array, shared_memory=True))
    return _Bucket(request, arrays)


def _infer_one(bucket: _Bucket, tokens: Tokens, pad_id: int, outputs: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    size = len(tokens.ids)
    for name, array in bucket.arrays.items():
        array[0, size:] = pad_id if name == "input_ids" else 0
    fill(bucket.arrays, 0, tokens)
    bucket.request.infer()
    return {name: _without_padding(bucket.request.get_tensor(name).data, size).copy() for name in outputs}


def _without_padding(value: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """An output of one input of `size` tokens, (1, tokens, labels) cut back to them; others are as they were."""
    return value[:, :size] if value.ndim == TOKEN_AXES else value
