"""What cannot be trained, told from small files and options: what the plan asks beforehand."""

from collections.abc import Mapping
from typing import Any

from mct.compress.plan.passes import ADDED, CLASSIFIERS, LANGUAGE_MODELS, SCORERS
from mct.compress.plan.passes_train import MATCHES
from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.families.table import find_family

FROM_LABELS = (*CLASSIFIERS, *SCORERS, *LANGUAGE_MODELS)
BITS = (2, 3, 4, 8)
BLOCKS = (0, 16, 32, 64, 128, 256)

RELATED = ("query", "key", "value")


def why_not_on_grid(checkpoint: Checkpoint, options: Mapping[str, Any]) -> str:
    """Why this checkpoint cannot be trained on such a grid; "" where it can."""
    if checkpoint.has_prefix or checkpoint.keeps_adapters:
        return ADDED
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


def why_not_distil(checkpoint: Checkpoint, options: Mapping[str, Any]) -> str:
    """Why this checkpoint cannot be taught so; "" where it can."""
    if checkpoint.has_prefix or checkpoint.keeps_adapters:
        return ADDED
    if options["epochs"] <= 0 or options["temperature"] <= 0:
        name = "epochs" if options["epochs"] <= 0 else "temperature"
        return f"`{name}` is {options[name]:g}, and has to be above 0"
    if not 0 <= options["hard"] <= 1:
        return f"`hard` is {options['hard']:g}, and is a share: from 0, the teacher alone, to 1, labels alone"
    if negative := [name for name in ("learning_rate", "augment", "written", "threads") if options.get(name, 0) < 0]:
        return f"`{negative[0]}` is {options[negative[0]]:g}, and is at least 0"
    if options.get("written") and options["hard"] == 1:
        return "`written` asks the teacher to write: set `hard` below 1"
    if reason := _why_no_match(checkpoint, options):
        return reason
    if checkpoint.network in (*CLASSIFIERS, *LANGUAGE_MODELS) or options["hard"] == 0:
        return ""
    if options["hard"] < 1:
        return (
            f"`hard` is {options['hard']:g}: a {checkpoint.network} model learns from its teacher (0) or rows alone (1)"
        )
    learns = checkpoint.network in FROM_LABELS
    return "" if learns else f"what a {checkpoint.network} model learns from rows alone is not known"


def _why_no_match(checkpoint: Checkpoint, options: Mapping[str, Any]) -> str:
    """Why what is inside the last layer cannot be learned; "" where it can, or is not asked for."""
    match, family = options["match"], find_family(checkpoint.model_type)
    if not match:
        return ""
    if match not in MATCHES:
        return f"`match` is {match!r}, and there are {' and '.join(map(repr, MATCHES))}"
    if options["hard"] == 1 or (options["hard"] and checkpoint.network not in LANGUAGE_MODELS):
        return "`match` learns from the teacher alone: set `hard` to 0"
    if options.get("augment"):
        return "`match` asks the teacher anew for every batch, of the texts of --data alone: set `augment` to 0"
    if family is None or not family.layers:
        return f"where a {checkpoint.model_type} model keeps its layers is not known, and `match` learns of the last"
    if match == "relations" and not all(part in family.parts for part in RELATED):
        return f"what a {checkpoint.model_type} model calls its queries, keys and values is not known"
    return ""
