"""Budgets: the limits a verdict is judged against. Built in as budgets.toml; `--budgets FILE` adds and overrides."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from mct import MctError
from mct.models.data.declared import Amount, Name, Positive, Share, declared, read_toml
from mct.models.tables import unknown
from mct.models.tasks.table import find_task
from mct.targets.target import Target


@dataclass(frozen=True)
class Budget:
    """Limits for one scenario. A limit that is None is not judged. Quality is a fraction (0.921), not per cent.

    Quality passes when it is at least `quality_at_least`, or at most `quality_max_drop` below the baseline on the same
    examples. `metric_max_drop` bounds the drop of further metrics by name ("slots f1_entities"),
    `perplexity_max_increase` a language model's rise (0.02 is 2 %), `kl_at_most` the nats a token by which it foresees
    otherwise than the baseline, `margin_max_drop` the share of the baseline's margin of preference that is lost.
    `slice_max_drop` bounds what is lost on each of `slices`: a label's recall ("returns"), or the score of the examples
    whose row has a value in a field ("month=2026-03"); of `slice_fields` every value is one. `false_alarm_max_drop`
    bounds what is lost of the recall of labels at the share of other texts that may be taken for them by mistake:
    `false_alarms` = { frustrated = 0.05 }.
    `assumed` marks figures nobody has confirmed: a person is to overwrite them.
    """

    name: Name
    task: Name
    assumed: bool = False
    p95_ms: Positive | None = None
    quality_at_least: Share | None = None
    quality_max_drop: Share | None = None
    metric_max_drop: Mapping[Name, Share] = field(default_factory=dict)
    perplexity_max_increase: Amount | None = None
    kl_at_most: Positive | None = None
    margin_max_drop: Share | None = None
    slices: tuple[Name, ...] = ()
    slice_fields: tuple[Name, ...] = ()
    slice_max_drop: Share | None = None
    false_alarms: Mapping[Name, Share] = field(default_factory=dict)
    false_alarm_max_drop: Share | None = None
    size_mb: Positive | None = None
    peak_rss_mb: Positive | None = None


BUILT_IN = Path(__file__).with_name("budgets.toml")
ONE_TABLE = "one table per budget, like [intent-router]"
HEADLINE = ("quality_at_least", "quality_max_drop")
"""Two ways to pass: where a budget has one of them, the other loosens it."""
NO_LIMITS = frozenset({"name", "task", "assumed", "slices", "slice_fields", "false_alarms"})
_LIMITS = tuple(each for each in fields(Budget) if each.name not in {"name", "task", "assumed"})


def load_budgets(extra: Path | None = None) -> dict[str, Budget]:
    """All budgets by name: the built-in ones, then those of `extra`, which win key by key."""
    tables = _read(BUILT_IN)
    if extra is not None:
        own = _read(extra)
        if not own:
            raise MctError(f"{extra} names no budget", ONE_TABLE)
        for name, table in own.items():
            tables[name] = tables.get(name, {}) | {"assumed": False} | table
    return {name: _budget(extra or BUILT_IN, name, table) for name, table in tables.items()}


def find_budget(name: str, extra: Path | None = None) -> Budget:
    """One budget by name; MctError with the nearest names otherwise."""
    budgets = load_budgets(extra)
    if name not in budgets:
        raise unknown("budget", name, budgets)
    return budgets[name]


def budget_on(budget: Budget, target: Target) -> Budget:
    """The budget with the limits that a target has of its own. MctError where these are none of a budget's."""
    own = target.budgets.get(budget.name, {})
    place = f"target {target.name}: budget {budget.name}"
    for fixed in ("name", "task"):
        if fixed in own:
            raise MctError(f"{place} changes the {fixed}", "a target may only change limits")
    found = declared({**asdict(budget), **own}, Budget, place, "see the built-in ones: budgets.toml")
    _check(found)
    return found


def stricter_on(budget: Budget, target: Target) -> Budget:
    """The budget with those limits of a target's own that ask for more: what was measured on loosens no gate."""
    own = budget_on(budget, target)
    asked = [name for name in HEADLINE if getattr(budget, name) is not None]
    kept = {name: None for name in HEADLINE if asked and name not in asked}
    found = {each.name: _stricter(each.name, getattr(budget, each.name), getattr(own, each.name)) for each in _LIMITS}
    return replace(own, **found | kept)


def looser_limits(budget: Budget, asked: Budget) -> tuple[str, ...]:
    """The limits of `asked` that ask for more than those of `budget`; of its two ways to pass one may be closed."""
    closed = [name for name in HEADLINE if getattr(budget, name) is None]
    return tuple(
        each.name
        for each in _LIMITS
        if (mine := getattr(budget, each.name)) != _stricter(each.name, mine, getattr(asked, each.name))
        and not (each.name in closed and len(closed) < len(HEADLINE))
    )


def _stricter(name: str, one: Any, other: Any) -> Any:
    """Of two values of a field the one that asks for more; of names and of limits by name all of both."""
    match one, other:
        case (None, _) | (_, None):
            return other if one is None else one
        case tuple(), tuple():
            return tuple(dict.fromkeys((*one, *other)))
        case Mapping(), Mapping() if name == "false_alarms":
            return {**other, **one}
        case Mapping(), Mapping():
            return {**other, **{key: min(value, other.get(key, value)) for key, value in one.items()}}
    return max(one, other) if name == "quality_at_least" else min(one, other)


def _read(path: Path) -> dict[str, dict[str, Any]]:
    return read_toml(path, dict[Name, dict[str, Any]], ONE_TABLE)


def _budget(path: Path, name: str, table: dict[str, Any]) -> Budget:
    if "task" not in table:
        raise MctError(f"budget {name} names no task", 'add task = "sequence-classification"')
    if "name" in table:
        raise MctError(f"budget {name} has a name of its own", "a budget's name is that of its table")
    budget = declared({**table, "name": name}, Budget, f"{path}: budget {name}", "see the built-in ones: budgets.toml")
    find_task(budget.task)
    _check(budget)
    return budget


def _check(budget: Budget) -> None:
    """MctError for a budget that everything would meet, or that holds no slice to the limit of slices."""
    limits = (getattr(budget, each.name) for each in fields(Budget) if each.name not in NO_LIMITS)
    if not any(limit is not None and limit != {} for limit in limits):
        raise MctError(f"budget {budget.name} limits nothing", "add a limit, like p95_ms = 15.0")
    for names in (budget.slices, budget.slice_fields):
        if len(set(names)) < len(names):
            raise MctError(f"budget {budget.name} names a slice twice: {', '.join(names)}", "name each once")
    if budget.slice_max_drop is not None and not budget.slices + budget.slice_fields:
        raise MctError(
            f"budget {budget.name} has a slice_max_drop and no slices", 'name the labels, like slices = ["returns"]'
        )
    if (budget.false_alarm_max_drop is not None) is not bool(budget.false_alarms):
        raise MctError(
            f"budget {budget.name} has only one of false_alarms and false_alarm_max_drop",
            "name both: false_alarms = { frustrated = 0.05 }, false_alarm_max_drop = 0.02",
        )
