"""What a folder is, read without loading it: task, technique, labels, size. Broken or unsafe folders are refused.

Reads the small JSON files and the headers of the safetensors files only. No torch, no transformers.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mct import MctError
from mct.models.checkpoints.adapters import refuse_adapters
from mct.models.checkpoints.files import (
    CONFIG,
    GENERATION,
    HEADS,
    MODULES,
    SHARDS,
    TOKENIZER,
    TRANSFORMER,
    Config,
    Generation,
    Module,
    Shards,
    TokenizerConfig,
    Transformer,
    labels_of,
    read_config,
    read_heads,
    read_if_there,
)
from mct.models.data.declared import read_json, read_object
from mct.models.data.inside import list_files
from mct.models.families.table import find_family
from mct.models.tables import load
from mct.models.tasks.table import Head, find_task, network_of, recognised, tasks
from mct.models.writing.folders import size_mb

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

    @property
    def network(self) -> str:
        """The task whose network it has: what exports and runtimes go by."""
        return network_of(self.task)

    def as_json(self) -> dict[str, Any]:
        """Plain values, for --json."""
        return asdict(self) | {"path": str(self.path), "labels": list(self.labels)}


CLASSIFIER = "ForSequenceClassification"

# A text has at least a token of its own beside those that mark its begin and end.
LEAST_TOKENS = 3

SETFIT_HEAD = "model_head.pkl"
HEADS_WEIGHTS = "heads.safetensors"

# Where weights may lie: beside config.json, in the steps of an embedder ("2_Dense"), in SetFit's head.
WEIGHTS = ("*.safetensors", "[0-9]*_*/*.safetensors", SETFIT_HEAD)

Shape = tuple[int, ...]


def weight_files(path: Path) -> list[Path]:
    """Every file of a checkpoint that holds weights, in a fixed order."""
    return [file for pattern in WEIGHTS for file in sorted(path.glob(pattern))]


def inspect(path: Path) -> Checkpoint:
    """Say what the folder is. MctError where it is no checkpoint, damaged, pickle-only, or of an unknown kind.

    MctError too for an adapter, and for a folder with links that lead out of it.
    """
    if not path.is_dir():
        said = "is a file, not a folder" if path.exists() else "does not exist"
        raise MctError(f"{path} {said}", "give a checkpoint folder (config.json and model.safetensors)")
    files = list_files(path)
    refuse_adapters(path, files)
    if CONFIG not in files:
        raise MctError(
            f"{path} is no checkpoint: it has no {CONFIG}", "give a Hugging Face folder (model.save_pretrained)"
        )
    config = read_config(path)
    if config.quantization_config is not None:
        method = config.quantization_config.get("quant_method", "another tool")
        raise MctError(f"{path} was quantised already (by {method})", "give the checkpoint that it was made of")
    read_if_there(path / GENERATION, Generation)
    architecture = (config.architectures or ["?"])[0]
    network, technique = _what(path, config, architecture)
    by_file = _read_shapes(path)
    shapes = {name: shape for found in by_file.values() for name, shape in found.items()}
    _check_sizes(path, config, shapes)
    max_tokens = _max_tokens(path, config)
    if "tokenizer.json" in files:
        load("mct.models.tasks.tokens:check_tokenizer")(path, max_tokens, config.vocab_size)
    heads = _heads(path, network, config, by_file.get(HEADS_WEIGHTS, {}))
    return Checkpoint(
        path=path,
        architecture=architecture,
        model_type=config.model_type,
        task=recognised(network, architecture, heads[0].labels if len(heads) == 1 else ()),
        technique=technique,
        heads=heads,
        max_tokens=max_tokens,
        parameters=sum(math.prod(shape) for shape in shapes.values()),
        size_mb=round(size_mb(path), 3),
    )


def _what(path: Path, config: Config, architecture: str) -> tuple[str, str]:
    """The task whose network it has, and the technique, from what lies in the folder."""
    if (path / SETFIT_HEAD).is_file():
        return "embedding-head", "SetFit few-shot"
    if (path / HEADS).is_file():
        return "multi-head", "multi-task fine-tuning"
    if _pools(path):
        return "sentence-embedding", "contrastive fine-tuning"
    for task in tasks():
        if task.suffixes and architecture.endswith(task.suffixes):
            return task.name, "full fine-tuning"
    if architecture.endswith(CLASSIFIER):
        return _kind_of_classifier(path, config), "full fine-tuning"
    known = (CLASSIFIER, *(suffix for task in tasks() for suffix in task.suffixes))
    raise MctError(
        f"{path} holds a {architecture}, which mct cannot compress yet",
        f"supported: {', '.join(f'*{suffix}' for suffix in known)}, sentence-transformers, "
        f"SetFit, and several heads named in {HEADS}",
    )


def _kind_of_classifier(path: Path, config: Config) -> str:
    if config.problem_type == "multi_label_classification":
        return "multi-label-classification"
    if len(labels_of(config, path / CONFIG)) == 1:
        family = find_family(config.model_type)
        return "reward" if family is not None and family.decoder else "pair-scoring"
    if config.problem_type == "regression":
        raise MctError(
            f"{path} predicts several numbers (problem_type regression), which mct cannot score yet",
            "a scorer of pairs and a reward model have one output",
        )
    return "sequence-classification"


def _pools(path: Path) -> bool:
    """True for a sentence-transformers folder whose modules make one vector of a text."""
    if not (path / MODULES).is_file():
        return False
    return any(module.type.endswith(".Pooling") for module in read_json(path / MODULES, list[Module]))


def _heads(path: Path, task: str, config: Config, layers: Mapping[str, Shape]) -> tuple[Head, ...]:
    if task == "multi-head":
        heads = read_heads(path)
        _check_layers(path, heads, layers)
        return heads
    if task == "embedding-head":
        return (Head("logits", "label", load("mct.models.checkpoints.setfit_head:read_labels")(path)),)
    kind = find_task(task).head
    return (Head("logits", kind, labels_of(config, path / CONFIG)),) if kind else ()


def _check_layers(path: Path, heads: Sequence[Head], layers: Mapping[str, Shape]) -> None:
    """MctError unless the file of the heads' weights holds a layer for each, and none besides."""
    for head in heads:
        weight, bias = (layers.get(f"{head.name}.{part}") for part in ("weight", "bias"))
        if weight is None or len(weight) != 2 or bias != weight[:1] or bias != (len(head.labels),):
            raise MctError(
                f"{path / HEADS_WEIGHTS} has no layer of {len(head.labels)} rows for the head {head.name!r}",
                f"{HEADS} and {HEADS_WEIGHTS} must come from the same training",
            )
    named = {f"{head.name}.{part}" for head in heads for part in ("weight", "bias")}
    if besides := sorted(layers.keys() - named):
        raise MctError(
            f"{path / HEADS_WEIGHTS} holds {besides[0]!r}, of no head in {HEADS}",
            f"{HEADS} and {HEADS_WEIGHTS} must come from the same training",
        )


