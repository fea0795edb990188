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
from mct.models.tables import load
from mct.models.tasks import Head, find_task

PICKLES = ("pytorch_model.bin", "model.pt", "pytorch_model.bin.index.json")


@dataclass(frozen=True)
class Checkpoint:
    """A Hugging Face folder as a user brings it.

    `heads` say what it answers, none for one that gives vectors, scores or text; `labels` are those of its one head.
    `max_tokens` includes special tokens; `parameters` counts the weights on disk.
    """

    path: Path
    architecture: str
    model_type: str
    task: str
    technique: str
    heads: tuple[Head, ...]
    max_tokens: int
    parameters: int
    size_mb: float

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of its one head; empty where it has none or several."""
        return self.heads[0].labels if len(self.heads) == 1 else ()

    def as_json(self) -> dict[str, Any]:
        """Plain values, for --json."""
        return asdict(self) | {"path": str(self.path), "labels": list(self.labels)}


# architecture suffix -> task kind, where the suffix alone decides
TASK_BY_SUFFIX = {
    "ForTokenClassification": "token-classification",
    "ForCausalLM": "causal-lm",
    "LMHeadModel": "causal-lm",
}
CLASSIFIER = "ForSequenceClassification"

# Families that read from left to right: with one output on top they are reward models, others score pairs.
DECODERS = frozenset({"gpt2", "llama", "mistral", "mixtral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe"})

HEADS = "heads.json"
SETFIT_HEAD = "model_head.pkl"

# Where weights may lie: beside config.json, in the steps of an embedder ("2_Dense"), in SetFit's head.
WEIGHTS = ("*.safetensors", "[0-9]*_*/*.safetensors", SETFIT_HEAD)


def weight_files(path: Path) -> list[Path]:
    """Every file of a checkpoint that holds weights, in a fixed order."""
    return [file for pattern in WEIGHTS for file in sorted(path.glob(pattern))]


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
    task, technique = _what(path, config, architecture)
    return Checkpoint(
        path=path,
        architecture=architecture,
        model_type=config.get("model_type", "?"),
        task=task,
        technique=technique,
        heads=_heads(path, task, config),
        max_tokens=_max_tokens(path, config),
        parameters=_count_parameters(path),
        size_mb=round(size_mb(path), 3),
    )


def _what(path: Path, config: dict[str, Any], architecture: str) -> tuple[str, str]:
    """Task and technique, from what lies in the folder."""
    if (path / SETFIT_HEAD).is_file():
        return "embedding-head", "SetFit few-shot"
    if (path / HEADS).is_file():
        return "multi-head", "multi-task fine-tuning"
    if _pools(path):
        return "sentence-embedding", "contrastive fine-tuning"
    for suffix, task in TASK_BY_SUFFIX.items():
        if architecture.endswith(suffix):
            return task, "full fine-tuning"
    if architecture.endswith(CLASSIFIER):
        return _kind_of_classifier(config), "full fine-tuning"
    raise MctError(
        f"{path} holds a {architecture}, which mct cannot compress yet",
        f"supported: {', '.join(f'*{suffix}' for suffix in (CLASSIFIER, *TASK_BY_SUFFIX))}, sentence-transformers, "
        f"SetFit, and several heads named in {HEADS}",
    )


def _kind_of_classifier(config: dict[str, Any]) -> str:
    if config.get("problem_type") == "multi_label_classification":
        return "multi-label-classification"
    if len(_labels(config)) == 1:
        return "reward" if config.get("model_type") in DECODERS else "pair-scoring"
    return "sequence-classification"


def _pools(path: Path) -> bool:
    """True for a sentence-transformers folder whose modules make one vector of a text."""
    if not (path / "modules.json").is_file():
        return False
    return any(str(module.get("type", "")).endswith(".Pooling") for module in read_json(path / "modules.json"))


def _heads(path: Path, task: str, config: dict[str, Any]) -> tuple[Head, ...]:
    if task == "multi-head":
        named = read_json(path / HEADS)
        return tuple(Head(name, head["kind"], tuple(head["labels"])) for name, head in named.items())
    if task == "embedding-head":
        return (Head("logits", "label", load("mct.models.setfit_head:read_labels")(path)),)
    kind = find_task(task).head
    return (Head("logits", kind, _labels(config)),) if kind else ()


def _labels(config: dict[str, Any]) -> tuple[str, ...]:
    names = config.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}
    return tuple(names[key] for key in sorted(names, key=int))


def _max_tokens(path: Path, config: dict[str, Any]) -> int:
    positions = int(config.get("max_position_embeddings") or config.get("n_positions") or 512)
    if config.get("model_type") in {"roberta", "xlm-roberta", "camembert"}:
        positions -= int(config.get("pad_token_id", 1)) + 1
    limit = math.inf
    if (path / "tokenizer_config.json").is_file():
        limit = read_json(path / "tokenizer_config.json").get("model_max_length") or math.inf
    if (path / "sentence_bert_config.json").is_file():
        limit = min(limit, read_json(path / "sentence_bert_config.json").get("max_seq_length") or math.inf)
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
