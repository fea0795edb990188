"""In what order the subjects of a run take their turns: each in each place, and each after each other, equally often.

What runs first meets a cold machine, and what runs after a hot neighbour meets its heat and its caches. In a fixed
order, or one that is only reversed, the same subject always follows the same other; here such effects fall on all alike
(a Latin square balanced for what comes before, Williams 1949).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def turns(subjects: Sequence[T], rounds: int, seed: int) -> list[list[T]]:
    """One order of all subjects for each round.

    Of an even number of subjects, so many rounds make a whole square, of an odd number, twice as many; rounds beyond
    begin the next. The seed decides who stands where in the square and which of its rows comes first.
    """
    rng = random.Random(seed)
    orders: list[list[T]] = []
    while subjects and len(orders) < rounds:
        named = rng.sample(list(subjects), len(subjects))
        square = [[named[place] for place in row] for row in williams_square(len(named))]
        rng.shuffle(square)
        orders += square
    return orders[:rounds] if subjects else [[] for _ in range(rounds)]


def williams_square(size: int) -> list[list[int]]:
    """Rows over the numbers below `size`: each in each column once, and right after each other one once.

    Of an odd size these are two squares, the second the first one backwards, and it is twice instead of once.
    """
    zigzag = [place // 2 if place % 2 == 0 else size - 1 - place // 2 for place in range(size)]
    rows = [[(step + shift) % size for step in zigzag] for shift in range(size)]
    return rows if size % 2 == 0 or size == 1 else rows + [row[::-1] for row in rows]
