"""Shares and their differences, against published figures."""

import pytest

from mct.release.inspection.rates import difference_of, rate_of


def test_a_share_has_its_exact_interval() -> None:
    """Clopper and Pearson's of 5 of 10, as every table has it."""
    found = rate_of(5, 10)
    assert (found.low, found.high) == pytest.approx((0.1871, 0.8129), abs=1e-4)
    assert (rate_of(0, 20).low, rate_of(20, 20).high) == (0.0, 1.0)
    assert (rate_of(0, 0).low, rate_of(0, 0).high) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    [((56, 70), (48, 80), 0.0524, 0.3339), ((9, 10), (3, 10), 0.1705, 0.8090), ((10, 10), (0, 20), 0.6791, 1.0)],
)
def test_the_difference_of_two_shares_is_newcombes(
    one: tuple[int, int], other: tuple[int, int], low: float, high: float
) -> None:
    """Newcombe 1998, Statistics in Medicine 17, table II: method 10, rows (a), (b) and (g)."""
    found = difference_of(one, other)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)


def test_the_p_value_is_fishers() -> None:
    """The lady tasting tea: 3 of 4 against 1 of 4 is 0.486, two-sided; 4 of 4 against none 0.029."""
    assert difference_of((3, 4), (1, 4)).p_value == pytest.approx(0.4857, abs=1e-4)
    assert difference_of((4, 4), (0, 4)).p_value == pytest.approx(0.0286, abs=1e-4)
