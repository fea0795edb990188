from collections.abc import Callable

import pytest

from mct.bench.judge.quality import examples_missing, proportion_bounds, score
from mct.bench.samples.measurement import Measurement

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


def test_examples_missing_without_flips_is_the_rule_of_three() -> None:
    """(1 - 0.01)^n <= 0.05 first at n = 299: with 100 seen, 199 are missing (the search stops within 2 %)."""
    missing = examples_missing(0, 0, 100, 0.01, 0.05)
    assert missing is not None
    assert 199 <= missing <= 206


def test_no_number_of_examples_clears_a_drop_beyond_the_margin() -> None:
    assert examples_missing(3, 0, 100, 0.01, 0.05) is None
    assert examples_missing(1, 0, 100, 0.01, 0.05) is None


def test_a_drop_near_the_margin_takes_many_more(measured: MakeMeasurement) -> None:
    near, far = examples_missing(8, 0, 1000, 0.01, 0.05), examples_missing(2, 0, 1000, 0.01, 0.05)
    assert near is not None
    assert far == 0
    assert near > 1000
