"""Which decoders cannot be written for OpenVINO, told from config.json alone: what the plan asks beforehand.

Encoders come by way of ONNX, and whatever is there can be read.
"""

from collections.abc import Mapping
from typing import Any

from mct.models.checkpoints.checkpoint import Checkpoint
from mct.models.checkpoints.files import read_config
from mct.models.families.table import families


def _families(task: str) -> list[str]:
    """Families whose export for a task was held against the original; the exporter takes more than it gets right."""
    return [family.model_type for family in families() if task in family.graphs.get("openvino", "").split()]


def why_not_language_model(checkpoint: Checkpoint, options: Mapping[str, Any]) -> str:
    """Why a language model cannot become OpenVINO; "" where it can."""
    if checkpoint.keeps_adapters:
        return "its runtime swaps no adapters: merge each into an artifact of its own (--adapter NAME)"
    known, family = _families("causal-lm"), checkpoint.model_type
    if family in known:
        return ""
    return f"the export of a {family} language model was never held against the original (of {', '.join(known)} it was)"


def why_not_reward(checkpoint: Checkpoint, options: Mapping[str, Any]) -> str:
    """Why a reward model cannot become OpenVINO; "" where it can.

    The graph finds the last token of a text by what padding is, so the checkpoint has to say it.
    """
    known = _families("reward")
    if checkpoint.model_type not in known:
        return f"its exporter does not know a {checkpoint.model_type} reward model; it knows {', '.join(known)}"
    pad_id = read_config(checkpoint.sizes).pad_token_id
    if pad_id is None or pad_id < 0:
        return (
            "there is no pad_token_id in config.json, and without it nothing tells where a padded text ends and its "
            "score stands; set it to a token that no text ends with"
        )
    return ""
