"""A graph in the making: nodes in order, constants by name, and the file it becomes.

Hand-written graphs are all made of this: what they share is only how a node and a weight get in. The file depends on
the weights and the order of the calls alone, so that it is the same byte by byte on every run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

MICROSOFT = "com.microsoft"
OPSETS = {"": 21, MICROSOFT: 1}
IR_VERSION = 10

# Protocol buffers end at 2 GiB; beyond, the weights stand in a second file that the ecosystem looks for by this name.
LARGEST_FILE_BYTES = 2**31 - 2**20
EXTERNAL_SUFFIX = "_data"

DISTANCE_BIAS = "distance_bias"
"""What some families add to attention's scores for the distance of two tokens: rows to look up, but no embeddings."""

Weights = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class GraphBuilder:
    """Grows call by call; `weights` are the model's own, by the names of its checkpoint."""

    weights: Weights
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)

    def add(self, operator: str, inputs: Sequence[str], *outputs: str, domain: str = "", **attributes: Any) -> str:
        """Append a node; gives the name of its first output, made up where none is given."""
        names = list(outputs) or [f"{operator}_{len(self.nodes)}"]
        self.nodes.append(helper.make_node(operator, inputs, names, f"node_{names[0]}", domain=domain, **attributes))
        return names[0]

    def fused(self, operator: str, inputs: Sequence[str], *outputs: str, **attributes: Any) -> str:
        """Append one of ONNX Runtime's own operators."""
        return self.add(operator, inputs, *outputs, domain=MICROSOFT, **attributes)

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """Keep an array under `name`, once; gives the name."""
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(value, name)
        return name

    def integer(self, value: int, *, scalar: bool = False) -> str:
        """Keep an int64, of shape () or (1,)."""
        shape = () if scalar else (1,)
        return self.constant(f"int_{value}{'_scalar' if scalar else ''}", np.full(shape, value, np.int64))

    def weight(self, name: str) -> str:
        """Keep one of the model's weights as it is."""
        return self.constant(name, self.weights[name])


def assemble(
    builder: GraphBuilder, name: str, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]
) -> onnx.ModelProto:
    """The finished graph."""
    graph = helper.make_graph(builder.nodes, name, inputs, outputs, list(builder.constants.values()))
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="mct")


def save(model: onnx.ModelProto, path: Path) -> bool:
    """Write the file, with its weights beside it (`model.onnx_data`) where one file cannot hold them: True then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if sum(len(constant.raw_data) for constant in model.graph.initializer) <= LARGEST_FILE_BYTES:
        onnx.save_model(model, path)
        return False
    onnx.save_model(model, path, save_as_external_data=True, location=f"{path.name}{EXTERNAL_SUFFIX}")
    return True


def load(path: Path) -> onnx.ModelProto:
    """What `save` wrote, whole. onnx itself refuses weights beside a graph that have two names, as kept files may."""
    model = onnx.load(path, load_external_data=False)
    beside = [constant for constant in model.graph.initializer if constant.data_location == onnx.TensorProto.EXTERNAL]
    if beside:
        with path.with_name(f"{path.name}{EXTERNAL_SUFFIX}").open("rb") as file:
            for constant in beside:
                place = {entry.key: entry.value for entry in constant.external_data}
                file.seek(int(place.get("offset", 0)))
                constant.raw_data = file.read(int(place["length"]))
                constant.ClearField("external_data")
                constant.data_location = onnx.TensorProto.DEFAULT
    return model
