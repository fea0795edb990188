"""Adapters: weights that mean nothing without the base they were trained on. mct cannot merge them yet.

Files and names as peft writes them; a second adapter lies in a folder of its name. A base beside its adapter looks like
a whole model: compressed as such it would silently be the model before the training.
"""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from msgspec import Struct

from mct import MctError
from mct.models.data.declared import Name, read_json

CONFIG = "adapter_config.json"
NAMES = frozenset({CONFIG, "adapter_model.safetensors", "adapter_model.bin"})

# Methods that put virtual tokens before a text: no matrix of the base could take them up.
_PROMPTS = frozenset({"PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "MULTITASK_PROMPT_TUNING", "CPT"})

# peft's task type -> its class that loads base and adapter together.
_CLASSES = {
    "SEQ_CLS": "AutoPeftModelForSequenceClassification",
    "TOKEN_CLS": "AutoPeftModelForTokenClassification",
    "CAUSAL_LM": "AutoPeftModelForCausalLM",
    "FEATURE_EXTRACTION": "AutoPeftModelForFeatureExtraction",
}


class AdapterConfig(Struct, frozen=True):
    """What mct reads of adapter_config.json."""

    peft_type: Name
    base_model_name_or_path: str | None = None
    task_type: str | None = None


def refuse_adapters(folder: Path, files: Iterable[str]) -> None:
    """MctError where one of the folder's `files` is part of an adapter: its type, its base, and how to merge it."""
    found = sorted({PurePosixPath(file).parent for file in files if PurePosixPath(file).name in NAMES})
    if not found:
        return
    place = folder / found[0]
    if not (place / CONFIG).is_file():
        raise MctError(
            f"{place} holds the weights of an adapter without its {CONFIG}",
            "save the adapter again with peft, and merge it",
        )
    config = read_json(place / CONFIG, AdapterConfig)
    kind, base = config.peft_type, config.base_model_name_or_path or "a base that it does not name"
    raise MctError(f"{place} holds a {kind} adapter of {base}, which mct cannot merge yet", _hint(place, config))


def _hint(place: Path, config: AdapterConfig) -> str:
    if config.peft_type in _PROMPTS:
        return "virtual tokens cannot be merged into a base: give the base's own folder to compress it without them"
    name, merged = _CLASSES.get(config.task_type or "", "AutoPeftModel"), f"{place.resolve().name}-merged"
    return (
        f'merge it first: python -c "from peft import {name} as M; M.from_pretrained({str(place)!r})'
        f".merge_and_unload().save_pretrained({merged!r})\", then put the tokenizer's files there"
    )
