from collections.abc import Callable
from math import ceil

import numpy as np
import pytest

from mct.bench.judge.quality import more_examples, proportion_bounds, score
from mct.bench.samples.measurement import Measurement
from mct.bench.statistics.paired import examples_needed, non_inferior
from mct.bench.statistics.ratio_metric import RatioMetric

MakeMeasurement = Callable[..., Measurement]

TRUTH = ["order"] * 60 + ["returns"] * 40
BEFORE = ["order"] * 57 + ["returns"] * 43  # three orders wrong
AFTER = ["order"] * 55 + ["returns"] * 3 + ["order"] * 2 + ["returns"] * 40  # loses two others, wins two of the three


def test_scores_and_flips_by_hand(measured: MakeMeasurement) -> None:
    """Of 60 orders the baseline has rows 0 to 56 right, this one 0 to 54, 58 and 59: two lost, two won."""
    baseline = measured("router", TRUTH, BEFORE)
    candidate = measured("onnx-int8", TRUTH, AFTER)
    found = score(candidate, baseline, ("order", "returns", "ghost"))
    assert found is not None
    overall, (orders, returns, ghost) = found.overall, found.slices
    assert (overall.name, overall.n, overall.value, overall.baseline) == ("accuracy", 100, 0.97, 0.97)
    assert (overall.worse, overall.better, overall.delta, overall.p_value) == (2, 2, 0.0, 1.0)
    assert (orders.n, orders.value, orders.baseline) == (60, 57 / 60, 57 / 60)
    assert (orders.worse, orders.better) == (2, 2)
    assert (returns.n, returns.value, returns.worse, returns.better) == (40, 1.0, 0, 0)
    assert (ghost.n, ghost.value, ghost.delta) == (0, None, None)


def test_without_a_baseline_only_its_own_score(measured: MakeMeasurement) -> None:
    found = score(measured(truth=TRUTH, answers=AFTER), None, ())
    assert found is not None
    as_json = found.as_json()
    assert as_json["metric"] == "accuracy"
    assert as_json["value"] == 0.97
    assert (as_json["baseline"], as_json["delta"], as_json["delta_ci"], as_json["slices"]) == (None, None, None, [])


def test_no_answers_no_score(measured: MakeMeasurement) -> None:
    assert score(measured(answers=None), None, ()) is None


def test_bounds_of_a_share() -> None:
    """Clopper & Pearson for 0 and 10 of 10: the error's tenth root; for 8 of 10 at 95 % (0.4439, 0.9748)."""
    assert proportion_bounds(10, 10, 0.025) == pytest.approx((0.025**0.1, 1.0))
    assert proportion_bounds(0, 10, 0.025) == pytest.approx((0.0, 1 - 0.025**0.1))
    assert proportion_bounds(8, 10, 0.025) == pytest.approx((0.4439, 0.9748), abs=1e-4)


def test_examples_needed_without_flips_are_the_rule_of_three() -> None:
    """(1 - 0.01)^n <= 0.05 first at n = 299; with flips (1.645 + 0.842)^2 times their rate over the margin squared."""
    assert examples_needed(0.0, 0.01) == 299
    assert examples_needed(0.02, 0.01) == ceil(0.02 * (1.6449 + 0.8416) ** 2 / 0.01**2)
    assert examples_needed(0.0, 0.005) == 598


def test_what_is_missing_is_asked_of_no_loss_not_of_the_drop_seen() -> None:
    """Of 1,000 examples 8 got lost: near the margin, yet with as many an artifact that loses nothing would pass."""
    before, after = np.ones(1000, dtype=bool), np.arange(1000) >= 8
    assert more_examples(non_inferior(before, after, 0.01)) == 0
    few = non_inferior(before[:100], after[-100:], 0.01)
    assert more_examples(few) == 199


def test_groups_of_one_miss_as_many_examples_as_no_groups() -> None:
    """Where nothing changed, what is left open shrinks with the number of examples, not with its root."""
    right = RatioMetric(np.ones(100), np.ones(100), np.arange(100))
    assert more_examples(non_inferior(right, right, 0.01)) == pytest.approx(199, abs=5)
