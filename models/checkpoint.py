"""What a folder is, read without loading it: task, technique, labels, size. Broken or unsafe folders are refused.

Reads config.json and the headers of the safetensors files only. No torch, no transformers.
"""

import json
import math
import struct
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mct import MctError
from mct.models.folders import read_json, size_mb

PICKLES = ("pytorch_model.bin", "model.pt", "pytorch_model.bin.index.json")


@dataclass(frozen=True)
class Checkpoint:
    """A Hugging Face folder as a user brings it.

    `max_tokens` includes special tokens; `parameters` counts the weights on disk.
    """

    path: Path
    architecture: str
    model_type: str
    task: str
    technique: str
    labels: tuple[str, ...]
    max_tokens: int
    parameters: int
    size_mb: float

    def as_json(self) -> dict[str, Any]:
        """Plain values, for --json."""
        return asdict(self) | {"path": str(self.path), "labels": list(self.labels)}


# architecture suffix -> task kind
TASK_BY_SUFFIX = {"ForSequenceClassification": "sequence-classification"}


def inspect(path: Path) -> Checkpoint:
    """Say what the folder is. MctError where it is no checkpoint, damaged, pickle-only, or of an unknown kind."""
    if not path.exists():
        raise MctError(f"{path} does not exist", "give a checkpoint folder (config.json and model.safetensors)")
    if not (path / "config.json").is_file():
        raise MctError(
            f"{path} is no checkpoint: it has no config.json", "give a Hugging Face folder (model.save_pretrained)"
        )
    config = read_json(path / "config.json")
    architecture = (config.get("architectures") or ["?"])[0]
    return Checkpoint(
        path=path,
        architecture=architecture,
        model_type=config.get("model_type", "?"),
        task=_task(path, architecture),
        technique="full fine-tuning",
        labels=_labels(config),
        max_tokens=_max_tokens(path, config),
        parameters=_count_parameters(path),
        size_mb=round(size_mb(path), 3),
    )


def _task(path: Path, architecture: str) -> str:
    for suffix, task in TASK_BY_SUFFIX.items():
        if architecture.endswith(suffix):
            return task
    raise MctError(
        f"{path} holds a {architecture}, which mct cannot compress yet",
        f"supported: {', '.join(f'*{suffix}' for suffix in TASK_BY_SUFFIX)}",
    )


def _labels(config: dict[str, Any]) -> tuple[str, ...]:
    names = config.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}
    return tuple(names[key] for key in sorted(names, key=int))


def _max_tokens(path: Path, config: dict[str, Any]) -> int:
    positions = int(config.get("max_position_embeddings", 512))
    if config.get("model_type") in {"roberta", "xlm-roberta", "camembert"}:
        positions -= int(config.get("pad_token_id", 1)) + 1
    limit = math.inf
    if (path / "tokenizer_config.json").is_file():
        limit = read_json(path / "tokenizer_config.json").get("model_max_length") or math.inf
    return int(min(positions, limit))


def _count_parameters(path: Path) -> int:
    weights = sorted(path.glob("*.safetensors"))
    if not weights:
        pickles = [name for name in PICKLES if (path / name).is_file()]
        if pickles:
            raise MctError(
                f"{path} has its weights only as a pickle ({pickles[0]}), which can run code and is not loaded",
                "convert it where you trust it: "
                'python -c "from transformers import AutoModelForSequenceClassification as M; '
                f"M.from_pretrained('{path}').save_pretrained('{path}')\"",
            )
        raise MctError(f"{path} has no *.safetensors weights", "save them: model.save_pretrained(folder)")
    return sum(_count_in(file) for file in weights)


def _count_in(file: Path) -> int:
    """Weights named by one safetensors header, after checking that the file is as long as the header says."""
    damaged = MctError(f"{file} is truncated or damaged", "copy it again from where it was saved")
    with file.open("rb") as handle:
        start = handle.read(8)
        if len(start) < 8:
            raise damaged
        (length,) = struct.unpack("<Q", start)
        if length > file.stat().st_size - 8:
            raise damaged
        try:
            header = json.loads(handle.read(length))
        except ValueError as error:
            raise damaged from error
    tensors = [entry for name, entry in header.items() if name != "__metadata__"]
    end = max((entry["data_offsets"][1] for entry in tensors), default=0)
    if file.stat().st_size != 8 + length + end:
        raise damaged
    return sum(math.prod(entry["shape"]) for entry in tensors)
