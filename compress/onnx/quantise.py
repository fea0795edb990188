"""ONNX fp32 to dynamic INT8: weights in 8 bits per output channel, activations scaled anew for every input.

Dynamic rather than calibrated: it needs no data, and each input keeps its own range. The embedding table, most of a
small model's bytes, is stored in 8 bits too, with one scale for each token: a row's values are looked up and scaled, so
that no token pays for the outliers of another.

Source of the scheme: onnxruntime's quantization guide. Weights have the bits that mct.targets.arithmetic gives them.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from mct.compress.mixed.sensitivity import choose, require_known
from mct.compress.onnx.graphs.graph import DISTANCE_BIAS, load
from mct.compress.plan.passes import TAGGERS, Product, Resources
from mct.compress.run.quiet import quiet
from mct.targets.arithmetic import arithmetic_of

MODEL = "onnx/model_quantized.onnx"
OPERATORS = ["MatMul", "Attention"]

# Smaller tables (positions, segments) gain nothing worth two more nodes.
LEAST_TABLE_ROWS = 1024


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write `onnx/model_quantized.onnx`, whose inputs and outputs are those of the fp32 graph.

    `options["recover"]`, where there is one: the costliest products stay in float until that share of the loss is won
    back.
    """
    require_known(options)
    saturates = arithmetic_of(resources.machine).saturates
    notes = {"weights": "int8 per channel", "activations": "dynamic", "reduce_range": saturates}
    if "recover" not in options:
        return _write(source, draft, (), resources, notes)
    parts = products(load(source.folder / source.model), resources.checkpoint.network)

    def make(few: Collection[str], folder: Path) -> Product:
        return _write(source, folder, set(parts) - set(few), resources, notes)

    choice = choose(source, parts, make, options["recover"], "onnx", resources)
    return _write(source, draft, choice.kept, resources, notes | choice.notes())


def _write(
    source: Product, draft: Path, kept: Collection[str], resources: Resources, notes: Mapping[str, Any]
) -> Product:
    """The model in INT8, but for the products with the weights `kept`."""
    model = load(source.folder / source.model)
    tables = quantise_tables(model)
    excluded = [node.name for node in model.graph.node if node.op_type in OPERATORS and node.input[1] in kept]
    (draft / MODEL).parent.mkdir(parents=True, exist_ok=True)
    with quiet():
        quantize_dynamic(
            model,
            draft / MODEL,
            op_types_to_quantize=OPERATORS,
            nodes_to_exclude=[*token_heads(model, resources.checkpoint.network), *excluded],
            per_channel=True,
            reduce_range=arithmetic_of(resources.machine).saturates,
            weight_type=QuantType.QInt8,
            extra_options={"DefaultTensorType": TensorProto.FLOAT},
        )
    return Product(draft, MODEL, source.settings, {**notes, "tables": tables})


def products(model: onnx.ModelProto, task: str) -> list[str]:
    """The weights of all products but those of a head over tokens, in the order of the graph, each once."""
    heads = token_heads(model, task)
    constants = {value.name for value in model.graph.initializer}
    found = (node.input[1] for node in model.graph.node if node.op_type in OPERATORS and node.name not in heads)
    return [name for name in dict.fromkeys(found) if name in constants]


def token_heads(model: onnx.ModelProto, task: str) -> list[str]:
    """The products that give each token's labels: those that no other product follows. Kept in float.

    Heads for a whole text are no products but `Gemm` nodes, which are not quantised anyway.
    """
    if task not in TAGGERS:
        return []
    followed: set[str] = set()  # values on the way to a later product
    heads = []
    for node in reversed(model.graph.node):
        leads_on = not followed.isdisjoint(node.output)
        if node.op_type in OPERATORS and not leads_on:
            heads.append(node.name)
        if node.op_type in {*OPERATORS, "Gemm"} or leads_on:
            followed.update(node.input)
    return heads


def quantise_tables(model: onnx.ModelProto) -> list[str]:
    """Replace, in place, every look-up in a large float table by one in int8 rows times the row's scale.

    Gives the names of the tables: int8 of shape (rows, width), scale float32 (rows, 1), symmetric.
    """
    graph = model.graph
    constants = {value.name: value for value in graph.initializer}
    nodes, names = [], []
    for node in graph.node:
        if not is_table_look_up(node, constants):
            nodes.append(node)
            continue
        table = constants[node.input[0]]
        nodes += _look_up(graph, node, table)
        names.append(table.name)
    del graph.node[:]
    graph.node.extend(nodes)
    return names


def is_table_look_up(node: onnx.NodeProto, constants: Mapping[str, TensorProto]) -> bool:
    """Whether a node looks rows up in a large float table of embeddings."""
    table = constants.get(node.input[0]) if node.op_type == "Gather" else None
    return table is not None and table.name != DISTANCE_BIAS and _is_large(table)


def _is_large(table: TensorProto) -> bool:
    return table.data_type == TensorProto.FLOAT and len(table.dims) == 2 and table.dims[0] >= LEAST_TABLE_ROWS


def _look_up(graph: onnx.GraphProto, node: onnx.NodeProto, table: TensorProto) -> list[onnx.NodeProto]:
    """Nodes that give what `node` gave, from an int8 table that takes the place of the float one."""
    name, ids, output = table.name, node.input[1], node.output[0]
    values = numpy_helper.to_array(table)
    scale = np.maximum(np.abs(values).max(axis=1, keepdims=True), np.finfo(np.float32).tiny) / np.float32(127)
    graph.initializer.remove(table)
    graph.initializer.append(numpy_helper.from_array(np.rint(values / scale).astype(np.int8), f"{name}_int8"))
    graph.initializer.append(numpy_helper.from_array(scale, f"{name}_scale"))
    return [
        helper.make_node("Gather", [f"{name}_int8", ids], [f"{output}_int8"], name=f"{node.name}_int8"),
        helper.make_node("Cast", [f"{output}_int8"], [f"{output}_float"], name=f"{node.name}_float", to=1),
        helper.make_node("Gather", [f"{name}_scale", ids], [f"{output}_scale"], name=f"{node.name}_scale"),
        helper.make_node("Mul", [f"{output}_float", f"{output}_scale"], [output], name=f"{node.name}_scaled"),
    ]
