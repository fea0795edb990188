"""Do the intervals and verdicts of `mct.bench` keep their promise? Simulated, and written down beside this file.

`python results/coverage.py` draws latencies whose true percentile is known, runs the functions that `mct bench` and
`mct compare` run, counts how often they are right, and writes coverage.json and coverage.md. Ten minutes on one core;
`--only comparisons` draws one part anew and keeps the others. The tests run the same functions with fewer replications.
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from math import exp, sqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, signal, special

from mct.bench.jobs.compare import MEASURING
from mct.bench.measure.pairs import FEWEST_CYCLES, PAIRS, TURN_LEAST
from mct.bench.statistics.paired import find_flips, mcnemar_mid_p, non_inferior
from mct.bench.statistics.percentiles import decide_below, estimate_percentile
from mct.bench.statistics.ratio import Ratio, estimate_ratio, is_decided, judge_latency

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Floats]
Row = dict[str, float | str]

P = 0.95
SIGMA = 0.3
"""Spread of the log latencies: P95 is 1.64 times the median, as measured on real texts of mixed length."""
LIMITS = (0.93, 0.97)
PARTS = ("coverage", "decisions", "comparisons", "quality")
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Shape:
    """A kind of latency: how one process's n samples are drawn, and their true P95 (median about 1).

    `first` is the share of a run's samples that its first process takes, where processes are of unlike length.
    """

    name: str
    draw: Draw
    p95: float
    first: float | None = None

    def run(self, rng: np.random.Generator, n: int, blocks: int) -> list[Floats]:
        """About n samples of so many processes."""
        first = n // blocks if self.first is None else round(n * self.first)
        rest = [(n - first) // (blocks - 1)] * (blocks - 1) if blocks > 1 else []
        return [self.draw(rng, size) for size in (first, *rest)]


@dataclass(frozen=True)
class Coverage:
    """How often the interval of `method` held the true P95; `refused` runs gave none and are not counted."""

    shape: str
    method: str
    n: int
    blocks: int
    replications: int
    coverage: float
    refused: float
    width: float


@dataclass(frozen=True)
class Noise:
    """What disturbs a comparison; spreads are standard deviations of the log.

    `process` stays with a process for life, `place` for about `STAYS` laps, `turn` is every turn's own, and `weather`
    is the machine's, shared by neighbouring turns. `spikes` is the share of requests five times slower, `burst` the
    share of turns half of which is three times slower.
    """

    name: str
    process: float
    place: float
    turn: float
    weather: float
    spikes: float
    burst: float


STAYS = 2.0
TURN_COST_S = 0.083
START_COST_S = 0.9
"""Seconds of a turn with its handing over and of starting a pair, as on a small model."""
CAP_S = 60 * MEASURING
MOST_LAPS = int((CAP_S - PAIRS * START_COST_S) / (4 * PAIRS * TURN_COST_S))
NOISES = (
    Noise("calm: processes differ by 1 %, turns by 5 %", 0.01, 0.01, 0.05, 0.1, 0.002, 0.0),
    Noise("processes differ by 2 %, their places by 5 %, turns by 10 %", 0.02, 0.05, 0.1, 0.2, 0.002, 0.01),
    Noise("as above, and stalls in 10 % of the turns", 0.02, 0.05, 0.1, 0.2, 0.01, 0.1),
)


def lognormal(rng: np.random.Generator, n: int) -> Floats:
    """Independent samples."""
    return np.exp(SIGMA * rng.standard_normal(n))


def bimodal(rng: np.random.Generator, n: int) -> Floats:
    """One request in ten takes 2.5 times as long: a second mode that holds the P95."""
    return np.where(rng.random(n) < 0.9, 1.0, 2.5) * np.exp(0.1 * rng.standard_normal(n))


def autoregressive(rng: np.random.Generator, n: int) -> Floats:
    """Gaussian AR(1) of the log latencies with correlation 0.5, started in its stationary state."""
    noise = rng.standard_normal(n + 50) * sqrt(1 - 0.5**2)
    return np.asarray(np.exp(SIGMA * signal.lfilter([1.0], [1.0, -0.5], noise)[50:]), dtype=np.float64)


def shifted(rng: np.random.Generator, n: int, spread: float = 0.02) -> Floats:
    """Every process is its own few per cent (a standard deviation of `spread`) faster or slower."""
    return lognormal(rng, n) * exp(spread * rng.standard_normal())


def _bimodal_p95() -> float:
    return float(
        optimize.brentq(
            lambda x: 0.9 * special.ndtr(np.log(x) / 0.1) + 0.1 * special.ndtr(np.log(x / 2.5) / 0.1) - P, 1.0, 5.0
        )
    )


Z = float(special.ndtri(P))
SHAPES = (
    Shape("log-normal", lognormal, exp(SIGMA * Z)),
    Shape("bimodal", bimodal, _bimodal_p95()),
    Shape("AR(1) 0.5", autoregressive, exp(SIGMA * Z)),
)
SHIFTED = (
    Shape("processes differ by 2 %", shifted, exp(sqrt(SIGMA**2 + 0.02**2) * Z)),
    Shape(
        "processes differ by 10 %, the first has 7 in 10 requests",
        partial(shifted, spread=0.1), exp(sqrt(SIGMA**2 + 0.1**2) * Z), first=0.7,
    ),
)  # fmt: skip


def order_statistics(shape: Shape, n: int, blocks: int, replications: int, seed: int) -> Coverage:
    """Coverage of `estimate_percentile`'s 95 % interval over `blocks` processes of n / blocks samples each."""
    rng = np.random.default_rng(seed)
    found = [estimate_percentile(shape.run(rng, n, blocks), P) for _ in range(replications)]
    given = [estimate for estimate in found if estimate is not None]
    held = [estimate.low <= shape.p95 <= estimate.high for estimate in given]
    width = np.mean([(estimate.high - estimate.low) / shape.p95 for estimate in given])
    refused = 1 - len(given) / replications
    return Coverage(shape.name, "mct", n, blocks, replications, float(np.mean(held)), refused, float(width))


