"""Percentiles and their intervals: cited sample sizes, exact small cases, properties, and coverage by simulation."""

import importlib.util
import itertools
import json
import sys
from math import sqrt
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from mct.bench.statistics.dependence import indicator_correlation, measure_dependence
from mct.bench.statistics.percentiles import (
    decide_below,
    estimate_percentile,
    minimum_sample,
    mlperf_query_count,
    percentile,
)


@pytest.fixture(scope="module")
def simulation() -> ModuleType:
    """results/coverage.py, the simulation whose full-size outcome is committed."""
    path = Path(__file__).resolve().parents[3] / "results" / "coverage.py"
    spec = importlib.util.spec_from_file_location("coverage_simulation", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def latencies(seed: int, n: int, blocks: int = 1) -> list[np.ndarray]:
    return np.split(np.exp(0.3 * np.random.default_rng(seed).standard_normal(n)), blocks)


@pytest.mark.parametrize(
    ("p", "two_sided", "n"), [(0.95, True, 72), (0.95, False, 59), (0.99, True, 368), (0.99, False, 299)]
)
def test_the_smallest_sample_with_a_finite_interval(p: float, two_sided: bool, n: int) -> None:
    assert minimum_sample(p, two_sided=two_sided) == n
    error = 0.05 / (2 if two_sided else 1)
    assert p**n <= error < p ** (n - 1)


@pytest.mark.parametrize(("p", "n"), [(0.90, 23_886), (0.95, 50_425), (0.97, 85_811), (0.99, 262_742)])
def test_mlperf_query_counts_are_those_of_its_published_table(p: float, n: int) -> None:
    assert mlperf_query_count(p) == n


def test_below_the_smallest_sample_an_estimate_is_refused() -> None:
    assert estimate_percentile(latencies(0, 71), 0.95) is None
    assert estimate_percentile([], 0.95) is None
    assert estimate_percentile([np.ones(50), np.ones(21)], 0.95) is None


def test_at_the_smallest_sample_the_upper_bound_is_the_largest() -> None:
    # 0.95^72 = 0.0249: the interval may just end at the largest of 72 independent samples.
    ladder = np.random.default_rng(1).permutation(np.arange(1.0, 73.0))
    found = estimate_percentile([ladder], 0.95)
    assert found is not None and found.effective_n == 72
    assert 71.9 < found.high <= 72
    assert found.low < found.value < found.high


def test_many_samples_give_the_textbook_order_statistics() -> None:
    # The binomial interval of 5,000 independent samples runs from rank 4,719 or 4,720 to 4,780 or 4,781.
    ladder = np.random.default_rng(2).permutation(np.arange(1.0, 5001.0))
    found = estimate_percentile([ladder], 0.95)
    assert found is not None and found.effective_n == 5000
    assert found.low == pytest.approx(stats.binom.ppf(0.025, 5000, 0.95), abs=2)
    assert found.high == pytest.approx(stats.binom.ppf(0.975, 5000, 0.95) + 1, abs=2)


def test_samples_that_repeat_one_another_count_once() -> None:
    once = latencies(3, 400)[0]
    held = np.repeat(once, 5)
    found = estimate_percentile([held], 0.95)
    assert found is not None and found.n == 2000
    assert 250 < found.effective_n < 600


def test_processes_that_differ_widen_the_interval() -> None:
    alike = latencies(4, 5000, blocks=5)
    shifted = [block * factor for block, factor in zip(alike, (0.9, 0.95, 1.0, 1.05, 1.1), strict=True)]
    calm, uneven = estimate_percentile(alike, 0.95), estimate_percentile(shifted, 0.95)
    assert calm is not None and uneven is not None
    assert uneven.effective_n < calm.effective_n / 5


def uneven_processes(
    rng: np.random.Generator, count: int, spread: float, requests: int = 500
) -> list[NDArray[np.float64]]:
    """Processes whose levels differ by a log-normal factor, log-normal latencies each."""
    return [rng.lognormal(rng.normal(0, spread), 0.3, requests) for _ in range(count)]


@pytest.mark.parametrize("requests", [40, 500])
def test_where_processes_differ_wildly_they_are_the_sample(requests: int) -> None:
    """Of 400 runs of four such processes, the interval holds a typical process's P95 in at least nine of ten."""
    rng = np.random.default_rng(5)
    truth = float(np.exp(0.3 * 1.6448536))
    found = [estimate_percentile(uneven_processes(rng, 4, 0.5, requests), 0.95) for _ in range(400)]
    held = [each for each in found if each is not None and each.low <= truth <= each.high]
    assert None not in found
    assert len(held) / len(found) >= 0.9


def test_a_long_process_does_not_speak_for_the_short_ones() -> None:
    """One process with 640 requests and three with 80, whose levels differ by a tenth: the interval still holds."""
    rng = np.random.default_rng(5)
    truth = float(np.exp(np.hypot(0.3, 0.1) * 1.6448536))
    runs = [[rng.lognormal(rng.normal(0, 0.1), 0.3, size) for size in (640, 80, 80, 80)] for _ in range(400)]
    found = [estimate_percentile(blocks, 0.95) for blocks in runs]
    assert np.mean([each is not None and each.low <= truth <= each.high for each in found]) >= 0.9


def test_two_processes_that_differ_wildly_say_nothing_of_a_third() -> None:
    two = [np.random.default_rng(seed).lognormal(seed, 0.3, 500) for seed in range(2)]
    assert estimate_percentile(two, 0.95) is None


def test_stalls_in_clusters_are_seen_though_they_are_no_autoregression() -> None:
    rng = np.random.default_rng(5)
    calm = np.exp(0.1 * rng.standard_normal(2000))
    stalled = calm.copy()
    for start in range(0, 2000, 400):
        stalled[start : start + 24] *= 4
    limit = percentile(stalled, 0.95)
    assert measure_dependence([stalled], 0.95, limit).inflation > 3
    assert measure_dependence([rng.permutation(stalled)], 0.95, limit).inflation < 1.5


def test_the_copula_agrees_with_the_bivariate_normal() -> None:
    z = stats.norm.ppf(0.95)
    for rho in (-0.3, 0.2, 0.5, 0.9):
        both = stats.multivariate_normal([0, 0], [[1, rho], [rho, 1]]).cdf([-z, -z])
        expected = (both - 0.05**2) / (0.05 * 0.95)
        assert float(indicator_correlation(np.array([rho]), 0.95)[0]) == pytest.approx(expected, abs=2e-4)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(80, 600), p=st.sampled_from([0.5, 0.9, 0.95]))
