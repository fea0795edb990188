"""What cannot be trained, told from small files and options: what the plan asks beforehand."""

from collections.abc import Mapping
from typing import Any

from mct.compress.plan.passes import CLASSIFIERS, LANGUAGE_MODELS, SCORERS
from mct.compress.plan.passes_train import MATCHES
from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.checkpoints.files import read_config
from mct.models.checkpoints.hub import find_pinned
from mct.models.families.table import SHALLOW, families, find_family

FROM_LABELS = (*CLASSIFIERS, *SCORERS, *LANGUAGE_MODELS)
BITS = (2, 3, 4, 8)
BLOCKS = (0, 16, 32, 64, 128, 256)

ADDED = "what was added to it (a prefix, adapters kept beside it) belongs to its weights as they are"
LEAST_PAIRS = 2
RESIZED = ("bert", "distilbert", "roberta", "electra", "xlm-roberta")
"""Kinds of encoders whose configurations name the four sizes alike."""
LARGEST_SIZES = {"layers": 64, "width": 8192, "heads": 128, "ffn": 65536}
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


def why_not_student(checkpoint: Checkpoint, options: Mapping[str, Any]) -> str:
    """Why no student of these sizes can be made of this checkpoint; "" where one can."""
    if checkpoint.has_prefix or checkpoint.keeps_adapters:
        return ADDED
    if not (checkpoint.vocabulary / "tokenizer.json").is_file():
        return "it has no tokenizer.json"
    padding = read_config(checkpoint.sizes).pad_token_id
    if padding is None or padding < 0:
        return "config.json names no padding (pad_token_id), and a student without a mask tells padding by it"
    if small := [name for name in ("width", "hidden") if options[name] < 1]:
        return f"`{small[0]}` is {options[small[0]]}, and has to be at least 1"
    if options["bigrams"] < 0 or 0 < options["bigrams"] < LEAST_PAIRS:
        return f"`bigrams` is {options['bigrams']}: 0 for none, or at least {LEAST_PAIRS} rows"
    if options["window"] == 1 or options["window"] < 0:
        return f"`window` is {options['window']}, and a filter reads at least 2 neighbours"
    return ""


def why_not_transformer(checkpoint: Checkpoint, options: Mapping[str, Any]) -> str:
    """Why no transformer of these sizes can be made like this checkpoint; "" where one can."""
    if checkpoint.has_prefix or checkpoint.keeps_adapters:
        return ADDED
    if checkpoint.model_type not in RESIZED:
        return f"which sizes a {checkpoint.model_type} model has is not known; it is for {', '.join(RESIZED)}"
    if odd := [name for name, most in LARGEST_SIZES.items() if not 1 <= options[name] <= most]:
        return f"`{odd[0]}` is {options[odd[0]]}, and has to be from 1 to {LARGEST_SIZES[odd[0]]}"
    if options["width"] % options["heads"]:
        return f"{options['heads']} heads do not divide a width of {options['width']}"
    return ""


def why_not_pretrained(checkpoint: Checkpoint, options: Mapping[str, Any]) -> str:
    """Why this encoder cannot be a student of the checkpoint; "" where it can. MctError where it cannot be read.

    One of the hub's is fetched for that, where the cache lacks it, as a checkpoint is that is named so.
    """
    if checkpoint.has_prefix or checkpoint.keeps_adapters:
        return ADDED
    given, folder = options["model"], find_pinned(options["model"])
    model_type = read_config(folder).model_type
    family = find_family(model_type)
    if family is None or family.decoder or family.model_type == SHALLOW:
        known = ", ".join(each.model_type for each in families() if not each.decoder and each.model_type != SHALLOW)
        return f"{given} is a {model_type}, and encoders are {known}"
    if missing := [name for name in ("tokenizer.json", "model.safetensors") if not (folder / name).is_file()]:
        return f"{given} has no {missing[0]}"
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
