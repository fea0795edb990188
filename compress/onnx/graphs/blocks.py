"""Weights in blocks of small integers, as ONNX Runtime's block-wise operators read them. Numbers only, no graph.

A block of a row is stored as integers q, one scale s and one zero point z: w is about s * (q - z). The range of a block
is not taken as it comes: a few narrower ones are tried and the one with the smallest squared error is kept, since at 4
bits a single outlier would otherwise spoil its 31 neighbours. Weights that were trained on a grid keep its blocks and
its integers.

Layout: MatMulNBits in onnxruntime's docs/ContribOperators.md.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mct.models.training.grids import Levels, levels_of, trained_grid

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

# Shares of a block's range to try. At 8 bits the whole range is always as good.
SHARES = {8: (1.0,), 4: (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7)}

TRAINED_BITS = 4

# What the operators take.
SIZES = (16, 32, 64, 128, 256)


class Blocks(NamedTuple):
    """`values` (..., blocks, block) and `zeros` (..., blocks), one integer a byte; `scales` (..., blocks)."""

    values: Bytes
    scales: Floats
    zeros: Bytes


def fitting_blocks(weights: Floats, bits: int, block: int) -> tuple[Blocks, int]:
    """Blocks of rows of weights (rows, columns) and their size: as they were trained in 4 bits, else of `block`."""
    grid = trained_grid(weights, bits) if bits == TRAINED_BITS else None
    if grid is None:
        return quantise_blocks(weights, bits, block), block
    return _trained(levels_of(weights, grid), block)


def _trained(levels: Levels, block: int) -> tuple[Blocks, int]:
    """The levels as they are; a whole row's in parts of `block` with one scale, where no block is as large."""
    values, scales = levels
    rows, _, width = values.shape
    if width not in SIZES:
        filled = np.pad(values.reshape(rows, width), ((0, 0), (0, -width % block)))
        values, width = filled.reshape(rows, -1, block), block
        scales = np.broadcast_to(scales, values.shape[:2])
    middle = 2 ** (TRAINED_BITS - 1)
    zeros = np.full(values.shape[:2], middle, np.uint8)
    return Blocks((values + np.int8(middle)).astype(np.uint8), np.ascontiguousarray(scales, np.float32), zeros), width


def quantise_blocks(weights: Floats, bits: int, block: int) -> Blocks:
    """Rows of weights (..., columns) in blocks; the last block of a row that does not divide is filled with zeros."""
    columns = weights.shape[-1]
    missing = -columns % block
    if missing:
        weights = np.concatenate([weights, np.zeros((*weights.shape[:-1], missing), np.float32)], axis=-1)
    parts = weights.reshape(*weights.shape[:-1], -1, block)
    tried = [_quantise(parts, bits, share) for share in SHARES[bits]]
    if len(tried) == 1:
        return tried[0]
    errors = np.stack([np.square(restore(blocks) - parts).sum(axis=-1) for blocks in tried])
    best = errors.argmin(axis=0)
    values, scales, zeros = (np.stack(each) for each in zip(*tried, strict=True))
    return Blocks(
        np.take_along_axis(values, best[None, ..., None], axis=0)[0],
        np.take_along_axis(scales, best[None], axis=0)[0],
        np.take_along_axis(zeros, best[None], axis=0)[0],
    )


def _quantise(parts: Floats, bits: int, share: float) -> Blocks:
    """One range for every block: `share` of its own, widened to hold 0, which must stay 0."""
    top = 2**bits - 1
    low = np.minimum(parts.min(axis=-1), 0) * np.float32(share)
    high = np.maximum(parts.max(axis=-1), 0) * np.float32(share)
    scales = np.maximum(high - low, np.finfo(np.float32).tiny * top) / np.float32(top)
    zeros = np.rint(-low / scales)
    values = np.clip(np.rint(parts / scales[..., None]) + zeros[..., None], 0, top)
    return Blocks(values.astype(np.uint8), scales.astype(np.float32), zeros.astype(np.uint8))


def restore(blocks: Blocks) -> Floats:
    """The weights that the blocks stand for, (..., blocks, block)."""
    whole = blocks.values.astype(np.float32) - blocks.zeros.astype(np.float32)[..., None]
    restored: Floats = whole * blocks.scales[..., None]
    return restored


def pack(values: Bytes, bits: int) -> Bytes:
    """Integers of the last axis side by side in bytes, the first in the lowest bits; an odd one is filled up with 0."""
    if bits == 8:
        return values
    if values.shape[-1] % 2:
        values = np.concatenate([values, np.zeros((*values.shape[:-1], 1), np.uint8)], axis=-1)
    return values[..., ::2] | np.left_shift(values[..., 1::2], 4, dtype=np.uint8)
