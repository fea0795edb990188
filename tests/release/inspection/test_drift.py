"""Attribution drift: what it is by its definition, and how often its interval holds."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mct.release.inspection.drift import drift_of, excess_of, mean_of

WORTHS = st.lists(st.integers(-1000, 1000).map(float), min_size=3, max_size=12, unique=True)


def test_by_hand() -> None:
    """Ranks 1 2 3 4 5 against 2 1 4 3 5: rho = 1 - 6 * 4 / (5 * 24) = 0.8 (Spearman)."""
    assert drift_of([1, 2, 3, 4, 5], [20, 10, 40, 30, 50]) == pytest.approx(0.2)


@given(WORTHS)
def test_order_alone_counts(worths: list[float]) -> None:
    assert drift_of(worths, [np.exp(worth / 1000) for worth in worths]) == pytest.approx(0)
    assert drift_of(worths, [-worth for worth in worths]) == pytest.approx(2)


@given(WORTHS, st.randoms())
def test_it_is_the_same_both_ways_and_within_its_bounds(worths: list[float], draw: random.Random) -> None:
    others = draw.sample(worths, len(worths))
    found = drift_of(worths, others)
    assert found is not None and found == pytest.approx(drift_of(others, worths))
    assert -1e-9 <= found <= 2 + 1e-9


def test_what_has_no_order() -> None:
    assert drift_of([1, 2], [2, 1]) is None
    assert drift_of([1, 2, 3], [1, 2]) is None
    assert drift_of([1, 1, 1], [0, 0, 0]) == 0
    assert drift_of([1, 1, 1], [1, 2, 3]) == 1


def test_no_drift_seen_is_no_proof_that_there_is_none() -> None:
    found = mean_of([0.0] * 50)
    assert (found.value, found.low) == (0, 0)
    assert 0 < found.high < 0.1


def test_the_interval_holds_as_often_as_it_says() -> None:
    """80 sets of 60 examples from a skewed law whose mean is known: exponential, 0.1."""
    draw = np.random.default_rng(7)
    sets = draw.exponential(0.1, size=(80, 60))
    held = sum(mean.low <= 0.1 <= mean.high for mean in (mean_of(each.tolist()) for each in sets))
    assert held >= 71, held  # 95 % are 76; fewer than 71 have a chance below 1 in 100


def test_the_excess_is_paired() -> None:
    """Examples differ by far more than the two figures do of each: only pairing sees it."""
    draw = np.random.default_rng(3)
    floor = draw.uniform(0, 1, 80)
    found = excess_of((floor + draw.normal(0.05, 0.02, 80)).tolist(), floor.tolist())
    assert found.low > 0 and found.value == pytest.approx(0.05, abs=0.01)
