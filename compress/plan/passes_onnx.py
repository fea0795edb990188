"""The passes that lead to ONNX."""

from mct.compress.plan.passes import (
    BLOCK,
    ENCODERS,
    LANGUAGE_MODELS,
    RECOVER,
    REWARDS,
    TABLE,
    Option,
    Pass,
    cascade,
)  # fmt: skip

DECODERS = (*LANGUAGE_MODELS, *REWARDS)


def _run_with(precision: str) -> Pass:
    form = f"onnx-{precision}"
    return Pass(
        "run-with", form, form, "mct.compress.onnx.run_with:run", ENCODERS,
        options=(
            Option("threads", int, "the most threads to run it on, 0 for all that may be used", 0),
            Option("spinning", bool, "threads wait for the next request without sleeping", True),
        ),
        about="Say how ONNX Runtime is to run it; the graph stays as it is.",
    )  # fmt: skip


ONNX_PASSES = (
    Pass("export-onnx", "checkpoint", "onnx-fp32", "mct.compress.onnx.export_encoder:run", ENCODERS),
    Pass("halve-onnx", "onnx-fp32", "onnx-fp16", "mct.compress.onnx.half:run", ENCODERS),
    Pass("quantise-onnx", "onnx-fp32", "onnx-int8", "mct.compress.onnx.quantise:run", ENCODERS, numbers="bytes"),
    Pass(
        "quantise-onnx-static", "onnx-fp32", "onnx-int8-static", "mct.compress.onnx.quantise_static:run", ENCODERS,
        texts="needed", numbers="bytes",
    ),
    *(cascade("onnx", precision) for precision in ("fp32", "int8", "int4")),
    *(_run_with(precision) for precision in ("fp32", "int8", "int4")),
    Pass(
        "quantise-onnx-blocks", "onnx-fp32", "onnx-int4", "mct.compress.onnx.quantise_blocks:run", ENCODERS,
        options=(BLOCK, TABLE),
        about="Weights of 4 bits; those that were trained on a grid of 4 bits keep it.",
    ),
    Pass(
        "quantise-onnx-mixed", "onnx-fp32", "onnx-int4-mixed", "mct.compress.onnx.quantise_blocks:run", ENCODERS,
        texts="needed", options=(BLOCK, TABLE, RECOVER),
        about="Weights of 4 bits, and 8 for those whose loss the texts of --data show to be the greatest.",
    ),
    Pass(
        "quantise-onnx-mixed", "onnx-fp32", "onnx-int8-mixed", "mct.compress.onnx.quantise:run", ENCODERS,
        texts="needed", numbers="bytes", options=(RECOVER,),
        about="INT8, and float for those weights whose loss the texts of --data show to be the greatest.",
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
