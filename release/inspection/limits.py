"""Limits of what an inspection may find, as a budget has them of latency and quality: a TOML file with one table each.

    [intent-router]
    score_drift_max = 1.75
    attribution_drift_max = 0.15
    behaviour_worse_max = 0.02
    flips_max = 0.02

A line passes when the data exclude that its limit is missed, fails when they exclude that it is met, each at 5 %; where
any of several lines fails the whole, each of them fails at 5 % divided by their number. All else is inconclusive.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mct import MctError
from mct.bench.judge.line import Line, Outcome
from mct.models.data.declared import Amount, Name, Share, declared, read_toml
from mct.models.tables import unknown

BUILT_IN = Path(__file__).with_name("limits.toml")
HINT = "a table of limits, like [intent-router] with flips_max = 0.02"


@dataclass(frozen=True)
class Limits:
    """Limits under one name; None is not judged.

    `score_drift_max`: of how many times as far as by rounding alone the scores of the label moved that moved most.
    `attribution_drift_max`: of the mean drift of attributions, `attribution_excess_max`: of what of it is beyond
    rounding. `behaviour_fail_max`: of the share of all cases of behaviour tests that fail, `behaviour_worse_max`: of
    those that the original passes and the artifact fails. `flips_max`: of the share of examples answered otherwise,
    `flips_worse_max`: of those that were right before and are wrong now.
    """

    name: Name
    score_drift_max: Amount | None = None
    attribution_drift_max: Amount | None = None
    attribution_excess_max: Amount | None = None
    behaviour_fail_max: Share | None = None
    behaviour_worse_max: Share | None = None
    flips_max: Share | None = None
    flips_worse_max: Share | None = None

    @property
    def given(self) -> dict[str, float]:
        """Those that are judged, by name."""
        values = {each.name: getattr(self, each.name) for each in fields(Limits) if each.name != "name"}
        return {name: value for name, value in values.items() if value is not None}


KNOWN = frozenset(each.name for each in fields(Limits)) - {"name"}


def load_limits(extra: Path | None = None) -> dict[str, Limits]:
    """All limits by name: built in, those of the file `extra` in their place key by key."""
    return {name: limits_of(name, table, str(extra or BUILT_IN)) for name, table in _tables(extra).items()}


def _tables(extra: Path | None) -> dict[str, dict[str, Any]]:
    tables = read_toml(BUILT_IN, dict[Name, dict[str, Any]], HINT)
    if extra is not None:
        for own, table in read_toml(extra, dict[Name, dict[str, Any]], HINT).items():
            tables[own] = tables.get(own, {}) | table
    return tables


def find_limits(name: str, extra: Path | None = None) -> Limits:
    """The limits of that name: built in, those of the file `extra` in their place key by key. MctError for others."""
    tables = _tables(extra)
    if name not in tables:
        raise unknown("limits", name, tables)
    return limits_of(name, tables[name], str(extra or BUILT_IN))


def limits_of(name: str, table: Mapping[str, Any], place: str) -> Limits:
    """A table of limits that stands in somebody's file, `place`. MctError for unknown keys, and for no limit at all."""
    if "name" in table:
        raise MctError(f"{place}: limits {name} have a name of their own", "their name is that of their table")
    found = declared({**table, "name": name}, Limits, f"{place}: limits {name}", HINT)
    if not found.given:
        raise MctError(f"{place}: limits {name} limit nothing", "add one, like flips_max = 0.02")
    return found


def line_at_most(
    limit: str, most: float, seen: tuple[float, Callable[[float], tuple[float, float]]] | None, error: float, lines: int
) -> Line:
    """One line: what was `seen`, and its lower and upper bound at an error; None where it was not looked at."""
    if seen is None:
        return Line(f"{limit} <= {most:g}", "-", "inconclusive", "It was not looked at.")
    value, bounds = seen
    lowest, highest = bounds(error / lines)[0], bounds(error)[1]
    outcome: Outcome = "pass" if highest <= most else "fail" if lowest > most else "inconclusive"
    reason = {
        "pass": f"More than {highest:.4g} is excluded.",
        "fail": f"Less than {lowest:.4g} is excluded.",
        "inconclusive": f"It may be anything from {lowest:.4g} to {highest:.4g}: more examples or cases would decide.",
    }[outcome]
    return Line(f"{limit} <= {most:g}", f"{value:.4g}", outcome, reason)
