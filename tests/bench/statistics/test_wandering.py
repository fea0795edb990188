"""The order of rounds: false alarms as rare as stated for any number of them, and what wanders is seen."""

import numpy as np
import pytest

from mct.bench.judge.noise import WANDERS
from mct.bench.statistics.wandering import wandering_p


@pytest.mark.parametrize("rounds", [4, 6, 8, 13, 20])
def test_false_alarms_are_as_rare_as_stated(rounds: int) -> None:
    """Processes that differ by 20 %, skewed: of 400 runs 1 % may be called unsteady, within 3 standard deviations."""
    rng = np.random.default_rng(rounds)
    alarms = [wandering_p(1 + rng.gamma(1, 0.2, rounds)) <= WANDERS for _ in range(400)]
    assert np.mean(alarms) <= WANDERS + 3 * np.sqrt(WANDERS * (1 - WANDERS) / 400)


def test_what_wanders_is_seen() -> None:
    rng = np.random.default_rng(1)
    climbing = np.arange(8) + rng.random(8)
    assert wandering_p(climbing) <= WANDERS
    came_and_went = np.where((np.arange(16) >= 5) & (np.arange(16) < 11), 2.0, 1.0) * (1 + 0.02 * rng.random(16))
    assert wandering_p(came_and_went) <= WANDERS


def test_nothing_is_said_of_few_or_equal_ones() -> None:
    assert wandering_p(np.array([1.0, 2.0, 3.0])) == 1.0
    assert wandering_p(np.ones(9)) == 1.0
    assert wandering_p(np.arange(1.0, 5.0)) == pytest.approx(2 / 24)