def test_the_interval_holds_the_percentile_and_grows_with_confidence(seed: int, n: int, p: float) -> None:
    blocks = latencies(seed, n)
    found = [estimate_percentile(blocks, p, confidence) for confidence in (0.5, 0.8, 0.9, 0.95)]
    given_ = [estimate for estimate in found if estimate is not None]
    assert given_, "half the confidence asks for less than half the sample"
    for estimate in given_:
        assert estimate.low <= estimate.value <= estimate.high
        assert blocks[0].min() <= estimate.low and estimate.high <= blocks[0].max()
    for narrow, wide in itertools.pairwise(given_):
        assert wide.low <= narrow.low and narrow.high <= wide.high


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), scale=st.floats(1e-3, 1e3))
def test_milliseconds_and_seconds_give_the_same_interval(seed: int, scale: float) -> None:
    blocks = latencies(seed, 400, blocks=4)
    one, other = estimate_percentile(blocks, 0.95), estimate_percentile([scale * block for block in blocks], 0.95)
    assert one is not None and other is not None
    expected = np.array([one.value, one.low, one.high]) * scale
    assert np.array([other.value, other.low, other.high]) == pytest.approx(expected, rel=1e-9)


@settings(max_examples=25, deadline=None)
@given(values=st.lists(st.floats(0.1, 100), min_size=1, max_size=50), p=st.floats(0.01, 0.99))
def test_a_percentile_lies_within_the_sample(values: list[float], p: float) -> None:
    assert min(values) <= percentile(np.array(values), p) <= max(values)


