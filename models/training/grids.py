"""Where weights of few bits may lie: whole numbers times the scale of their row, or of their block of a row.

Numbers only, in numpy, so that what writes a format can tell weights that were trained on a grid and leave them as they
are: rounding them by any other rule would undo the training. Two grids, by the formats that hold them:

- one scale a row (an output channel), `absmax / highest`, symmetric: ONNX Runtime's and OpenVINO's INT8;
- one scale a block of a row, `fp16(signed absmax / lowest)`: GGUF's Q4_0, and INT4 in ONNX and OpenVINO with blocks as
  large.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

# Blocks that are looked for, in weights that may have been trained; 0 is the whole row.
BLOCKS = (32, 64, 128, 256, 16, 0)
REDUCED_BITS = 7

# Shares of a block's range that are tried where weights were not trained on a grid.
SHARES = (0.95, 0.9, 0.85, 0.8, 0.75, 0.7)


@dataclass(frozen=True)
class Grid:
    """Where weights may lie: `bits` a weight, one scale for `block` weights of a row (0: for the whole row).

    `activations`: what a layer reads is rounded to uint8 as well, with the range of each input.
    """

    bits: int
    block: int = 0
    activations: bool = False

    @property
    def lowest(self) -> int:
        """The lowest level. A row's are symmetric; at 7 bits they are those of ONNX Runtime's reduced range."""
        return -(2 ** (self.bits - 1)) if self.block else -self.highest

    @property
    def highest(self) -> int:
        """The highest level: 7 at 4 bits, 127 at 8; 64 of the reduced range, which has one level more than 7 bits."""
        return int(2 ** (self.bits - 1)) - (0 if self.bits == REDUCED_BITS and not self.block else 1)


INT8 = Grid(8, activations=True)
INT4 = Grid(4, block=32)


class Levels(NamedTuple):
    """`values` (rows, blocks, width) whole numbers; `scales` (rows, blocks). A row's one block is the row."""

    values: NDArray[np.int8]
    scales: Floats


def levels_of(weights: Floats, grid: Grid) -> Levels:
    """The nearest levels to weights (rows, columns) whose rows are whole numbers of blocks."""
    parts = np.ascontiguousarray(weights, np.float32).reshape(len(weights), -1, grid.block or weights.shape[1])
    return _at(parts, _scales(parts, grid), grid)


def nearest_levels(weights: Floats, grid: Grid) -> Levels:
    """As `levels_of`, but with the narrower range of a block where that makes the sum of squared errors smaller."""
    parts = np.ascontiguousarray(weights, np.float32).reshape(len(weights), -1, grid.block or weights.shape[1])
    best = levels_of(weights, grid)
    whole, least = best.scales, _errors(best, parts)
    for share in SHARES:
        tried = _at(parts, (whole * np.float32(share)).astype(np.float16).astype(np.float32), grid)
        errors = _errors(tried, parts)
        better = errors < least
        values = np.where(better[..., None], tried.values, best.values)
        best, least = Levels(values, np.where(better, tried.scales, best.scales)), np.minimum(errors, least)
    return best


def weights_of(levels: Levels) -> Floats:
    """The weights that levels stand for, (rows, columns)."""
    restored: Floats = (levels.values.astype(np.float32) * levels.scales[..., None]).reshape(len(levels.values), -1)
    return restored


def lies_on(weights: Floats, grid: Grid) -> bool:
    """Whether weights (rows, columns) are on the grid to the last bit, as only those are that were put there."""
    if weights.shape[1] % (grid.block or 1):
        return False
    return all(
        bool(np.array_equal(weights_of(levels_of(rows, grid)), rows))
        for rows in (weights[:1], weights)  # one row tells nearly always
    )


def trained_grid(weights: Floats, bits: int) -> Grid | None:
    """The grid of `bits` that weights (rows, columns) were trained on; None of weights that lie on none."""
    return next((grid for grid in (Grid(bits, block) for block in BLOCKS) if lies_on(weights, grid)), None)


def _at(parts: Floats, scales: Floats, grid: Grid) -> Levels:
    """The nearest levels to parts (rows, blocks, width) at those scales."""
    with np.errstate(divide="ignore", invalid="ignore"):
        levels = np.where(scales[..., None] == 0, 0, np.rint(parts / scales[..., None]))
    return Levels(np.clip(levels, grid.lowest, grid.highest).astype(np.int8), scales)


def _errors(levels: Levels, parts: Floats) -> Floats:
    """The sum of squares of what each block loses."""
    restored = levels.values.astype(np.float32) * levels.scales[..., None]
    lost: Floats = np.square(restored - parts).sum(-1)
    return lost


def _scales(parts: Floats, grid: Grid) -> Floats:
    """One scale a block, as mct.models.training.fake_quantise has it."""
    if not grid.block:
        return _sixteen_digits(np.abs(parts).max(-1) / np.float32(grid.highest))
    low, high = parts.min(-1), parts.max(-1)
    largest = np.where(high > -low, high, low)
    scales: Floats = (largest / np.float32(grid.lowest)).astype(np.float16).astype(np.float32)
    return scales


def _sixteen_digits(values: Floats) -> Floats:
    """fp32 values with the last eight of their 24 binary digits rounded away: multiples are then exact."""
    digits = (values.view(np.int32) + 0x80) & ~0xFF
    rounded: Floats = digits.astype(np.int32).view(np.float32)
    return rounded
