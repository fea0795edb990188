"""What a folder is, read without loading it: task, technique, labels, size. Broken or unsafe folders are refused.

Reads the small JSON files and the headers of the safetensors files only. No torch, no transformers.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from mct import MctError
from mct.models.checkpoints.adapted import (
    Adaptation,
    FourBit,
    Told,
    head_rows,
    labels_with,
    require_head,
    require_mixable,
    require_same_kind,
    require_task_of,
)
from mct.models.checkpoints.adapters import Adapter, choose, find_adapters, find_base, local_base
from mct.models.checkpoints.evidence import Contents, read_contents
from mct.models.checkpoints.files import (
    CONFIG,
    GENERATION,
    HEADS,
    MODULES,
    SENTENCES,
    Config,
    Generation,
    Module,
    Sentences,
    labels_of,
    read_config,
    read_heads,
    read_if_there,
)
from mct.models.checkpoints.sizes import check_sizes, most_tokens, read_by_file, said_limits
from mct.models.checkpoints.techniques import Statement, describe, detect
from mct.models.data.declared import read_json
from mct.models.data.inside import list_files
from mct.models.families.table import find_family
from mct.models.tables import load
from mct.models.tasks.table import Head, find_task, network_of, recognised, tasks
from mct.models.writing.folders import size_mb


@dataclass(frozen=True)
class Checkpoint:
    """A Hugging Face folder as a user brings it, or an adapter's with the base that goes with it.

    `heads` say what it answers, none for one that gives vectors, scores or text; `labels` are those of its one head.
    `max_tokens` includes special tokens; `parameters` counts the weights on disk. `quantised` names the 4-bit numbers
    that its weights, or its base's, are packed into. `statements` are what its folder alone says, with evidence.
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
    quantised: FourBit = ""
    statements: tuple[Statement, ...] = ()
    adaptation: Adaptation | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of its one head; empty where it has none or several."""
        return self.heads[0].labels if len(self.heads) == 1 else ()

    @property
    def network(self) -> str:
        """The task whose network it has: what exports and runtimes go by."""
        return network_of(self.task)

    @property
    def has_prefix(self) -> bool:
        """True where keys and values of an adapter stand before those of every text."""
        return self.adaptation is not None and self.adaptation.first.config.peft_type == "PREFIX_TUNING"

    @property
    def keeps_adapters(self) -> bool:
        """True where adapters stay beside their base, which is what it then is."""
        return self.adaptation is not None and self.adaptation.kept

    @property
    def vocabulary(self) -> Path:
        """The folder that holds its tokenizer: its own, or that of its base where it has none."""
        own = self.adaptation is None or (self.path / "tokenizer.json").is_file()
        return self.path if own or self.adaptation is None else self.adaptation.base

    @property
    def steps(self) -> Path:
        """The folder that lists what an embedder does behind its backbone: its own, or that of its base."""
        own = self.adaptation is None or (self.path / MODULES).is_file()
        return self.path if own or self.adaptation is None else self.adaptation.base

    @property
    def sizes(self) -> Path:
        """The folder that holds the config.json of its network: its own, or that of its base."""
        return self.adaptation.base if self.adaptation else self.path

    def as_json(self) -> dict[str, Any]:
        """Plain values, for --json."""
        plain = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "adaptation"}
        return plain | {
            "path": str(self.path),
            "heads": [asdict(head) for head in self.heads],
            "labels": list(self.labels),
            "base": str(self.adaptation.base) if self.adaptation else None,
            "statements": [each.as_json() for each in self.statements],
        }


CLASSIFIER = "ForSequenceClassification"

# peft's task types -> tasks; of any other, the base says what it is for.
_OF_ADAPTERS = {
    "SEQ_CLS": "sequence-classification", "TOKEN_CLS": "token-classification", "CAUSAL_LM": "causal-lm",
}  # fmt: skip

# A backbone without layers: its name, the names that its table may have, and a length that no text comes to.
STATIC, STATIC_EMBEDDING, TABLE = "static", "StaticEmbedding", ".StaticEmbedding"
TABLES = ("embedding.weight", "embeddings")
MOST_OF_A_TABLE = 8192
ROUTER = ".Router"

SETFIT_HEAD = "model_head.pkl"
HEADS_WEIGHTS = "heads.safetensors"

# Where weights may lie: beside config.json, in the steps of an embedder ("2_Dense"), in SetFit's head.
WEIGHTS = ("*.safetensors", "[0-9]*_*/*.safetensors", SETFIT_HEAD)

Shape = tuple[int, ...]


def weight_files(path: Path) -> list[Path]:
    """Every file of a checkpoint that holds weights, in a fixed order."""
    return [file for pattern in WEIGHTS for file in sorted(path.glob(pattern))]


def inspect(path: Path, told: Told | None = None) -> Checkpoint:
    """Say what the folder is. MctError where it is no checkpoint, damaged, pickle-only, or of an unknown kind.

    An adapter is taken together with its base, as one checkpoint. MctError too for a folder with links that lead out.
    """
    if not path.is_dir():
        said = "is a file, not a folder" if path.exists() else "does not exist"
        raise MctError(f"{path} {said}", "give a checkpoint folder (config.json and model.safetensors)")
    contents, told = read_contents(path), told or Told()
    if not contents.adapters and (of_adapters := told.of_adapters()):
        raise MctError(f"{path} holds no adapter, and {of_adapters[0]} speaks of one", "leave it out")
    found = _adapted(contents, told) if contents.adapters else _whole(contents)
    statements = detect(contents, told.technique, _four_bits_of(found))
    technique = ", ".join(each.value for each in statements)
    task = Statement("task", found.task, (_task_evidence(found),))
    return replace(found, technique=technique, statements=(*statements, task, *describe(contents)))


def with_each_adapter(checkpoint: Checkpoint) -> Iterator[tuple[Adapter, Checkpoint]]:
    """Each adapter that is kept beside a base, with the checkpoint that it is on that base; nothing where none is."""
    if checkpoint.adaptation is not None and checkpoint.keeps_adapters:
        for adapter in checkpoint.adaptation.adapters:
            told = replace(checkpoint.adaptation.told, adapter=adapter.name, base=checkpoint.sizes, keep=False)
            yield adapter, inspect(checkpoint.path, told)


def _task_evidence(found: Checkpoint) -> str:
    """The file that says what a checkpoint computes."""
    if found.network == "embedding-head":
        return SETFIT_HEAD
    if found.network in {"multi-head", "sentence-embedding"}:
        return HEADS if found.network == "multi-head" else MODULES
    if found.adaptation is not None and (said := found.adaptation.first.config.task_type):
        return f"adapter_config.json: task_type {said}"
    return f"{CONFIG}: architectures {found.architecture}"


def _four_bits_of(found: Checkpoint) -> str:
    """What says that the base of an adapter was held in 4 bits; "" where nothing does, or it is none."""
    if found.adaptation is None:
        return ""
    if found.adaptation.base_quant:
        return f"--base-quant {found.adaptation.base_quant}"
    return f"config.json of its base: quantization_config, {found.quantised}" if found.quantised else ""


def statements_alone(path: Path) -> tuple[Statement, ...] | None:
    """What an adapter's folder says by itself, where its base is not at hand; None for any other folder."""
    if not path.is_dir():
        return None
    contents = read_contents(path)
    whole = is_whole(contents)
    if not contents.adapters or any(local_base(each, path, whole) for each in contents.adapters.values()):
        return None
    return (*detect(contents), *describe(contents))


