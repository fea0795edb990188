"""Do the intervals and verdicts of `mct.bench` keep their promise? Simulated, and written down beside this file.

`python results/coverage.py` draws latencies from results/latencies.py, which shares neither code nor model with the
estimators, and resamples the recorded ones of traces.npz; runs the functions, and the whole measuring loops, of `mct
bench` and `mct compare` on them; counts how often they are right; and writes coverage.json and coverage.md. An hour on
one core; `--only loops` makes one part anew and keeps the others.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from latencies import PLAIN, RARE, UNEVEN, Floats, Rng, World
from pretended import MS, TASK, Spoil, bench, compare
from traces import read_traces

from mct.bench.judge.noise import WANDERS
from mct.bench.judge.verdict import judge
from mct.bench.measure.pairs import ratios
from mct.bench.samples.measurement import per_process_ms
from mct.bench.statistics.paired import find_flips, mcnemar_mid_p, non_inferior
from mct.bench.statistics.percentiles import estimate_percentile
from mct.bench.statistics.ratio import compare_percentile, judge_latency
from mct.bench.statistics.wandering import wandering_p
from mct.models.writing.folders import write_atomically, write_json
from mct.targets.budget import Budget

Row = dict[str, float | str | int]

HERE = Path(__file__).parent
TAIL = 0.95
REQUESTS = {0.5: 60, 0.95: 150, 0.99: 300}
"""Of one process, by the percentile that is asked for."""
PROCESSES = (4, 6, 10)
LOOPS = (World(), World("gamma", 0.05), World("gamma", 0.1), World("two modes", 0.2), *UNEVEN)
NOISES = {"calm": (World("gamma", 0.01), 0.05), "noisy": (World("gamma", 0.05), 0.2)}
LIMITS = {"on P95": 1.0, "P95 20 % below": 1 / 0.8, "P95 25 % above": 0.8}


def _spikes(share: float, times: float) -> Spoil:
    return lambda rng, values: np.where(rng.random(len(values)) < share, times * values, values)


def _stalls(rng: Rng, values: Floats) -> Floats:
    """One turn: in a fifth of them the first half of the requests takes three times as long."""
    slow = (rng.random() < 0.2) & (np.arange(len(values)) < len(values) // 2)
    return np.where(slow, 3 * values, values)


SPOILS: dict[str, Spoil] = {
    "the same": lambda rng, values: values,
    "10 % slower": lambda rng, values: 1.1 * values,
    "2 % of requests 10x slower": _spikes(0.02, 10),
    "4 % of requests 3x slower": _spikes(0.04, 3),
    "stalls in a fifth of the turns": _stalls,
}


LONGER = [("10 % slower", SPOILS["10 % slower"], 180.0)]


def intervals(replications: int) -> Iterable[Row]:
    """95 % intervals of runs without stopping."""
    cells = [(world, TAIL, count) for world in (*PLAIN, *UNEVEN, *RARE) for count in PROCESSES]
    cells += [(world, p, 6) for p in (0.5, 0.99) for world in (*PLAIN[::3], *UNEVEN)]
    for world, p, count in cells:
        rng, truth = np.random.default_rng(1), world.percentile(p)
        runs = ([world.process(rng, REQUESTS[p]) for _ in range(count)] for _ in range(replications))
        yield {"latencies": world.name, **_coverage(runs, p, truth), "processes": count}


def traces(replications: int) -> Iterable[Row]:
    """The same of recorded processes: drawn with replacement, each from a random moment on."""
    for name, trace in read_traces().items():
        truth = float(np.quantile(trace, TAIL))
        for count in PROCESSES:
            rng = np.random.default_rng(2)
            runs = (_resampled(rng, trace, count) for _ in range(replications))
            yield {"latencies": name, **_coverage(runs, TAIL, truth), "processes": count}


def _resampled(rng: Rng, trace: Floats, count: int) -> list[Floats]:
    length = min(REQUESTS[TAIL], trace.shape[1])
    return [
        trace[row, at : at + length]
        for row, at in zip(
            rng.integers(len(trace), size=count), rng.integers(trace.shape[1] - length + 1, size=count), strict=True
        )
    ]


def _coverage(runs: Iterable[Sequence[Floats]], p: float, truth: float) -> Row:
    found = [estimate_percentile(run, p) for run in runs]
    given = [each for each in found if each is not None]
    above, below = (np.mean(missed) for missed in zip(*[(e.high < truth, e.low > truth) for e in given], strict=True))
    return {
        "percentile": f"P{100 * p:g}",
        "coverage": 1 - float(above + below),
        "truth_above": float(above),
        "truth_below": float(below),
        "refused": 1 - len(given) / len(found),
        "width": float(np.median([np.log(each.high / each.low) for each in given])),
        "replications": len(found),
    }


def loops(replications: int) -> Iterable[Row]:
    """The whole loop of `mct bench`: processes until its looks or its 75 seconds end it, then the verdict."""
    for world in LOOPS:
        truth = world.percentile(TAIL) * MS
        for where, factor in LIMITS.items():
            budget = Budget("simulated", TASK, p95_ms=factor * truth)
            rng, outcomes, held, seconds, rounds = np.random.default_rng(3), Counter[str](), 0, [], []
            for _ in range(replications):
                found, took_s = bench(world, budget.p95_ms, rng)
                outcomes[judge(found, budget).outcome] += 1
                estimate = estimate_percentile(per_process_ms(found.blocks), TAIL)
                held += estimate is not None and estimate.low <= truth <= estimate.high
                seconds.append(took_s)
                rounds.append(found.rounds)
            rates: Row = {name: outcomes[name] / replications for name in ("pass", "fail", "inconclusive")}
            yield {
                "latencies": world.name, "limit": where, **rates, "coverage": held / replications,
                "processes": float(np.median(rounds)), "seconds": float(np.median(seconds)),
                "replications": replications,
            }  # fmt: skip


def unsteady(replications: int) -> Iterable[Row]:
    """How often rounds of one and the same steady machine are called wandering."""
    for spread in (0.05, 0.2):
        world = World("gamma", spread)
        for count in (4, 6, 8, 12, 20):
            rng = np.random.default_rng(4)
            runs = (np.array([np.median(world.process(rng, 60)) for _ in range(count)]) for _ in range(replications))
            alarms = [wandering_p(medians) <= WANDERS for medians in runs]
            yield {
                "latencies": world.name, "rounds": count, "alarms": float(np.mean(alarms)), "replications": replications
            }  # fmt: skip


def comparisons(replications: int) -> Iterable[Row]:
    """The whole loop of `mct compare` with all its looks; the truth is the ratio of the true percentiles."""
    for noise, (world, weather) in NOISES.items():
        for name, spoil, most_s in [*((*each, 60.0) for each in SPOILS.items()), *LONGER]:
            truth = _true_ratios(world, spoil)
            rng, outcomes, held, seconds = np.random.default_rng(5), Counter[str](), np.zeros(2), []
            for _ in range(replications):
                a, b, took_s = compare(world, spoil, weather, rng, most_s)
                found = ratios(a.blocks, b.blocks)
                outcomes[judge_latency(*found).outcome] += 1
                held += [each.low <= true <= each.high for each, true in zip(found, truth, strict=True)]
                seconds.append(took_s)
            rates: Row = {
                each: outcomes[each] / replications for each in ("slower", "faster", "no difference", "inconclusive")
            }
            yield {
                "machine": noise, "B is": name, "at most, s": int(most_s), "true_p95_ratio": truth[1], **rates,
                "p50_coverage": float(held[0]) / replications, "p95_coverage": float(held[1]) / replications,
                "seconds": float(np.median(seconds)), "replications": replications,
            }  # fmt: skip
    for name, trace in read_traces().items():
        rng, alarms, held = np.random.default_rng(6), 0, 0
        for _ in range(replications):
            p50, p95 = (
                compare_percentile(*sides, p)
                for sides in [(_resampled(rng, trace, 10), _resampled(rng, trace, 10))]
                for p in (0.5, TAIL)
            )
            alarms += judge_latency(p50, p95).outcome in {"slower", "faster"}
            held += p95.low <= 1 <= p95.high
        yield {
            "machine": f"recorded: {name}", "B is": "the same, unpaired", "true_p95_ratio": 1.0,
            "slower or faster": alarms / replications, "p95_coverage": held / replications,
            "replications": replications,
        }  # fmt: skip


def _true_ratios(world: World, spoil: Spoil) -> tuple[float, float]:
    """Of P50 and of P95, from many turns of 30 requests in many processes."""
    rng = np.random.default_rng(98)
    a = [world.process(rng, 30) for _ in range(60_000)]
    b = np.concatenate([spoil(rng, each) for each in a])
    p50, p95 = np.quantile(b, [0.5, TAIL]) / np.quantile(np.concatenate(a), [0.5, TAIL])
    return float(p50), float(p95)


def quality(replications: int) -> Iterable[Row]:
    """Rates of `non_inferior` and of McNemar's mid-p below 0.05 for a candidate that truly loses `true_drop`."""
    margin = 0.01
    for n, flip_rate in ((300, 0.02), (1000, 0.02), (3000, 0.03)):
        for drop in (0.0, 0.01, 0.02):
            rng, outcomes, different = np.random.default_rng(7), Counter[str](), 0
            for _ in range(replications):
                fate = rng.random(n)
                lost, gained = fate < (flip_rate + drop) / 2, fate > 1 - (flip_rate - drop) / 2
                flips = find_flips(~gained, ~lost)
                different += mcnemar_mid_p(len(flips.lost), len(flips.gained)) < 0.05
                outcomes[non_inferior(~gained, ~lost, margin).outcome] += 1
            rates: Row = {each: outcomes[each] / replications for each in ("non-inferior", "inferior", "inconclusive")}
            yield {
                "n": n, "flip_rate": flip_rate, "true_drop": drop, **rates,
                "mcnemar_below_0.05": different / replications, "replications": replications,
            }  # fmt: skip


