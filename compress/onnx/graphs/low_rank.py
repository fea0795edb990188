"""Places in a decoder's graph for adapters to be put into, by name and while it runs: ONNX Runtime's own way.

Beside the product with a matrix stands a second one with two thin ones, which are inputs with a default: of rank 0, so
that the base answers alone where none are given. An adapter's file holds values for these inputs (what it is scaled by
is in the second), and `RunOptions.add_active_adapter` gives them; so does whoever feeds them as any other input.

Hu et al. 2021, arXiv:2106.09685. Files: onnxruntime's AdapterFormat.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mct import MctError

Floats = NDArray[np.float32]

SUFFIXES = (".lora_A", ".lora_B")


class Update(NamedTuple):
    """What is added to a matrix `weight` (in, out): the product of `first` (in, rank) and `second` (rank, out)."""

    weight: Floats
    first: Floats
    second: Floats


@dataclass(frozen=True)
class _Place:
    """A product of the graph, and its matrix: those of several layers may stand in it side by side."""

    node: onnx.NodeProto
    name: str
    matrix: Floats


def add_places(graph: onnx.GraphProto, adapters: Mapping[str, Mapping[str, Update]]) -> dict[str, dict[str, Floats]]:
    """Make the places that the adapters need; gives each adapter's values for the inputs that it changes.

    MctError where a layer that one changes is not in the graph as it is in the model.
    """
    places = _places(graph)
    values: dict[str, dict[str, Floats]] = {}
    used: dict[str, _Place] = {}
    for adapter, layers in adapters.items():
        found: dict[str, list[tuple[int, Update]]] = {}
        for layer, update in layers.items():
            place, column = _find(places, layer, update.weight)
            used[place.name] = place
            found.setdefault(place.name, []).append((column, update))
        values[adapter] = {}
        for name, updates in found.items():
            pair = _side_by_side(updates, used[name].matrix.shape[1])
            values[adapter] |= dict(zip(_inputs_of(name), pair, strict=True))
    for place in used.values():
        _open(graph, place)
    return values


def _places(graph: onnx.GraphProto) -> list[_Place]:
    constants = {value.name: value for value in graph.initializer}
    return [
        _Place(node, node.input[1], numpy_helper.to_array(constants[node.input[1]]))
        for node in graph.node
        if node.op_type == "MatMul" and node.input[1] in constants
    ]


def _find(places: Sequence[_Place], layer: str, weight: Floats) -> tuple[_Place, int]:
    """Where a layer's matrix stands, and from which column on: found by the weights themselves."""
    parent = layer.rpartition(".")[0]
    for place in places:
        if place.name.startswith(f"{parent}.") and place.matrix.shape[0] == weight.shape[0]:
            for column in np.flatnonzero(place.matrix[0] == weight[0, 0]):
                if np.array_equal(place.matrix[:, column : column + weight.shape[1]], weight):
                    return place, int(column)
    raise MctError(
        f"ONNX has no place for what an adapter adds to {layer}", "leave --keep-adapter out: the adapter is merged then"
    )


def _side_by_side(updates: Sequence[tuple[int, Update]], columns: int) -> tuple[Floats, Floats]:
    """The updates of layers that stand side by side, as one of their common matrix."""
    first = np.concatenate([update.first for _, update in updates], axis=1)
    second = np.zeros((first.shape[1], columns), np.float32)
    row = 0
    for column, update in updates:
        rank, width = update.second.shape
        second[row : row + rank, column : column + width] = update.second
        row += rank
    return first, second


def _inputs_of(name: str) -> tuple[str, str]:
    first, second = (f"{name.removesuffix('.weight')}{suffix}" for suffix in SUFFIXES)
    return first, second


def _open(graph: onnx.GraphProto, place: _Place) -> None:
    """Add the two inputs, empty by default, and what they give to the product."""
    first, second = _inputs_of(place.name)
    rows, columns = place.matrix.shape
    rank = f"rank.{place.name}"
    for name, shape, empty in ((first, [rows, rank], (rows, 0)), (second, [rank, columns], (0, columns))):
        graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        graph.initializer.append(numpy_helper.from_array(np.zeros(empty, np.float32), name))
    node, (product,) = place.node, place.node.output
    node.output[0] = f"{product}.base"
    added = [
        helper.make_node("MatMul", [node.input[0], first], [f"{first}.narrow"], name=f"node_{first}"),
        helper.make_node("MatMul", [f"{first}.narrow", second], [f"{second}.wide"], name=f"node_{second}"),
        helper.make_node("Add", [f"{product}.base", f"{second}.wide"], [product], name=f"node_{first}.sum"),
    ]
    at = list(graph.node).index(node)
    for offset, each in enumerate(added, start=1):
        graph.node.insert(at + offset, each)
