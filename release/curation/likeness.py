"""Which texts say the same: word for word, in another order, or with slips of the pen. A leaf.

Two texts are near where `NEAR` or more of their words are the same, in any order (Jaccard of the words with their
repetitions; a word of letters alone counts for another that is one slip from it). Letters alone would not do: of two
short questions to one shop most letter triples are the same whether or not they ask the same.

Pairs are found without comparing all with all: by MinHash of the words' letter triples, and banding (Broder, "On the
resemblance and containment of documents", 1997; datasketch). Every pair that it offers is then compared exactly: it can
miss a pair, never make one up. With 12 bands of 3, a pair that shares half of its triples is offered with probability
0.80, one that shares 0.6 with 0.95, 0.7 with 0.99 (one slip in a text of fifty letters leaves about 0.9).

Memory is bounded: texts that read the same are kept once, one that repeats another but for slips is not kept beside it,
and of those that MinHash offers the `MOST_COMPARED` likeliest are compared.
"""

import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from datasketch import MinHash, MinHashLSH

from mct.models.data.leaks import normalised
from mct.models.progress import Report, silent

NEAR = 0.9
PERMUTATIONS, BANDS, ROWS = 64, 12, 3
MOST_COMPARED = 24
LEAST_SHARED = 0.35
"""Of the triples, as signatures suggest it: less, and hardly a pair has nine words of ten in common."""

SAME_WORDS = 1.0
"""What has another text's words, but for slips, is found wherever that one is."""

SHORTEST_SLIP = 4
"""Letters of a word that may be a slip of another: "can" and "car" are two words."""


class Match(NamedTuple):
    """The text at `place` says what that at `of` says: in the same list before it, or in the list compared with."""

    place: int
    of: int
    how: str
    likeness: float


def repeats(texts: Sequence[str], near: float = NEAR, report: Report = silent) -> list[Match]:
    """Of each text that repeats an earlier one, which: the first that reads the same, or the nearest."""
    index = _Index(near, len(texts))
    found = []
    for place, text in enumerate(texts):
        if place % 1000 == 0:
            report("looking for repeated rows", place / len(texts))
        match = index.nearest(place, text)
        if match is not None:
            found.append(match)
        if match is None or match.likeness < SAME_WORDS:
            index.add(place, text)
    return found


def meetings(texts: Sequence[str], known: Sequence[str], near: float = NEAR, report: Report = silent) -> list[Match]:
    """Of each text that stands in `known` as well, where: what reads the same, or the nearest."""
    index = _index_of(known, near)
    found = []
    for place, text in enumerate(texts):
        if place % 1000 == 0:
            report("looking for leaks", place / len(texts))
        match = index.nearest(place, text)
        if match is not None:
            found.append(match)
    return found


def standing_in(known: Sequence[str], near: float = NEAR) -> Callable[[str], bool]:
    """A function that says of a text whether it, or nearly it, stands in `known`."""
    index = _index_of(known, near)
    return lambda text: index.nearest(0, text) is not None


def _index_of(known: Sequence[str], near: float) -> "_Index":
    index = _Index(near, len(known))
    for place, text in enumerate(known):
        match = index.nearest(place, text) if place else None
        if match is None or match.likeness < SAME_WORDS:
            index.add(place, text)
    return index


def likeness(one: str, other: str) -> float:
    """The share of both texts' words that they have in common, slips allowed (Jaccard, with repetitions)."""
    left, right = Counter(_read(one).split()), Counter(_read(other).split())
    common = (left & right).total()
    alone, others = (left - right).elements(), list((right - left).elements())
    for word in alone:
        slip = next((each for each in others if is_slip(word, each)), None)
        if slip is not None:
            others.remove(slip)
            common += 1
    return common / max(1, left.total() + right.total() - common)


def is_slip(one: str, other: str) -> bool:
    """Whether two words differ by one letter that was added, left out, exchanged, or by two that changed places.

    Words with digits are themselves alone: another number is another order.
    """
    short, long = sorted((one, other), key=len)
    if len(short) < SHORTEST_SLIP or len(long) - len(short) > 1 or not (one + other).isalpha():
        return False
    at = next((at for at, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    if len(long) > len(short):
        return short[at:] == long[at + 1 :]
    swapped = short[at + 1 : at + 2] + short[at : at + 1] + short[at + 2 :]
    return short[at + 1 :] == long[at + 1 :] or swapped == long[at:]


@lru_cache(maxsize=20_000)
def triples(text: str) -> frozenset[str]:
    """The letter triples of a text's words, each word in blanks; the text itself where it has no letter or digit."""
    words = normalised(text).split()
    found = {padded[at : at + 3] for padded in (f" {word} " for word in words) for at in range(len(padded) - 2)}
    return frozenset(found or {text.strip()})


class _Index:
    """Texts by their numbers, to be asked for the nearest."""

    def __init__(self, near: float, most: int) -> None:
        self.near = near
        self.exact: dict[str, int] = {}
        self.texts: dict[int, str] = {}
        self.buckets = MinHashLSH(num_perm=PERMUTATIONS, params=(BANDS, ROWS))
        self.signatures = np.zeros((most, PERMUTATIONS), np.uint32)
        self.blank = MinHash(num_perm=PERMUTATIONS, scheme="affine32", hashfunc=zlib.crc32)
        self.last: tuple[str, MinHash] | None = None

    def nearest(self, place: int, text: str) -> Match | None:
        read = _read(text)
        if read in self.exact:
            return Match(place, self.exact[read], "same", 1.0)
        signature = self._signature(text)
        offered = np.fromiter(self.buckets.query(signature), np.int64)
        if not len(offered):
            return None
        alike = (self.signatures[offered] == signature.hashvalues).mean(axis=1)
        likely = np.lexsort((offered, -alike))[:MOST_COMPARED]
        worth = [int(offered[at]) for at in likely if alike[at] >= LEAST_SHARED]
        best = max(((likeness(text, self.texts[other]), -other) for other in worth), default=(0.0, 0))
        if best[0] < self.near:
            return None
        other = self.texts[-best[1]]
        how = "reordered" if sorted(read.split()) == sorted(_read(other).split()) else "near"
        return Match(place, -best[1], how, best[0])

    def add(self, place: int, text: str) -> None:
        signature = self._signature(text)
        self.exact[_read(text)] = place
        self.texts[place] = text
        self.signatures[place] = signature.hashvalues
        self.buckets.insert(place, signature, check_duplication=False)

    def _signature(self, text: str) -> MinHash:
        if self.last is None or self.last[0] != text:
            signature = self.blank.copy()
            signature.update_batch([triple.encode(errors="surrogatepass") for triple in triples(text)])
            self.last = (text, signature)
        return self.last[1]


def _read(text: str) -> str:
    return normalised(text) or text.strip()
