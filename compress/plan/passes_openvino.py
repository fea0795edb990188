"""The passes that lead to OpenVINO: by way of ONNX for encoders, by optimum-intel's exporter for language models."""

from collections.abc import Mapping
from typing import Any

from mct.compress.plan.passes import BLOCK, ENCODERS, LANGUAGE_MODELS, RECOVER, REWARDS, Pass, cascade

VECTORS = (*ENCODERS, *REWARDS)
EVERY = (*VECTORS, *LANGUAGE_MODELS)


def _quantise(precision: str, fixed: Mapping[str, Any]) -> Pass:
    return Pass(
        "quantise-openvino", "openvino-fp32", f"openvino-{precision}", "mct.compress.openvino.quantise_lm:run",
        LANGUAGE_MODELS, texts="used", fixed=fixed,
    )  # fmt: skip


OPENVINO_PASSES = (
    Pass(
        "export-openvino", "onnx-fp32", "openvino-fp32", "mct.compress.openvino.export:run", ENCODERS, texts="used",
    ),
    Pass(
        "export-openvino", "checkpoint", "openvino-fp32", "mct.compress.openvino.export_reward:run", REWARDS,
        texts="used",
        why_not="mct.compress.openvino.obstacles:why_not_reward",
    ),
    Pass(
        "export-openvino", "checkpoint", "openvino-fp32", "mct.compress.openvino.export_lm:run", LANGUAGE_MODELS,
        why_not="mct.compress.openvino.obstacles:why_not_language_model",
    ),
    Pass("halve-openvino", "openvino-fp32", "openvino-fp16", "mct.compress.openvino.half:run", EVERY),
    Pass(
        "halve-openvino", "openvino-fp32", "openvino-bf16", "mct.compress.openvino.half:run_bfloat16", EVERY,
        numbers="bfloat16",
    ),
    Pass(
        "quantise-openvino", "openvino-fp32", "openvino-int8", "mct.compress.openvino.quantise:run", VECTORS,
        texts="needed", numbers="bytes",
    ),
    Pass(
        "quantise-openvino", "openvino-fp32", "openvino-int8-accurate", "mct.compress.openvino.quantise_accurate:run",
        VECTORS, texts="needed", numbers="bytes", fixed={"max_drop": 0.01},
    ),
    Pass(
        "quantise-openvino-blocks", "openvino-fp32", "openvino-int4", "mct.compress.openvino.quantise_blocks:run",
        ENCODERS, options=(BLOCK,),
        about="Weights of 4 bits; those that were trained on a grid of 4 bits keep it.",
    ),
    Pass(
        "quantise-openvino-mixed", "openvino-fp32", "openvino-int4-mixed", "mct.compress.openvino.quantise_blocks:run",
        ENCODERS, texts="needed", options=(BLOCK, RECOVER),
        about="Weights of 4 bits, and 8 for those whose loss the texts of --data show to be the greatest.",
    ),
    *(cascade("openvino", precision) for precision in ("fp32", "int8", "int4")),
    _quantise("int8", {"bits": 8}),
    _quantise("int4", {"bits": 4}),
)  # fmt: skip
