"""The passes that make an ordinary checkpoint of what fine-tuning left: every recipe begins with the one that fits."""

from mct.compress.plan.passes import CLASSIFIERS, ENCODERS, LANGUAGE_MODELS, REWARDS, SCORERS, START, Pass
from mct.models.checkpoints.adapters import SOFT_PROMPTS
from mct.models.checkpoints.checkpoint import Checkpoint

EVERY = (*ENCODERS, *REWARDS, *LANGUAGE_MODELS)
PREFIXED = frozenset({"bert", "roberta", "xlm-roberta", "camembert", "electra"})
"""Encoders that take earlier keys and values at all: peft can train no other's prefix."""

MERGE_ADAPTER = Pass(
    "merge-adapter", START, START, "mct.compress.merge.merge_adapter:run", EVERY, texts="used", exact=True,
    why_not="mct.compress.merge.obstacles:why_not_merge",
    about="Take an adapter up into its base, in fp32, as its own library does.",
)  # fmt: skip
BAKE_PROMPT = Pass(
    "bake-prompt", START, START, "mct.compress.merge.bake_prompt:run",
    (*CLASSIFIERS, *SCORERS, "token-classification", *REWARDS, *LANGUAGE_MODELS), exact=True,
    why_not="mct.compress.merge.obstacles:why_not_bake",
    about="Make an adapter's virtual tokens rows of the vocabulary, which the tokenizer puts before every text.",
)  # fmt: skip
UNPACK_WEIGHTS = Pass(
    "unpack-weights", START, START, "mct.compress.merge.unpack_weights:run", EVERY, exact=True,
    why_not="mct.compress.merge.obstacles:why_not_unpack",
    about="Decode weights that bitsandbytes packed into 4 bits, to the last bit.",
)  # fmt: skip

MERGE_PASSES = (MERGE_ADAPTER, BAKE_PROMPT, UNPACK_WEIGHTS)


def _holds_prefix(checkpoint: Checkpoint) -> bool:
    """Whether the graphs of such a model hold its prefix themselves."""
    if checkpoint.network in (*CLASSIFIERS, "token-classification"):
        return checkpoint.model_type in PREFIXED
    return checkpoint.network in LANGUAGE_MODELS


def opening(checkpoint: Checkpoint) -> tuple[Pass, ...]:
    """What has to come first, so that the steps behind it find an ordinary checkpoint; nothing where it is one."""
    if checkpoint.keeps_adapters:
        return ()
    if checkpoint.adaptation is not None:
        if checkpoint.has_prefix and _holds_prefix(checkpoint):
            return ()
        return (BAKE_PROMPT if checkpoint.adaptation.first.config.peft_type in SOFT_PROMPTS else MERGE_ADAPTER,)
    return (UNPACK_WEIGHTS,) if checkpoint.quantised else ()
