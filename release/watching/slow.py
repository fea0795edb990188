"""How slowly a reference varies: by how much its shares differ between blocks of time as long as what is tested.

A day has busy hours, and a campaign lasts a week: requests minutes apart are alike, and what blocks within a look show
(drift.py) does not tell. A log of the time before does, where it is long enough: the design effect between blocks of
the size of a look, or of several, is what a look has to be divided by (the batch means of simulation, Law and Kelton).
One that still grows at the largest blocks is that of a log too short to tell: an F test of the variance between
`COARSE` blocks over that within them, between `FINE`. What is slower than such a log, it cannot show.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from scipy import stats

from mct.release.watching.drift import LEAST_BLOCK, Flags, design_effect

FEWEST_BLOCKS = 6
"""Of one size, from which their variance is told."""
COARSE, FINE = 7, 56
"""Blocks in which a whole reference is cut to see whether it still varies; a week's are days and eighths of a day."""
GROWS = 0.01
"""The chance that a signal which is steady beyond the fine blocks is taken for one that is not."""


@dataclass(frozen=True)
class Trace:
    """The rows of one signal of a reference in the order of time: one row of 0 and 1 for each of its shares."""

    flags: Flags
    _effects: dict[int, float] = field(default_factory=dict, repr=False, compare=False)

    def effect(self, size: int, doublings: int = 0) -> float:
        """The design effect of so many rows, at the upper end of what it may be; 1 where the reference cannot tell.

        That of the largest of blocks of `size` and its doublings of which the reference has enough.
        """
        rows = self.flags.shape[1]
        most = rows // FEWEST_BLOCKS
        for doubling in range(doublings, -1, -1):
            if size << doubling <= most:
                return self._of_blocks(size << doubling)
        return self._of_blocks(most) if most >= LEAST_BLOCK else 1.0

    def _of_blocks(self, size: int) -> float:
        if size not in self._effects:
            whole = self.flags.shape[1] // size * size
            self._effects[size] = design_effect(self.flags[:, :whole], np.arange(whole) // size)
        return self._effects[size]

    def is_too_short(self) -> bool:
        """Whether the shares still vary more between the largest blocks than they should by the smaller ones."""
        rows = self.flags.shape[1]
        fine = min(FINE, rows // LEAST_BLOCK // COARSE * COARSE)
        if fine <= COARSE:
            return False
        whole = rows // fine * fine
        means = self.flags[:, :whole].reshape(len(self.flags), fine, -1).mean(axis=2)
        each = means.reshape(len(means), COARSE, -1)
        within = float(((each - each.mean(axis=2, keepdims=True)) ** 2).sum()) / (fine - COARSE)
        between = float(((each.mean(axis=2) - means.mean(axis=1, keepdims=True)) ** 2).sum()) / (COARSE - 1)
        ratio = between * each.shape[2] / within if within else 0.0
        return ratio > _critical(fine)


def trace_of(flags: Mapping[str, Flags]) -> Trace:
    """The rows of a signal by its shares, as a trace."""
    return Trace(np.stack(list(flags.values())))


@cache
def _critical(fine: int) -> float:
    return float(stats.f.isf(GROWS, COARSE - 1, fine - COARSE))
