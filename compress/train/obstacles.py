"""What cannot be trained, told from small files and options: what the plan asks beforehand."""

from collections.abc import Mapping
from typing import Any

from mct.compress.plan.passes import CLASSIFIERS, LANGUAGE_MODELS, SCORERS
from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.families.table import find_family

FROM_LABELS = (*CLASSIFIERS, *SCORERS, *LANGUAGE_MODELS)
BITS = (2, 3, 4, 8)
BLOCKS = (0, 16, 32, 64, 128, 256)


def why_not_on_grid(checkpoint: Checkpoint, options: Mapping[str, Any]) -> str:
    """Why this checkpoint cannot be trained on such a grid; "" where it can."""
    if checkpoint.has_prefix or checkpoint.keeps_adapters:
        return "what was added to it (a prefix, adapters kept beside it) belongs to its weights as they are"
    family = find_family(checkpoint.model_type)
    if family is None or not family.layers:
        return f"where a {checkpoint.model_type} model keeps its layers is not known"
    if options["bits"] not in BITS:
        return f"`bits` is {options['bits']}, and there are grids of {', '.join(map(str, BITS[:-1]))}"
    if options["block"] not in BLOCKS:
        return f"`block` is {options['block']}, and there are blocks of {', '.join(map(str, BLOCKS))} (0: a row)"
    if not options["teach"] and checkpoint.network not in FROM_LABELS:
        return f"what a {checkpoint.network} model learns from labels alone is not known: leave teach = false out"
    if options["epochs"] < 0 or options["batch"] < 1 or options["learning_rate"] <= 0 or options["threads"] < 0:
        return "batch and learning_rate are more than 0, epochs and threads 0 or more"
    return ""
