"""Keys and values that stand before those of every text, as constants of a decoder's graph: prefix tuning.

Whoever runs the graph knows nothing of them: it takes the cache and the mask of the text alone and gives those back.
Inside, the prefix goes before the cache of every layer, and before the mask; positions count from its end, as they did
when it was trained. The price is a copy of the cache at every token.

Li and Liang 2021, arXiv:2101.00190.
"""

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from mct.compress.onnx.graphs.family import cache_names

Floats = NDArray[np.float32]

MASK = "attention_mask"

_END = np.iinfo(np.int64).max


def add_prefix(graph: onnx.GraphProto, layers: Sequence[tuple[Floats, Floats]]) -> None:
    """Put each layer's keys and values, (1, heads, tokens, width), before all others of a decoder with a cache."""
    tokens = layers[0][0].shape[2]
    attention = {node.input[3]: node for node in graph.node if node.op_type == "GroupQueryAttention"}
    before = [
        *_constants(graph, tokens),
        helper.make_node("Shape", [MASK], ["prefix.batch"], start=0, end=1),
        helper.make_node("Concat", ["prefix.batch", "prefix.tokens"], ["prefix.mask_shape"], axis=0),
        helper.make_node("Expand", ["prefix.one", "prefix.mask_shape"], ["prefix.seen"]),
        helper.make_node("Concat", ["prefix.seen", MASK], ["prefix.mask"], axis=1),
    ]
    behind = []
    for node in graph.node:
        node.input[:] = ["prefix.mask" if name == MASK else name for name in node.input]
    for layer, tensors in enumerate(layers):
        node = attention[cache_names(layer, "past_key_values")[0]]
        pairs = zip(cache_names(layer, "past_key_values"), cache_names(layer, "present"), tensors, strict=True)
        for place, (past, present, tensor) in enumerate(pairs):
            graph.initializer.append(numpy_helper.from_array(tensor, f"prefix.{past}"))
            before += _behind_the_prefix(past)
            node.input[3 + place], node.output[1 + place] = f"{past}.whole", f"{present}.whole"
            behind.append(
                helper.make_node("Slice", [f"{present}.whole", "prefix.tokens", "prefix.end", "prefix.axis"], [present])
            )
    nodes = [*before, *graph.node, *behind]
    del graph.node[:]
    graph.node.extend(nodes)


def _constants(graph: onnx.GraphProto, tokens: int) -> list[onnx.NodeProto]:
    """Numbers that the nodes below share; no nodes."""
    values = {"one": [[1]], "tokens": [tokens], "end": [_END], "axis": [2], "ones": [1, 1, 1]}
    for name, value in values.items():
        graph.initializer.append(numpy_helper.from_array(np.array(value, np.int64), f"prefix.{name}"))
    return [helper.make_node("Shape", ["input_ids"], ["prefix.rows"], start=0, end=1)]


def _behind_the_prefix(past: str) -> list[onnx.NodeProto]:
    """A layer's cache with the prefix before it, for every row of the batch."""
    return [
        helper.make_node("Concat", ["prefix.rows", "prefix.ones"], [f"{past}.shape"], axis=0),
        helper.make_node("Expand", [f"prefix.{past}", f"{past}.shape"], [f"{past}.prefix"]),
        helper.make_node("Concat", [f"{past}.prefix", past], [f"{past}.whole"], axis=2),
    ]