def holds_adapter(path: Path) -> bool:
    """True where a folder holds an adapter, with its base or without."""
    return path.is_dir() and bool(find_adapters(path, list_files(path)))


def is_whole(contents: Contents) -> bool:
    """True where a folder holds a model of its own, whatever lies beside it."""
    return CONFIG in contents.files and any(Path(file).match("model*.safetensors") for file in contents.files)


def _whole(contents: Contents, adapter: Adapter | None = None) -> Checkpoint:
    """The checkpoint that a folder holds; as the base of an adapter, by the task that this is for."""
    path = contents.path
    if CONFIG not in contents.files and contents.modules[:1] and contents.modules[0].endswith(TABLE):
        return _static(contents)
    if any(kind.endswith(ROUTER) for kind in contents.modules):
        raise MctError(
            f"{path} is a router, which sends queries and documents through modules of their own",
            f"take one route of it first: mct models route {path} query -o DIR",
        )
    if CONFIG not in contents.files:
        raise MctError(
            f"{path} is no checkpoint: it has no {CONFIG}", "give a Hugging Face folder (model.save_pretrained)"
        )
    config = read_config(path)
    quantised = _quantised(path, config, contents)
    read_if_there(path / GENERATION, Generation)
    architecture = (config.architectures or ["?"])[0]
    network = _network(path, config, architecture, adapter)
    if adapter is None:
        _require_no_pairs(network, [path])
    by_file = read_by_file(path)
    shapes = {name: shape for found in by_file.values() for name, shape in found.items()}
    check_sizes(path, config, shapes)
    max_tokens = most_tokens(path, config)
    if "tokenizer.json" in contents.files:
        load("mct.models.tasks.tokens:check_tokenizer")(path, max_tokens, config.vocab_size)
    heads = _heads(path, network, config, by_file.get(HEADS_WEIGHTS, {}))
    return Checkpoint(
        path=path,
        architecture=architecture,
        model_type=config.model_type,
        task=recognised(network, architecture, heads[0].labels if len(heads) == 1 else ()),
        technique="",
        heads=heads,
        max_tokens=max_tokens,
        parameters=sum(math.prod(shape) for shape in shapes.values()),
        size_mb=round(size_mb(path), 3),
        quantised=quantised,
    )


