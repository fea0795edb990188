import numpy as np
import pytest

from mct.bench.statistics.change_points import find_change_points


def test_a_step_is_found_where_it_is_and_as_large_as_it_is() -> None:
    before, after = [10.0, 10.2, 9.9, 10.1, 10.05, 9.95], [12.4, 12.6, 12.5, 12.45]
    (change,) = find_change_points([*before, *after])
    assert change.index == 6
    assert change.ratio == pytest.approx(12.475 / 10.025)
    assert change.p_value <= 0.03


def test_steps_up_and_down_again_are_two() -> None:
    rng = np.random.default_rng(3)
    levels = [5.0] * 15 + [7.0] * 12 + [4.0] * 15
    found = find_change_points(list(np.array(levels) * rng.lognormal(0, 0.05, len(levels))))
    assert [change.index for change in found] == [15, 27]
    assert [change.ratio > 1 for change in found] == [True, False]


def test_one_run_on_a_bad_day_is_no_change_however_bad() -> None:
    values = [10.0 + 0.01 * (place % 7) for place in range(20)]
    values[12] = 400.0
    assert find_change_points(values) == []


def test_a_handful_of_runs_tells_nothing() -> None:
    assert find_change_points([]) == find_change_points([1.0, 9.0]) == find_change_points([1.0, 1.0, 2.0, 2.0]) == []


@pytest.mark.parametrize("runs", [6, 12, 40])
def test_series_without_a_change_are_said_to_have_one_at_the_stated_rate(runs: int) -> None:
    """5 %, of series drawn from a tail as runs have it; of 120 such series, 12 or fewer in 99 of 100 tests."""
    rng = np.random.default_rng(runs)
    alarms = sum(bool(find_change_points(list(rng.lognormal(0, 0.3, runs)), seed=seed)) for seed in range(120))
    assert alarms <= 12


def test_a_tenth_slower_is_found_in_noise_of_a_thirtieth() -> None:
    rng = np.random.default_rng(1)
    found = 0
    for seed in range(20):
        values = np.concatenate([np.full(10, 1.0), np.full(10, 1.1)]) * rng.lognormal(0, 0.03, 20)
        changes = find_change_points(list(values), seed=seed)
        found += any(abs(change.index - 10) <= 1 for change in changes)
    assert found >= 19
