"""The paired bootstrap: against the exact test where there is one, and its coverage on made-up nDCG."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mct.bench.statistics.bootstrap import DRAWS, resample_change, resample_value
from mct.bench.statistics.paired import (
    NonInferiority,
    difference,
    difference_p,
    find_flips,
    non_inferior,
    paired_difference,
)
from mct.bench.statistics.ratio_metric import RatioMetric

Floats = np.ndarray
Change = Callable[[np.random.Generator, Floats], Floats]


def shares(values: Floats | list[float]) -> RatioMetric:
    """Examples that count as much each."""
    got = np.asarray(values, dtype=np.float64)
    return RatioMetric(got, np.ones(len(got)))


def small(rng: np.random.Generator, before: Floats) -> Floats:
    """Four examples in ten change a little, as an INT8 reranker's."""
    return np.where(rng.random(len(before)) < 0.4, rng.normal(-0.01, 0.05, len(before)), 0.0)


def skewed(rng: np.random.Generator, before: Floats) -> Floats:
    """Two in ten change, more for the worse than for the better."""
    signs = np.where(rng.random(len(before)) < 0.7, -1, 1)
    return np.where(rng.random(len(before)) < 0.2, signs * rng.exponential(0.08, len(before)), 0.0)


def rare(rng: np.random.Generator, before: Floats) -> Floats:
    """Four in a hundred lose any part of what they had."""
    return np.where(rng.random(len(before)) < 0.04, -before * rng.random(len(before)), 0.0)


def drawn(rng: np.random.Generator, n: int, change: Change) -> tuple[Floats, Floats]:
    """nDCG-like values of `n` queries before and after."""
    before = rng.beta(1.2, 0.8, n)
    return before, np.clip(before + change(rng, before), 0, 1)


@pytest.fixture
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough for 150 sets, where it is their number that decides."""
    monkeypatch.setattr("mct.bench.statistics.bootstrap.DRAWS", 1000)


@pytest.mark.parametrize("change", [small, skewed, rare])
@pytest.mark.parametrize("n", [50, 135])
def test_coverage_on_made_up_ndcg(change: Change, n: int, few_draws: None) -> None:
    """Of 150 sets at least 93 % are to be covered, the heaviest tail included; 3 standard deviations below are 87 %."""
    before, after = drawn(np.random.default_rng(9), 400_000, change)
    truth, rng = float((after - before).mean()), np.random.default_rng(1)
    found = [difference(*map(shares, drawn(rng, n, change))) for _ in range(150)]
    assert np.mean([each.low <= truth <= each.high for each in found]) >= 0.87


@pytest.mark.parametrize("change", [small, skewed, rare])
def test_a_drop_of_just_the_margin_is_seldom_passed(change: Change, few_draws: None) -> None:
    """The true drop is the margin: at 135 queries it may pass in about 5 % of sets; the heaviest tail takes 10 %."""
    before, after = drawn(np.random.default_rng(9), 400_000, change)
    margin, rng = float((before - after).mean()), np.random.default_rng(2)
    tests = [non_inferior(*map(shares, drawn(rng, 135, change)), margin) for _ in range(150)]
    assert np.mean([each.outcome == "non-inferior" for each in tests]) <= 0.10 + 3 * np.sqrt(0.10 * 0.90 / 150)
    assert np.mean([each.outcome == "inferior" for each in tests]) <= 0.11


def test_many_examples_give_the_t_interval() -> None:
    rng = np.random.default_rng(3)
    before = rng.normal(0.8, 0.1, 3000)
    after = before - 0.02 + rng.normal(0, 0.05, 3000)
    found = difference(shares(before), shares(after))
    expected = stats.t.interval(0.95, 2999, np.mean(after - before), stats.sem(after - before))
    assert (found.low, found.high) == pytest.approx(expected, abs=3e-4)
    assert found == difference(shares(before), shares(after)), "seeded"


@settings(max_examples=25, deadline=None)
@given(lost=st.integers(10, 60), gained=st.integers(10, 60), rest=st.integers(300, 2000))
def test_on_right_and_wrong_it_agrees_with_the_exact_test(lost: int, gained: int, rest: int) -> None:
    """Within a tenth of the interval's width, plus what the unseen examples add."""
    n = lost + gained + rest
    before, after = np.ones(n), np.ones(n)
    after[:lost] = 0
    before[lost : lost + gained] = 0
    exact, found = paired_difference(lost, gained, n), resample_change(shares(before), shares(after))
    assert found.value == pytest.approx(exact.value)
    assert exact.low is not None and exact.high is not None
    slack = 0.1 * (exact.high - exact.low) + 3 / n
    assert found.bound(0.025) == pytest.approx(exact.low, abs=slack)
    assert found.bound(0.975) == pytest.approx(exact.high, abs=slack)


def test_where_nothing_changed_the_rule_of_three_is_left_open() -> None:
    """135 queries, all the same, of standard deviation 0.3: about 2 x 0.3 / 135, half a point; p is not 0."""
    values = np.tile([0.3, 0.9], 68)[:135]
    found = non_inferior(shares(values), shares(values), 0.01)
    assert (found.outcome, found.method, found.lost, found.drop) == ("non-inferior", "bootstrap", 0, 0.0)
    assert found.drop_at_most == pytest.approx(2 * 0.3 / 135, rel=0.3)
    assert found.p_value >= 1 / (DRAWS + 1)
    assert difference_p(shares(values), shares(values)) == 1.0
    assert non_inferior(shares(values[:64]), shares(values[:64]), 0.01).outcome == "non-inferior"
    assert non_inferior(shares(values[:20]), shares(values[:20]), 0.01).outcome == "inconclusive"


