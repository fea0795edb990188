"""A against B: properties of the ratio, and error rates of the whole procedure by simulation."""

import importlib.util
import sys
from math import log, sqrt
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mct.bench.statistics.ratio import (
    ALARM,
    FEWEST_ROUNDS,
    PLAIN,
    Ratio,
    compare_percentile,
    compare_turns,
    degrees_of_freedom,
    estimate_ratio,
    is_decided,
    judge_latency,
    judge_ratio,
    trimmed_mean,
    turn_log_ratios,
)


@pytest.fixture(scope="module")
def simulation() -> ModuleType:
    path = Path(__file__).resolve().parents[3] / "results" / "coverage.py"
    spec = importlib.util.spec_from_file_location("coverage_simulation_ratio", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def rounds(seed: int, count: int, factor: float = 1.0, n: int = 300) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [factor * np.exp(0.3 * rng.standard_normal(n) + 0.01 * rng.standard_normal()) for _ in range(count)]


def constant_ratios(ratios: list[float]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    return [np.ones(100) for _ in ratios], [np.full(100, ratio) for ratio in ratios]


def test_six_rounds_give_the_t_interval_of_their_log_ratios() -> None:
    ratios = [1.02, 1.05, 0.99, 1.03, 1.04, 1.01]
    found = compare_percentile(*constant_ratios(ratios), 0.95)
    logs = np.log(ratios)
    expected = stats.t.interval(0.95, 5, logs.mean(), logs.std(ddof=1) / sqrt(6))
    assert (log(found.low), log(found.high)) == pytest.approx(expected)
    assert found.p_value == pytest.approx(stats.ttest_1samp(logs, 0).pvalue)
    assert found.rounds == 6


def test_the_trimmed_mean_is_yuens() -> None:
    # Ten values, one trimmed on either side: the mean of 2 ... 9, winsorised values 2 2 3 4 5 6 7 8 9 9.
    values = np.array([4.0, 1.0, 9.0, 3.0, 100.0, 6.0, 2.0, 8.0, 5.0, 7.0])
    mean, error = trimmed_mean(values)
    assert mean == pytest.approx(5.5)
    assert error == pytest.approx(sqrt(np.var([2, 2, 3, 4, 5, 6, 7, 8, 9, 9], ddof=1) * 9 / (8 * 7)))
    assert degrees_of_freedom(10) == degrees_of_freedom(6) == 5


def test_one_spoiled_round_does_not_hide_a_slow_down() -> None:
    ratios = [1.10, 1.09, 1.11, 1.10, 1.12, 1.08, 1.10, 1.09]
    spoiled = [*ratios[:-1], 0.4]
    found = compare_percentile(*constant_ratios(spoiled), 0.95)
    assert judge_ratio(found).outcome == "slower"


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), count=st.integers(6, 20), scale=st.floats(0.1, 10))
def test_swapping_the_sides_turns_the_ratio_over_and_units_do_not_matter(seed: int, count: int, scale: float) -> None:
    a, b = rounds(seed, count), rounds(seed + 1, count, 1.05)
    forth, back = compare_percentile(a, b, 0.95), compare_percentile(b, a, 0.95)
    assert (forth.value, forth.low, forth.high) == pytest.approx((1 / back.value, 1 / back.high, 1 / back.low))
    assert forth.p_value == pytest.approx(back.p_value)
    scaled = compare_percentile([scale * each for each in a], [scale * each for each in b], 0.95)
    assert (scaled.value, scaled.low, scaled.high) == pytest.approx((forth.value, forth.low, forth.high))
    wide = compare_percentile(a, b, 0.95, confidence=0.99)
    assert wide.low <= forth.low <= forth.value <= forth.high <= wide.high


def test_a_drift_that_both_sides_share_cancels() -> None:
    a, b = rounds(1, 8), rounds(2, 8, 1.1)
    drift = [1 + 0.2 * index for index in range(8)]
    still = compare_percentile(a, b, 0.95)
    drifting = compare_percentile(
        [each * d for each, d in zip(a, drift, strict=True)], [each * d for each, d in zip(b, drift, strict=True)], 0.95
    )
    assert drifting.value == pytest.approx(still.value) and drifting.high == pytest.approx(still.high)


def ratio(low: float, high: float, p_value: float, count: int = 8) -> Ratio:
    return Ratio(sqrt(low * high), low, high, p_value, 1.1, count, 0.95)


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        (ratio(1.04, 1.20, 0.001), "slower"),
        (ratio(0.80, 0.96, 0.001), "faster"),
        (ratio(0.97, 1.04, 0.6), "no difference"),
        (ratio(1.001, 1.06, 0.04), "no difference"),
        (ratio(0.95, 1.30, 0.2), "inconclusive"),
        (ratio(1.04, 1.20, 0.001, count=FEWEST_ROUNDS - 1), "inconclusive"),
    ],
)
def test_verdicts(found: Ratio, outcome: str) -> None:
    assert judge_ratio(found).outcome == outcome


def test_turns_are_held_against_each_other_and_a_pair_is_the_middle_of_its_turns() -> None:
    # Eight turns, two trimmed on either side: the mean of the middle four log ratios; then Student's t over six pairs.
    turns = np.log([1.02, 1.04, 1.03, 1.05, 9.0, 0.2, 1.01, 1.06])
    middle = np.mean(np.log([1.02, 1.03, 1.04, 1.05]))
    shifts = np.array([0.01, -0.01, 0.02, -0.02, 0.0, 0.0])
    found = estimate_ratio([turns + shift for shift in shifts])
    expected = stats.t.interval(0.95, 5, middle, shifts.std(ddof=1) / sqrt(6))
    assert (log(found.low), log(found.high)) == pytest.approx(expected)
    assert log(found.value) == pytest.approx(middle)


