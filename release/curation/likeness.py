"""Which texts say the same: word for word, in another order, or with slips of the pen. A leaf.

Two texts are near where `NEAR` or more of their words are the same, in any order (Jaccard of the words with their
repetitions; a word of letters alone counts for another that is one slip from it, and a word that hardly any text has,
as slips are, for more). Letters alone would not do: of two short questions to one shop most letter triples are the same
whether or not they ask the same.

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
from itertools import permutations
from typing import NamedTuple

import numpy as np
from datasketch import MinHash, MinHashLSH

from mct.models.data.leaks import normalised
from mct.models.progress import Report, silent
from mct.release.curation.findings import How

NEAR = 0.9
PERMUTATIONS, BANDS, ROWS = 64, 12, 3
MOST_COMPARED = 24
LEAST_SHARED = 0.4
"""Of the triples, as signatures suggest it: less, and hardly a pair has nine words of ten in common."""

SAME_WORDS = 1.0
"""What has another text's words, but for slips, is found wherever that one is."""

SHORTEST_SLIP = 4
"""Letters of a word that may be a slip of another that is as common: "can" and "car" are two words."""

LEAST_FOR_TWO = 5
RARE = 2
"""Texts that have a word at most, for it to be taken for a slip."""

MOST_OTHER_WORDS = 8
"""Words that two texts do not share: more, and it does not matter whether some are slips."""


class Match(NamedTuple):
    """The text at `place` says what that at `of` says: in the same list before it, or in the list compared with."""

    place: int
    of: int
    how: How
    likeness: float


def repeats(texts: Sequence[str], near: float = NEAR, report: Report = silent) -> list[Match]:
    """Of each text that repeats an earlier one, which: the first that reads the same, or the nearest."""
    index = _Index(near, len(texts), _vocabulary(texts))
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
    index = _index_of(known, near, texts)
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


def _index_of(known: Sequence[str], near: float, texts: Sequence[str] = ()) -> "_Index":
    index = _Index(near, len(known), _vocabulary([*known, *texts]))
    for place, text in enumerate(known):
        match = index.nearest(place, text) if place else None
        if match is None or match.likeness < SAME_WORDS:
            index.add(place, text)
    return index


def likeness(one: str, other: str, rare: Callable[[str], bool] = lambda word: False, least: float = 0.0) -> float:
    """The share of both texts' words that they have in common, slips allowed (Jaccard, with repetitions).

    `rare` says of a word that hardly any text has it: it may then be a slip of a short word, two slips, or two words
    without their blank. Where slips cannot bring it to `least`, they are not looked for.
    """
    left, right = _counted(one), _counted(other)
    common = sum(min(count, right[word]) for word, count in left.items() if word in right)
    mine, theirs = left.total() - common, right.total() - common
    total, best = mine + theirs + 2 * common, common + min(mine, theirs)
    if mine + theirs <= MOST_OTHER_WORDS and best >= least * (total - abs(mine - theirs) - best):
        alone, others = list((left - right).elements()), list((right - left).elements())
        joined = _joined(alone, others, rare) + _joined(others, alone, rare)
        common, total = common + joined, total - joined
        for word in alone:
            slip = next((each for each in others if is_slip(word, each, rare(word) or rare(each))), None)
            if slip is not None:
                others.remove(slip)
                common += 1
    return common / max(1, total - common)


def _joined(words: list[str], others: list[str], rare: Callable[[str], bool]) -> int:
    """How many of the rare `words` are two of `others` without their blank; these are taken out of both lists."""
    found = 0
    for word in [each for each in words if rare(each)]:
        pair = next(((a, b) for a, b in permutations(others, 2) if a + b == word), None)
        if pair is not None:
            words.remove(word)
            others.remove(pair[0])
            others.remove(pair[1])
            found += 1
    return found


def is_slip(one: str, other: str, rare: bool = False) -> bool:
    """Whether two words differ by one letter that was added, left out, exchanged, or by two that changed places.

    Words with digits are themselves alone: another number is another order. Of short words one must be rare ("cat" and
    "car" are two words, "teh" is none); a rare word of five letters or more may have two slips.
    """
    short = min(len(one), len(other))
    if short < (2 if rare else SHORTEST_SLIP) or not (one + other).isalpha():
        return False
    most = 2 if rare and short >= LEAST_FOR_TWO else 1
    return abs(len(one) - len(other)) <= most and _slips(one, other) <= most


def _slips(one: str, other: str) -> int:
    """The distance of two words in letters added, left out, exchanged, or neighbours that changed places (OSA)."""
    before, row = list[int](), list(range(len(other) + 1))
    for at, letter in enumerate(one, start=1):
        older, before, row = before, row, [at]
        for to, there in enumerate(other, start=1):
            cost = min(before[to] + 1, row[to - 1] + 1, before[to - 1] + (letter != there))
            if at > 1 and to > 1 and letter == other[to - 2] and one[at - 2] == there:
                cost = min(cost, older[to - 2] + 1)
            row.append(cost)
    return row[-1]


@lru_cache(maxsize=2_000)
def _counted(text: str) -> Counter[str]:
    return Counter(_read(text).split())


def triples(text: str) -> frozenset[str]:
    """The letter triples of a text's words, each word in blanks; the text itself where it has no letter or digit."""
    words = normalised(text).split()
    found = {padded[at : at + 3] for padded in (f" {word} " for word in words) for at in range(len(padded) - 2)}
    return frozenset(found or {text.strip()})


class _Index:
    """Texts by their numbers, to be asked for the nearest."""

    def __init__(self, near: float, most: int, vocabulary: Counter[str]) -> None:
        self.near = near
        self.vocabulary = vocabulary
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
        best = max(
            ((likeness(text, self.texts[other], self.is_rare, self.near), -other) for other in worth), default=(0.0, 0)
        )
        if best[0] < self.near:
            return None
        other = self.texts[-best[1]]
        how: How = "reordered" if sorted(read.split()) == sorted(_read(other).split()) else "near"
        return Match(place, -best[1], how, best[0])

    def is_rare(self, word: str) -> bool:
        return self.vocabulary[word] <= RARE

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


def _vocabulary(texts: Sequence[str]) -> Counter[str]:
    """How many texts that read differently have each word."""
    return Counter(word for read in {_read(text) for text in texts} for word in set(read.split()))


def _read(text: str) -> str:
    return normalised(text) or text.strip()