def naive_bootstrap(shape: Shape, n: int, blocks: int, replications: int, seed: int, draws: int = 1000) -> Coverage:
    """Coverage of the percentile bootstrap that resamples single requests, as most tools do.

    A resample's P95 lies between two of its order statistics, whose ranks in the original sample have a known law: the
    k-th of n uniform draws is Beta(k, n-k+1), the next one's distance from it the least of the n-k left. Drawing the
    ranks draws the same resamples without making them.
    """
    rng = np.random.default_rng(seed)
    position = (n - 1) * P
    k, part = int(position) + 1, position - int(position)
    held, widths = 0, 0.0
    for _ in range(replications):
        ordered = np.sort(np.concatenate(shape.run(rng, n, blocks)))
        lower = rng.beta(k, n - k + 1, draws)
        upper = lower + (1 - lower) * rng.beta(1, n - k, draws)
        resampled = (1 - part) * ordered[(lower * n).astype(int)] + part * ordered[(upper * n).astype(int)]
        low, high = np.quantile(resampled, [0.025, 0.975])
        held += low <= shape.p95 <= high
        widths += (high - low) / shape.p95
    return Coverage(
        shape.name,
        "naive bootstrap",
        n,
        blocks,
        replications,
        int(held) / replications,
        0.0,
        float(widths) / replications,
    )


def decisions(shape: Shape, ratio: float, looks: int, replications: int, seed: int) -> Row:
    """Rates of `decide_below` at a limit of `ratio` times the true P95, asked after each of `looks` rounds of 200."""
    rng = np.random.default_rng(seed)
    answers: Counter[str] = Counter()
    samples = 0
    for _ in range(replications):
        rounds: list[Floats] = []
        answer = "undecided"
        while answer == "undecided" and len(rounds) < looks:
            rounds.append(shape.draw(rng, 200))
            answer = decide_below(rounds, P, ratio * shape.p95, looks)
        answers[answer] += 1
        samples += 200 * len(rounds)
    rates: Row = {name: answers[name] / replications for name in ("below", "above", "undecided")}
    told: Row = {"shape": shape.name, "limit_over_p95": ratio, "looks": looks, "replications": replications}
    means: Row = {"mean_samples": samples / replications}
    return told | rates | means


