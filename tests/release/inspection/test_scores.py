"""Score drift: what it is by its definition, that one label's fault shows, and how often its interval holds."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mct import MctError
from mct.models.tasks.table import Head
from mct.release.inspection.scores import ScoreDrift, find_score_drift

LABELS = ("order", "returns", "human")


def told(scores: Any) -> list[Any]:
    """Answers with these scores, an example a row."""
    return [SimpleNamespace(outputs=[{"logits": np.array([row])}]) for row in scores]


def drift(before: Any, after: Any, rounded: Any, kind: Any = "label") -> ScoreDrift:
    given: Sequence[Any] = (told(before), told(after), told(rounded))
    return find_score_drift(given, (Head("logits", kind, LABELS),), kind, 8)


def test_by_hand() -> None:
    """Two examples, three labels: changes of 3 and 4 at one label are a root mean square of 3.5355."""
    before, rounded = np.zeros((2, 3)), np.array([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0]])
    after = np.array([[0.0, 3.0, 0.0], [0.0, 4.0, 0.0]])
    found = drift(before, after, rounded, "labels")
    worst = found.labels[0]
    assert (worst.label, worst.drift, worst.floor) == ("returns", pytest.approx(12.5**0.5), 1.0)
    assert found.times == pytest.approx(12.5**0.5) and found.n == 2
    assert [each.times for each in found.labels[1:]] == [0.0, 0.0]


def test_of_one_label_of_several_what_moves_all_alike_is_no_drift() -> None:
    """Softmax does not see it; where each label is a decision of its own it counts."""
    draw = np.random.default_rng(1)
    before, rounded = draw.normal(size=(40, 3)), draw.normal(size=(40, 3))
    assert drift(before, before + 5, rounded).times == pytest.approx(0)
    assert drift(before, before + 5, rounded, "labels").times > 2


def test_a_label_that_rounding_does_not_move_is_not_divided_by_nothing() -> None:
    draw = np.random.default_rng(2)
    before = draw.normal(size=(40, 3))
    rounded = before + np.array([1.0, 1.0, 0.0]) * draw.normal(size=(40, 3))
    found = drift(before, before + 0.1 * draw.normal(size=(40, 3)), rounded, "labels")
    assert found.labels[0].label == "human" and found.times < 2


def found_of(changed: Any, rounded: Any) -> ScoreDrift:
    """The drift of so many labels, whose scores were nothing before."""
    names = tuple(f"label {place}" for place in range(changed.shape[1]))
    given = (told(np.zeros_like(changed)), told(changed), told(rounded))
    return find_score_drift(given, (Head("logits", "labels", names),), "labels", 8)


def test_the_interval_holds_the_truth() -> None:
    """A label that truly moves 3 times as far as rounding, the others as far; long tails; 300 sets of 400 examples."""
    draw, held = np.random.default_rng(3), 0
    for _ in range(300):
        one, other = (draw.standard_t(6, size=(400, 3)) for _ in range(2))
        low, high = found_of(one * np.array([1.0, 3.0, 1.0]), other).bounds(0.025)
        held += low <= 3 <= high
    assert held / 300 >= 0.91


@pytest.mark.parametrize(("labels", "examples", "tails"), [(77, 100, 8), (77, 400, 8), (150, 300, 8), (10, 700, 8)])
def test_of_many_labels_that_move_to_the_limit_one_is_called_beyond_it_in_one_of_twenty(
    labels: int, examples: int, tails: int
) -> None:
    """Tails as heavy as those of Student's t with eight degrees; with four it is one in ten."""
    draw, failed = np.random.default_rng(labels), 0
    for _ in range(200):
        one, other = (draw.standard_t(tails, size=(examples, labels)) for _ in range(2))
        failed += found_of(1.75 * one, other).bounds(0.05)[0] > 1.75
    assert failed / 200 <= 0.05 + 0.035


def test_few_examples_pass_nothing() -> None:
    """Where a label moves on three rows of a hundred, few examples would often show nothing of it."""
    draw = np.random.default_rng(5)
    for examples, passes in ((299, False), (300, True)):
        one, other = (draw.normal(size=(examples, 3)) for _ in range(2))
        assert (found_of(one, other).bounds(0.05)[1] <= 1.75) is passes


def test_what_only_rounds_is_passed_and_a_fault_in_one_label_is_not() -> None:
    draw, passed, failed = np.random.default_rng(4), 0, 0
    for _ in range(100):
        one, other = (draw.normal(size=(400, 3)) for _ in range(2))
        passed += found_of(one, other).bounds(0.05)[1] <= 1.75
        failed += found_of(one * np.array([1.0, 2.5, 1.0]), other).bounds(0.05)[0] > 1.75
    assert passed == failed == 100


def test_what_cannot_be_measured_is_said() -> None:
    one, some = np.ones((1, 3)), np.ones((4, 3))
    with pytest.raises(MctError, match="of one example"):
        drift(one, one, one)
    with pytest.raises(MctError, match="moves no score"):
        drift(some, 2 * some, some)
