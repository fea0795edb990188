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

from mct.bench.ratio import (
    FEWEST_ROUNDS,
    Ratio,
    compare_percentile,
    degrees_of_freedom,
    judge_ratio,
    plan_rounds,
    samples_per_round,
    trimmed_mean,
)


@pytest.fixture(scope="module")
def simulation() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "results" / "coverage.py"
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


def test_noisier_pilots_and_smaller_differences_ask_for_more_rounds() -> None:
    calm = constant_ratios([1.00, 1.01, 0.99, 1.01, 1.00, 0.99])
    noisy = constant_ratios([1.00, 1.08, 0.92, 1.07, 1.00, 0.93])
    assert plan_rounds(*calm, 0.95) == FEWEST_ROUNDS
    assert FEWEST_ROUNDS < plan_rounds(*noisy, 0.95) < plan_rounds(*noisy, 0.95, detect=1.05)
    assert plan_rounds(*noisy, 0.95, detect=1.01, most=12) == 12


def test_a_plan_is_done_when_the_detectable_ratio_is_reached() -> None:
    for seed in range(20):
        a, b = rounds(seed, 9), rounds(seed + 100, 9)
        done = plan_rounds(a, b, 0.95, detect=1.10) <= 9
        assert done == (compare_percentile(a, b, 0.95).detectable <= 1.10 + 1e-9)


def test_small_and_large_models_get_as_many_samples_as_the_time_allows() -> None:
    assert samples_per_round(request_s=0.0015, start_s=1.5, budget_s=60) == 1000
    assert samples_per_round(request_s=0.0001, start_s=1.5, budget_s=60) == 2000
    assert samples_per_round(request_s=1.0, start_s=1.5, budget_s=60) == 200


def test_unequal_numbers_of_rounds_are_a_bug() -> None:
    with pytest.raises(ValueError, match="same number of rounds"):
        compare_percentile(rounds(1, 6), rounds(2, 5), 0.95)


def test_false_alarms_are_rare_and_ten_per_cent_is_found(simulation: ModuleType) -> None:
    replications = 150
    error = 3 * sqrt(0.05 * 0.95 / replications)
    for noise in simulation.NOISES[:2]:
        alike = simulation.comparisons(noise, 1.0, replications, seed=21)
        assert alike["slower"] + alike["faster"] <= 0.05 + error
        assert alike["interval_coverage"] >= 0.95 - error
        slower = simulation.comparisons(noise, 1.1, replications, seed=22)
        assert slower["slower"] >= 0.95 - error
        assert slower["mean_seconds"] <= slower["most_seconds"] <= 60


def test_stalls_cost_power_but_raise_no_alarm(simulation: ModuleType) -> None:
    alike = simulation.comparisons(simulation.NOISES[2], 1.0, 150, seed=23)
    assert alike["slower"] + alike["faster"] <= 0.05 + 3 * sqrt(0.05 * 0.95 / 150)