def test_where_much_changed_a_little_a_great_loss_need_not_be_feared() -> None:
    rng = np.random.default_rng(5)
    before = rng.beta(1.2, 0.8, 64)
    after = np.clip(before + rng.normal(0, 0.01, 64), 0, 1)
    assert non_inferior(shares(before), shares(after), 0.01).drop_at_most < 0.006


def test_examples_that_belong_together_are_drawn_as_one() -> None:
    """300 examples in 30 groups, each group right or wrong as one: worth 30 examples, and no exact test any more."""
    groups = np.repeat(np.arange(30), 10)
    before = np.ones(300)
    after = np.where(groups < 3, 0.0, 1.0)
    alone, together = (
        non_inferior(RatioMetric(before, np.ones(300), each), RatioMetric(after, np.ones(300), each), 0.2)
        for each in (None, groups)
    )
    assert (alone.method, together.method) == ("exact", "bootstrap")
    assert (alone.drop, together.drop) == pytest.approx((0.1, 0.1))
    assert alone.outcome == "non-inferior"
    assert together.outcome == "inconclusive" and together.drop_at_most > alone.drop_at_most + 0.05


@pytest.mark.parametrize("flipped", [0, 1, 4])
def test_groups_of_one_are_no_more_certain_than_no_groups(flipped: int) -> None:
    """100 examples that nothing happened to leave a drop of three points open, whatever they are called."""
    before = np.repeat([1.0, 0.0], [80, 20])
    after = np.where(np.arange(100) < flipped, 0.0, before)
    sides = [[RatioMetric(each, np.ones(100), groups) for each in (before, after)] for groups in (None, np.arange(100))]
    (alone, together), (drop, same) = ([test(*side) for side in sides] for test in (_by_two_points, difference))
    assert together.drop_at_most >= alone.drop_at_most - 1e-6
    assert (together.p_value >= alone.p_value, together.p_inferior >= alone.p_inferior) == (True, True)
    assert together.resolvable >= alone.resolvable
    assert (same.low <= drop.low, same.high >= drop.high) == (True, True)


def _by_two_points(before: RatioMetric, after: RatioMetric) -> NonInferiority:
    return non_inferior(before, after, 0.02)


def test_a_drop_of_just_the_margin_by_whole_groups_is_seldom_passed(few_draws: None) -> None:
    """100 groups of 4, each lost as a whole in one of a hundred; 3 standard deviations above 5 % are 11 %."""
    rng, groups = np.random.default_rng(8), np.repeat(np.arange(100), 4)
    passed = 0
    for _ in range(150):
        after = np.repeat(rng.random(100) >= 0.01, 4).astype(float)
        before, of = np.ones(400), np.ones(400)
        found = non_inferior(RatioMetric(before, of, groups), RatioMetric(after, of, groups), 0.01)
        passed += found.outcome == "non-inferior"
    assert passed / 150 <= 0.11


def test_the_three_answers_and_what_can_be_resolved() -> None:
    rng = np.random.default_rng(4)
    before = rng.beta(1.2, 0.8, 600)
    worse, noisy = np.clip(before - 0.05, 0, 1), np.clip(before + rng.normal(0, 0.05, 600), 0, 1)
    assert non_inferior(shares(before), shares(worse), 0.01).outcome == "inferior"
    assert non_inferior(shares(before), shares(noisy), 0.01).outcome == "non-inferior"
    found = non_inferior(shares(before), shares(noisy), 0.003)
    assert found.outcome == "inconclusive"
    assert 0.003 < found.resolvable < 0.01


def test_swapping_the_sides_turns_the_interval_over() -> None:
    before, after = drawn(np.random.default_rng(5), 200, skewed)
    forth, back = difference(shares(before), shares(after)), difference(shares(after), shares(before))
    assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low), abs=5e-4)


def test_the_order_of_the_file_changes_nothing() -> None:
    before, after = drawn(np.random.default_rng(6), 135, small)
    order = np.random.default_rng(7).permutation(135)
    shuffled = difference(shares(before[order]), shares(after[order]))
    found = difference(shares(before), shares(after))
    assert (shuffled.low, shuffled.high) == pytest.approx((found.low, found.high), abs=1e-9)


def test_a_ratio_of_sums_weighs_examples_by_their_size() -> None:
    """F1: 2 of 4 and 9 of 10 are 11 of 14; an example with nothing to find counts nothing, and lost when it errs."""
    before = RatioMetric(np.array([2.0, 9.0, 0.0]), np.array([4.0, 10.0, 0.0]))
    after = RatioMetric(np.array([2.0, 8.0, 0.0]), np.array([4.0, 10.0, 1.0]))
    assert before.value == pytest.approx(11 / 14)
    assert resample_change(before, after).value == pytest.approx(10 / 15 - 11 / 14)
    flips = find_flips(before, after)
    assert (flips.lost, flips.gained, flips.n) == ((1, 2), (), 3)
    assert find_flips(before, before).n == 2


def test_one_great_loss_among_tiny_changes_keeps_the_interval_finite() -> None:
    """A draw without the loss hardly varies; taken by its own error it would put the bound beyond all reason."""
    before = np.linspace(0.3, 0.9, 200)
    after = before + 1e-7 * np.sin(np.arange(200))
    after[7] = 0.0
    found = difference(shares(before), shares(after))
    assert -0.02 < found.low < found.value < found.high < 0.01


def test_a_score_near_zero_has_a_bound_near_zero() -> None:
    got, of = np.zeros(60), np.full(60, 10.0)
    got[3] = 1.0
    found = resample_value(RatioMetric(got, of))
    assert 1 / 600 < found.bound(0.975) < 0.12


def test_a_perfect_score_is_not_certain() -> None:
    found = resample_value(shares([1.0] * 30))
    assert 0.85 < found.bound(0.025) < 1.0
