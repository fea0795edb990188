"""The table of passes, and what --precision means in each format's own words."""

from mct import MctError
from mct.compress.plan.passes import START, Pass
from mct.compress.plan.passes_gguf import GGUF_PASSES
from mct.compress.plan.passes_merge import MERGE_PASSES
from mct.compress.plan.passes_onnx import ONNX_PASSES
from mct.compress.plan.passes_openvino import OPENVINO_PASSES
from mct.compress.plan.passes_shrink import SHRINK_PASSES
from mct.compress.plan.passes_train import TRAIN_PASSES
from mct.models.data.declared import is_plain
from mct.models.tables import UPDATE, added_by_others
from mct.targets.runtimes.table import RUNTIMES

PASSES = (*MERGE_PASSES, *SHRINK_PASSES, *TRAIN_PASSES, *ONNX_PASSES, *OPENVINO_PASSES, *GGUF_PASSES)

PRECISION_ALIASES = {
    "gguf": {"fp32": "f32", "fp16": "f16", "int8": "q8_0", "int4": "q4_k_m", "int4-mixed": "q4_0-mixed"},
}

# Of weights that train-for-int4 left, whose grid is that of Q4_0.
TRAINED_ALIASES = {"gguf": {"int4": "q4_0"}}

RESERVED = ("pass", "gives", "seed")
"""What a step of a recipe says beside the options of its pass."""


def passes() -> tuple[Pass, ...]:
    """Every row, those that other packages add among them."""
    theirs = added_by_others("mct.passes", Pass)
    for row in theirs:
        _check(row)
    ours = {(row.name, row.takes, row.gives, task) for row in PASSES for task in row.tasks}
    for row in theirs:
        if any((row.name, row.takes, row.gives, task) in ours for task in row.tasks):
            raise MctError(
                f"a package adds the pass {row.name} ({row.takes} -> {row.gives}), which mct has already",
                "uninstall that package, or let it call its pass otherwise",
            )
    return (*PASSES, *theirs)


def _check(row: Pass) -> None:
    """MctError for a row whose product nothing could run, or that no recipe could tell its options."""
    formats = {runtime.format for runtime in RUNTIMES} - {START}
    for form in {row.takes, row.gives} - {START}:
        format_name, _, precision = form.partition("-")
        if format_name not in formats or not precision:
            raise MctError(
                f"a package adds the pass {row.name}, which takes or gives {form!r}: that is no <format>-<precision>",
                f"formats are {', '.join(sorted(formats))}; {UPDATE}",
            )
    for option in row.options:
        if option.name in RESERVED:
            raise MctError(f"a package adds the pass {row.name} with an option {option.name!r}", UPDATE)
        if not is_plain(option.type):
            raise MctError(
                f"a package adds the pass {row.name} with an option {option.name!r} that no recipe file can tell",
                f"options are texts, numbers, lists and tables of these; {UPDATE}",
            )