PARTS = {
    "intervals": (
        intervals,
        1000,
        "95 % intervals of a percentile over processes",
        "Share of intervals that hold the true percentile, and on which side it lay where they did not; above is the"
        " side that passes a bad artifact. Width is the logarithm of the upper over the lower bound. 1,000 runs tell a"
        " share of 95 % to within 1.4 points. The rows with 3 % in slow moments are beyond what so few requests can"
        " tell: some runs see none of them.",
    ),
    "traces": (
        traces,
        2000,
        "The same on recorded latencies",
        "Real processes (traces.npz), drawn with replacement; their own percentile is the truth.",
    ),
    "loops": (
        loops,
        400,
        "The whole loop of `mct bench`, with its stopping",
        "At a limit on P95 each pass and each fail is false, and may be 5 %; coverage is that of the 95 % interval"
        " after stopping. Seconds are those of one artifact of 2 ms whose processes take 1.2 s to start.",
    ),
    "unsteady": (
        unsteady,
        4000,
        "Called unsteady without a reason",
        "A steady machine whose processes differ; at most 1 % may be called wandering, for any number of rounds.",
    ),
    "comparisons": (
        comparisons,
        200,
        "The whole loop of `mct compare`, with its looks",
        "P50 and P95 judged together at 1 %, at most 56 s; noisy: processes differ by 5 %, the machine's mood by 20 %."
        " Where B is the same, slower and faster are false alarms. Recorded processes are compared without turns.",
    ),
    "quality": (
        quality,
        1000,
        "Quality on the same examples",
        "Margin one point. At a true drop of the margin non-inferior is false (at most 5 %), and so is inferior.",
    ),
}


