"""How many test messages of each high-risk intent it takes until an artifact that lost nothing passes.

Run from the repository root: `python results/power.py`; writes power.json and power.md. Such an artifact flips some
answers all the same, as many to the right side as to the wrong one. They come in families: where one message flips,
others of its template often do, the same way. So families are drawn (their number Poisson, their size geometric, their
direction a fair coin) at several rates of flips, and judged by the router's budget as `mct bench` judges: the recall of
each high-risk intent, and accuracy over all messages. The rates and the size of a family are those of the demo's own
artifacts, which stand beside them in the table.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from mct.bench.statistics.levels import ERROR
from mct.bench.statistics.score_test import drop_p_value
from mct.models.scenarios.shop.high_risk import HIGH_RISK_INTENTS
from mct.models.writing.folders import write_atomically, write_json
from mct.targets.budget import find_budget

HERE = Path(__file__).resolve().parent
WORK = HERE.parent / ".cache" / "demo"
ROWS = (300, 500, 800, 1_000, 1_200, 1_500, 2_000)
RATES = (0.002, 0.004, 0.006, 0.008)
OTHERS = 1_500
"""Messages that are of no high-risk intent."""
FAMILY = 1.3
"""Mean number of messages of one template that flip together."""
DRAWS = 2_000

Flips = tuple[int, int]


def main() -> None:
    """Simulate, and put what the demo's artifacts did beside it."""
    table = [
        {"rows": rows, "rate": rate, "passes": round(share_passing(rows, rate, DRAWS, seed=0), 4)}
        for rows in ROWS
        for rate in RATES
    ]
    found = {"family": FAMILY, "others": OTHERS, "draws": DRAWS, "table": table, "seen": seen(WORK)}
    write_json(HERE / "power.json", found)
    write_atomically(HERE / "power.md", markdown(found))


def share_passing(rows: int, rate: float, draws: int, seed: int) -> float:
    """Share of lossless artifacts that pass on `rows` messages of each high-risk intent; a share `rate` flips."""
    rng = np.random.default_rng(seed)
    return float(np.mean([_passes(rows, rate, rng) for _ in range(draws)]))


def _passes(rows: int, rate: float, rng: np.random.Generator) -> bool:
    slices = [draw_flips(rows, rate, rng) for _ in HIGH_RISK_INTENTS]
    if not all(_holds(*flips, rows, *_slice_limit()) for flips in slices):
        return False
    every = [*slices, draw_flips(OTHERS, rate, rng)]
    lost, gained = (sum(side) for side in zip(*every, strict=True))
    return _holds(lost, gained, rows * len(HIGH_RISK_INTENTS) + OTHERS, *_overall_limit())


def draw_flips(rows: int, rate: float, rng: np.random.Generator) -> Flips:
    """How many of `rows` answers go wrong and right, in families that go one way together."""
    sizes = rng.geometric(1 / FAMILY, rng.poisson(rows * rate / FAMILY))
    lost = int(sizes[rng.random(len(sizes)) < 0.5].sum())
    return lost, int(sizes.sum()) - lost


@cache
def _holds(lost: int, gained: int, rows: int, margin: float, error: float) -> bool:
    return drop_p_value(lost, gained, rows, margin, "less") <= error


@cache
def _slice_limit() -> tuple[float, float]:
    margin = find_budget("intent-router").slice_max_drop
    assert margin is not None
    return margin, ERROR


@cache
def _overall_limit() -> tuple[float, float]:
    """The drop alone, at half the error: the budget's other way to pass spends the rest."""
    margin = find_budget("intent-router").quality_max_drop
    assert margin is not None
    return margin, ERROR / 2


def seen(work: Path) -> list[dict[str, Any]]:
    """Flips of the demo's artifacts against its router, from its last run's samples; empty where it was not run."""
    from mct.bench.store.store import list_results, read_result, read_samples

    results = list_results(work / "results")
    if not results:
        return []
    samples = read_samples(work / "results" / read_result(results[-1])["samples"])
    with (work / "intent-router-small" / "data" / "test.jsonl").open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    answers = {each.subject.name: each.answers.values for each in samples.measurements if each.answers is not None}
    before = answers.pop("intent-router-small")
    return [{"artifact": name} | _flips_of(rows, before, after) for name, after in answers.items()]


def _flips_of(rows: Sequence[Mapping[str, Any]], before: Sequence[str], after: Sequence[str]) -> dict[str, Any]:
    """`spread` is how many times the variance of lost minus gained is that of flips that come alone."""
    templates: dict[str, int] = defaultdict(int)
    lost = gained = 0
    for row, one, other in zip(rows, before, after, strict=True):
        step = int(other == row["label"]) - int(one == row["label"])
        templates[row["template"]] += step
        lost, gained = lost + (step < 0), gained + (step > 0)
    flips = lost + gained
    spread = sum(step**2 for step in templates.values()) / flips if flips else 1.0
    return {
        "rows": len(rows),
        "lost": lost,
        "gained": gained,
        "rate": round(flips / len(rows), 5),
        "spread": round(spread, 2),
    }


def markdown(found: Mapping[str, Any]) -> str:
    """The table, and what the demo's artifacts did."""
    passes = {(each["rows"], each["rate"]): each["passes"] for each in found["table"]}
    rates = sorted({rate for _, rate in passes})
    return "\n".join(
        [
            "# Test messages that a verdict needs",
            "",
            "Share of artifacts without loss that pass the router's budget, by the number of test messages of each"
            " high-risk intent and the share of answers that flip, as many to the right as to the wrong side.",
            f"`python results/power.py`: {found['draws']:,} artifacts a cell, flips in families of {found['family']:g}"
            f" on average, {found['others']:,} other messages.",
            "",
            f"| messages of each | {' | '.join(f'{rate:.2%} flip' for rate in rates)} |",
            f"| ---: | {' | '.join('---:' for _ in rates)} |",
            *(
                f"| {rows:,} | {' | '.join(f'{passes[rows, rate]:.1%}' for rate in rates)} |"
                for rows in sorted({rows for rows, _ in passes})
            ),
            "",
            *_seen_lines(found["seen"]),
        ]
    )


def _seen_lines(seen: Sequence[Mapping[str, Any]]) -> list[str]:
    if not seen:
        return []
    return [
        "The demo's artifacts; the spread is the variance of lost minus gained over that of flips that come alone"
        f" ({2 * FAMILY - 1:.1f} in the simulation):",
        "",
        "| artifact | messages | lost | gained | flip | spread |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *(
            f"| {each['artifact']} | {each['rows']:,} | {each['lost']} | {each['gained']} | {each['rate']:.2%}"
            f" | {each['spread']:.1f} |"
            for each in seen
        ),
        "",
    ]


if __name__ == "__main__":
    main()