def _static(contents: Contents) -> Checkpoint:
    """A table of vectors for the pieces of a text, and what is done with their mean: without config.json, or layers."""
    path = contents.path
    read = load("mct.models.checkpoints.tensor_files:read_shapes")
    shapes = [(file, name, shape) for file in weight_files(path) for name, shape in read(file).items()]
    tables = [shape for _, name, shape in shapes if name in TABLES]
    if len(tables) != 1 or len(tables[0]) != 2:
        raise MctError(
            f"{path} has no table of vectors ({' or '.join(TABLES)})", "save it again with sentence-transformers"
        )
    network = "embedding-head" if (path / SETFIT_HEAD).is_file() else "sentence-embedding"
    load("mct.models.tasks.tokens:check_tokenizer")(path, MOST_OF_A_TABLE, None)
    return Checkpoint(
        path=path,
        architecture=STATIC_EMBEDDING,
        model_type=STATIC,
        task=network,
        technique="",
        heads=_heads(path, network, Config(model_type=STATIC), {}),
        max_tokens=MOST_OF_A_TABLE,
        parameters=sum(math.prod(shape) for _, _, shape in shapes),
        size_mb=round(size_mb(path), 3),
    )


def _quantised(path: Path, config: Config, contents: Contents) -> FourBit:
    """The 4-bit numbers that bitsandbytes packed the weights into, which mct unpacks; "" where they are whole."""
    said = config.quantization_config
    if said is None:
        return ""
    if said.get("quant_method") == "bitsandbytes" and contents.quantised:
        return "nf4" if contents.quantised == "nf4" else "fp4"
    raise MctError(
        f"{path} was quantised already (by {said.get('quant_method', 'another tool')})",
        "give the checkpoint that it was made of",
    )


