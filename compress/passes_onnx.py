"""The passes that lead to ONNX."""

from mct.compress.passes import CLASSIFIERS, Pass

ONNX_PASSES = (
    Pass("export-onnx", "checkpoint", "onnx-fp32", "mct.compress.export_onnx:run", CLASSIFIERS),
    Pass("quantise-onnx", "onnx-fp32", "onnx-int8", "mct.compress.quantise_onnx:run", CLASSIFIERS),
)
