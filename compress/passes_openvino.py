"""The passes that lead to OpenVINO."""

from mct.compress.passes import CLASSIFIERS, Pass

OPENVINO_PASSES = (
    Pass("export-openvino", "onnx-fp32", "openvino-fp32", "mct.compress.export_openvino:run", CLASSIFIERS),
    Pass(
        "quantise-openvino", "openvino-fp32", "openvino-int8", "mct.compress.quantise_openvino:run", CLASSIFIERS,
        texts="needed",
    ),
)  # fmt: skip