def _check_sizes(path: Path, config: Config, shapes: Mapping[str, Shape]) -> None:
    """MctError where config.json promises a model that the weights cannot be: one much larger would take hours to fail.

    Whether every weight has its place and shape is for those to say who load it.
    """
    sizes = {size for shape in shapes.values() for size in shape}
    layers = config.num_hidden_layers or config.n_layers or config.n_layer or 0
    widths = {
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size or config.dim or config.n_embd,
    }
    for name, promised in widths.items():
        if promised is not None and promised not in sizes:
            raise _of_another_model(path, f"a {name} of {promised}, which no tensor has")
    if layers > len(shapes):
        raise _of_another_model(path, f"{layers} layers, and there are {len(shapes)} tensors")
    if config.vocab_size is not None and (config.pad_token_id or 0) >= config.vocab_size:
        raise _of_another_model(path, f"the pad_token_id {config.pad_token_id} beyond its vocab_size")


def _of_another_model(path: Path, promise: str) -> MctError:
    return MctError(
        f"{path / CONFIG} promises {promise}", f"weights and {CONFIG} must come from the same model: save both again"
    )


def _max_tokens(path: Path, config: Config) -> int:
    positions = config.max_position_embeddings or config.n_positions or 512
    family = find_family(config.model_type)
    if family is not None and family.positions_follow_padding:
        if "pad_token_id" in (said := read_object(path / CONFIG)) and said["pad_token_id"] is None:
            raise MctError(
                f"{path / CONFIG} says that there is no padding (pad_token_id is null), and this family counts its "
                "positions from there",
                "set it to the id of the tokenizer's padding token",
            )
        positions -= (1 if config.pad_token_id is None else config.pad_token_id) + 1
    tokenizer = read_if_there(path / TOKENIZER, TokenizerConfig)
    transformer = read_if_there(path / TRANSFORMER, Transformer)
    limits = (positions, tokenizer.model_max_length, transformer.max_seq_length)
    most = int(min(limit for limit in limits if limit is not None))
    if most < LEAST_TOKENS:
        raise MctError(
            f"{path} takes inputs of {most} tokens: too few for any text",
            f"check max_position_embeddings in {CONFIG} and model_max_length in {TOKENIZER}",
        )
    return most


def _read_shapes(path: Path) -> dict[str, dict[str, Shape]]:
    """The shape of every tensor beside config.json, by file. MctError where there is none, or a part is missing."""
    read = load("mct.models.checkpoints.tensor_files:read_shapes")
    by_file = {file.name: read(file) for file in sorted(path.glob("*.safetensors"))}
    if (path / SHARDS).is_file():
        _check_shards(path, by_file)
    if not any(by_file.values()):
        raise _without_weights(path)
    return by_file


def _check_shards(path: Path, by_file: Mapping[str, Mapping[str, Shape]]) -> None:
    """MctError where the index of a checkpoint in several files names a file or a tensor that is not in the folder."""
    for tensor, file in read_json(path / SHARDS, Shards).weight_map.items():
        if tensor not in by_file.get(file, {}):
            lost = f"{tensor!r} of {file}" if file in by_file else f"the file {file!r}"
            raise MctError(
                f"{path / SHARDS} names {lost}, which is not in the folder", "copy all files of the checkpoint"
            )


def _without_weights(path: Path) -> MctError:
    pickles = [name for name in PICKLES if (path / name).is_file()]
    if not pickles:
        return MctError(f"{path} has no *.safetensors weights", "save them: model.save_pretrained(folder)")
    return MctError(
        f"{path} has its weights only as a pickle ({pickles[0]}), which can run code and is not loaded",
        "convert it where you trust it: "
        'python -c "from transformers import AutoModelForSequenceClassification as M; '
        f"M.from_pretrained('{path}').save_pretrained('{path}')\"",
    )
