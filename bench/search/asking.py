"""`mct compress --auto` as it is typed: its options read, the search shown, the exit code."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mct import MctError
from mct.models.command_line import EXIT_CODES, print_json

if TYPE_CHECKING:
    from mct.models.checkpoints.adapted import Told

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
DURATION = re.compile(r"(\d+(?:\.\d+)?)([smh])")
LEAST_S = 10.0


def search_as_asked(
    *, checkpoint: Path, out: Path, told: Told, data: Path | None, dev: Path | None, evaluation: Path | None,
    renames: Mapping[str, str], budget: str | None, budgets_file: Path | None, target: str, targets_file: Path | None,
    allowed: str, seed: int, always: tuple[str, ...], workers: int, engine: str, as_json: bool,
) -> int:  # fmt: skip
    """Search, and say what came of it: 0 with a winner, 1 where nothing can meet the budget, 3 where nothing was shown
    to."""
    from mct.bench.search.front import as_markdown
    from mct.bench.search.search import Asked, search
    from mct.models.progress import shown
    from mct.targets.budget import budget_on, find_budget
    from mct.targets.target import find_target

    if budget is None:
        raise MctError("--auto needs to know what is enough", "name a budget: --budget intent-router")
    on = find_target(target, targets_file)
    asked = Asked(
        checkpoint, out, budget_on(find_budget(budget, budgets_file), on), on, seconds_of(allowed), data, dev,
        evaluation, renames, seed, engine, workers, always, told,
    )  # fmt: skip
    with shown() as report:
        found = search(asked, report)
    if as_json:
        print_json(found)
    else:
        click.echo(as_markdown(found), nl=False)
        more = ", winner, winner.toml" if found["winner"] else ""
        print(f"written to {out}: front.md, front.html, front.json{more}", file=sys.stderr)
    if found["winner"]:
        return EXIT_CODES["pass"]
    return EXIT_CODES["inconclusive" if found["judged"] else "fail"]


def seconds_of(allowed: str) -> float:
    """A time as it is written: 90s, 45m, 2h. MctError for anything else, and for less than a search can use."""
    found = DURATION.fullmatch(allowed.strip())
    if found is None:
        raise MctError(f"--time is {allowed!r}, which is no time", "write it like 45m, 90s or 2h")
    seconds = float(found[1]) * UNITS[found[2]]
    if seconds < LEAST_S:
        raise MctError(f"in {allowed} nothing can be tried", f"give at least {LEAST_S:.0f}s")
    return seconds