def _adapted(contents: Contents, told: Told) -> Checkpoint:
    """The adapter that is meant, with its base: what the base is, but for the head and labels of the adapter."""
    weights = choose(contents.path, contents.adapters, told.adapter, several=told.keep)
    chosen = {name: contents.adapters[name] for name in weights}
    require_same_kind(contents.path, chosen)
    first = next(iter(chosen.values()))
    folder = find_base(first, contents.path, is_whole(contents), told.base)
    base_contents = contents if folder == contents.path else read_contents(folder)
    headed = next(filter(head_rows, chosen.values()), first)
    base = _whole(base_contents, headed)
    require_task_of(first, base.model_type, folder)
    require_head(headed, base.network, base.architecture)
    _require_no_pairs(base.network, [folder, headed.folder])
    heads = base.heads
    if len(heads) == 1 and not base.network.startswith("embedding"):
        labels = labels_with(headed, read_config(folder), folder / CONFIG, told.labels)
        heads = (replace(heads[0], labels=labels),)
    quantised_base: FourBit = "" if base.quantised else told.base_quant
    adaptation = Adaptation(folder, tuple(chosen.values()), tuple(weights.values()), quantised_base, told)
    require_mixable(contents.path, adaptation)
    return replace(
        base,
        path=contents.path,
        heads=heads,
        max_tokens=int(min([base.max_tokens, *said_limits(contents.path)])) - first.virtual_tokens,
        parameters=base.parameters
        + sum(math.prod(shape) for each in chosen.values() for shape in each.tensors.values()),
        size_mb=round(size_mb(contents.path) + (0 if folder == contents.path else size_mb(folder)), 3),
        adaptation=adaptation,
    )


def _network(path: Path, config: Config, architecture: str, adapter: Adapter | None) -> str:
    """The task whose network it has, from what lies in the folder; of a base, from what its adapter is for."""
    if adapter is not None and (asked := _OF_ADAPTERS.get(adapter.config.task_type or "")):
        return asked if asked != "sequence-classification" else _kind_of_classifier(path, config, head_rows(adapter))
    if (path / SETFIT_HEAD).is_file():
        return "embedding-head"
    if (path / HEADS).is_file():
        return "multi-head"
    if _pools(path) or (adapter is not None and _pools(adapter.folder)):
        return "sentence-embedding"
    for task in tasks():
        if task.suffixes and architecture.endswith(task.suffixes):
            return task.name
    if architecture.endswith(CLASSIFIER):
        return _kind_of_classifier(path, config)
    known = (CLASSIFIER, *(suffix for task in tasks() for suffix in task.suffixes))
    raise MctError(
        f"{path} holds a {architecture}, which mct cannot compress yet",
        f"supported: {', '.join(f'*{suffix}' for suffix in known)}, sentence-transformers, "
        f"SetFit, and several heads named in {HEADS}",
    )


def _kind_of_classifier(path: Path, config: Config, outputs: int = 0) -> str:
    """What a classifier of so many outputs answers; as many as config.json says, where that is 0."""
    if config.problem_type == "multi_label_classification":
        return "multi-label-classification"
    if (outputs or len(labels_of(config, path / CONFIG))) == 1:
        family = find_family(config.model_type)
        return "reward" if family is not None and family.decoder else "pair-scoring"
    if config.problem_type == "regression":
        raise MctError(
            f"{path} predicts several numbers (problem_type regression), which mct cannot score yet",
            "a scorer of pairs and a reward model have one output",
        )
    return "sequence-classification"


def _require_no_pairs(network: str, folders: Sequence[Path]) -> None:
    """MctError for a classifier of pairs of texts, which a classifier of single ones looks like."""
    if network not in {"sequence-classification", "multi-label-classification"}:
        return
    for folder in folders:
        if read_if_there(folder / SENTENCES, Sentences).model_type == "CrossEncoder":
            raise MctError(
                f"{folder} is a cross-encoder of several labels: two texts go in, and mct's classifiers read one",
                "a cross-encoder of one score (num_labels=1) is taken",
            )


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
