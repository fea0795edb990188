from collections import Counter
from itertools import pairwise

import pytest

from mct.bench.measure.turns import turns, williams_square


def test_the_square_of_four_as_published() -> None:
    """Each row follows from the one above it by adding 1 (Williams 1949)."""
    assert williams_square(4) == [[0, 3, 1, 2], [1, 0, 2, 3], [2, 1, 3, 0], [3, 2, 0, 1]]


@pytest.mark.parametrize("size", range(1, 10))
def test_everyone_is_in_every_place_and_after_everyone_else_equally_often(size: int) -> None:
    square = williams_square(size)
    times = len(square) // size
    assert all(set(Counter(column).values()) == {times} for column in zip(*square, strict=True))
    follows = Counter(pair for row in square for pair in pairwise(row))
    assert len(follows) == size * (size - 1)
    assert set(follows.values()) <= {times}


def test_every_round_has_everyone_once_and_a_seed_repeats_itself() -> None:
    orders = turns("abcde", 13, seed=3)
    assert len(orders) == 13
    assert all(sorted(order) == list("abcde") for order in orders)
    assert turns("abcde", 13, seed=3) == orders != turns("abcde", 13, seed=4)


def test_fewer_subjects_than_two_take_what_turns_there_are() -> None:
    assert turns("a", 3, seed=0) == [["a"], ["a"], ["a"]]
    assert turns("", 2, seed=0) == [[], []]
