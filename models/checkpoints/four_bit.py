"""Weights in 4 bits as bitsandbytes packs them: decoded to the last bit, and rounded as it would round them. A leaf.

A block of 64 weights shares its largest magnitude; each weight is one of 16 levels of it, two to a byte, the first in
the high half. With double quantisation the magnitudes, less their mean, are 8-bit numbers on a curve, 256 to a block.

Dettmers et al. 2023, arXiv:2305.14314 (NF4, double quantisation); Dettmers et al. 2022, arXiv:2110.02861 (the curve).
"""

import json
import math
from collections.abc import Mapping
from typing import Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from mct import MctError
from mct.models.data.declared import Count, parse_json

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

BLOCK, NESTED_BLOCK = 64, 256
LEAST = np.float32(1e-38)

# Quantiles of a normal distribution, with a zero (arXiv:2305.14314, appendix E).
NF4 = np.array(
    [
        -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
        -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634,
        0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
    ], np.float32,
)  # fmt: skip

# One bit of sign, two of exponent, one of fraction: 0, 1/192, 8/12, 12/12, 4/12, 6/12, 2/12, 3/12 and their negatives.
FP4 = np.array([0, 0.0625, 8, 12, 4, 6, 2, 3, -0.0, -0.0625, -8, -12, -4, -6, -2, -3], np.float32) / np.float32(12)

LEVELS = {"nf4": NF4, "fp4": FP4}


class State(Struct, frozen=True):
    """What is said of a packed weight beside it, as JSON in a tensor of bytes."""

    quant_type: Literal["nf4", "fp4"]
    shape: list[Count]
    dtype: Literal["float32", "float16", "bfloat16"]
    blocksize: Count
    nested_blocksize: Count | None = None
    nested_offset: float = 0.0


def read_state(content: Bytes, place: str) -> State:
    """The state that a tensor of bytes holds; `place` says in a refusal which tensor it is."""
    return parse_json(content.tobytes(), State, place)


def decode(packed: Bytes, parts: Mapping[str, NDArray[np.generic]], state: State) -> Floats:
    """The weight that was packed, of `state.shape`. `parts` are the tensors beside it: "absmax", "quant_map" …

    MctError where these are not the parts of such a weight.
    """
    _require_parts(packed, parts, state)
    levels = parts["quant_map"].astype(np.float32)
    magnitudes = parts["absmax"]
    if state.nested_blocksize:
        nested = parts["nested_quant_map"].astype(np.float32)[magnitudes.astype(np.intp)]
        scales = np.repeat(parts["nested_absmax"].astype(np.float32), state.nested_blocksize)[: nested.size]
        magnitudes = nested * scales + np.float32(state.nested_offset)
    count = int(np.prod(state.shape))
    codes = np.stack([packed.ravel() >> 4, packed.ravel() & 15], axis=1).ravel()[:count]
    each = np.repeat(magnitudes.astype(np.float32), state.blocksize)[:count]
    return as_stored(levels[codes] * each, state.dtype).reshape(state.shape)


