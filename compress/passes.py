"""The table of passes: what each takes and gives, for which tasks, and which pip extra it needs.

A form is "<format>-<precision>"; "checkpoint" is where every plan starts. A new pass is one row here and one file with
`run(source, draft, settings, material) -> Product`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mct.models.checkpoint import Checkpoint
from mct.models.datasets import Dataset
from mct.targets.machine import Machine


@dataclass(frozen=True)
class Material:
    """What every pass may use: the checkpoint, texts to calibrate on, the machine it will run on, a seed."""

    checkpoint: Checkpoint
    calibration: Dataset | None
    machine: Machine
    seed: int


@dataclass(frozen=True)
class Product:
    """What a pass made in its draft folder.

    `model` is the file to open, relative to the folder; `settings` are for the runtime; `notes` go into the lineage.
    """

    folder: Path
    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Pass:
    """One table row. `run` is "module:function", handed `settings`, so that one function can serve several rows.

    `calibrated` passes need the user's texts; what an `intermediate` one gives is not offered as an artifact.
    """

    name: str
    takes: str
    gives: str
    run: str
    tasks: tuple[str, ...]
    extra: str = "compress"
    calibrated: bool = False
    intermediate: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)


_CLASSIFIERS = ("sequence-classification",)

PASSES = (
    Pass("export-onnx", "checkpoint", "onnx-fp32", "mct.compress.export_onnx:run", _CLASSIFIERS),
    Pass("quantise-onnx", "onnx-fp32", "onnx-int8", "mct.compress.quantise_onnx:run", _CLASSIFIERS),
    Pass("export-openvino", "onnx-fp32", "openvino-fp32", "mct.compress.export_openvino:run", _CLASSIFIERS),
    Pass(
        "quantise-openvino",
        "openvino-fp32",
        "openvino-int8",
        "mct.compress.quantise_openvino:run",
        _CLASSIFIERS,
        calibrated=True,
    ),
    Pass("export-gguf", "checkpoint", "gguf-f32", "mct.compress.export_gguf:run", _CLASSIFIERS),
    Pass(
        "quantise-gguf",
        "gguf-f32",
        "gguf-f16",
        "mct.compress.quantise_gguf:run",
        _CLASSIFIERS,
        settings={"type": "F16"},
    ),
    Pass(
        "quantise-gguf",
        "gguf-f32",
        "gguf-q8_0",
        "mct.compress.quantise_gguf:run",
        _CLASSIFIERS,
        settings={"type": "Q8_0"},
    ),
)

# What --precision means in each format's own words.
PRECISION_ALIASES = {
    "gguf": {"fp32": "f32", "fp16": "f16", "int8": "q8_0"},
}
