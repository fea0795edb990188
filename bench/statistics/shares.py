"""A metric as what each example adds to it: the sum of what was got over the sum of what there was to get.

Accuracy, recall, F1 over all decisions, mean nDCG and perplexity all have this form, so one paired test serves them
all: examples are drawn, never decisions, because decisions on one example are not independent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Shares:
    """One metric of one subject, example by example in file order: `got` out of `of`.

    An example with nothing to get (a query without a relevant document, a text without entities in which none were
    found) has `of` 0 and adds nothing.
    """

    got: Floats
    of: Floats

    def __len__(self) -> int:
        return len(self.got)

    @property
    def value(self) -> float | None:
        """The metric; None where there was nothing to get in any example."""
        total = float(self.of.sum())
        return float(self.got.sum()) / total if total else None

    @property
    def binary(self) -> bool:
        """True where every example is simply right or wrong: then the exact tests hold."""
        return bool((self.of == 1).all() and np.isin(self.got, (0, 1)).all())

    @property
    def each(self) -> Floats:
        """Every example's own share; 1 where there was nothing to get, since nothing is missing."""
        return np.divide(self.got, self.of, out=np.ones(len(self)), where=self.of > 0)

    def rows(self, rows: ArrayLike) -> Shares:
        """The same of some examples, by mask or by indices."""
        chosen = np.asarray(rows) if np.size(rows) else np.zeros(0, dtype=np.intp)
        return Shares(self.got[chosen], self.of[chosen])


def as_shares(right: ArrayLike | Shares) -> Shares:
    """Shares, also from an array that says "right" per example."""
    if isinstance(right, Shares):
        return right
    got = np.asarray(right, dtype=bool)
    if got.ndim != 1:
        raise ValueError("one answer each for the same examples is needed, at least one")
    return Shares(got.astype(np.float64), np.ones(len(got)))


def check_paired(before: Shares, after: Shares) -> None:
    """ValueError where the two are not of the same examples, or of none."""
    if len(before) != len(after) or not len(before):
        raise ValueError("baseline and candidate need one answer each for the same examples, at least one")


def counted(*sides: Shares) -> int:
    """How many examples add anything, to any of the sides."""
    return int(np.any([side.of > 0 for side in sides], axis=0).sum())