def _require_parts(packed: Bytes, parts: Mapping[str, NDArray[np.generic]], state: State) -> None:
    """MctError unless there are as many codes and magnitudes as the shape takes, and levels for each of them."""
    count = math.prod(state.shape)
    blocks = -(-count // state.blocksize)
    sizes = {"quant_map": 16, "absmax": blocks}
    if state.nested_blocksize:
        sizes |= {"nested_quant_map": 256, "nested_absmax": -(-blocks // state.nested_blocksize)}
    found = {name: parts[name].size if name in parts else 0 for name in sizes}
    if not state.shape or found != sizes or packed.dtype != np.uint8 or packed.size != -(-count // 2):
        raise MctError(
            f"a weight of shape {state.shape} in 4 bits holds {packed.size} bytes of codes and {found}, not {sizes}",
            "the file is damaged: copy it again from where it was saved",
        )


def rounded(weight: Floats, kind: Literal["nf4", "fp4"], dtype: str) -> Floats:
    """The weight as a linear layer in 4 bits computes with it: rounded to the levels, double quantisation and all.

    `dtype` is the type that the weight was loaded in before it was rounded. The mean of the magnitudes is a sum, whose
    last bit is another on every machine: so is now and then the level of a magnitude.
    """
    levels = np.sort(LEVELS[kind])
    codes, largest = _nearest(_blocks(weight, BLOCK), levels)
    bytes_, scales, offset = _double_quantised(largest)
    magnitudes = (dynamic_curve()[bytes_] * scales[:, None]).ravel()[: largest.size] + offset
    found = (levels[codes] * magnitudes[:, None]).ravel()[: weight.size]
    return as_stored(found, dtype).reshape(weight.shape)


def packed(weight: Floats) -> dict[str, NDArray[np.generic]]:
    """The tensors that bitsandbytes saves of a weight in NF4 with double quantisation, by what follows on its name."""
    codes, largest = _nearest(_blocks(weight, BLOCK), NF4)
    bytes_, scales, offset = _double_quantised(largest)
    pairs = codes.astype(np.uint8).ravel()[: weight.size + weight.size % 2].reshape(-1, 2)
    state = {
        "quant_type": "nf4", "blocksize": BLOCK, "dtype": "float32", "shape": list(weight.shape),
        "nested_blocksize": NESTED_BLOCK, "nested_dtype": "float32", "nested_offset": float(offset),
    }  # fmt: skip
    return {
        "": (pairs[:, :1] << 4) | pairs[:, 1:],
        ".absmax": bytes_.astype(np.uint8).ravel()[: largest.size],
        ".quant_map": NF4,
        ".nested_absmax": scales,
        ".nested_quant_map": dynamic_curve(),
        ".quant_state.bitsandbytes__nf4": np.frombuffer(json.dumps(state).encode(), np.uint8),
    }


def _blocks(values: Floats, size: int) -> Floats:
    """The values in rows of `size`, filled up with zeros."""
    flat = values.astype(np.float32).ravel()
    return np.pad(flat, (0, -flat.size % size)).reshape(-1, size)


def _nearest(blocks: Floats, levels: Floats) -> tuple[NDArray[np.intp], Floats]:
    """For each value the number of the level nearest to it, as a share of its block's largest; and these."""
    largest: Floats = np.abs(blocks).max(axis=1)
    scaled = np.clip(blocks * (np.float32(1) / np.maximum(largest, LEAST))[:, None], -1, 1)
    return np.searchsorted(_between(levels), scaled, side="left"), largest


def _double_quantised(magnitudes: Floats) -> tuple[NDArray[np.intp], Floats, np.float32]:
    """The blocks' magnitudes in 8 bits: their places on the curve, by block the largest, and the mean that was taken
    from all."""
    offset = magnitudes.mean(dtype=np.float32)
    places, scales = _nearest(_blocks(magnitudes - offset, NESTED_BLOCK), dynamic_curve())
    return places, scales, offset


def _between(levels: Floats) -> Floats:
    """Where the nearest of two neighbouring levels changes."""
    middle: Floats = (levels[:-1] + levels[1:]) / np.float32(2)
    return middle


def dynamic_curve() -> Floats:
    """256 numbers from -1 to 1: seven decades, each with twice the steps of the one below (arXiv:2110.02861)."""
    found = [0.0, 1.0]
    for decade in range(7):
        edges = _evenly(2**decade)
        middles = np.float32(10.0 ** (decade - 6)) * ((edges[:-1] + edges[1:]) / np.float32(2))
        found += [*middles.tolist(), *(-middles).tolist()]
    return np.sort(np.array(found, np.float32))


def _evenly(steps: int) -> Floats:
    """From 0.1 to 1 in so many steps, counted from the nearer end and rounded once: what torch.linspace gives."""
    first, last, number = np.float32(0.1), np.float32(1), np.arange(steps + 1, dtype=np.float64)
    step = np.float64((last - first) / np.float32(steps))
    near, far = np.float64(first) + step * number, 1 - step * (steps - number)
    return np.where(number < (steps + 1) // 2, near, far).astype(np.float32)


def as_stored(values: Floats, dtype: str) -> Floats:
    """The values after they were stored in a shorter type: float16, or bfloat16 (half to even)."""
    if dtype == "float16":
        return values.astype(np.float16).astype(np.float32)
    if dtype == "bfloat16":
        bits = np.ascontiguousarray(values).view(np.uint32)
        kept = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)
        return kept.view(np.float32)
    return values
