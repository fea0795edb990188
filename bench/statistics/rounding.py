"""Results as plain values, rounded to what they can be trusted for."""

from math import isfinite
from typing import Any


def rounded(value: Any, digits: int) -> Any:
    """The same value with every number in it rounded; a number that is not finite becomes None, a tuple a list."""
    if isinstance(value, float):
        return round(value, digits) if isfinite(value) else None
    if isinstance(value, dict):
        return {key: rounded(item, digits) for key, item in value.items()}
    return [rounded(item, digits) for item in value] if isinstance(value, tuple | list) else value
