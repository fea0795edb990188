"""Whether what is tested on was learned from: texts that stand in two splits, word for word or nearly.

Two texts are the same where they read alike (letters and digits of any script, case aside), and nearly the same where
their sets of word triples overlap by `NEAR` or more (Jaccard). Pairs are found without comparing all with all: sets
that overlap so far must share one of their rarest few members (Bayardo, Ma and Srikant, "Scaling up all pairs
similarity search", WWW 2007).
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

NEAR = 0.8
WORDS = 3
"""Words in a row that make one member of a text's set; a shorter text is one member itself."""

_Set = frozenset[tuple[str, ...]]


@dataclass(frozen=True)
class Leak:
    """Two texts of two splits that are too much alike; `overlap` is 1 where they read the same."""

    splits: tuple[str, str]
    texts: tuple[str, str]
    overlap: float


def normalised(text: str) -> str:
    """Letters and digits of any script in lower case, everything else one space: texts that read alike are equal."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def leaks(splits: Mapping[str, Sequence[str]]) -> Iterator[Leak]:
    """Every pair of texts of two splits that are the same, or nearly."""
    read = {split: {normalised(text): text for text in texts} for split, texts in splits.items()}
    for one, other in combinations(read, 2):
        for left, right, overlap in _alike(sorted(read[one]), sorted(read[other])):
            yield Leak((one, other), (read[one][left], read[other][right]), overlap)


def _alike(left: Sequence[str], right: Sequence[str]) -> Iterator[tuple[str, str, float]]:
    """The texts of `left` and `right` whose sets overlap by `NEAR` or more, each pair once."""
    sets = {text: _members(text) for text in {*left, *right}}
    common = Counter(member for members in sets.values() for member in members)
    ranks = {member: rank for rank, member in enumerate(sorted(common, key=lambda member: (common[member], member)))}
    holders = defaultdict[int, list[str]](list)
    for text in left:
        for rank in _rarest(sets[text], ranks):
            holders[rank].append(text)
    for text in right:
        candidates = {other for rank in _rarest(sets[text], ranks) for other in holders[rank]}
        for other in sorted(candidates):
            overlap = len(sets[text] & sets[other]) / len(sets[text] | sets[other])
            if overlap >= NEAR:
                yield other, text, overlap


def _members(text: str) -> _Set:
    words = text.split()
    return frozenset(tuple(words[at : at + WORDS]) for at in range(max(1, len(words) - WORDS + 1)))


def _rarest(members: _Set, ranks: Mapping[tuple[str, ...], int]) -> list[int]:
    """As many of the rarest members as must hold a shared one: n - ceil(NEAR n) + 1."""
    return sorted(ranks[member] for member in members)[: len(members) - math.ceil(NEAR * len(members)) + 1]
