"""Which adapters cannot become an ordinary checkpoint, told from their small files: what the plan asks beforehand."""

from collections.abc import Mapping
from typing import Any

from mct.compress.plan.passes_merge import PREFIXED
from mct.models.checkpoints.adapters import ALTERED_BASE, PROMPTS, SOFT_PROMPTS
from mct.models.checkpoints.checkpoint import Checkpoint

# Types whose adapters peft adds up into the weights of the base, each held against the adapted model by a test.
MERGED = frozenset({
    "ADALORA", "ADAMSS", "BEFT", "BOFT", "C3A", "DEFT", "DELORA", "FOURIERFT", "FROD", "GLORA", "GRALORA", "HIRA",
    "HRA", "IA3", "LN_TUNING", "LOHA", "LOKR", "LORA", "MISS", "OFT", "OSF", "PEANUT", "PSOFT", "PVERA", "RANDLORA",
    "ROAD", "SHIRA", "SUPERTUNING", "TRAINABLE_TOKENS", "UNILORA", "VBLORA", "VERA", "WAVEFT",
})  # fmt: skip

# Initialisations that peft repeats on the base when it loads an adapter, the same every time.
REPEATED = ("pissa", "olora")

_WHY_NOT_PROMPTS = {
    "PREFIX_TUNING": "its keys and values stand before those of every layer: the graphs of language models hold them, "
    f"and of classifiers and taggers of the families {', '.join(sorted(PREFIXED))}, but not those of this model",
    "CARTRIDGE": "its keys and values stand before those of every layer, and no weight of a model could give them",
    "MULTITASK_PROMPT_TUNING": "its virtual tokens are other ones for every task, which a text does not name",
    "CPT": "its virtual tokens are weighed by those of each text",
}


def why_not_type(peft_type: str) -> str:
    """Why no adapter of this type can be merged; "" where one can."""
    if peft_type in PROMPTS:
        return _WHY_NOT_PROMPTS.get(peft_type, "no matrix of the base could take it up")
    return "" if peft_type in MERGED else f"mct merges no adapters of the type {peft_type}"


def why_not_merge(checkpoint: Checkpoint, options: Mapping[str, Any]) -> str:
    """Why this adapter cannot be merged into its base; "" where it can."""
    if checkpoint.adaptation is None:
        return "it is no adapter"
    for adapter in checkpoint.adaptation.adapters:
        config = adapter.config
        if reason := why_not_type(config.peft_type):
            return reason
        if config.alora_invocation_tokens:
            return "an activated LoRA works from certain tokens on, and a merged one would always"
        how = config.init_lora_weights
        if isinstance(how, str) and how.startswith(ALTERED_BASE) and how not in REPEATED:
            return f"it was begun by {how}, which changed the base by chance or by data that are not here"
        if config.loftq_config:
            return "it was begun by LoftQ, on a base that was rounded anew and is not here"
    return ""


def why_not_bake(checkpoint: Checkpoint, options: Mapping[str, Any]) -> str:
    """Why these virtual tokens cannot become rows of the vocabulary; "" where they can."""
    if checkpoint.adaptation is None or checkpoint.adaptation.first.config.peft_type not in SOFT_PROMPTS:
        return "it is no adapter of virtual tokens"
    return ""


def why_not_unpack(checkpoint: Checkpoint, options: Mapping[str, Any]) -> str:
    """Why there is nothing to unpack; "" where there is."""
    return "" if checkpoint.quantised else "its weights are not packed"
