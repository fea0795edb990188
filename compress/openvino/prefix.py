"""Keys and values that stand before those of every text, as the initial state of a stateful graph: prefix tuning.

Resetting the state brings them back, so nothing is copied at a token. The mask that comes in is that of the text alone,
and gets ones before it; positions, which come in counted from the text's begin, are moved behind the prefix.

Li and Liang 2021, arXiv:2101.00190.
"""

import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from mct.targets.runtimes.private_openvino import ov

Floats = NDArray[np.float32]

_STATE = re.compile(r"past_key_values\.(\d+)\.(key|value)")


def add_prefix(graph: ov.Model, layers: Sequence[tuple[Floats, Floats]]) -> None:
    """Let each layer's state begin with its keys and values, (1, heads, tokens, width)."""
    opset, tokens = ov.opset13, layers[0][0].shape[2]
    zero, one = opset.constant([0], np.int64), opset.constant(0, np.int64)
    batch = opset.gather(opset.shape_of(graph.input("input_ids"), "i64"), zero, one)
    for node in graph.get_ops():
        if node.get_type_name() == "ReadValue" and (found := _STATE.search(node.get_variable_id())):
            tensor = layers[int(found[1])][("key", "value").index(found[2])]
            shape = opset.concat([batch, opset.constant(list(tensor.shape[1:]), np.int64)], 0)
            start = opset.broadcast(opset.constant(tensor), shape)
            node.input(0).replace_source_output(start.output(0))
    shape = opset.concat([batch, opset.constant([tokens], np.int64)], 0)
    seen = opset.broadcast(opset.constant([[1]], np.int64), shape)
    _instead(graph.input("attention_mask"), lambda mask: opset.concat([seen, mask], 1))
    _instead(graph.input("position_ids"), lambda ids: opset.add(ids, opset.constant(tokens, np.int64)))
    graph.validate_nodes_and_infer_types()


def _instead(source: ov.Output, change: Callable[[ov.Output], ov.Node]) -> None:
    """Give everything that reads `source` what `change` makes of it."""
    readers = list(source.get_target_inputs())
    changed = change(source)
    for reader in readers:
        reader.replace_source_output(changed.output(0))
