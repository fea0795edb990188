"""An adapter together with its base, as one checkpoint: what both say of the task, the labels and the sizes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path, PurePath
from typing import Any, Literal

from mct import MctError
from mct.models.checkpoints.adapters import ALTERED_BASE, WEIGHTS, Adapter
from mct.models.checkpoints.files import Config, labels_of
from mct.models.data.declared import declared
from mct.models.families.table import find_family
from mct.models.tables import load

FourBit = Literal["", "nf4", "fp4"]

# Where a head for labels stands, and what its last layer is called.
_HEADS = frozenset({"classifier", "score"})
_OUTPUTS = frozenset({"classifier", "score", "out_proj", "default"})

_HEADED = {
    "sequence-classification": "ForSequenceClassification", "multi-label-classification": "ForSequenceClassification",
    "pair-scoring": "ForSequenceClassification", "reward": "ForSequenceClassification",
    "token-classification": "ForTokenClassification",
}  # fmt: skip

# Types of which several can be added up, and the parts of tensors' names that are so.
_MIXED = frozenset({"LORA", "IA3"})
_ADDED_UP = (".lora_", ".ia3_")

# What stands in a tensor's name between the module that it is of and the rest.
_WITHIN = frozenset({"base_layer", "token_adapter"})

_TAKES_DECODERS = ("CAUSAL_LM", "SEQ_CLS", "TOKEN_CLS", "FEATURE_EXTRACTION")
_TAKES_ENCODERS = ("SEQ_CLS", "TOKEN_CLS", "FEATURE_EXTRACTION")


@dataclass(frozen=True)
class Told:
    """What the user says of a folder beyond what it says itself; "" and None where nothing is said.

    `adapter` is a name, or a mix ("a=0.7,b=0.3"); `base_quant` the kind of number that the base was held in while the
    adapter was trained; `labels` those of the one head, in the order of its outputs. `keep`: several adapters beside
    their base, of which none is on it until one is asked for.
    """

    technique: str = ""
    adapter: str = ""
    base: Path | None = None
    base_quant: FourBit = ""
    labels: tuple[str, ...] = ()
    keep: bool = False

    def of_adapters(self) -> list[str]:
        """The options given that only an adapter has a use for."""
        said = {
            "--adapter": self.adapter,
            "--base": self.base,
            "--base-quant": self.base_quant,
            "--labels": self.labels,
            "--keep-adapter": self.keep,
        }
        return [option for option, value in said.items() if value]

    def as_json(self) -> dict[str, Any]:
        """Plain values, for a runtime's settings: what was said, and nothing else."""
        said = asdict(self) | {"base": str(self.base) if self.base else None, "labels": list(self.labels)}
        return {name: value for name, value in said.items() if value}


NOTHING = Told()


def read_told(said: Mapping[str, Any]) -> Told:
    """The same read back."""
    return declared(dict(said), Told, "settings")


@dataclass(frozen=True)
class Adaptation:
    """What an adapted checkpoint is put together from: a base, and adapters with their weights in the mix.

    `base_quant` is the kind of number that the base has to be rounded to first, as it was when the adapter was trained.
    """

    base: Path
    adapters: tuple[Adapter, ...]
    weights: tuple[float, ...]
    base_quant: FourBit
    told: Told

    @property
    def first(self) -> Adapter:
        """The one adapter, or the first of the mix: all are of one kind."""
        return self.adapters[0]

    @property
    def kept(self) -> bool:
        """Whether the adapters are kept beside the base, which answers alone until one of them is asked for."""
        return self.told.keep

    @property
    def is_mix(self) -> bool:
        """Whether several adapters are added up, or other than the whole of one is taken."""
        return not self.kept and self.weights != (1.0,)

    @property
    def virtual_tokens(self) -> int:
        """How many tokens are put before every text."""
        return self.first.virtual_tokens


def require_mixable(folder: Path, adaptation: Adaptation) -> None:
    """MctError where the adapters cannot be added up by their weights, as they can where one is taken as it is."""
    if adaptation.is_mix and (reason := _why_not_mix(adaptation)):
        raise MctError(
            f"the adapters of {folder} cannot be mixed by {adaptation.told.adapter}: {reason}",
            f"take one as it is: --adapter {adaptation.first.name}",
        )


def _why_not_mix(adaptation: Adaptation) -> str:
    """Why no mix of them has a meaning; "" where it has.

    A weight is that of what an adapter adds to the base. What it has in the place of the base's (a head, rows of the
    table of words, biases) cannot be taken by halves: it comes whole, from the one adapter that has it.
    """
    for adapter, weight in zip(adaptation.adapters, adaptation.weights, strict=True):
        config, how = adapter.config, adapter.config.init_lora_weights
        if config.peft_type not in _MIXED:
            return f"adapters of the type {config.peft_type} have no weighted mix"
        if config.use_dora:
            return f"{adapter.name!r} is a DoRA, whose magnitudes hold for the whole of it alone"
        if weight != 1 and isinstance(how, str) and how.startswith(ALTERED_BASE):
            return f"{adapter.name!r} was begun by {how}, which took from the base what the whole of it gives back"
    if sum(each.config.bias not in (None, "none") for each in adaptation.adapters) > 1:
        return "more than one of them has biases in the place of the base's, and a model has one set"
    return _two_of_one(adaptation.adapters)


