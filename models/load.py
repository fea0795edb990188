"""Load a checkpoint with transformers: a leaf, the only way torch weights come in. It never runs remote code."""

import os

import torch
from transformers import AutoModelForSequenceClassification, PreTrainedModel
from transformers.utils import logging

from mct import MctError
from mct.models.checkpoint import Checkpoint

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

logging.disable_progress_bar()  # type: ignore[no-untyped-call]

_AUTO = {"sequence-classification": AutoModelForSequenceClassification}


def load_model(checkpoint: Checkpoint) -> PreTrainedModel:
    """The checkpoint's model in fp32 on the CPU, in evaluation mode."""
    try:
        model: PreTrainedModel = _AUTO[checkpoint.task].from_pretrained(
            checkpoint.path, dtype=torch.float32, use_safetensors=True, trust_remote_code=False, local_files_only=True
        )
    except (OSError, ValueError) as error:
        raise MctError(
            f"transformers cannot load {checkpoint.path}: {str(error).splitlines()[0]}",
            "check the folder with: mct models inspect",
        ) from error
    model.train(False)
    return model
