"""Percentiles over processes: refusals, invariances, and coverage on latencies that the estimator does not suppose."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mct.bench.statistics.percentiles import (
    decide_below,
    estimate_percentile,
    evidence_above,
    minimum_sample,
    mlperf_query_count,
    percentile,
)

sys.path.append(str(Path(__file__).parents[3] / "results"))
from latencies import World

Floats = np.ndarray


def processes(seed: int, count: int = 6, n: int = 100, spread: float = 0.0) -> list[Floats]:
    """So many processes of n requests each."""
    rng = np.random.default_rng(seed)
    return [World(spread=spread).process(rng, n) for _ in range(count)]


@pytest.mark.parametrize(("p", "n", "one_sided"), [(0.95, 72, 59), (0.99, 368, 299), (0.5, 6, 5)])
def test_the_fewest_requests(p: float, n: int, one_sided: int) -> None:
    assert (minimum_sample(p), minimum_sample(p, two_sided=False)) == (n, one_sided)
    assert mlperf_query_count(0.95) == 50_425


def test_too_little_is_refused() -> None:
    assert estimate_percentile([], 0.95) is None
    assert estimate_percentile(processes(1, count=2, n=500), 0.95) is None, "of two nobody knows how they differ"
    assert estimate_percentile(processes(1, count=3, n=23), 0.95) is None, "69 requests"
    assert estimate_percentile([*processes(1, n=100), np.ones(19)], 0.95) is None, "none of 19 lies beyond its P95"
    assert estimate_percentile(processes(1, count=3, n=100), 0.99) is None, "300 requests"
    assert estimate_percentile(processes(1, count=3, n=24), 0.95) is not None


def test_processes_all_alike_and_constant() -> None:
    found = estimate_percentile([np.full(100, 2.0)] * 4, 0.95)
    assert found is not None
    assert (found.low, found.value, found.high) == pytest.approx((2, 2, 2))
    assert (found.n, found.processes, found.effective_n) == (400, 4, 400)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(1e-3, 1e3))
def test_it_scales_does_not_depend_on_order_and_narrows_with_less_confidence(seed: int, scale: float) -> None:
    blocks = processes(seed, spread=0.1)
    found = estimate_percentile(blocks, 0.95)
    assert found is not None and found.low <= found.value <= found.high
    scaled = estimate_percentile([scale * block for block in blocks], 0.95)
    assert scaled is not None
    assert (scaled.low, scaled.high) == pytest.approx((scale * found.low, scale * found.high))
    shuffled = estimate_percentile([np.random.default_rng(seed).permutation(block) for block in reversed(blocks)], 0.95)
    assert shuffled is not None
    assert (shuffled.low, shuffled.high) == pytest.approx((found.low, found.high))
    less = estimate_percentile(blocks, 0.95, 0.8)
    assert less is not None and found.low <= less.low and less.high <= found.high


def test_processes_that_differ_are_worth_fewer_requests() -> None:
    alike, unlike = estimate_percentile(processes(2), 0.95), estimate_percentile(processes(2, spread=0.3), 0.95)
    assert alike is not None and unlike is not None
    assert unlike.effective_n < alike.effective_n / 3
    assert unlike.high / unlike.low > 1.5 * alike.high / alike.low


def test_a_process_counts_once_however_long_it_ran() -> None:
    """Nine tenths of the requests are of one slow process: the interval holds what is true of the others too."""
    rng = np.random.default_rng(3)
    found = estimate_percentile([2 * World().process(rng, 9000), *(World().process(rng, 200) for _ in range(5))], 0.95)
    assert found is not None and found.low < World().percentile(0.95, 500) < found.high


@pytest.mark.parametrize(
    "world",
    [
        World(),
        World("Pareto", 0.1),
        World("two modes", 0.2),
        World(spread=0.1, slow=0.1),
        World(spread=0.1, stalls=True),
    ],
    ids=lambda world: world.name,
)
def test_coverage(world: World) -> None:
    """At least 93 % of the intervals of six processes hold the truth; 3 standard deviations of 150 runs below: 87 %."""
    rng, truth = np.random.default_rng(4), world.percentile(0.95, 4000)
    found = [estimate_percentile([world.process(rng, 120) for _ in range(6)], 0.95) for _ in range(150)]
    held = [each is not None and each.low <= truth <= each.high for each in found]
    assert np.mean(held) >= 0.87


def test_decisions() -> None:
    blocks = processes(5, count=8)
    p95 = percentile(np.concatenate(blocks), 0.95)
    assert decide_below(blocks, 0.95, 1.5 * p95) == "below"
    assert decide_below(blocks, 0.95, 0.7 * p95) == "above"
    assert decide_below(blocks, 0.95, p95) == "undecided"
    assert decide_below(blocks[:2], 0.95, 1.5 * p95) == "undecided"
    few = [block[:3] for block in blocks[:3]]
    assert decide_below(few, 0.95, 0.1) == "above", "every request of three processes is too slow"
    assert decide_below(few, 0.95, 100.0) == "undecided"


def test_evidence_grows_by_luck_as_rarely_as_it_says() -> None:
    """The limit is the percentile, processes are so unlike that one in twenty has all of its requests beyond it."""
    rng, crossed = np.random.default_rng(6), 0
    for _ in range(300):
        slow = rng.random(12) < 0.05
        runs = [np.full(10, 2.0 if each else 1.0) for each in slow]
        crossed += max(evidence_above(runs[: k + 1], 0.95, 1.5) for k in range(12)) >= 20
    assert crossed / 300 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)


def test_evidence_of_hundreds_of_processes_is_a_number() -> None:
    """All too slow but one: its share of none beyond the limit takes away one of the bets, not all of them."""
    processes = [np.full(40, 2.0)] * 300 + [np.ones(40)]
    assert 40 < evidence_above(processes, 0.95, 1.5) < np.inf