def _two_of_one(adapters: tuple[Adapter, ...]) -> str:
    """What two of the adapters have unlike ones of, in words; "" where there is nothing."""
    for one, other in combinations(adapters, 2):
        theirs, ours = _in_place_of_the_base(one), _in_place_of_the_base(other)
        for module in theirs.keys() & ours.keys():
            if theirs[module] != ours[module] or not _same(one, other, theirs[module]):
                what = module.rpartition(".")[2]
                return f"{one.name!r} and {other.name!r} each bring a {what!r} of their own, and a model has one"
    return ""


def _in_place_of_the_base(adapter: Adapter) -> dict[str, set[str]]:
    """By module, the tensors that take the place of the base's."""
    found: dict[str, set[str]] = {}
    for name in adapter.tensors:
        if not any(part in name for part in _ADDED_UP):
            module = ".".join(part for part in name.split(".")[:-1] if part not in _WITHIN)
            found.setdefault(module, set()).add(name)
    return found


def _same(one: Adapter, other: Adapter, tensors: set[str]) -> bool:
    """Whether both have the same numbers, as of tables of words that peft saves along; rows may stand at others."""
    if any("token_adapter" in name for name in tensors):
        return False
    read = load("mct.models.checkpoints.tensor_files:read_tensors")
    theirs, ours = (read(each.folder / WEIGHTS) for each in (one, other))
    return all(theirs[name].shape == ours[name].shape and bool((theirs[name] == ours[name]).all()) for name in tensors)


def head_rows(adapter: Adapter) -> int:
    """The number of labels of a head that the adapter brings along; 0 where it brings none."""
    name = head_tensor(adapter)
    return adapter.tensors[name][0] if name else 0


def head_tensor(adapter: Adapter) -> str:
    """The tensor of that head's last layer; "" where there is none."""
    for name, shape in adapter.tensors.items():
        *before, layer, kind = ("", *name.split("."))
        if kind == "weight" and len(shape) == 2 and layer in _OUTPUTS and {*before, layer} & _HEADS:
            return name
    return ""


def require_head(adapter: Adapter, network: str, architecture: str) -> None:
    """MctError where a task needs a head that neither the base nor the adapter was saved with."""
    needed = _HEADED.get(network)
    if needed and not architecture.endswith(needed) and not head_rows(adapter):
        raise MctError(
            f"the adapter in {adapter.folder} is for {network}: neither it nor its base, a {architecture}, has a head",
            "save it with its head (modules_to_save), or give the base that has one: --base DIR_OR_HUB_NAME",
        )


def labels_with(adapter: Adapter, config: Config, place: Path, told: tuple[str, ...]) -> tuple[str, ...]:
    """The labels of the adapted head: as told, else the base's where it has as many, else LABEL_0, LABEL_1 …"""
    of_base = labels_of(config, place)
    count = head_rows(adapter) or len(of_base)
    if told and len(told) != count:
        raise MctError(
            f"--labels names {len(told)} labels, and the head of {adapter.folder} has {count} outputs",
            "name each output's label, in order",
        )
    if told:
        return told
    return of_base if len(of_base) == count else tuple(f"LABEL_{number}" for number in range(count))


def require_same_kind(folder: Path, adapters: Mapping[str, Adapter]) -> None:
    """MctError unless adapters that go together are of one type, and for one base as far as its name tells."""
    kinds = {adapter.config.peft_type for adapter in adapters.values()}
    if len(kinds) > 1:
        raise MctError(
            f"the adapters of {folder} are {' and '.join(sorted(kinds))}, which cannot be mixed",
            f"take one: --adapter {next(iter(adapters))}",
        )
    bases = {PurePath(adapter.base_name).name for adapter in adapters.values() if adapter.base_name}
    if len(bases) > 1:  # the same model may lie in two places, and has one name
        raise MctError(
            f"the adapters of {folder} are for unlike bases: {' and '.join(sorted(bases))}",
            f"take one: --adapter {next(iter(adapters))}",
        )


def require_task_of(adapter: Adapter, model_type: str, base: Path) -> None:
    """MctError where an adapter is for a task that a base of this family cannot have."""
    task, family = adapter.config.task_type, find_family(model_type)
    if task is None or family is None:
        return
    possible = _TAKES_DECODERS if family.decoder else _TAKES_ENCODERS
    if task not in possible:
        raise MctError(
            f"the adapter in {adapter.folder} is for {task}, which its base {base}, a {model_type} model, cannot do",
            "give the base that it was trained on: --base DIR_OR_HUB_NAME",
        )


def adapter_name(adapter: Adapter) -> str:
    """The name that peft knows it by: no dots or slashes may be in it, and no two names become one."""
    return adapter.name.replace("_", "__").replace("/", "_s").replace(".", "_d")
