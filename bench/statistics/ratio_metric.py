"""A ratio metric, as what each example adds to it: the sum of what was got over the sum of what there was to get.

Accuracy, recall, F1 over all decisions, mean nDCG and perplexity all have this form, so one paired test serves them
all: examples are drawn, never decisions, because decisions on one example are not independent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mct.bench.statistics.percentiles import Floats

Bools = NDArray[np.bool_]

SAME = 1e-12
"""Parts of an example that differ by less are the same: rounding of a sum."""


@dataclass(frozen=True)
class RatioMetric:
    """One metric of one subject, example by example in file order: `got` out of `of`.

    An example with nothing to get (a query without a relevant document, a text without entities in which none were
    found) has `of` 0 and adds nothing. `groups` says which examples belong together (a conversation, a template): a
    number each; None where every example stands for itself.
    """

    got: Floats
    of: Floats
    groups: NDArray[np.intp] | None = None

    def __len__(self) -> int:
        return len(self.got)

    @property
    def value(self) -> float | None:
        """The metric; None where there was nothing to get in any example."""
        total = float(self.of.sum())
        return float(self.got.sum()) / total if total else None

    @property
    def binary(self) -> bool:
        """True where every example is simply right or wrong."""
        return bool((self.of == 1).all() and np.isin(self.got, (0, 1)).all())

    @property
    def exact(self) -> bool:
        """True where the exact tests hold: right or wrong, and every example stands for itself."""
        return self.groups is None and self.binary

    @property
    def each(self) -> Floats:
        """Every example's own part; 1 where there was nothing to get, since nothing is missing."""
        return np.divide(self.got, self.of, out=np.ones(len(self)), where=self.of > 0)

    def rows(self, rows: ArrayLike) -> RatioMetric:
        """The same of some examples, by mask or by indices."""
        chosen = np.asarray(rows) if np.size(rows) else np.zeros(0, dtype=np.intp)
        return RatioMetric(self.got[chosen], self.of[chosen], None if self.groups is None else self.groups[chosen])

    def by_group(self) -> RatioMetric:
        """The same with one example a group."""
        if self.groups is None:
            return self
        _, places = np.unique(self.groups, return_inverse=True)
        got, of = (np.bincount(places, part).astype(np.float64) for part in (self.got, self.of))
        return RatioMetric(got, of)


def as_metric(right: ArrayLike | RatioMetric) -> RatioMetric:
    """RatioMetric, also from an array that says "right" per example."""
    if isinstance(right, RatioMetric):
        return right
    got = np.asarray(right, dtype=bool)
    if got.ndim != 1:
        raise ValueError("one answer each for the same examples is needed, at least one")
    return RatioMetric(got.astype(np.float64), np.ones(len(got)))


def counted(*sides: RatioMetric) -> int:
    """How many examples add anything, to any of the sides."""
    return int(np.any([side.of > 0 for side in sides], axis=0).sum())
