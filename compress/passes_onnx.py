"""The passes that lead to ONNX."""

from mct.compress.passes import ENCODERS, LANGUAGE_MODELS, REWARDS, Pass

DECODERS = (*LANGUAGE_MODELS, *REWARDS)

ONNX_PASSES = (
    Pass("export-onnx", "checkpoint", "onnx-fp32", "mct.compress.export_onnx:run", ENCODERS),
    Pass("halve-onnx", "onnx-fp32", "onnx-fp16", "mct.compress.onnx_half:run", ENCODERS),
    Pass("quantise-onnx", "onnx-fp32", "onnx-int8", "mct.compress.quantise_onnx:run", ENCODERS, numbers="bytes"),
    Pass(
        "quantise-onnx-static", "onnx-fp32", "onnx-int8-static", "mct.compress.quantise_onnx_static:run", ENCODERS,
        texts="needed", numbers="bytes",
    ),
    Pass(
        "export-onnx-lm", "checkpoint", "onnx-fp32", "mct.compress.export_onnx_lm:run", DECODERS,
        why_not="mct.compress.obstacles_onnx:why_not",
    ),
    Pass("halve-onnx", "onnx-fp32", "onnx-fp16", "mct.compress.onnx_half:run", DECODERS),
    Pass(
        "quantise-onnx-lm", "onnx-fp32", "onnx-int8", "mct.compress.quantise_onnx_lm:run", DECODERS,
        settings={"bits": 8},
    ),
    Pass(
        "quantise-onnx-lm", "onnx-fp32", "onnx-int4", "mct.compress.quantise_onnx_lm:run", DECODERS,
        settings={"bits": 4},
    ),
)  # fmt: skip