def test_weather_that_both_sides_of_a_turn_share_drops_out() -> None:
    rng = np.random.default_rng(5)
    weather = np.exp(rng.standard_normal((6, 10)))
    texts = np.exp(0.3 * rng.standard_normal((6, 10, 30)))
    a = [[w * t for w, t in zip(*pair, strict=True)] for pair in zip(weather, texts, strict=True)]
    b = [[1.1 * turn for turn in pair] for pair in a]
    found = compare_turns(a, b, 0.95)
    assert (found.low, found.value, found.high) == pytest.approx((1.1, 1.1, 1.1))


def test_a_turn_that_was_cut_off_is_compared_on_the_requests_that_both_made() -> None:
    whole, cut = np.array([1.0] * 30 + [5.0] * 30), np.full(30, 1.2)
    assert turn_log_ratios([whole], [cut], 0.95) == pytest.approx([log(1.2)])


@pytest.mark.parametrize(
    ("p50", "p95", "outcome", "shown"),
    [
        # (ratio at P50, at P95): low, high, p-value
        ((1.05, 1.15, 0.0001), (0.80, 1.60, 0.4), "slower", ("P50",)),
        ((1.05, 1.15, 0.0001), (1.05, 1.15, 0.004), "slower", ("P50", "P95")),
        ((0.85, 0.90, 0.0001), (1.05, 1.30, 0.004), "slower", ("P50", "P95")),
        ((0.85, 0.90, 0.0001), (0.80, 1.05, 0.2), "faster", ("P50",)),
        ((0.85, 0.90, 0.0001), (0.80, 1.40, 0.9), "inconclusive", ("P50",)),
        ((0.98, 1.02, 0.9), (0.95, 1.08, 0.3), "no difference", ()),
        ((0.98, 1.02, 0.9), (0.90, 1.20, 0.3), "inconclusive", ()),
        ((1.00, 1.08, 0.009), (1.00, 1.08, 0.3), "no difference", ()),  # Holm: the smaller of two faces half of ALARM
    ],
)
def test_two_percentiles_are_judged_together(
    p50: tuple[float, ...], p95: tuple[float, ...], outcome: str, shown: tuple[str, ...]
) -> None:
    found = judge_latency(ratio(*p50), ratio(*p95))
    assert found.outcome == outcome
    assert found.shown == shown


def test_fewer_than_six_pairs_decide_nothing() -> None:
    few = ratio(1.04, 1.20, 1e-6, count=FEWEST_ROUNDS - 1)
    assert judge_latency(few, few).outcome == "inconclusive"


def test_a_run_may_stop_when_both_are_precise_or_one_is_plainly_slower() -> None:
    precise = Ratio(1.0, 0.98, 1.02, 0.9, 1.05, 10, 0.95)
    vague = Ratio(1.05, 0.80, 1.30, 0.5, 1.30, 10, 0.95)
    plain = Ratio(1.20, 1.10, 1.30, PLAIN / 3, 1.15, 10, 0.95)
    likely = Ratio(1.20, 1.10, 1.30, ALARM / 3, 1.15, 10, 0.95)
    assert is_decided(precise, precise) and not is_decided(precise, precise, detect=1.04)
    assert not is_decided(precise, vague) and not is_decided(likely, vague)
    assert is_decided(plain, vague) and is_decided(vague, plain)


def test_a_plainly_faster_median_does_not_end_the_run_while_the_tail_is_open() -> None:
    faster, vague = Ratio(0.8, 0.7, 0.9, 1e-9, 1.15, 10, 0.95), Ratio(1.05, 0.8, 1.3, 0.5, 1.3, 10, 0.95)
    assert not is_decided(faster, vague)


def test_unequal_numbers_of_rounds_or_turns_are_a_bug() -> None:
    with pytest.raises(ValueError, match="same number of rounds"):
        compare_percentile(rounds(1, 6), rounds(2, 5), 0.95)
    with pytest.raises(ValueError, match="same number of turns"):
        compare_turns([rounds(1, 6)] * 6, [rounds(2, 5)] * 6, 0.95)


def test_false_alarms_are_rare_and_ten_per_cent_is_found(simulation: ModuleType) -> None:
    replications = 300
    error = 3 * sqrt(0.05 * 0.95 / replications)
    for noise in simulation.NOISES[:2]:
        alike = simulation.comparisons(noise, 1.0, replications, seed=21)
        assert alike["slower"] + alike["faster"] <= 0.05 + error
        assert alike["interval_coverage"] >= 0.95 - error
        slower = simulation.comparisons(noise, 1.1, replications, seed=22)
        assert slower["slower"] >= 0.95 - error
        assert slower["interval_coverage"] >= 0.93 - error
        assert slower["mean_seconds"] <= slower["most_seconds"] <= 60


def test_stalls_cost_power_but_raise_no_alarm(simulation: ModuleType) -> None:
    alike = simulation.comparisons(simulation.NOISES[2], 1.0, 150, seed=23)
    assert alike["slower"] + alike["faster"] <= 0.05 + 3 * sqrt(0.05 * 0.95 / 150)
