"""Two classifiers in one graph: the first answers where it is sure, the second stage the texts that are left.

A text is deferred where the first stage's best label is less probable than a threshold, or is one that it may not give
by itself. The second stage stands in a branch of an `If`, which ONNX Runtime does not run where it is not taken: as
long as clearly fewer than one request in twenty is deferred, the 95th percentile of latency is the first stage's.

The graph says beside the logits which texts it deferred. Of a batch with one such text the second stage reads all.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from mct.compress.onnx.graphs.graph import save
from mct.compress.plan.passes import Product, Resources
from mct.compress.plan.two_stages import places_of, require_alike
from mct.targets.runtimes.table import DEFERRED

MODEL = "onnx/model.onnx"
LOGITS = "logits"
FIRST, SECOND = "first/", "second/"


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write `onnx/model.onnx`: both stages. MctError where they do not read or answer alike."""
    branch = require_alike(resources)
    always = places_of(options["always"], resources.checkpoint.labels)
    first, second = (onnx.load_model(each.folder / each.model) for each in (source, branch.product))
    save(join(first, second, options["threshold"], always), draft / MODEL)
    notes = {"threshold": options["threshold"], "always": list(options["always"])}
    return Product(draft, MODEL, source.settings, notes)


def join(first: onnx.ModelProto, second: onnx.ModelProto, threshold: float, always: Sequence[int]) -> onnx.ModelProto:
    """One graph of two that give `logits`, (batch, labels); `always` are the labels that the first never gives."""
    inputs = [value.name for value in first.graph.input]
    extra = [value for value in second.graph.input if value.name not in inputs]
    ours, theirs = (
        compose.add_prefix_graph(model.graph, prefix, rename_inputs=False)
        for model, prefix in ((first, FIRST), (second, SECOND))
    )
    head, constants = _decision(threshold, always)
    graph = helper.make_graph(
        [*ours.node, *head, _branches(theirs)],
        "cascade",
        [*first.graph.input, *extra],
        [*first.graph.output, helper.make_tensor_value_info(DEFERRED, TensorProto.BOOL, [_batch(first)])],
        [*ours.initializer, *constants],
    )
    versions: dict[str, int] = {}
    for opset in (*first.opset_import, *second.opset_import):
        versions[opset.domain] = max(opset.version, versions.get(opset.domain, 0))
    opsets = [helper.make_opsetid(domain, version) for domain, version in versions.items()]
    return helper.make_model(
        graph, opset_imports=opsets, ir_version=max(first.ir_version, second.ir_version), producer_name="mct"
    )


def _decision(threshold: float, always: Sequence[int]) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """From the first stage's logits to which texts are deferred, (batch,), and whether any is."""
    logits = FIRST + LOGITS
    constants = [
        numpy_helper.from_array(np.array(threshold, np.float32), "threshold"),
        numpy_helper.from_array(np.array([-1], np.int64), "last"),
        numpy_helper.from_array(np.array([0], np.int64), "all"),
    ]
    unsure = DEFERRED if not always else "unsure"
    nodes = [
        helper.make_node("Softmax", [logits], ["shares"], axis=-1),
        helper.make_node("ReduceMax", ["shares", "last"], ["best"], keepdims=0),
        helper.make_node("Less", ["best", "threshold"], [unsure]),
    ]
    if always:
        constants.append(numpy_helper.from_array(np.array(always, np.int64), "reserved"))
        nodes += [
            helper.make_node("ArgMax", [logits], ["label"], axis=-1, keepdims=1),
            helper.make_node("Equal", ["label", "reserved"], ["is_reserved"]),
            helper.make_node("Cast", ["is_reserved"], ["as_number"], to=TensorProto.INT32),
            helper.make_node("ReduceMax", ["as_number", "last"], ["any_reserved"], keepdims=0),
            helper.make_node("Cast", ["any_reserved"], ["may_not"], to=TensorProto.BOOL),
            helper.make_node("Or", [unsure, "may_not"], [DEFERRED]),
        ]
    nodes += [
        helper.make_node("Cast", [DEFERRED], ["deferred_number"], to=TensorProto.INT32),
        helper.make_node("ReduceMax", ["deferred_number", "all"], ["most"], keepdims=0),
        helper.make_node("Cast", ["most"], ["any_deferred"], to=TensorProto.BOOL),
    ]
    return nodes, constants


def _branches(second: onnx.GraphProto) -> onnx.NodeProto:
    """The `If`: the second stage's logits of the deferred texts and the first's of the others; else the first's."""
    sure = helper.make_graph([helper.make_node("Identity", [FIRST + LOGITS], ["sure"])], "sure", [], [_logits("sure")])
    chosen = [
        helper.make_node("Unsqueeze", [DEFERRED, "last"], ["which"]),
        helper.make_node("Where", ["which", SECOND + LOGITS, FIRST + LOGITS], ["chosen"]),
    ]
    deferred = helper.make_graph([*second.node, *chosen], "deferred", [], [_logits("chosen")], list(second.initializer))
    return helper.make_node("If", ["any_deferred"], [LOGITS], then_branch=deferred, else_branch=sure)


def _logits(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, None)


def _batch(model: onnx.ModelProto) -> str:
    found: str = model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    return found
