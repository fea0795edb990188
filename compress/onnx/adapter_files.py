"""Adapters of a decoder's graph as ONNX Runtime's own files: values for inputs that the graph has a default for."""

from collections.abc import Mapping
from pathlib import Path

import onnxruntime as ort

from mct.compress.merge.kept_adapters import Layers
from mct.compress.onnx.graphs.low_rank import Floats, Update

SUFFIX = ".onnx_adapter"
VERSION = 1


def as_updates(layers: Layers) -> dict[str, Update]:
    """What an adapter adds, turned as the graph has its matrices, and scaled."""
    return {
        name: Update(each.weight.T, each.down.T.copy(), (each.scale * each.up.T).copy())
        for name, each in layers.items()
    }


def write_adapter(path: Path, values: Mapping[str, Floats]) -> None:
    """Write one file, as `onnxruntime.LoraAdapter` loads it."""
    path.parent.mkdir(exist_ok=True)
    written = ort.AdapterFormat()
    written.set_adapter_version(VERSION)
    written.set_model_version(VERSION)
    written.set_parameters({name: ort.OrtValue.ortvalue_from_numpy(array) for name, array in values.items()})
    written.export_adapter(str(path))
