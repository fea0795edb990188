"""Unpadded inputs to the int64 arrays a graph takes. A leaf: numpy only, shared by the sessions of this room."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from mct.models.tasks.tokens import Tokens

Arrays = dict[str, NDArray[np.int64]]


def padded(batch: Sequence[Tokens], names: Iterable[str], pad_id: int, length: int = 0) -> Arrays:
    """The arrays of `names` for a batch, each (len(batch), longest input or `length` if that is more), padded right.

    `names` are those of Hugging Face: input_ids, attention_mask (0 on padding), token_type_ids (0 on padding).
    """
    shape = (len(batch), max(length, *(len(tokens.ids) for tokens in batch)))
    arrays = {name: np.full(shape, pad_id if name == "input_ids" else 0, dtype=np.int64) for name in names}
    for row, tokens in enumerate(batch):
        fill(arrays, row, tokens)
    return arrays


def fill(arrays: Arrays, row: int, tokens: Tokens) -> None:
    """Write one input at the start of `row`; what stands after it is left as it is."""
    size = len(tokens.ids)
    for name, array in arrays.items():
        if name == "input_ids":
            array[row, :size] = tokens.ids
        elif name == "attention_mask":
            array[row, :size] = 1
        else:
            array[row, :size] = tokens.type_ids
