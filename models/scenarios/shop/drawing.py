"""Rows drawn split by split, none said in two of them: what every generator of the shop has in common."""

import random
from collections.abc import Callable, Sequence
from typing import Any

from mct.models.data.leaks import normalised
from mct.models.scenarios.shop.messages import DEAL, SPLITS

Drawn = dict[str, Any]
IsNew = Callable[[str], bool]
"""Whether a text may still be said in this split; asked once, it counts as said."""

RowsOf = Callable[[str, random.Random, IsNew], list[Drawn]]
"""Makes a split's rows from its name, its random stream, and what may still be said."""


def by_split(name: str, seed: int, rows_of: RowsOf) -> dict[str, list[Drawn]]:
    """Each split's rows, in random order: made by `rows_of`.

    A text that reads the same in an earlier split is not new, nor one that dev or test has already: said twice, it
    would count as more evidence than it is. Training texts may be said twice, as people do. The same `name` and `seed`
    give the same rows in every process.
    """
    taken: set[str] = set()
    made = {}
    for split in SPLITS:
        own: set[str] = set()
        draw = random.Random(f"{name}/{seed}/{split}")
        rows = rows_of(split, draw, _is_new(taken, own, repeats=split == "train"))
        draw.shuffle(rows)
        made[split] = rows
        taken |= own
    return made


def rows_by_split(rows: int) -> dict[str, int]:
    """How many of `rows` are each split's: five eighths train's, one dev's, two test's."""
    counts = by_share(rows, [DEAL.count(split) / len(DEAL) for split in SPLITS])
    return dict(zip(SPLITS, counts, strict=True))


def by_share(total: int, shares: Sequence[float]) -> list[int]:
    """`total` as whole numbers in proportion to `shares`: rounded down, the rest by largest remainder."""
    exact = [total * share / sum(shares) for share in shares]
    counts = [int(value) for value in exact]
    by_remainder = sorted(range(len(shares)), key=lambda index: counts[index] - exact[index])
    for index in by_remainder[: total - sum(counts)]:
        counts[index] += 1
    return counts


def _is_new(taken: set[str], own: set[str], repeats: bool) -> IsNew:
    def is_new(text: str) -> bool:
        read = normalised(text)
        if read in taken or (not repeats and read in own):
            return False
        own.add(read)
        return True

    return is_new


def unseen(make: Callable[[], tuple[str, str]], is_new: IsNew) -> tuple[str, str]:
    """The first (template, text) from `make` whose text is new."""
    while True:
        template, text = make()
        if is_new(text):
            return template, text
