"""Targets: the hardware and limits an artifact must run on. Built in as targets.toml; `--targets FILE` adds to them."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from mct import MctError
from mct.models.tables import unknown
from mct.targets.machine import INSTRUCTION_SETS, Machine, described_machine, probe_machine


@dataclass(frozen=True)
class Target:
    """One target. `threads` 0 means all that affinity and quota allow; `price_per_hour` is None where unknown (USD).

    `architecture` ("x86_64", "aarch64") and `instruction_sets` describe a machine that is not this one: artifacts can
    be made for it here, and measured there.
    """

    name: str
    device: str
    about: str
    threads: int = 0
    price_per_hour: float | None = None
    architecture: str = ""
    instruction_sets: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Plain values, for results and --json."""
        return asdict(self) | {"instruction_sets": list(self.instruction_sets)}


CPU = "cpu"
BUILT_IN = Path(__file__).with_name("targets.toml")


def load_targets(extra: Path | None = None) -> dict[str, Target]:
    """All targets by name."""
    tables = _read(BUILT_IN)
    if extra is not None:
        tables |= _read(extra)
    return {name: _target(name, table) for name, table in tables.items()}


def find_target(name: str, extra: Path | None = None) -> Target:
    """One target by name; MctError with the nearest names otherwise."""
    targets = load_targets(extra)
    if name not in targets:
        raise unknown("target", name, targets)
    return targets[name]


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MctError(f"target file {path} does not exist", "give a TOML file with one table per target") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MctError(
            f"{path} is not valid TOML: {error}", 'one table per target, like [cpu] device = "cpu"'
        ) from error


def _target(name: str, table: dict[str, Any]) -> Target:
    known = [field.name for field in fields(Target)][1:]
    try:
        return target_from({"name": name, **table})
    except TypeError as error:
        raise MctError(f"target {name} has wrong keys: {error}", f"keys: {', '.join(known)}") from error


def target_from(values: Mapping[str, Any]) -> Target:
    """A target from plain values, as a file or a stored result has them."""
    return Target(**{**values, "instruction_sets": tuple(values.get("instruction_sets", ()))})


def machine_of(target: Target) -> Machine:
    """The machine that artifacts for this target are made for: the one it describes, else this one.

    MctError for a device that no artifact is made for, and for an instruction set that mct does not know.
    """
    if target.device != CPU:
        raise MctError(
            f"target {target.name} is a {target.device} device, and every artifact is made for a CPU so far",
            "make it for the machine's CPU: --target cpu",
        )
    if not target.architecture:
        return probe_machine()
    for name in target.instruction_sets:
        if name not in INSTRUCTION_SETS:
            raise unknown(f"instruction set in target {target.name}", name, INSTRUCTION_SETS)
    return described_machine(target.architecture, target.instruction_sets, cpu=target.about)
