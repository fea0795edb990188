"""Recall at a fixed false-alarm rate, by hand and against data whose truth is known."""

import numpy as np
import pytest

from mct.bench.statistics.alarms import Alarms, resample_recall, resample_recalls
from mct.bench.statistics.paired import difference, non_inferior

NEGATIVES, POSITIVES = 900, 100


def drawn(rng: np.random.Generator, blur: float, size: int = NEGATIVES + POSITIVES) -> tuple[Alarms, Alarms]:
    """A model whose positives score 2 higher, and the same with its scores blurred, at a rate of 5 %."""
    positive = np.arange(size) >= size * NEGATIVES // (NEGATIVES + POSITIVES)
    scores = rng.standard_normal(len(positive)) + 2.0 * positive
    return Alarms(scores, positive, 0.05), Alarms(scores + blur * rng.standard_normal(len(scores)), positive, 0.05)


def test_the_threshold_lets_so_many_of_the_negatives_through() -> None:
    """Of the negatives 9, 8, ..., 0 a tenth is one: what lies above 8 rings, 8 itself does not."""
    scores, positive = np.array([*range(10), 8.0, 8.5, 20.0]), np.array([False] * 10 + [True] * 3)
    assert Alarms(scores, positive, 0.10).hits.got.tolist() == [0.0] * 11 + [1.0, 1.0]
    assert Alarms(scores, positive, 0.19).hits.value == pytest.approx(2 / 3)
    assert Alarms(scores, positive, 0.20).hits.value == 1.0
    assert Alarms(scores, positive, 0.0).hits.value == pytest.approx(1 / 3)


def test_scores_that_all_shift_alike_lose_nothing() -> None:
    before, _ = drawn(np.random.default_rng(0), 0.0)
    after = Alarms(3.0 * before.scores - 7.0, before.positive, 0.05)
    change = resample_recalls(before, after)
    assert change.value == 0.0
    test = non_inferior(before.hits, after.hits, 0.05, change=change)
    assert (test.lost, test.gained, test.outcome) == (0, 0, "non-inferior")


def test_the_interval_covers_what_is_true_of_scores_whose_distribution_is_known() -> None:
    """Normal scores 2 apart have a recall of P(z > 1.645 - 2) at 5 %, blurred by 1 one of P(z > 1.645 - 2 / 2^0.5)."""
    from scipy.stats import norm

    threshold = norm.isf(0.05)
    before, after = norm.sf(threshold - 2), norm.sf(threshold - 2 / np.sqrt(2))
    rng, covered, alone, runs = np.random.default_rng(1), 0, 0, 40
    for _ in range(runs):
        one, other = drawn(rng, 1.0, size=400)
        found = difference(one.hits, other.hits, 0.95, resample_recalls(one, other))
        assert found.low is not None and found.high is not None
        covered += found.low <= after - before <= found.high
        itself = resample_recall(one)
        alone += itself.bound(0.025) <= before <= itself.bound(0.975)
    assert covered >= 0.88 * runs
    assert alone >= 0.88 * runs


def test_few_positives_without_a_flip_are_not_certain() -> None:
    before, _ = drawn(np.random.default_rng(0), 0.0)
    few = before.positive & (np.arange(1000) < 910) | ~before.positive
    small = Alarms(before.scores[few], before.positive[few], 0.05)
    assert non_inferior(small.hits, small.hits, 0.02, change=resample_recalls(small, small)).outcome == "inconclusive"


def test_examples_that_belong_together_are_drawn_together() -> None:
    """The same 100 examples ten times over are no 1,000: grouped, the interval is that of the 100."""
    rng = np.random.default_rng(2)
    one, other = drawn(rng, 1.0)
    rows = np.r_[0:90, 900:910]
    once = [Alarms(each.scores[rows], each.positive[rows], 0.05) for each in (one, other)]
    ten, groups = np.tile(rows, 10), np.tile(np.arange(100), 10)
    grouped = [Alarms(each.scores[ten], each.positive[ten], 0.05, groups) for each in (one, other)]
    assert resample_recalls(*grouped).error == pytest.approx(resample_recalls(*once).error, rel=0.2)
    loose = [Alarms(each.scores[ten], each.positive[ten], 0.05) for each in (one, other)]
    assert resample_recalls(*loose).error < 0.6 * resample_recalls(*grouped).error