def comparisons(noise: Noise, ratio: float, replications: int, seed: int) -> Row:
    """Rates of `judge_latency` when B's latencies are `ratio` times A's: the whole procedure, with all its looks.

    `interval_coverage` is that of P95.
    """
    rng = np.random.default_rng(seed)
    outcomes: Counter[str] = Counter()
    covered, laps = 0, 0
    for _ in range(replications):
        p50, p95, played = _one_comparison(rng, noise, ratio)
        outcomes[judge_latency(p50, p95).outcome] += 1
        covered += p95.low <= ratio <= p95.high
        laps += played
    rates: Row = {name: outcomes[name] / replications for name in ("slower", "faster", "no difference", "inconclusive")}
    told: Row = {"noise": noise.name, "true_ratio": ratio, "pairs": PAIRS, "replications": replications}
    mean_laps = laps / replications
    means: Row = {"interval_coverage": covered / replications, "mean_laps": mean_laps}
    seconds: Row = {"mean_seconds": _seconds(mean_laps), "most_seconds": _seconds(MOST_LAPS)}
    return told | rates | means | seconds


def _seconds(laps: float) -> float:
    return PAIRS * (START_COST_S + 4 * laps * TURN_COST_S)


def _one_comparison(rng: np.random.Generator, noise: Noise, ratio: float) -> tuple[Ratio, Ratio, int]:
    """P50, P95 and the laps that were played: two turns of each pair a lap, until decided or the time is over."""
    life = noise.process * rng.standard_normal((2, PAIRS))
    place = noise.place * rng.standard_normal((2, PAIRS))
    factor = np.log([1.0, ratio])[:, None]
    found = np.empty((2, PAIRS, 0))
    for lap in range(1, MOST_LAPS + 1):
        moved = rng.random((2, PAIRS)) < 1 / STAYS
        place = np.where(moved, noise.place * rng.standard_normal((2, PAIRS)), place)
        found = np.concatenate([found, _lap(rng, noise, life + place + factor)], axis=2)
        p50, p95 = (estimate_ratio([*turns]) for turns in found)
        if lap >= FEWEST_CYCLES and is_decided(p50, p95):
            break
    return p50, p95, lap