def markdown(found: Mapping[str, Sequence[Row]]) -> str:
    """The tables of coverage.md, made from coverage.json alone."""
    lines = [
        "# Do the numbers keep their promise?",
        "",
        "Generated by `python results/coverage.py`; do not edit. Latencies come from results/latencies.py: gamma,",
        "Pareto and two-moded requests, gamma and uniform processes, two-state slow moments, stalls by a beta law. It",
        "imports nothing of mct, and no estimator of mct supposes any of these.",
    ]
    for part, (_, _, title, said) in PARTS.items():
        if rows := found.get(part):
            lines += ["", f"## {title}", "", said, "", _table(rows)]
    return "\n".join(lines) + "\n"


def _table(rows: Sequence[Row]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    head = [name.replace("_", " ") for name in names]
    body = [[_cell(name, row.get(name)) for name in names] for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["--"] * len(head), *body))


FIGURES = {"width", "processes", "seconds", "true_p95_ratio"}
"""All other numbers that are no counts are shares."""


def _cell(name: str, value: float | str | None) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}" if name in FIGURES else f"{value:.1%}"


def main() -> None:
    """Simulate, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--replications", type=int, help="of every cell")
    wanted = parser.parse_args()
    path = HERE / "coverage.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    found = {part: rows for part, rows in found.items() if part in PARTS}
    for part in [wanted.only] if wanted.only else PARTS:
        simulate, replications, *_ = PARTS[part]
        rows = []
        for row in simulate(wanted.replications or replications):
            rows.append({name: round(value, 5) if isinstance(value, float) else value for name, value in row.items()})
            print(part, rows[-1], flush=True)
        found[part] = rows
        write_json(path, found)
        write_atomically(HERE / "coverage.md", markdown(found))


if __name__ == "__main__":
    main()
