"""An adapter together with its base, as one checkpoint: what both say of the task, the labels and the sizes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from typing import Any, Literal

from mct import MctError
from mct.models.checkpoints.adapters import Adapter
from mct.models.checkpoints.files import Config, labels_of
from mct.models.data.declared import declared
from mct.models.families.table import find_family

FourBit = Literal["", "nf4", "fp4"]

# Where a head for labels stands, and what its last layer is called.
_HEADS = frozenset({"classifier", "score"})
_OUTPUTS = frozenset({"classifier", "score", "out_proj", "default"})

_HEADED = {
    "sequence-classification": "ForSequenceClassification", "multi-label-classification": "ForSequenceClassification",
    "pair-scoring": "ForSequenceClassification", "reward": "ForSequenceClassification",
    "token-classification": "ForTokenClassification",
}  # fmt: skip

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
    def virtual_tokens(self) -> int:
        """How many tokens are put before every text."""
        return self.first.virtual_tokens


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
