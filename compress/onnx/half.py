"""ONNX fp32 to half the bytes: large weights are stored in fp16 and computed with in fp32.

x86 processors have no fp16 products in ONNX Runtime's CPU provider: a graph in fp16 runs there in fp32 with a cast
around every node, slower than before. So the casts stand behind the weights instead, where the runtime does them once,
when it loads the file; looked-up rows are cast as they are used, so that the table stays small in memory too. The
latency is that of fp32; what halves is the download and the disk.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mct.compress.onnx.companions import write_companions
from mct.compress.onnx.graphs.graph import load, save
from mct.compress.plan.passes import Product, Resources
from mct.compress.run.kept_files import carry

MODEL = "onnx/model_fp16.onnx"

# Biases and norms are a thousandth of the bytes, and small errors in them are errors in every token.
LEAST_VALUES = 2048
# The angles of the rotation are the same for every model: rounding them costs accuracy and gains next to nothing.
KEPT = ("cos_cache.", "sin_cache.")
LARGEST = float(np.finfo(np.float16).max)


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write `onnx/model_fp16.onnx`, whose inputs and outputs are those of the fp32 graph."""
    model = load(source.folder / source.model)
    halved = halve(model)
    save(model, draft / MODEL)
    carry(source, draft)
    write_companions(resources.checkpoint, model, MODEL, draft)
    return Product(draft, MODEL, source.settings, {"weights": "fp16", "computed_in": "fp32", "halved": halved})


def halve(model: onnx.ModelProto) -> int:
    """Store, in place, every large float constant in fp16 and cast it back where it is used; gives how many."""
    graph = model.graph
    large = {value.name: value for value in graph.initializer if _fits(value)}
    looked_up = _only_looked_up(graph, set(large))
    casts = []
    for name, value in large.items():
        half = numpy_helper.from_array(numpy_helper.to_array(value).astype(np.float16), f"{name}_fp16")
        graph.initializer.remove(value)
        graph.initializer.append(half)
        if name not in looked_up:
            casts.append(_cast(half.name, name))
    nodes = [new for node in graph.node for new in (_behind(node) if _table(node) in looked_up else [node])]
    del graph.node[:]
    graph.node.extend([*casts, *nodes])
    return len(large)


def _fits(value: TensorProto) -> bool:
    if value.data_type != TensorProto.FLOAT or value.name.startswith(KEPT) or np.prod(value.dims) < LEAST_VALUES:
        return False
    return bool(np.abs(numpy_helper.to_array(value)).max() <= LARGEST)


def _table(node: onnx.NodeProto) -> str:
    return str(node.input[0]) if node.op_type == "Gather" else ""


def _only_looked_up(graph: onnx.GraphProto, names: set[str]) -> set[str]:
    """Those constants that nothing but a Gather reads, as its table."""
    others = {name for node in graph.node for place, name in enumerate(node.input) if place or not _table(node)}
    return {_table(node) for node in graph.node} & names - others


def _behind(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """The look-up in the fp16 table, and its rows cast to fp32."""
    (output,) = node.output
    node.input[0], node.output[0] = f"{node.input[0]}_fp16", f"{output}_fp16"
    return [node, _cast(f"{output}_fp16", output)]


def _cast(half: str, name: str) -> onnx.NodeProto:
    return helper.make_node("Cast", [half], [name], name=f"{name}_cast", to=TensorProto.FLOAT)