def test_a_constant_sample_is_its_own_interval() -> None:
    found = estimate_percentile([np.full(100, 2.0), np.full(100, 2.0)], 0.95)
    assert found is not None
    assert (found.low, found.value, found.high) == (2.0, 2.0, 2.0)


def test_two_processes_that_never_agree_are_worth_two_samples() -> None:
    assert estimate_percentile([np.full(100, 2.0), np.full(100, 3.0)], 0.95) is None


def test_a_decision_far_from_the_limit_is_early_and_none_is_made_at_it() -> None:
    blocks = latencies(6, 400)
    p95 = float(np.exp(0.3 * stats.norm.ppf(0.95)))
    assert decide_below(blocks, 0.95, 2 * p95, interim_looks=10) == "below"
    assert decide_below(blocks, 0.95, 0.5 * p95, interim_looks=10) == "above"
    assert decide_below(blocks, 0.95, percentile(blocks[0], 0.95), interim_looks=10) == "undecided"
    # 20 slow requests refute "at most 5 % are slower"; 20 fast ones do not show it.
    few = latencies(7, 20)
    assert decide_below(few, 0.95, 0.1, interim_looks=10) == "above"
    assert decide_below(few, 0.95, 100.0, interim_looks=10) == "undecided"


def at_most(rate: float, replications: int) -> float:
    """`rate` and three standard errors of a simulation of that size."""
    return rate + 3 * sqrt(rate * (1 - rate) / replications)


@pytest.mark.parametrize("n", [200, 1000])
@pytest.mark.parametrize("blocks", [1, 5])
def test_intervals_cover_as_often_as_they_say(simulation: ModuleType, n: int, blocks: int) -> None:
    low, high = simulation.LIMITS
    for shape in simulation.SHAPES:
        found = simulation.order_statistics(shape, n, blocks, replications=400, seed=11)
        assert 1 - at_most(1 - low, 400) <= found.coverage <= at_most(high, 400), found


def test_the_naive_bootstrap_is_too_sure_of_dependent_samples(simulation: ModuleType) -> None:
    found = simulation.naive_bootstrap(simulation.SHAPES[2], 1000, 1, replications=400, seed=12)
    assert found.coverage < 0.92


def test_the_shortcut_of_the_naive_bootstrap_is_the_bootstrap(simulation: ModuleType) -> None:
    shape = simulation.SHAPES[0]
    rng = np.random.default_rng(13)
    widths = []
    for _ in range(100):
        sample = shape.draw(rng, 200)
        resampled = np.quantile(rng.choice(sample, (500, 200)), 0.95, axis=1)
        widths.append(np.ptp(np.quantile(resampled, [0.025, 0.975])) / shape.p95)
    short = simulation.naive_bootstrap(shape, 200, 1, replications=100, seed=13, draws=500)
    assert short.width == pytest.approx(np.mean(widths), rel=0.15)


def test_false_decisions_stay_rare_over_all_looks(simulation: ModuleType) -> None:
    for shape in simulation.SHAPES:
        at_limit = simulation.decisions(shape, 1.0, looks=10, replications=60, seed=14)
        assert at_limit["below"] + at_limit["above"] <= at_most(0.05, 60)
        clear = simulation.decisions(shape, 1.15, looks=10, replications=60, seed=15)
        assert clear["above"] == 0 and clear["below"] > 0.9


def test_the_committed_table_is_made_from_the_committed_numbers(simulation: ModuleType) -> None:
    found = json.loads((simulation.HERE / "coverage.json").read_text(encoding="utf-8"))
    assert (simulation.HERE / "coverage.md").read_text(encoding="utf-8") == simulation.markdown(found)
    assert {row["replications"] for row in found["coverage"]} == {10_000}
