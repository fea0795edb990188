"""ONNX fp32 to static INT8: the ranges of activations are fixed beforehand by running the user's own texts.

Against dynamic INT8 it spares the scan of every activation and lets other programs' accelerators run the file, which
want QuantizeLinear and DequantizeLinear (QDQ) nodes; the price is that a text unlike the calibration texts is clipped.
Weights have one scale for each output channel. Heads stay in float, as do norms and the softmax.

Source: onnxruntime's quantization guide and the docstring of `quantize_static`. Bits and signs are those that
mct.targets.arithmetic has for the machine.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
import onnxruntime as ort
from onnx import TensorProto, helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from mct.compress.onnx.graphs.graph import MICROSOFT, load
from mct.compress.onnx.quantise import quantise_tables, token_heads
from mct.compress.plan.passes import Product, Resources
from mct.compress.run.calibration import calibration_inputs, calibration_notes
from mct.compress.run.quiet import quiet
from mct.models.tasks.tokens import Tokens
from mct.targets.arithmetic import arithmetic_of
from mct.targets.runtimes.batches import Arrays, padded

MODEL = "onnx/model_static.onnx"
ERRORS = 3


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Inputs one by one, as the library asks for them: by a class of its own."""

    def __init__(self, inputs: Sequence[Tokens], names: Sequence[str], pad_id: int) -> None:
        self.left: Iterator[Arrays] = (padded([tokens], names, pad_id) for tokens in inputs)

    def get_next(self) -> Arrays | None:
        """The next input, None at the end."""
        return next(self.left, None)


def run(source: Product, draft: Path, options: Mapping[str, Any], resources: Resources) -> Product:
    """Write `onnx/model_static.onnx`. MctError where there are no texts to calibrate on."""
    inputs = calibration_inputs(resources)
    model = load(source.folder / source.model)
    tables = quantise_tables(model)
    split_attention(model)
    _declare_floats(model)
    names = [value.name for value in model.graph.input]
    arithmetic = arithmetic_of(resources.machine)
    (draft / MODEL).parent.mkdir(parents=True, exist_ok=True)
    ort.set_default_logger_severity(ERRORS)  # the calibrator's own graph has constants too many, and says so
    with quiet():
        quantize_static(
            model,
            draft / MODEL,
            _Reader(inputs, names, int(source.settings.get("pad_id", 0))),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["MatMul"],
            nodes_to_exclude=token_heads(model, resources.checkpoint.network),
            per_channel=True,
            reduce_range=arithmetic.saturates,
            activation_type=QuantType.QInt8 if arithmetic.signed_activations else QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"MatMulConstBOnly": True, "OpTypesToExcludeOutputQuantization": ["MatMul"]},
        )
    notes = {
        "weights": "int8 per channel",
        "activations": f"static {'int8' if arithmetic.signed_activations else 'uint8'}",
        "reduce_range": arithmetic.saturates,
        "tables": tables,
        **calibration_notes(resources, inputs),
    }
    return Product(draft, MODEL, source.settings, notes)


def split_attention(model: onnx.ModelProto) -> None:
    """Take the projection out of every fused Attention node, in place: as a product of its own it can be quantised.

    ONNX Runtime has no static INT8 for the node as a whole.
    """
    nodes = [new for node in model.graph.node for new in (_split(node) if node.op_type == "Attention" else [node])]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _declare_floats(model: onnx.ModelProto) -> None:
    """Say of every product's input that it is a float.

    The library passes over tensors without a type, and its shape inference does not know the fused operators.
    """
    constants = {value.name for value in model.graph.initializer}
    inputs = {node.input[0] for node in model.graph.node if node.op_type == "MatMul"} - constants
    known = {value.name for value in model.graph.value_info}
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in sorted(inputs - known)]
    model.graph.value_info.extend(values)


def _split(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    hidden, weight, bias, mask, *more = node.input
    (output,) = node.output
    parts = [f"{output}_{part}" for part in ("query", "key", "value")]
    attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    return [
        helper.make_node("MatMul", [hidden, weight], [f"{output}_packed"], name=f"{node.name}_project"),
        helper.make_node("Split", [f"{output}_packed"], parts, name=f"{node.name}_split", axis=-1, num_outputs=3),
        helper.make_node(
            "MultiHeadAttention",
            [*parts, bias, mask, *more[1:]],
            [output],
            name=node.name,
            domain=MICROSOFT,
            **attributes,
        ),
    ]
