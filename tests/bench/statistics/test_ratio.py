"""A against B: symmetry, tails that count for what they are, coverage, and the judgements."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mct.bench.statistics.ratio import FEWEST_ROUNDS, Ratio, compare_percentile, is_decided, judge_latency

sys.path.append(str(Path(__file__).parents[3] / "results"))
from latencies import World

Floats = np.ndarray
ONE = Ratio(1.0, 0.97, 1.03, 0.9, 1.05, 10, 0.95)


def sides(seed: int, pairs: int = 8, spread: float = 0.05) -> tuple[list[Floats], list[Floats]]:
    """Processes of A and of B, 200 requests each."""
    rng, world = np.random.default_rng(seed), World(spread=spread)
    return [world.process(rng, 200) for _ in range(pairs)], [world.process(rng, 200) for _ in range(pairs)]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), factor=st.floats(0.2, 5))
def test_it_is_symmetric_and_knows_a_factor_exactly(seed: int, factor: float) -> None:
    a, b = sides(seed)
    forth, back = compare_percentile(a, b, 0.95), compare_percentile(b, a, 0.95)
    assert (back.value, back.low, back.high) == pytest.approx((1 / forth.value, 1 / forth.high, 1 / forth.low))
    assert back.p_value == pytest.approx(forth.p_value)
    exact = compare_percentile(a, [factor * each for each in a], 0.95)
    assert (exact.value, exact.low, exact.high) == pytest.approx((factor, factor, factor))


def test_one_side_twice_is_the_same() -> None:
    a, _ = sides(1)
    found = compare_percentile(a, a, 0.5)
    assert (found.value, found.low, found.high, found.p_value) == (1, 1, 1, 1)


def test_both_sides_need_as_many_processes() -> None:
    a, b = sides(1)
    with pytest.raises(ValueError, match="the same number of processes"):
        compare_percentile(a, b[1:], 0.95)
    with pytest.raises(ValueError, match="at least 2: 1 and 1"):
        compare_percentile(a[:1], b[:1], 0.95)


def spikes(rng: np.random.Generator, b: Floats, share: float, times: float) -> Floats:
    """A share of the requests is so many times slower."""
    return np.where(rng.random(len(b)) < share, times * b, b)


def stalls(rng: np.random.Generator, b: Floats) -> Floats:
    """In a fifth of the turns of 20 requests half are three times slower."""
    slow = np.repeat(rng.random(len(b) // 20) < 0.2, 20) & (np.arange(len(b)) % 20 < 10)
    return np.where(slow, 3 * b, b)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda rng, b: b,
        lambda rng, b: 1.1 * b,
        lambda rng, b: spikes(rng, b, 0.02, 10),
        lambda rng, b: spikes(rng, b, 0.04, 3),
        stalls,
    ],
    ids=["the same", "a tenth slower", "2 % ten times", "4 % three times", "stalls"],
)
def test_the_interval_holds_the_ratio_of_the_percentiles(spoil) -> None:  # type: ignore[no-untyped-def]
    """At least 93 % of the intervals of ten pairs; 3 standard deviations of 150 runs below that are 87 %."""
    rng, world = np.random.default_rng(2), World(spread=0.05)
    many = [world.process(rng, 200) for _ in range(4000)]
    spoilt = np.concatenate([spoil(rng, each) for each in many])
    truth, held = np.quantile(spoilt, 0.95) / np.quantile(np.concatenate(many), 0.95), 0
    for _ in range(150):
        a, b = ([world.process(rng, 200) for _ in range(10)] for _ in range(2))
        found = compare_percentile(a, [spoil(rng, each) for each in b], 0.95)
        held += found.low <= truth <= found.high
    assert held / 150 >= 0.87


def test_a_tail_counts_for_what_it_is() -> None:
    """Stalls in a fifth of the turns: P95 is that of the stalled requests."""
    a, b = sides(3, pairs=12, spread=0.0)
    rng = np.random.default_rng(4)
    found = compare_percentile(a, [stalls(rng, each) for each in b], 0.95)
    assert found.value > 1.4 and found.p_value < 0.01


@pytest.mark.parametrize(
    ("p50", "p95", "outcome", "shown"),
    [
        ({}, {}, "no difference", ()),
        ({"value": 1.04, "low": 1.02, "high": 1.06, "p_value": 1e-4}, {}, "slower", ("P50",)),
        ({}, {"value": 0.8, "low": 0.7, "high": 0.9, "p_value": 1e-4}, "faster", ("P95",)),
        ({}, {"value": 1.0, "low": 0.8, "high": 1.25}, "inconclusive", ()),
        ({"p_value": 0.006, "value": 1.05}, {"p_value": 0.5}, "no difference", ()),
        ({"rounds": FEWEST_ROUNDS - 1}, {"value": 2.0, "low": 1.9, "high": 2.1, "p_value": 1e-6}, "inconclusive", ()),
        ({"value": 0.9, "p_value": 1e-5}, {"value": 1.2, "high": 1.4, "p_value": 0.2}, "inconclusive", ("P50",)),
    ],
)
def test_both_percentiles_are_judged_together(
    p50: dict[str, float], p95: dict[str, float], outcome: str, shown: tuple[str, ...]
) -> None:
    judged = judge_latency(replace(ONE, **p50), replace(ONE, **p95))
    assert (judged.outcome, judged.shown) == (outcome, shown)


def test_when_a_run_may_stop() -> None:
    assert is_decided(ONE, ONE)
    assert not is_decided(ONE, replace(ONE, detectable=1.2))
    assert is_decided(ONE, replace(ONE, detectable=1.2, value=1.5, p_value=1e-6)), "plainly slower"
    assert not is_decided(ONE, replace(ONE, detectable=1.2, value=0.5, p_value=1e-6)), "faster is no hurry"
