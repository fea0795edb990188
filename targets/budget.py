"""Budgets: the limits a verdict is judged against. Built in as budgets.toml; `--budgets FILE` adds and overrides."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from mct import MctError
from mct.models.tables import unknown


@dataclass(frozen=True)
class Budget:
    """Limits for one scenario. A limit that is None is not judged. Quality is a fraction (0.921), not per cent.

    Quality passes when it is at least `quality_at_least`, or at most `quality_max_drop` below the baseline on the same
    examples. `metric_max_drop` bounds the drop of further metrics by name ("slots f1_entities"),
    `perplexity_max_increase` a language model's rise (0.02 is 2 %), `slice_max_drop` the recall lost on each of
    `slices` (labels).
    `assumed` marks figures nobody has confirmed: a person is to overwrite them.
    """

    name: str
    task: str
    assumed: bool = False
    p95_ms: float | None = None
    quality_at_least: float | None = None
    quality_max_drop: float | None = None
    metric_max_drop: Mapping[str, float] = field(default_factory=dict)
    perplexity_max_increase: float | None = None
    slices: tuple[str, ...] = ()
    slice_max_drop: float | None = None
    size_mb: float | None = None
    peak_rss_mb: float | None = None


BUILT_IN = Path(__file__).with_name("budgets.toml")


def load_budgets(extra: Path | None = None) -> dict[str, Budget]:
    """All budgets by name: the built-in ones, then those of `extra`, which win key by key."""
    tables = _read(BUILT_IN)
    if extra is not None:
        for name, table in _read(extra).items():
            tables[name] = tables.get(name, {}) | {"assumed": False} | table
    return {name: _budget(name, table) for name, table in tables.items()}


def find_budget(name: str, extra: Path | None = None) -> Budget:
    """One budget by name; MctError with the nearest names otherwise."""
    budgets = load_budgets(extra)
    if name not in budgets:
        raise unknown("budget", name, budgets)
    return budgets[name]


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MctError(f"budget file {path} does not exist", "give a TOML file with one table per budget") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MctError(f"{path} is not valid TOML: {error}", "one table per budget, like [intent-router]") from error


def _budget(name: str, table: dict[str, Any]) -> Budget:
    known = {each.name for each in fields(Budget)} - {"name"}
    for key in table:
        if key not in known:
            raise unknown(f"key in budget {name}", key, known)
    if "task" not in table:
        raise MctError(f"budget {name} names no task", 'add task = "sequence-classification"')
    drops = table.get("metric_max_drop", {})
    if not isinstance(drops, dict):
        raise MctError(f"metric_max_drop of budget {name} names no metrics", 'like { "slots f1_entities" = 0.01 }')
    slices = tuple(table.get("slices", ()))
    return Budget(name, **(table | {"slices": slices}))
