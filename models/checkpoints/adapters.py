"""Adapters as peft writes them: found in a folder, chosen where there are several, and the base that they are for.

Weights of an adapter mean nothing without the base they were trained on. A second adapter lies in a folder of its name.
What the files name is a stranger's word: a base is taken from beside its adapter or by its name on the hub, never from
a path that a file names.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from msgspec import Struct

from mct import MctError
from mct.models.checkpoints.hub import NAME, find_folder
from mct.models.data.declared import Count, Index, Name, read_json
from mct.models.tables import load

MODEL_CONFIG = "config.json"
CONFIG, WEIGHTS, PICKLE = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"
NAMES = frozenset({CONFIG, WEIGHTS, PICKLE})
DEFAULT, REFERENCE = "default", "ref"

# Some types share a rank out over parts, so that no tensor has it whole.
SLACK = 100

# What a training run saved on its way.
_STEP = re.compile(r"checkpoint-\d+(/|$)")

# Methods that put virtual tokens before a text, or keys and values before those of every layer.
SOFT_PROMPTS = frozenset({"PROMPT_TUNING", "P_TUNING"})
PROMPTS = SOFT_PROMPTS | {"PREFIX_TUNING", "MULTITASK_PROMPT_TUNING", "CPT", "CARTRIDGE"}

# Initialisations by which peft takes a part of the base's weights into the adapter: the base is another one then.
ALTERED_BASE = ("pissa", "corda", "olora", "lora_ga", "loftq")

Shape = tuple[int, ...]


class AdapterConfig(Struct, frozen=True):
    """What mct reads of adapter_config.json."""

    peft_type: Name
    base_model_name_or_path: str | None = None
    revision: str | None = None
    task_type: str | None = None
    bias: str | None = None
    use_dora: bool = False
    use_rslora: bool = False
    rank_pattern: dict[str, Index] | None = None
    alpha_pattern: dict[str, float] | None = None
    init_lora_weights: bool | str | None = None
    loftq_config: dict[str, Any] | None = None
    target_parameters: list[str] | None = None
    layer_replication: list[list[Index]] | None = None
    trainable_token_indices: list[Index] | dict[str, list[Index]] | None = None
    modules_to_save: list[str] | None = None
    alora_invocation_tokens: list[Index] | None = None
    megatron_config: dict[str, Any] | None = None
    num_virtual_tokens: Count | None = None
    r: Index | None = None


@dataclass(frozen=True)
class Adapter:
    """One adapter: its name, the folder that its files lie in, what they say, and the shape of each tensor."""

    name: str
    folder: Path
    config: AdapterConfig
    tensors: Mapping[str, Shape]

    @property
    def virtual_tokens(self) -> int:
        """How many tokens it puts before every text; 0 where it changes weights."""
        return self.config.num_virtual_tokens or 0 if self.config.peft_type in PROMPTS else 0

    @property
    def base_name(self) -> str:
        """What it calls its base; "" where it does not say."""
        return self.config.base_model_name_or_path or ""


def find_adapters(folder: Path, files: Iterable[str]) -> dict[str, Adapter]:
    """The adapters among the folder's `files`, by name: "default" at its top, else the folders that they lie in.

    MctError for one that lacks its configuration or its weights, or has these as a pickle only, and for two of a name.
    """
    places = sorted({PurePosixPath(file).parent for file in files if PurePosixPath(file).name in NAMES})
    if {PurePosixPath("."), PurePosixPath(DEFAULT)} <= {*places}:
        raise MctError(f"{folder} and its folder {DEFAULT!r} hold an adapter of the same name", "rename that folder")
    return {name: _read(name, folder / place) for place in places for name in [_name_of(place)]}


def _name_of(place: PurePosixPath) -> str:
    return DEFAULT if place == PurePosixPath(".") else place.as_posix()


def _read(name: str, folder: Path) -> Adapter:
    if not (folder / CONFIG).is_file():
        raise MctError(
            f"{folder} holds the weights of an adapter without its {CONFIG}", "save the adapter again with peft"
        )
    config = read_json(folder / CONFIG, AdapterConfig)
    if config.megatron_config is not None:  # it would have a module imported whose name the file gives
        raise MctError(
            f"{folder / CONFIG} asks for code of another library (megatron_config), which mct never runs",
            "merge it with the library that trained it, and give what comes out",
        )
    if not (folder / WEIGHTS).is_file():
        reason = f"its weights only as a pickle ({PICKLE}), which can run code" if (folder / PICKLE).is_file() else ""
        raise MctError(
            f"the adapter in {folder} has {reason or f'no {WEIGHTS}'}",
            "save it again with peft where you trust it: model.save_pretrained(folder)",
        )
    shapes = load("mct.models.checkpoints.tensor_files:read_shapes")(folder / WEIGHTS)
    _require_room(folder, config, max((size for shape in shapes.values() for size in shape), default=0))
    return Adapter(name, folder, config, shapes)


def _require_room(folder: Path, config: AdapterConfig, largest: int) -> None:
    """MctError where a configuration promises far more than any tensor has: room would be made before it fails."""
    for field, promised in (("r", config.r), ("num_virtual_tokens", config.num_virtual_tokens)):
        if (promised or 0) > SLACK * largest:
            raise MctError(
                f"{folder / CONFIG} promises {field} = {promised}, and its tensors are far smaller",
                "weights and configuration must come from the same adapter: save both again with peft",
            )


def choose(folder: Path, found: Mapping[str, Adapter], told: str, several: bool = False) -> dict[str, float]:
    """The adapters to take, each with its weight: the one there is, or as `told` ("NAME", or "a=0.7,b=0.3").

    What is the name of one is that one, whatever signs are in it.

    The reference that a preference was trained against is none to choose from, nor what was saved on the way. MctError
    where not one is left, unless `several` may be.
    """
    if told in found:
        return {told: 1.0}
    if told:
        return _weights(found, told)
    names = [name for name in found if PurePosixPath(name).name != REFERENCE]
    names = [name for name in names if not _STEP.match(name)] or names
    if several and names:
        return dict.fromkeys(names, 1.0)
    if len(names) != 1:
        raise MctError(
            f"{folder} holds {len(found)} adapters: {', '.join(found)}", f"say which one: --adapter {next(iter(found))}"
        )
    return {names[0]: 1.0}


def _weights(found: Mapping[str, Adapter], told: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for part in told.split(","):
        name, _, share = part.partition("=")
        if name not in found:
            raise MctError(f"there is no adapter {name!r}", f"there are: {', '.join(found)}")
        if name in weights:
            raise MctError(f"--adapter {told} names {name!r} twice", "name each once: --adapter a=0.7,b=0.3")
        weights[name] = _weight(part, share)
    return weights


def _weight(part: str, share: str) -> float:
    try:
        weight = float(share or 1)
    except ValueError:
        weight = math.nan
    if not math.isfinite(weight):
        raise MctError(f"--adapter {part}: {share!r} is no weight", "write it as --adapter a=0.7,b=0.3")
    if weight == 0:
        raise MctError(f"--adapter {part} takes nothing of that adapter", "leave it out, or give it a weight")
    return weight


def find_base(adapter: Adapter, folder: Path, is_whole: bool, told: Path | None) -> Path:
    """The folder of the adapter's base: as told, in the folder itself, beside it under the name it gives, or the hub's.

    MctError where it is none of these, with how to give it.
    """
    if told is not None:
        return find_folder(told)
    if (local := local_base(adapter, folder, is_whole)) is not None:
        return local
    name = adapter.base_name
    if not name:
        raise MctError(f"{folder} holds an adapter that does not name its base", "give it: --base DIR_OR_HUB_NAME")
    if NAME.fullmatch(name):
        return _fetched(folder, name, adapter.config.revision)
    raise MctError(
        f"the base of the adapter in {folder}, {name!r}, is not beside it, and mct follows no path that a file names",
        f"give it, if it is yours: --base {name}",
    )


def local_base(adapter: Adapter, folder: Path, is_whole: bool) -> Path | None:
    """The base in the adapter's folder, where that holds a whole model, or under the name that it gives: a folder in
    this one, or beside it."""
    name = Path(adapter.base_name)
    if is_whole:
        return folder
    if not name.name or ".." in name.parts:
        return None
    places = (folder.resolve() / name.name, folder.resolve().parent / name.name)
    return next((place for place in places if (place / MODEL_CONFIG).is_file()), None)


def _fetched(folder: Path, name: str, revision: str | None) -> Path:
    try:
        return find_folder(Path(name), revision)
    except MctError as error:
        raise MctError(
            f"the base of the adapter in {folder} cannot be had: {error.message}", "give it: --base DIR_OR_HUB_NAME"
        ) from error
