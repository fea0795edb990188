"""What no student can be made of, told from small files and options: what the plan asks beforehand."""

from collections.abc import Mapping
from typing import Any

from mct.compress.plan.passes import ADDED
from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.checkpoints.files import read_config
from mct.models.checkpoints.hub import find_pinned
from mct.models.families.table import SHALLOW, families, find_family

LEAST_PAIRS = 2
RESIZED = ("bert", "distilbert", "roberta", "electra", "xlm-roberta")
"""Kinds of encoders whose configurations name the four sizes alike."""
LARGEST_SIZES = {"layers": 64, "width": 8192, "heads": 128, "ffn": 65536}


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