def _lap(rng: np.random.Generator, noise: Noise, level: Floats) -> Floats:
    """Log ratios of P50 and of P95, B to A, of two turns of every pair; `level` is each process's log latency.

    Both sides ask the same texts in the same weather; a tenth of noise a request, and what else disturbs a turn.
    """
    texts = SIGMA * rng.standard_normal((PAIRS, 2, TURN_LEAST)) + noise.weather * rng.standard_normal((PAIRS, 2, 1))
    shape = (2, PAIRS, 2, TURN_LEAST)
    own = level[:, :, None, None] + noise.turn * rng.standard_normal((2, PAIRS, 2, 1))
    latency = np.exp(texts + own + 0.1 * rng.standard_normal(shape))
    latency = np.where(rng.random(shape) < noise.spikes, 5 * latency, latency)
    stalled = rng.random((2, PAIRS, 2)) < noise.burst
    latency[stalled, : TURN_LEAST // 2] *= 3
    percentiles = np.log(np.quantile(latency, [0.5, P], axis=3, method="median_unbiased"))
    return np.asarray(percentiles[:, 1] - percentiles[:, 0], dtype=np.float64)


def quality(n: int, flip_rate: float, drop: float, margin: float, replications: int, seed: int) -> Row:
    """Rates of `non_inferior` and of McNemar's mid-p below 0.05 for a candidate that truly loses `drop`."""
    rng = np.random.default_rng(seed)
    outcomes: Counter[str] = Counter()
    different = 0
    for _ in range(replications):
        kind = rng.random(n)
        lost, gained = kind < (flip_rate + drop) / 2, kind > 1 - (flip_rate - drop) / 2
        flips = find_flips(~gained, ~lost)
        different += mcnemar_mid_p(len(flips.lost), len(flips.gained)) < 0.05
        outcomes[non_inferior(~gained, ~lost, margin).outcome] += 1
    rates: Row = {name: outcomes[name] / replications for name in ("non-inferior", "inferior", "inconclusive")}
    told: Row = {"n": n, "flip_rate": flip_rate, "true_drop": drop, "margin": margin, "replications": replications}
    mcnemar: Row = {"mcnemar_below_0.05": different / replications}
    return told | rates | mcnemar


def simulate(part: str, replications: int, fewer: int) -> list[Row]:
    """One part of it: intervals with `replications` runs a cell, verdicts with `fewer`."""
    if part == "coverage":
        return [asdict(cell) for cell in _intervals(replications)]
    if part == "decisions":
        return [decisions(shape, ratio, 10, fewer, 500) for shape in SHAPES for ratio in (0.9, 1.0, 1.1)]
    if part == "comparisons":
        return [comparisons(noise, ratio, fewer, 600) for noise in NOISES for ratio in (1.0, 1.1, 1 / 1.1)]
    return [
        quality(n, rate, drop, 0.01, fewer // 2, 700)
        for n, rate in ((300, 0.02), (1000, 0.02), (3000, 0.03))
        for drop in (0.0, 0.01, 0.02)
    ]


def _intervals(replications: int) -> list[Coverage]:
    cells = []
    for index, (shape, n) in enumerate((shape, n) for shape in SHAPES for n in (200, 1000, 5000)):
        cells += [order_statistics(shape, n, blocks, replications, 100 + index) for blocks in (1, 5)]
        cells.append(naive_bootstrap(shape, n, 1, replications, 200 + index))
    for index, (shape, n) in enumerate((shape, n) for shape in SHIFTED for n in (1000, 5000)):
        cells.append(order_statistics(shape, n, 5, replications, 300 + index))
        cells.append(naive_bootstrap(shape, n, 5, replications, 400 + index))
    return cells


def markdown(found: dict[str, list[Row]]) -> str:
    """The tables of coverage.md, made from coverage.json alone."""
    low, high = LIMITS
    return "\n".join(
        [
            "# Do the numbers keep their promise?",
            "",
            "Generated by `python results/coverage.py`; do not edit. Latencies are drawn with a known P95,",
            "the functions of `mct.bench` are run on them, and counted is how often they were right.",
            "",
            "## 95 % intervals for P95",
            "",
            f"Share of intervals that hold the true P95; between {low:.0%} and {high:.0%} is kept.",
            "Blocks are processes. Width is relative to the P95. A run whose samples are worth too few is refused",
            "and not counted.",
            "",
            _table(found["coverage"], ["coverage", "refused", "width"]),
            "",
            "## Above or below the budget, asked after every round",
            "",
            "Rounds of 200 samples, at most ten looks. At a limit of 1 times the P95 either answer is false; at 0.9",
            '"below" is, at 1.1 "above". Together at most 5 % may be.',
            "",
            _table(found["decisions"], ["below", "above", "undecided"]),
            "",
            "## A against B",
            "",
            "The whole procedure: pairs of processes in turns on the same texts, looks after every lap from the fourth",
            "on, P50 and P95 judged together, with the laps it chooses itself. At a true ratio of 1 slower and faster",
            "are false alarms (at most 5 %); at 1.1 slower is the power. The rows of one noise are the same draws.",
            "",
            _table(found["comparisons"], ["slower", "faster", "no difference", "inconclusive", "interval_coverage"]),
            "",
            "## Quality on the same examples",
            "",
            "Margin one point. At a true drop of the margin non-inferior is false (at most 5 %), and so is inferior.",
            "",
            _table(found["quality"], ["non-inferior", "inferior", "inconclusive", "mcnemar_below_0.05"]),
            "",
        ]
    )


def _table(rows: list[Row], shares: list[str]) -> str:
    names = list(rows[0])
    lines = ["| " + " | ".join(name.replace("_", " ") for name in names) + " |", "|--" * len(names) + "|"]
    for row in rows:
        lines.append("| " + " | ".join(_cell(row[name], name in shares) for name in names) + " |")
    return "\n".join(lines)


def _cell(value: float | str, share: bool) -> str:
    if isinstance(value, str):
        return value
    if share or 0 < value < 0.05:
        return f"{value:.1%}"
    return f"{value:,.0f}" if value >= 10 else f"{value:.3g}"


def main() -> None:
    """Simulate at full size and write coverage.json and coverage.md beside this file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=PARTS, action="append")
    wanted = parser.parse_args().only or PARTS
    path = HERE / "coverage.json"
    kept = {} if set(wanted) == set(PARTS) else json.loads(path.read_text(encoding="utf-8"))
    drawn = {part: simulate(part, replications=10_000, fewer=2_000) for part in wanted}
    text = json.dumps({part: (kept | drawn)[part] for part in PARTS}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")
    (HERE / "coverage.md").write_text(markdown(json.loads(text)), encoding="utf-8")


if __name__ == "__main__":
    main()
