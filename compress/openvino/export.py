"""ONNX fp32 to OpenVINO's own format, read by OpenVINO's ONNX reader: fused operators are taken apart on the way.

`openvino_model.xml` beside `config.json` is what optimum-intel's OVModel classes and sentence-transformers open.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mct.compress.openvino.length_buckets import buckets_for
from mct.compress.plan.passes import Product, Resources
from mct.targets.runtimes.private_openvino import ov

MODEL = "openvino_model.xml"

# Inputs and outputs have names that others ask for, but where they never got one.
ENDS = frozenset({"Parameter", "Result"})
COUNTED = re.compile(r"(Parameter|Result)_\d+")


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write `openvino_model.xml` and `.bin` in fp32, free batch and sequence axes, names as in the ONNX graph.

    The settings hold the input lengths to prepare for, taken from the calibration texts where there are any.
    """
    model = ov.Core().read_model(source.folder / source.model)
    save(model, draft / MODEL)
    return Product(draft, MODEL, {**source.settings, "buckets": list(buckets_for(resources))})


def save(model: ov.Model, path: Path) -> None:
    """Write the model, weights at their own precision, in bytes that depend on the model alone."""
    name_by_place(model)
    ov.save_model(model, path, compress_to_fp16=False)


def name_by_place(model: ov.Model) -> None:
    """Name the model, and operations by their place: OpenVINO numbers what has no name by a counter of the process."""
    model.set_friendly_name("model")
    for place, operation in enumerate(model.get_ordered_ops()):
        if operation.get_type_name() not in ENDS or COUNTED.fullmatch(operation.get_friendly_name()):
            operation.set_friendly_name(f"{operation.get_type_name()}_{place}")
    for port in (*model.inputs, *model.outputs):
        named = {name for name in port.names if not COUNTED.fullmatch(name)}
        port.get_tensor().set_names(named or {port.node.get_friendly_name()})
