"""The passes that lead to ONNX."""

from mct.compress.plan.passes import ENCODERS, LANGUAGE_MODELS, REWARDS, Pass

DECODERS = (*LANGUAGE_MODELS, *REWARDS)

ONNX_PASSES = (
    Pass("export-onnx", "checkpoint", "onnx-fp32", "mct.compress.onnx.export_encoder:run", ENCODERS),
    Pass("halve-onnx", "onnx-fp32", "onnx-fp16", "mct.compress.onnx.half:run", ENCODERS),
    Pass("quantise-onnx", "onnx-fp32", "onnx-int8", "mct.compress.onnx.quantise:run", ENCODERS, numbers="bytes"),
    Pass(
        "quantise-onnx-static", "onnx-fp32", "onnx-int8-static", "mct.compress.onnx.quantise_static:run", ENCODERS,
        texts="needed", numbers="bytes",
    ),
    Pass(
        "export-onnx-lm", "checkpoint", "onnx-fp32", "mct.compress.onnx.export_decoder:run", DECODERS,
        why_not="mct.compress.onnx.graphs.obstacles:why_not",
    ),
    Pass("halve-onnx", "onnx-fp32", "onnx-fp16", "mct.compress.onnx.half:run", DECODERS),
    Pass(
        "quantise-onnx-lm", "onnx-fp32", "onnx-int8", "mct.compress.onnx.quantise_decoder:run", DECODERS,
        fixed={"bits": 8},
    ),
    Pass(
        "quantise-onnx-lm", "onnx-fp32", "onnx-int4", "mct.compress.onnx.quantise_decoder:run", DECODERS,
        fixed={"bits": 4},
    ),
)  # fmt: skip
