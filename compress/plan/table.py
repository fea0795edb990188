"""The table of passes, and what --precision means in each format's own words."""

from mct.compress.plan.passes import Pass
from mct.compress.plan.passes_gguf import GGUF_PASSES
from mct.compress.plan.passes_onnx import ONNX_PASSES
from mct.compress.plan.passes_openvino import OPENVINO_PASSES
from mct.compress.plan.passes_shrink import SHRINK_PASSES
from mct.models.tables import added_by_others

PASSES = (*SHRINK_PASSES, *ONNX_PASSES, *OPENVINO_PASSES, *GGUF_PASSES)

PRECISION_ALIASES = {
    "gguf": {"fp32": "f32", "fp16": "f16", "int8": "q8_0", "int4": "q4_k_m"},
}


def passes() -> tuple[Pass, ...]:
    """Every row, those that other packages add among them."""
    return (*PASSES, *added_by_others("mct.passes", Pass))
