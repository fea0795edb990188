import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mct.models.training.fake_quantise import on_grid, scales_of
from mct.models.training.grids import INT4, Grid, levels_of, lies_on, nearest_levels, trained_grid, weights_of

grids = st.builds(Grid, st.integers(2, 8), st.sampled_from([0, 16, 32, 64]))


def drawn(seed: int, rows: int = 5, width: int = 128) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal((rows, width)) * 0.05).astype(np.float32)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), grids)
def test_the_grids_are_those_that_weights_are_trained_on(seed: int, grid: Grid) -> None:
    weights = drawn(seed)
    levels = levels_of(weights, grid)
    assert np.array_equal(weights_of(levels), on_grid(torch.from_numpy(weights), grid).numpy())
    assert np.array_equal(levels.scales, scales_of(torch.from_numpy(weights), grid).numpy())
    assert levels.values.min() >= grid.lowest and levels.values.max() <= grid.highest


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0, 16, 32, 64, 128]), st.integers(2, 4))
def test_weights_tell_the_blocks_that_they_were_trained_in(seed: int, block: int, bits: int) -> None:
    """Two and three bits in blocks are every fourth and second level of four."""
    weights = weights_of(levels_of(drawn(seed), Grid(bits, block)))
    if block or bits == 4:
        found = trained_grid(weights, 4)
        assert found is not None and np.array_equal(weights_of(levels_of(weights, found)), weights)
    assert trained_grid(drawn(seed), 4) is None


def test_one_weight_off_the_grid_is_enough() -> None:
    weights = weights_of(levels_of(drawn(0), INT4))
    assert lies_on(weights, INT4) and not lies_on(weights, Grid(4, 64))
    weights[-1, -1] = np.nextafter(weights[-1, -1], np.float32(1))
    assert not lies_on(weights, INT4)


@pytest.mark.parametrize("grid", [INT4, Grid(4, 128)])
def test_a_narrower_range_is_taken_where_it_is_nearer_and_never_for_trained_weights(grid: Grid) -> None:
    weights = drawn(3)
    plain, nearest = levels_of(weights, grid), nearest_levels(weights, grid)
    assert np.square(weights_of(nearest) - weights).sum() < 0.97 * np.square(weights_of(plain) - weights).sum()
    trained = weights_of(plain)
    for ours, kept in zip(nearest_levels(trained, grid), levels_of(trained, grid), strict=True):
        assert np.array_equal(ours, kept)


def test_seven_bits_a_row_are_onnx_runtimes_reduced_range() -> None:
    assert (Grid(7).lowest, Grid(7).highest) == (-64, 64)
    assert (Grid(8).lowest, Grid(8).highest) == (-127, 127)
    assert (INT4.lowest, INT4.highest) == (-8, 7)
