"""The table of passes, and what --precision means in each format's own words."""

from mct import MctError
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
    theirs = added_by_others("mct.passes", Pass)
    ours = {(row.name, row.takes, row.gives, task) for row in PASSES for task in row.tasks}
    for row in theirs:
        if any((row.name, row.takes, row.gives, task) in ours for task in row.tasks):
            raise MctError(
                f"a package adds the pass {row.name} ({row.takes} -> {row.gives}), which mct has already",
                "uninstall that package, or let it call its pass otherwise",
            )
    return (*PASSES, *theirs)
