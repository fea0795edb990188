"""One server and its queue, against hand-worked schedules, textbook formulas and Poisson's own properties."""

from math import exp, factorial, inf, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mct.bench.statistics.percentiles import estimate_percentile, percentile
from mct.bench.statistics.queueing import guess_max_rate, relaxation, serve, settling
from mct.bench.worker.open_loop import poisson_arrivals


def test_a_schedule_worked_by_hand() -> None:
    """Served 0-3, waits 1: 3-5, waits 3: 5-6, then idle until 10: 10-14."""
    assert serve([0, 2, 2, 10], [3, 2, 1, 4]).tolist() == [3, 3, 4, 4]


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0.01, 10)), min_size=1, max_size=40))
def test_the_recursion_is_what_a_server_does_step_by_step(pairs: list[tuple[float, float]]) -> None:
    arrivals, services = np.cumsum([gap for gap, _ in pairs]), [service for _, service in pairs]
    free, expected = 0.0, []
    for arrival, service in zip(arrivals, services, strict=True):
        free = max(free, arrival) + service
        expected.append(free - arrival)
    assert serve(arrivals, services) == pytest.approx(expected)


def test_poisson_arrivals_offer_exactly_the_rate_with_exponential_gaps() -> None:
    arrivals = poisson_arrivals(50.0, 20_000, seed=4)
    gaps = np.diff(arrivals)
    assert arrivals == poisson_arrivals(50.0, 20_000, seed=4) != poisson_arrivals(50.0, 20_000, seed=5)
    assert arrivals[0] > 0 and arrivals[-1] < 400.0 and arrivals[-1] == pytest.approx(400.0, rel=0.001)
    assert np.quantile(gaps, [0.5, 0.95]) * 50 == pytest.approx([log(2), log(20)], rel=0.05)
    assert np.std(gaps) == pytest.approx(np.mean(gaps), rel=0.05)


def test_latency_in_the_m_m_1_queue_is_exponential() -> None:
    rng = np.random.default_rng(1)
    latencies = serve(np.cumsum(rng.exponential(1 / 0.5, 400_000)), rng.exponential(1.0, 400_000))
    assert percentile(latencies, 0.95) == pytest.approx(log(20) / (1 - 0.5), rel=0.03)


def wait_below(t: float, rho: float) -> float:
    """P(wait <= t) in the M/D/1 queue with service 1 (Erlang 1909)."""
    terms = (exp(rho * (t - k)) * (rho * (k - t)) ** k / factorial(k) for k in range(int(t) + 1))
    return (1 - rho) * sum(terms)


@pytest.mark.parametrize("rho", [0.5, 0.8])
def test_waiting_in_the_m_d_1_queue_follows_erlang(rho: float) -> None:
    rng = np.random.default_rng(2)
    waits = serve(np.cumsum(rng.exponential(1 / rho, 600_000)), np.ones(600_000)) - 1
    for t in (0.5, 1.5, 3.0):
        assert np.mean(waits <= t) == pytest.approx(wait_below(t, rho), abs=0.01)


def test_a_queue_remembers_longer_the_busier_it_is() -> None:
    assert relaxation(0.25, 1.0) == pytest.approx(1.0)
    assert relaxation(0.81, 1.0) == pytest.approx(81.0)
    assert relaxation(0.81, 0.0) == pytest.approx(40.5)
    assert relaxation(1.0) == relaxation(1.2) == inf
    assert settling(0.8, 1.0, most=1000) == 216
    assert settling(1.5, 1.0, most=1000) == 1000


@pytest.mark.parametrize(("rho", "count"), [(0.5, 1500), (0.8, 3000)])
def test_intervals_cover_although_requests_share_a_queue(rho: float, count: int) -> None:
    """M/D/1, four processes a run: what a queue remembers is in what its runs differ by."""
    rng = np.random.default_rng(3)
    truth = next(t for t in np.arange(0, 30, 0.01) if wait_below(t, rho) >= 0.95) + 1
    skip = settling(rho, 0.0, count)
    hits = []
    for _ in range(100):
        seeds = rng.integers(1 << 30, size=4)
        runs = [serve(poisson_arrivals(rho, count + skip, int(seed)), np.ones(count + skip))[skip:] for seed in seeds]
        estimate = estimate_percentile(runs, 0.95)
        hits.append(estimate is not None and estimate.low <= truth <= estimate.high)
    assert np.mean(hits) >= 0.88


def test_the_guess_is_near_the_formula_and_none_where_no_rate_meets() -> None:
    services = np.random.default_rng(5).exponential(2.0, 5000)
    services *= 2.0 / services.mean()
    assert guess_max_rate(services, 15.0, 0.95) == pytest.approx(0.5 - log(20) / 15.0, rel=0.06)
    assert guess_max_rate(services, 2.0, 0.95) < 0.001
