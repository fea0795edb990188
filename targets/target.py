"""Targets: the hardware and limits an artifact must run on. Built in as targets.toml; `--targets FILE` adds to them."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mct import MctError
from mct.models.tables import unknown


@dataclass(frozen=True)
class Target:
    """One target. `threads` 0 means all that affinity and quota allow; `price_per_hour` is None where unknown (USD)."""

    name: str
    device: str
    about: str
    threads: int = 0
    price_per_hour: float | None = None


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
    try:
        return Target(name, **table)
    except TypeError as error:
        raise MctError(
            f"target {name} has wrong keys: {error}", "keys: device, about, threads, price_per_hour"
        ) from error
