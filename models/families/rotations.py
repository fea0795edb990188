"""How a configuration says that positions are rotated: as this transformers writes it, or as earlier ones did.

Read from config.json as it stands, so what it leaves to its family's defaults is not there.
"""

from collections.abc import Mapping
from typing import Any

Config = Mapping[str, Any]


def rotations(config: Config) -> list[Config]:
    """The rotations: one, or one for each kind of layer. Empty where nothing is said of one."""
    found = config.get("rope_parameters") or config.get("rope_scaling") or {}
    each = [value for value in found.values() if isinstance(value, Mapping)]
    return each or [found]


def kind_of(rotation: Config) -> str:
    """What its angles are made by: "default", "linear", "llama3", "longrope", …"""
    return str(rotation.get("rope_type") or rotation.get("type") or "default")


def share_of(config: Config, rotation: Config) -> float:
    """The share of a head's channels that it turns."""
    said = rotation.get("partial_rotary_factor") or config.get("partial_rotary_factor") or config.get("rotary_pct")
    return float(said or 1.0)
