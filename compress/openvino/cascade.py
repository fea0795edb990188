"""Two classifiers in one OpenVINO graph: the first answers where it is sure, the second stage the texts that are left.

The same rule as in ONNX (`mct.compress.onnx.cascade`): a text is deferred where the first stage's best label is less
probable than a threshold, or is one that it may not give by itself. The second stage is the body of an `If` that is not
run where it is not taken.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mct.compress.openvino.export import MODEL, name_by_place, save
from mct.compress.plan.passes import Product, Resources
from mct.compress.plan.two_stages import places_of, require_alike
from mct.targets.runtimes.private_openvino import ov
from mct.targets.runtimes.table import DEFERRED

LOGITS = "logits"
ops = ov.opset13


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write `openvino_model.xml` and `.bin`: both stages. MctError where they do not read or answer alike."""
    branch = require_alike(resources)
    always = places_of(options["always"], resources.checkpoint.labels)
    core = ov.Core()
    first, second = (core.read_model(each.folder / each.model) for each in (source, branch.product))
    save(join(first, second, options["threshold"], always), draft / MODEL)
    notes = {"threshold": options["threshold"], "always": list(options["always"])}
    lengths = sorted({*source.settings.get("buckets", ()), *branch.product.settings.get("buckets", ())})
    return Product(draft, MODEL, {**source.settings, "buckets": lengths}, notes)


def join(first: ov.Model, second: ov.Model, threshold: float, always: Sequence[int]) -> ov.Model:
    """One graph of two that give `logits`, (batch, labels); `always` are the labels that the first never gives."""
    logits = _result(first, LOGITS).input_value(0)
    deferred = _deferred(logits, threshold, always)
    inputs = {port.any_name: port.node for port in first.inputs}
    for port in second.inputs:
        if port.any_name not in inputs:
            inputs[port.any_name] = ops.parameter(port.partial_shape, port.element_type, port.any_name)
            inputs[port.any_name].output(0).get_tensor().set_names({port.any_name})
    answered = _branches(logits, deferred, inputs, second)
    answered.get_tensor().set_names({LOGITS})
    deferred.get_tensor().set_names({DEFERRED})
    results = [ops.result(answered), ops.result(deferred)]
    return ov.Model(results, list(inputs.values()), "cascade")


def _result(model: ov.Model, name: str) -> ov.Node:
    return next(port.node for port in model.outputs if name in port.names)


def _deferred(logits: ov.Output, threshold: float, always: Sequence[int]) -> ov.Output:
    """Which texts go on, (batch,)."""
    logits.get_tensor().set_names(set())
    last = ops.constant(np.array([-1], np.int64))
    best = ops.reduce_max(ops.softmax(logits, -1), last, keep_dims=False)
    unsure = ops.less(best, ops.constant(np.float32(threshold)))
    if not always:
        return unsure.output(0)
    label = ops.topk(logits, ops.constant(np.int64(1)), -1, "max", "value", index_element_type="i64").output(1)
    reserved = ops.equal(label, ops.constant(np.array(always, np.int64)))
    return ops.logical_or(unsure, ops.reduce_logical_or(reserved, last, keep_dims=False)).output(0)


def _branches(logits: ov.Output, deferred: ov.Output, inputs: Mapping[str, ov.Node], second: ov.Model) -> ov.Output:
    """The `If`: the second stage's logits of the deferred texts and the first's of the others; else the first's."""
    firsts, which = (ops.parameter(each.partial_shape, each.element_type) for each in (logits, deferred))
    seconds = _result(second, LOGITS).input_value(0)
    chosen = ops.result(ops.select(ops.unsqueeze(which, ops.constant(np.int64(-1))), seconds, firsts))
    asked = ov.Model([chosen], [*(port.node for port in second.inputs), firsts, which], "deferred")
    kept = ops.parameter(logits.partial_shape, logits.element_type)
    sure = ops.result(kept)
    first_alone = ov.Model([sure], [kept], "sure")
    for body in (asked, first_alone):
        name_by_place(body)
    every = ops.constant(np.array([0], np.int64))
    branch = ov.op.if_op(ops.reduce_logical_or(deferred, every, keep_dims=False).output(0))
    branch.set_then_body(asked)
    branch.set_else_body(first_alone)
    for port in second.inputs:
        branch.set_input(inputs[port.any_name].output(0), port.node, None)
    branch.set_input(logits, firsts, kept)
    branch.set_input(deferred, which, None)
    found: ov.Output = branch.set_output(chosen, sure)
    return found
