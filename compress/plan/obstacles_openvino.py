"""Which decoders cannot be written for OpenVINO, told from config.json alone: what the plan asks beforehand.

Encoders come by way of ONNX, and whatever is there can be read.
"""

from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.checkpoints.files import read_config

# Families whose export was held against the original; the exporter knows more of them than it gets right.
LANGUAGE_MODELS = ("llama", "mistral", "qwen2", "qwen3", "gpt2", "mixtral", "qwen2_moe", "qwen3_moe")

# Families that the exporter patches for classification.
REWARDS = ("llama", "mistral", "qwen2", "qwen3", "gpt2")


def why_not_language_model(checkpoint: Checkpoint) -> str:
    """Why a language model cannot become OpenVINO; "" where it can."""
    if checkpoint.model_type in LANGUAGE_MODELS:
        return ""
    known, family = ", ".join(LANGUAGE_MODELS), checkpoint.model_type
    return f"the export of a {family} language model was never held against the original (of {known} it was)"


def why_not_reward(checkpoint: Checkpoint) -> str:
    """Why a reward model cannot become OpenVINO; "" where it can.

    The graph finds the last token of a text by what padding is, so the checkpoint has to say it.
    """
    if checkpoint.model_type not in REWARDS:
        return f"its exporter does not know a {checkpoint.model_type} reward model; it knows {', '.join(REWARDS)}"
    pad_id = read_config(checkpoint.path).pad_token_id
    if pad_id is None or pad_id < 0:
        return (
            "there is no pad_token_id in config.json, and without it nothing tells where a padded text ends and its "
            "score stands; set it to a token that no text ends with"
        )
    return ""
