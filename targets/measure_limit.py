"""The measurement behind `mct.targets.limit`: `python -m mct.targets.measure_limit THREADS [CPU...]`, JSON on stdout.

Matrix products are timed through ONNX Runtime, in models of one node whose weights are constants, as the layers of an
artifact are: that is the speed a runtime reaches, not the one a data sheet promises. Reading is timed with numpy's dot
product of an array with itself, on as many threads, for sizes from a core's own cache to main memory. Of every series
the best counts: neighbours only ever make it slower.

A leaf: imports onnxruntime and numpy. The models are written as protocol-buffer bytes by hand, because the onnx
package is not among what running an artifact needs.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

Shape = tuple[int, int, int]

SQUARE: Shape = (1024, 1024, 1024)
SKINNY: Shape = (16, 384, 1536)
SIZES_MB = (1, 4, 16, 64, 256)
PASSES = 2
SERIES_S = 0.5
LEAST_CALLS = 5
FLOAT, UINT8, INT8 = 1, 2, 3
"""Element types, by TensorProto.DataType of onnx.proto."""


def main() -> None:
    """Measure with the threads and on the CPUs of the command line, and print the fields of a MachineLimit."""
    threads, cpus = int(sys.argv[1]), [int(cpu) for cpu in sys.argv[2:]]
    if cpus and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cpus)
    print(json.dumps(measure(threads)))


def measure(threads: int, series_s: float = SERIES_S) -> dict[str, Any]:
    """The fields of `mct.targets.limit.MachineLimit`: the best of `PASSES` passes, a moment apart."""
    passes = [_measure_once(threads, series_s / PASSES) for _ in range(PASSES)]
    rates = {name: max(each[0][name] for each in passes) for name in passes[0][0]}
    reading = {str(size): max(each[1][size] for each in passes) for size in SIZES_MB}
    return {"threads": threads, **rates, "read_gb_per_s": reading}


def _measure_once(threads: int, series_s: float) -> tuple[dict[str, float], dict[int, float]]:
    rates = {
        "int8_square": max(_integer(SQUARE, threads, series_s), _dynamic(SQUARE, threads, series_s)),
        "int8_skinny": max(_integer(SKINNY, threads, series_s), _dynamic(SKINNY, threads, series_s)),
        "fp32_square": _float(SQUARE, threads, series_s),
        "fp32_skinny": _float(SKINNY, threads, series_s),
    }
    return rates, {size: _read_rate(size, threads, series_s) for size in SIZES_MB}


def one_node_model(domain: str, operator: str, source: tuple[int, Shape], weights: Mapping[str, NDArray[Any]]) -> bytes:
    """An ONNX file of one node: input "a" (element type and m, k, n) times `weights`, constants named in their order.

    Field numbers are those of onnx.proto: ModelProto ir_version 1, graph 7, opset_import 8; GraphProto node 1, name 2,
    initializer 5, input 11, output 12; NodeProto input 1, output 2, op_type 4, domain 7.
    """
    element_type, (m, k, n) = source
    result = 6 if operator == "MatMulInteger" else FLOAT
    node = b"".join(_field(1, name.encode()) for name in ("a", *weights))
    node += _field(2, b"y") + _field(4, operator.encode()) + _field(7, domain.encode())
    graph = _field(1, node) + _field(2, b"product")
    graph += b"".join(_field(5, _tensor(name, array)) for name, array in weights.items())
    graph += _field(11, _value("a", element_type, (m, k))) + _field(12, _value("y", result, (m, n)))
    opsets = [_field(2, 17), _field(1, b"com.microsoft") + _field(2, 1)]
    return _field(1, 8) + _field(7, graph) + b"".join(_field(8, opset) for opset in opsets)


def _float(shape: Shape, threads: int, series_s: float) -> float:
    m, k, n = shape
    rng = np.random.default_rng(0)
    model = one_node_model("", "MatMul", (FLOAT, shape), {"b": rng.standard_normal((k, n), dtype=np.float32)})
    return _gops(model, rng.standard_normal((m, k), dtype=np.float32), shape, threads, series_s)


def _integer(shape: Shape, threads: int, series_s: float) -> float:
    """The bare product of 8-bit integers."""
    m, k, n = shape
    rng = np.random.default_rng(0)
    model = one_node_model("", "MatMulInteger", (UINT8, shape), {"b": _small_integers(rng, (k, n))})
    return _gops(model, rng.integers(0, 255, (m, k), dtype=np.uint8), shape, threads, series_s)


def _dynamic(shape: Shape, threads: int, series_s: float) -> float:
    """The product as dynamic quantisation runs it: its input quantised, its output scaled back, in one node."""
    m, k, n = shape
    rng = np.random.default_rng(0)
    weights: dict[str, NDArray[Any]] = {"b": _small_integers(rng, (k, n)), "scale": np.array([0.01], dtype=np.float32)}
    model = one_node_model("com.microsoft", "DynamicQuantizeMatMul", (FLOAT, shape), weights)
    return _gops(model, rng.standard_normal((m, k), dtype=np.float32), shape, threads, series_s)


def _small_integers(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.int8]:
    return rng.integers(-64, 64, shape, dtype=np.int8)


def _gops(model: bytes, values: NDArray[Any], shape: Shape, threads: int, series_s: float) -> float:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    inputs = {"a": values}
    return 2 * shape[0] * shape[1] * shape[2] / _best_s(lambda: session.run(None, inputs), series_s) / 1e9


def _read_rate(megabytes: int, threads: int, series_s: float) -> float:
    """10^9 bytes a second at which `threads` threads, a slice each, read an array of that size over and over."""
    values = np.ones(megabytes * 1_000_000 // 4, dtype=np.float32)
    slices = np.array_split(values, threads)
    passes = max(1, 64 // megabytes)

    def read(part: NDArray[np.float32]) -> None:
        for _ in range(passes):
            np.dot(part, part)

    with ThreadPoolExecutor(threads) as pool:
        best_s = _best_s(lambda: list(pool.map(read, slices)), series_s)
    return passes * values.nbytes / best_s / 1e9


def _best_s(call: Callable[[], object], series_s: float) -> float:
    """Seconds of the fastest call of a series; the first is not counted."""
    call()
    best, calls, stop = float("inf"), 0, perf_counter() + series_s
    while calls < LEAST_CALLS or perf_counter() < stop:
        began = perf_counter()
        call()
        best, calls = min(best, perf_counter() - began), calls + 1
    return best


def _tensor(name: str, array: NDArray[Any]) -> bytes:
    """TensorProto: dims 1, data_type 2, name 8, raw_data 9."""
    element_type = {np.dtype(np.float32): FLOAT, np.dtype(np.int8): INT8}[array.dtype]
    dims = b"".join(_field(1, size) for size in array.shape)
    return dims + _field(2, element_type) + _field(8, name.encode()) + _field(9, array.tobytes())


def _value(name: str, element_type: int, shape: tuple[int, int]) -> bytes:
    """ValueInfoProto name 1, type 2; TypeProto tensor_type 1; its elem_type 1, shape 2; dim 1, dim_value 1."""
    dims = b"".join(_field(1, _field(1, size)) for size in shape)
    return _field(1, name.encode()) + _field(2, _field(1, _field(1, element_type) + _field(2, dims)))


def _field(number: int, value: int | bytes) -> bytes:
    """One protocol-buffer field: a varint, or bytes with their length."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


if __name__ == "__main__":
    main()
